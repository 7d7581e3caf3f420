/// The checksum of RFC 4960 appendix B: Castagnoli's polynomial. Bit by bit: a header is short, and one a connection.
enum CRC32C {
    /// - Parameter zeroed: octets that count as zero, since the sum itself stands there.
    static func of(_ bytes: Span<UInt8>, zeroed: Range<Int>) -> UInt32 {
        var sum = ~(0 as UInt32)
        for index in 0..<bytes.count {
            sum ^= zeroed.contains(index) ? 0 : UInt32(bytes[index])
            for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 0 ? 0 : 0x82F6_3B78) }
        }
        return ~sum
    }
}
