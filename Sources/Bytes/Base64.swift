/// The base 64 encoding of RFC 4648 §4.
package enum Base64 {
    /// How many octets `count` octets become, padding included.
    package static func encodedCount(_ count: Int) -> Int { (count + 2) / 3 * 4 }

    /// Appends the octets that `text` stands for to `output`.
    ///
    /// Padding may be complete or left out, since some clients leave it out (RFC 4648 §3.2 lets protocols
    /// choose). Another character, white space, partial padding, a lone last digit and stray bits after the
    /// last octet are refused, so each value has one spelling but for its padding.
    ///
    /// - Returns: whether `text` was valid; where it was not, `output` is as it was.
    package static func decode(_ text: Span<UInt8>, into output: inout [UInt8]) -> Bool {
        guard let digits = digitCount(of: text) else { return false }
        let start = output.count
        var bits: UInt32 = 0
        for index in 0..<digits {
            guard let value = value(of: text[index]) else {
                output.removeLast(output.count - start)
                return false
            }
            bits = bits << 6 | UInt32(value)
            // Four digits are three octets; of each but the first digit of four an octet is complete.
            let complete = index & 3
            if complete != 0 { output.append(UInt8(truncatingIfNeeded: bits >> UInt32(6 - complete * 2))) }
        }
        let strayBits: UInt32 = [0, 0, 0xF, 0x3][digits & 3]
        guard bits & strayBits == 0 else {
            output.removeLast(output.count - start)
            return false
        }
        return true
    }

    /// The octets that `text` stands for, or nil; see ``decode(_:into:)``.
    package static func decode(_ text: Span<UInt8>) -> [UInt8]? {
        var output: [UInt8] = []
        return decode(text, into: &output) ? output : nil
    }

    /// `bytes` in base 64, with padding.
    package static func encode(_ bytes: Span<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(encodedCount(bytes.count))
        var index = 0
        while index < bytes.count {
            let second: UInt8? = index + 1 < bytes.count ? bytes[index + 1] : nil
            let third: UInt8? = index + 2 < bytes.count ? bytes[index + 2] : nil
            let bits = UInt32(bytes[index]) << 16 | UInt32(second ?? 0) << 8 | UInt32(third ?? 0)
            output.append(digit(bits >> 18))
            output.append(digit(bits >> 12))
            output.append(second == nil ? padding : digit(bits >> 6))
            output.append(third == nil ? padding : digit(bits))
            index += 3
        }
        return output
    }

    private static var padding: UInt8 { UInt8(ascii: "=") }

    /// How many digits stand before the padding, or nil where the padding or the length is wrong.
    private static func digitCount(of text: Span<UInt8>) -> Int? {
        var digits = text.count
        while digits > 0, text.count - digits < 2, text[digits - 1] == padding { digits -= 1 }
        guard digits & 3 != 1, digits == text.count || text.count & 3 == 0 else { return nil }
        return digits
    }

    private static func value(of byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - 0x41
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 0x61 + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - 0x30 + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }

    private static func digit(_ bits: UInt32) -> UInt8 {
        let value = UInt8(truncatingIfNeeded: bits & 0x3F)
        return switch value {
        case 0..<26: value + 0x41
        case 26..<52: value - 26 + 0x61
        case 52..<62: value - 52 + 0x30
        case 62: UInt8(ascii: "+")
        default: UInt8(ascii: "/")
        }
    }
}
