internal import ChimeraBytes

/// Looks a cookie up in a line of `Cookie` (RFC 6265 §4.2).
package enum Cookies {
    /// Where the value of the first cookie of that name stands, as it is written; nil where there is none.
    ///
    /// Names are case-sensitive. Quotes belong to the value, and pairs without `=` are no cookies (§5.4).
    package static func value(of name: Span<UInt8>, in line: Span<UInt8>) -> Range<Int>? {
        var start = 0
        while start < line.count {
            let end = line.firstIndex(of: UInt8(ascii: ";"), from: start) ?? line.count
            let pair = line.trimmingWhitespace(start..<end)
            if let equals = line.firstIndex(of: UInt8(ascii: "="), from: pair.lowerBound),
                equals < pair.upperBound,
                line.extracting(line.trimmingWhitespace(pair.lowerBound..<equals)).equals(name)
            {
                return line.trimmingWhitespace((equals + 1)..<pair.upperBound)
            }
            start = end + 1
        }
        return nil
    }
}
