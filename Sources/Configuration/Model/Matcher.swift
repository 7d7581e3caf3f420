package import ChimeraBytes

/// A named condition on a request, from the lines that share its name: all lines must hold, and of a line any value.
package struct Matcher: Sendable, Hashable {
    package enum Condition: Sendable, Hashable {
        /// A field of this lowercase name; no values: it is present.
        case header(String, [Glob])
        case cookie(String, [Glob])
        case query(String, [Glob])
        case client([CIDR])
        /// In capitals; GET includes HEAD, which then stands here as well.
        case method([String])
        /// `http` or `https`.
        case scheme([String])
        /// The subject of the client's certificate; no values: it has one.
        case tlsClient([Glob])
        case host([HostPattern])
        case path([PathPattern])
    }

    /// Without the `@`.
    package var name: String
    /// At least one.
    package var conditions: [Condition]
    /// Of the first line.
    package var position: SourcePosition

    package init(name: String, conditions: [Condition], position: SourcePosition) {
        self.name = name
        self.conditions = conditions
        self.position = position
    }
}

/// `@name` or `!@name` where it is used.
package struct MatcherUse: Sendable, Hashable {
    package var matcher: Matcher
    package var isNegated: Bool

    package init(_ matcher: Matcher, isNegated: Bool = false) {
        self.matcher = matcher
        self.isNegated = isNegated
    }
}

/// A pattern for a value in which `*` stands for any bytes, none included. Case counts.
package struct Glob: Sendable, Hashable {
    package let text: String
    /// What stands between the stars, so that one part means no star.
    private let parts: [[UInt8]]

    package init(_ text: String) {
        self.text = text
        parts = text.utf8.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).map(
            Array.init)
    }

    /// Whether the whole of `value` fits. Linear in its length for each part.
    package func matches(_ value: Span<UInt8>) -> Bool {
        let first = parts[0]
        let last = parts[parts.count - 1]
        guard parts.count > 1 else { return value.count == first.count && Self.find(first, in: value, at: 0) }
        guard value.count >= first.count + last.count, Self.find(first, in: value, at: 0),
            Self.find(last, in: value, at: value.count - last.count)
        else { return false }
        let end = value.count - last.count
        var start = first.count
        for part in parts[1..<(parts.count - 1)] {
            while start + part.count <= end, !Self.find(part, in: value, at: start) { start += 1 }
            guard start + part.count <= end else { return false }
            start += part.count
        }
        return true
    }

    private static func find(_ part: [UInt8], in value: Span<UInt8>, at start: Int) -> Bool {
        guard start + part.count <= value.count else { return false }
        for index in part.indices where value[start + index] != part[index] { return false }
        return true
    }
}
