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
