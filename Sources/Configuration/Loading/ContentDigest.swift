/// A short name for some bytes, the same on every machine and in every process: how a file that changed is told from
/// one that did not.
///
/// It is no cryptographic hash: who makes two of their own files collide hides a change of their own.
struct ContentDigest: Hashable, Sendable {
    private(set) var high: UInt64 = 0x6C62_272E_07BB_0142
    private(set) var low: UInt64 = 0x62B8_2175_6295_C58D

    init() {}

    init(_ bytes: [UInt8]) { take(bytes) }

    init(_ text: String) { take(Array(text.utf8)) }

    /// The digest that `description` is of; nil for another text.
    init?(hexadecimal text: some StringProtocol) {
        guard text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.dropFirst(16), radix: 16)
        else { return nil }
        (self.high, self.low) = (high, low)
    }

    mutating func take(_ bytes: [UInt8]) {
        var word: UInt64 = 0
        for index in bytes.indices {
            word = word << 8 | UInt64(bytes[index])
            if index & 7 == 7 {
                mix(word)
                word = 0
            }
        }
        mix(word)
        mix(UInt64(bytes.count))
    }

    mutating func take(_ other: ContentDigest) {
        mix(other.high)
        mix(other.low)
    }

    private mutating func mix(_ word: UInt64) {
        high = Self.scramble((high ^ word) &* 0x9E37_79B9_7F4A_7C15)
        low = Self.scramble((low &+ word) &* 0xD6E8_FEB8_6659_FD93 ^ high)
    }

    private static func scramble(_ value: UInt64) -> UInt64 { value ^ (value >> 29) ^ (value << 17) }
}

extension ContentDigest: CustomStringConvertible {
    /// 32 hexadecimal digits.
    var description: String { Self.digits(high) + Self.digits(low) }

    private static func digits(_ value: UInt64) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.utf8.count) + text
    }
}
