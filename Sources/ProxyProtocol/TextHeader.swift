internal import ChimeraBytes

/// Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 50000 443` and CR LF (§2.1).
enum TextHeader {
    /// Octets of the longest line, CR LF included.
    static let octetsMax = 107

    private static let start: InlineArray<6, UInt8> = [0x50, 0x52, 0x4F, 0x58, 0x59, 0x20]

    static func read(_ bytes: Span<UInt8>) -> ProxyHeader.Reading {
        for index in 0..<min(start.count, bytes.count) where bytes[index] != start[index] {
            return .malformed(.missing)
        }
        guard let end = lineEnd(bytes) else {
            return bytes.count < octetsMax ? .incomplete : .malformed(.line)
        }
        guard bytes[end - 1] == 0x0D, end > start.count else { return .malformed(.line) }
        guard let source = source(bytes.extracting(start.count..<end - 1)) else { return .malformed(.line) }
        return .complete(ProxyHeader(source: source, octets: end + 1))
    }

    /// Where the line feed is.
    private static func lineEnd(_ bytes: Span<UInt8>) -> Int? {
        for index in start.count..<max(start.count, min(bytes.count, octetsMax)) where bytes[index] == 0x0A {
            return index
        }
        return nil
    }

    /// What stands between `PROXY` and the end of the line.
    private static func source(_ line: Span<UInt8>) -> ProxyHeader.Source? {
        var words = Words(line.count)
        let family = line.extracting(words.next(line))
        // Whatever follows has to be ignored.
        if family.equals("UNKNOWN") { return .peer }
        guard family.equals("TCP4") || family.equals("TCP6") else { return nil }
        let isV6 = family.equals("TCP6")
        guard let client = address(line.extracting(words.next(line)), isV6: isV6),
            address(line.extracting(words.next(line)), isV6: isV6) != nil,
            let port = number(line.extracting(words.next(line))),
            number(line.extracting(words.next(line))) != nil,
            words.isAtEnd
        else { return nil }
        return .ip(client, port: port)
    }

    /// An address of the family; a mapped IPv4 address is one of IPv6's.
    private static func address(_ text: Span<UInt8>, isV6: Bool) -> IPAddress? {
        let hasColon = text.indices.contains { text[$0] == 0x3A }
        return hasColon == isV6 ? IPAddress(parsing: text) : nil
    }

    private static func number(_ digits: Span<UInt8>) -> UInt16? {
        if digits.count > 1 && digits[0] == 0x30 { return nil }
        return UInt16(decimal: digits)
    }

    /// Words between single spaces.
    private struct Words {
        private let count: Int
        private var place = 0

        init(_ count: Int) { self.count = count }

        var isAtEnd: Bool { place > count }

        /// The next word; empty where there is none.
        mutating func next(_ line: Span<UInt8>) -> Range<Int> {
            guard place < count else {
                place = count + 1
                return count..<count
            }
            let start = place
            while place < count, line[place] != 0x20 { place += 1 }
            defer { place += 1 }
            return start..<place
        }
    }
}
