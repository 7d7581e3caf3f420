internal import ChimeraBytes

/// The parameters that follow a value (RFC 9110 §5.6.6), as in `text/html; charset=utf-8`.
///
/// Empty parameters are left out. White space beside `=` is not allowed, and ends nothing: such a name or
/// value is no token, which ``FieldParameter/isValid`` says.
package struct FieldParameters: ~Escapable {
    private let value: Span<UInt8>
    private var index: Int

    /// - Parameter start: where the first parameter begins, or the `;` before it.
    @_lifetime(copy value)
    package init(_ value: Span<UInt8>, from start: Int = 0) {
        self.value = value
        index = max(0, start)
    }

    /// The next parameter, or nil after the last.
    @_lifetime(self: copy self)
    package mutating func next() -> FieldParameter? {
        while index < value.count {
            let start = index
            let end = value.endOfElement(from: start, separator: UInt8(ascii: ";"))
            index = end + 1
            let range = value.trimmingWhitespace(start..<end)
            if !range.isEmpty { return FieldParameter(range, in: value) }
        }
        return nil
    }
}

/// Where the name and the value of one parameter stand.
package struct FieldParameter: Sendable {
    /// Before the `=`; all of it where there is none.
    package let name: Range<Int>
    /// After the `=`, without its quotes; nil where there is no `=`.
    package let value: Range<Int>?
    /// The value is a quoted string; a backslash in it stands for the octet after it.
    package let isQuoted: Bool
    /// The name is a token, and the value a token or a whole quoted string.
    package let isValid: Bool

    fileprivate init(_ range: Range<Int>, in text: Span<UInt8>) {
        let equals = text.firstIndex(of: UInt8(ascii: "="), from: range.lowerBound) ?? range.upperBound
        guard equals < range.upperBound else {
            (name, value, isQuoted, isValid) = (range, nil, false, false)
            return
        }
        name = range.lowerBound..<equals
        let raw = (equals + 1)..<range.upperBound
        let hasName = !name.isEmpty && text.extracting(name).allSatisfy(.token)
        isQuoted = text.isQuotedString(raw)
        value = isQuoted ? (raw.lowerBound + 1)..<(raw.upperBound - 1) : raw
        isValid = hasName && (isQuoted || (!raw.isEmpty && text.extracting(raw).allSatisfy(.token)))
    }
}

extension Span where Element == UInt8 {
    /// RFC 9110 §5.6.4: whether `range` is one quoted string, from its first quote to its last.
    fileprivate func isQuotedString(_ range: Range<Int>) -> Bool {
        let quote = UInt8(ascii: "\"")
        guard range.count >= 2, self[range.lowerBound] == quote else { return false }
        var index = range.lowerBound + 1
        while index < range.upperBound {
            if self[index] == quote { return index == range.upperBound - 1 }
            index += self[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return false
    }
}
