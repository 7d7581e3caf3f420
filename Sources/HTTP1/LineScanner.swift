internal import ChimeraBytes
internal import ChimeraHTTPCore

/// Finds the lines of a head in a buffer that grows, and looks at each byte once however the bytes arrive.
struct LineScanner {
    /// Where the next line begins.
    private(set) var lineStart = 0
    private var scanned = 0

    /// The next whole line without its CRLF, or nil when its end has not come yet.
    ///
    /// RFC 9112 §2.2: a bare LF may be taken for a line end, but a gateway that does differs from one that does not;
    /// here it is refused.
    mutating func next(in input: Span<UInt8>) throws(Refusal) -> Range<Int>? {
        guard let end = LineScanner.lineFeed(in: input, from: scanned) else {
            scanned = input.count
            return nil
        }
        guard end > lineStart, input[end - 1] == 13 else { throw .lineEndBare }
        let line = lineStart..<(end - 1)
        lineStart = end + 1
        scanned = lineStart
        return line
    }

    /// Eight bytes at a time: a byte equals LF where the difference borrows.
    private static func lineFeed(in input: Span<UInt8>, from start: Int) -> Int? {
        var index = start
        let bytes = input.bytes
        while index + 8 <= input.count {
            // Sound: eight bytes from index lie within the span, and any bits make an integer.
            let word = bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
            let differing = word ^ 0x0a0a_0a0a_0a0a_0a0a
            let zeroes = (differing &- 0x0101_0101_0101_0101) & ~differing & 0x8080_8080_8080_8080
            if zeroes != 0 { return index + zeroes.trailingZeroBitCount / 8 }
            index += 8
        }
        while index < input.count {
            if input[index] == 10 { return index }
            index += 1
        }
        return nil
    }
}
