/// Says whether octets that come in pieces are UTF-8 (RFC 3629 §4), at the first octet that cannot be.
///
/// ```
///  octets     first      second     third      fourth
///  1          00…7F
///  2          C2…DF      80…BF
///  3          E0…EF      80…BF ¹    80…BF
///  4          F0…F4      80…BF ²    80…BF      80…BF
///  ¹ A0…BF behind E0, no overlong form; 80…9F behind ED, no surrogate   ² 90…BF behind F0; 80…8F behind F4
/// ```
package struct UTF8Validator: Sendable {
    /// Octets that the character begun still needs.
    private var needed: UInt8 = 0
    /// Where the next of them may lie.
    private var lowest: UInt8 = 0x80
    private var highest: UInt8 = 0xBF

    package init() {}

    /// Whether what came ends with a character.
    package var isComplete: Bool { needed == 0 }

    /// Takes what came next.
    ///
    /// - Returns: whether it may be so far. After a false nothing further is to be asked.
    package mutating func take(_ bytes: Span<UInt8>) -> Bool {
        bytes.withUnsafeBufferPointer { take($0) }
    }

    private mutating func take(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        var index = 0
        while index < bytes.count {
            if needed == 0 {
                index = Self.endOfASCII(base, index, bytes.count)
                guard index < bytes.count else { return true }
                guard begin(base[index]) else { return false }
            } else {
                let octet = base[index]
                guard octet >= lowest && octet <= highest else { return false }
                needed &-= 1
                (lowest, highest) = (0x80, 0xBF)
            }
            index &+= 1
        }
        return true
    }

    /// Takes the first octet of a character of several.
    private mutating func begin(_ octet: UInt8) -> Bool {
        switch octet {
        case 0xC2...0xDF: needed = 1
        case 0xE0...0xEF:
            needed = 2
            if octet == 0xE0 { lowest = 0xA0 }
            if octet == 0xED { highest = 0x9F }
        case 0xF0...0xF4:
            needed = 3
            if octet == 0xF0 { lowest = 0x90 }
            if octet == 0xF4 { highest = 0x8F }
        default: return false
        }
        return true
    }

    /// The index of the first octet from `start` on that is not ASCII, or `count`.
    @inline(__always)
    private static func endOfASCII(_ base: UnsafePointer<UInt8>, _ start: Int, _ count: Int) -> Int {
        let bytes = UnsafeRawPointer(base)
        var index = start
        // Sound: every access lies below `count`. Four words at a time first, since most text is long and ASCII.
        while index &+ 32 <= count {
            let words = bytes.loadUnaligned(fromByteOffset: index, as: SIMD4<UInt64>.self)
            let joined = words.lowHalf | words.highHalf
            if (joined.x | joined.y) & 0x8080_8080_8080_8080 != 0 { break }
            index &+= 32
        }
        while index &+ 8 <= count {
            let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self).littleEndian
            let high = word & 0x8080_8080_8080_8080
            if high != 0 { return index &+ high.trailingZeroBitCount / 8 }
            index &+= 8
        }
        while index < count && base[index] < 0x80 { index &+= 1 }
        return index
    }
}
