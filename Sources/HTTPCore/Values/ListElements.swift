internal import ChimeraBytes

/// The elements of a list field, one line of it (RFC 9110 §5.6.1: `#element`).
///
/// Elements stand between commas; a comma within a quoted string is no separator. White space around an
/// element is left out, and so are empty elements, as §5.6.1.2 asks of a recipient. A quoted string that does
/// not end takes the rest of the line with it.
package struct ListElements: ~Escapable {
    private let value: Span<UInt8>
    private var index = 0

    @_lifetime(copy value)
    package init(_ value: Span<UInt8>) {
        self.value = value
    }

    /// Where the next element stands, or nil after the last. It is never empty.
    @_lifetime(self: copy self)
    package mutating func next() -> Range<Int>? {
        while index < value.count {
            let start = index
            let end = value.endOfElement(from: start, separator: UInt8(ascii: ","))
            index = end + 1
            let element = value.trimmingWhitespace(start..<end)
            if !element.isEmpty { return element }
        }
        return nil
    }

    /// Whether one of the elements is `token`, case aside.
    package static func contains(_ token: StaticString, in value: Span<UInt8>) -> Bool {
        var elements = ListElements(value)
        while let element = elements.next() {
            if value.extracting(element).equalsIgnoringCase(token) { return true }
        }
        return false
    }
}

extension Span where Element == UInt8 {
    /// Where the element that begins at `start` ends: at the next `separator` outside a quoted string, or
    /// with the span.
    func endOfElement(from start: Int, separator: UInt8) -> Int {
        var index = start
        var isQuoted = false
        while index < count {
            let byte = self[index]
            if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if isQuoted, byte == UInt8(ascii: "\\") {
                // RFC 9110 §5.6.4: quoted-pair.
                index += 1
            } else if !isQuoted, byte == separator {
                return index
            }
            index += 1
        }
        return count
    }
}
