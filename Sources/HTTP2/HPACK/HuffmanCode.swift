internal import ChimeraBytes

/// Codes of one length beyond the short ones.
struct HuffmanGroup: Sendable {
    /// Bits of each code.
    let length: UInt8
    /// The first code that is longer, left-aligned to 32 bits.
    let end: UInt32
    /// The first of the codes, right-aligned.
    let first: UInt32
    /// Where the symbols begin in `HuffmanTable.long`.
    let start: UInt8
}

/// The Huffman code of HPACK (RFC 7541 §5.2 and Appendix B).
///
/// The tables are copied once to memory that is never written again: reading a global costs a call each time.
package struct HuffmanCode: @unchecked Sendable {
    private let codes: UnsafePointer<UInt32>
    private let lengths: UnsafePointer<UInt8>
    private let short: UnsafePointer<UInt16>

    package static let shared = HuffmanCode()

    private init() {
        let codes = UnsafeMutablePointer<UInt32>.allocate(capacity: 256)
        let lengths = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
        let short = UnsafeMutablePointer<UInt16>.allocate(capacity: 256)
        for index in 0..<256 {
            (codes + index).initialize(to: HuffmanTable.codes[index])
            (lengths + index).initialize(to: HuffmanTable.lengths[index])
            (short + index).initialize(to: HuffmanTable.short[index])
        }
        self.codes = UnsafePointer(codes)
        self.lengths = UnsafePointer(lengths)
        self.short = UnsafePointer(short)
    }

    /// The most octets that `count` coded ones stand for: the shortest code has five bits.
    package static func decodedMax(_ count: Int) -> Int { count * 8 / 5 + 1 }

    /// How many octets `bytes` take when coded.
    package func encodedCount(_ bytes: Span<UInt8>) -> Int {
        var bits = 0
        for index in 0..<bytes.count { bits &+= Int(lengths[Int(bytes[unchecked: index])]) }
        return (bits &+ 7) / 8
    }

    /// Writes the code of `bytes` to memory with room for `encodedCount` octets.
    ///
    /// - Returns: how many octets were written.
    package func encode(_ bytes: Span<UInt8>, to room: UnsafeMutablePointer<UInt8>) -> Int {
        // At most 7 bits stay from symbol to symbol, and a code has at most 30.
        var (bits, held, count) = (UInt64(0), UInt64(0), 0)
        for index in 0..<bytes.count {
            let symbol = Int(bytes[unchecked: index])
            let length = UInt64(lengths[symbol])
            bits = bits &<< length | UInt64(codes[symbol])
            held &+= length
            while held >= 8 {
                held &-= 8
                room[count] = UInt8(truncatingIfNeeded: bits &>> held)
                count &+= 1
            }
        }
        guard held > 0 else { return count }
        // RFC 7541 §5.2: the rest of the last octet is the beginning of EOS, all ones.
        let spare = 8 &- held
        room[count] = UInt8(truncatingIfNeeded: bits &<< spare | ((1 &<< spare) &- 1))
        return count &+ 1
    }

    /// Writes what `bytes` stand for to memory with room for `decodedMax(bytes.count)` octets.
    ///
    /// - Returns: how many octets were written, or nil where the code is broken (RFC 7541 §5.2): EOS itself, padding of
    ///   more than seven bits, or padding that is not all ones.
    package func decode(_ bytes: Span<UInt8>, to room: UnsafeMutablePointer<UInt8>) -> Int? {
        // The next bits are the highest of `bits`, of which `held` count.
        var (bits, held, index, count) = (UInt64(0), 0, 0, 0)
        while true {
            while held <= 56, index < bytes.count {
                bits |= UInt64(bytes[unchecked: index]) &<< UInt64(56 &- held)
                held &+= 8
                index &+= 1
            }
            let found = short[Int(truncatingIfNeeded: bits &>> 56)]
            let length = Int(found &>> 8)
            if length != 0 {
                // The zeroes behind the last bit may look like a code.
                guard length <= held else { break }
                room[count] = UInt8(truncatingIfNeeded: found)
                count &+= 1
                bits = bits &<< UInt64(length)
                held &-= length
            } else {
                guard held >= 8 else { break }
                guard let (symbol, length) = Self.longCode(UInt32(truncatingIfNeeded: bits &>> 32)),
                    length <= held, symbol < 256
                else { return nil }
                room[count] = UInt8(truncatingIfNeeded: symbol)
                count &+= 1
                bits = bits &<< UInt64(length)
                held &-= length
            }
        }
        guard held < 8 else { return nil }
        return bits == ~(UInt64.max &>> UInt64(held)) ? count : nil
    }

    /// The symbol of a code of more than eight bits, left-aligned to 32 bits.
    @inline(never)
    private static func longCode(_ bits: UInt32) -> (symbol: Int, length: Int)? {
        for index in 0..<HuffmanTable.groups.count {
            let group = HuffmanTable.groups[index]
            guard bits < group.end else { continue }
            let offset = (bits >> UInt32(32 - Int(group.length))) &- group.first
            return (Int(HuffmanTable.long[Int(group.start) + Int(offset)]), Int(group.length))
        }
        // EOS alone is left: 30 ones.
        return nil
    }
}
