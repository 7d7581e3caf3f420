internal import ChimeraBytes

/// Looks a parameter up in a query, as forms write it (`application/x-www-form-urlencoded`): pairs between
/// `&`, a plus sign for a space, percent escapes. An escape that is none stands for itself.
package enum QueryParameters {
    /// Where the value of the first parameter of that name stands, as it is written; nil where there is none.
    ///
    /// - Parameters:
    ///   - name: decoded.
    ///   - query: without its `?`.
    /// - Returns: an empty range for a name without `=`.
    package static func value(of name: Span<UInt8>, in query: Span<UInt8>) -> Range<Int>? {
        var start = 0
        while start < query.count {
            let end = query.firstIndex(of: UInt8(ascii: "&"), from: start) ?? query.count
            var equals = start
            while equals < end, query[equals] != UInt8(ascii: "=") { equals += 1 }
            if equals > start, spells(query.extracting(start..<equals), name) {
                return min(equals + 1, end)..<end
            }
            start = end + 1
        }
        return nil
    }

    /// Appends the decoded value of the first parameter of that name.
    ///
    /// - Returns: whether there is one.
    package static func appendValue(
        of name: Span<UInt8>, in query: Span<UInt8>, to output: inout [UInt8]
    ) -> Bool {
        guard let range = value(of: name, in: query) else { return false }
        var decoder = FormDecoder(query.extracting(range))
        while let byte = decoder.next() { output.append(byte) }
        return true
    }

    private static func spells(_ encoded: Span<UInt8>, _ name: Span<UInt8>) -> Bool {
        var decoder = FormDecoder(encoded)
        var index = 0
        while let byte = decoder.next() {
            guard index < name.count, name[index] == byte else { return false }
            index += 1
        }
        return index == name.count
    }
}

/// The octets that a form's encoding stands for, one after the other.
private struct FormDecoder: ~Escapable {
    private let text: Span<UInt8>
    private var index = 0

    @_lifetime(copy text)
    init(_ text: Span<UInt8>) {
        self.text = text
    }

    @_lifetime(self: copy self)
    mutating func next() -> UInt8? {
        guard index < text.count else { return nil }
        let byte = text[index]
        if byte == UInt8(ascii: "%"), let decoded = text.escapedByte(at: index) {
            index += 3
            return decoded
        }
        index += 1
        return byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte
    }
}
