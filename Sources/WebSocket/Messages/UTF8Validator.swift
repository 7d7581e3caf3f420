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
                index = Self.endOfWhole(base, index, bytes.count)
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

    /// Where from `start` on the first character is that is cut, or none; `count` where all are whole. It is for speed
    /// alone: whatever it does not pass is judged octet by octet.
    @inline(__always)
    private static func endOfWhole(_ base: UnsafePointer<UInt8>, _ start: Int, _ count: Int) -> Int {
        var index = start
        while index < count {
            let first = base[index]
            if first < 0x80 {
                index = endOfASCII(base, index, count)
                continue
            }
            guard index &+ 1 < count, first >= 0xC2, base[index &+ 1] & 0xC0 == 0x80 else { return index }
            if first < 0xE0 {
                index &+= 2
                continue
            }
            guard index &+ 2 < count, base[index &+ 2] & 0xC0 == 0x80 else { return index }
            // The character's bits but for the last six, or the last twelve.
            let high = UInt32(first & 0x0F) << 6 | UInt32(base[index &+ 1] & 0x3F)
            if first < 0xF0 {
                guard high >= 0x0800 >> 6, high < 0xD800 >> 6 || high > 0xDFFF >> 6 else { return index }
                index &+= 3
                continue
            }
            guard index &+ 3 < count, base[index &+ 3] & 0xC0 == 0x80, first < 0xF5, high >= 0x1_0000 >> 12,
                high <= 0x10_FFFF >> 12
            else { return index }
            index &+= 4
        }
        return index
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
