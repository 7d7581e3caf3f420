internal import ChimeraBytes

/// RFC 3986 §3.2.2: IPv4address, four numbers of 0 … 255 without leading zeros.
enum IPv4Text {
    static func isAddress(_ text: Span<UInt8>) -> Bool {
        guard (7...15).contains(text.count) else { return false }
        var start = 0
        for part in 0..<4 {
            let end = text.firstIndex(of: .dot, from: start) ?? text.count
            let digits = text.extracting(start..<end)
            guard (1...3).contains(digits.count), UInt8(decimal: digits) != nil,
                digits.count == 1 || digits[0] != UInt8(ascii: "0"), (end == text.count) == (part == 3)
            else { return false }
            start = min(end + 1, text.count)
        }
        return true
    }
}

/// RFC 3986 §3.2.2: IPv6address. It has no zone.
enum IPv6Text {
    static func isAddress(_ text: Span<UInt8>) -> Bool {
        var groups = 0
        var hasGap = false
        var index = 0
        if text.count >= 2, text[0] == colon, text[1] == colon {
            hasGap = true
            index = 2
        }
        while index < text.count {
            let end = text.firstIndex(of: colon, from: index) ?? text.count
            let group = text.extracting(index..<end)
            if end == text.count, group.firstIndex(of: .dot) != nil {
                guard IPv4Text.isAddress(group) else { return false }
                groups += 2
                break
            }
            guard UInt16(hexadecimal: group) != nil, group.count <= 4 else { return false }
            groups += 1
            if end == text.count { break }
            index = end + 1
            // A single colon ends nothing.
            guard index < text.count else { return false }
            if text[index] == colon {
                if hasGap { return false }
                hasGap = true
                index += 1
            }
        }
        return hasGap ? groups <= 7 : groups == 8
    }

    private static var colon: UInt8 { UInt8(ascii: ":") }
}
