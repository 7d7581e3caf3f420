extension ByteBuffer {
    /// Appends an address in its canonical text: dotted for IPv4, RFC 5952 for IPv6, never with brackets.
    package func append(_ address: IPAddress) {
        if let v4 = address.v4 { return append(v4: v4) }
        let gap = longestZeroRun(address)
        var index = 0
        while index < 8 {
            if index == gap.lowerBound && !gap.isEmpty {
                append("::")
                index = gap.upperBound
                continue
            }
            if index > 0 && index != gap.upperBound { append(UInt8(ascii: ":")) }
            append(hexadecimal: address.group(index))
            index += 1
        }
    }

    private func append(v4 value: UInt32) {
        for shift in stride(from: 24, through: 0, by: -8) {
            append(decimal: Int(value >> UInt32(shift) & 0xFF))
            if shift > 0 { append(UInt8(ascii: ".")) }
        }
    }

    /// RFC 5952 §4.2: the first of the longest runs of at least two zero groups; 9..<9 where there is none.
    private func longestZeroRun(_ address: IPAddress) -> Range<Int> {
        var best = 9..<9
        var index = 0
        while index < 8 {
            var end = index
            while end < 8, address.group(end) == 0 { end += 1 }
            if end - index >= 2, end - index > best.count { best = index..<end }
            index = max(end, index + 1)
        }
        return best
    }
}

extension IPAddress {
    fileprivate func group(_ index: Int) -> Int {
        Int((index < 4 ? high : low) >> UInt64(48 - index % 4 * 16) & 0xFFFF)
    }
}
