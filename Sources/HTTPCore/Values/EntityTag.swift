internal import ChimeraBytes

/// An entity tag (RFC 9110 §8.8.3), as a view of the octets that spell it.
package struct EntityTag: ~Escapable {
    package let isWeak: Bool
    /// What stands between the quotes.
    package let opaque: Span<UInt8>

    /// Reads `"xyzzy"` or `W/"xyzzy"`, and nothing before or after it.
    @_lifetime(copy text)
    package init?(_ text: Span<UInt8>) {
        guard let end = Self.end(in: text, from: 0), end == text.count else { return nil }
        self.init(valid: text)
    }

    /// `text` is an entity tag, from its first octet to its last.
    @_lifetime(copy text)
    private init(valid text: Span<UInt8>) {
        isWeak = text[0] != UInt8(ascii: "\"")
        opaque = text.extracting((isWeak ? 3 : 1)..<(text.count - 1))
    }

    /// RFC 9110 §8.8.3.2: both are strong, and the same.
    package func stronglyEquals(_ other: EntityTag) -> Bool {
        !isWeak && !other.isWeak && opaque.equals(other.opaque)
    }

    /// RFC 9110 §8.8.3.2: the same, weak or not.
    package func weaklyEquals(_ other: EntityTag) -> Bool {
        opaque.equals(other.opaque)
    }

    /// Where the entity tag that begins at `start` ends, or nil where none does.
    fileprivate static func end(in text: Span<UInt8>, from start: Int) -> Int? {
        var index = start
        if index < text.count, text[index] == UInt8(ascii: "W") {
            guard index + 1 < text.count, text[index + 1] == .slash else { return nil }
            index += 2
        }
        guard index < text.count, text[index] == UInt8(ascii: "\"") else { return nil }
        index += 1
        while index < text.count, ByteSet.entityTag.contains(text[index]) { index += 1 }
        guard index < text.count, text[index] == UInt8(ascii: "\"") else { return nil }
        return index + 1
    }
}

/// The value of `If-Match` or `If-None-Match`, one line of it: `*`, or entity tags.
///
/// Such a list is not split at commas, since an entity tag may hold one and knows no backslash escapes.
package struct EntityTagList: ~Escapable {
    private let value: Span<UInt8>

    @_lifetime(copy value)
    package init(_ value: Span<UInt8>) {
        self.value = value
    }

    /// RFC 9110 §13.1.1: `*`, any current representation.
    package var isAny: Bool { value.trimmingWhitespace().equals("*") }

    /// Whether a tag of the list is the same as `tag`. What comes after a malformed tag is not read.
    ///
    /// - Parameter strongly: by the strong comparison, else by the weak one.
    package func contains(_ tag: EntityTag, strongly: Bool) -> Bool {
        var index = 0
        while true {
            while index < value.count, value[index].isOptionalWhitespace || value[index] == UInt8(ascii: ",")
            {
                index += 1
            }
            guard let end = EntityTag.end(in: value, from: index) else { return false }
            guard let other = EntityTag(value.extracting(index..<end)) else { return false }
            if strongly ? tag.stronglyEquals(other) : tag.weaklyEquals(other) { return true }
            index = end
        }
    }
}
