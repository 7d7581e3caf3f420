extension JSON {
    /// How deep arrays and objects may stand in each other.
    package static let depthMax = 16

    /// The one value that the bytes are; nil for anything else, whatever it is.
    package init?(_ bytes: [UInt8]) {
        var reader = Reader(bytes: bytes)
        guard let value = reader.value(depth: 0), reader.isAtEnd else { return nil }
        self = value
    }

    /// Reads from the front. After a failure, which gives nil, nothing more is read.
    private struct Reader {
        let bytes: [UInt8]
        var index = 0

        var isAtEnd: Bool {
            mutating get {
                skipSpace()
                return index == bytes.count
            }
        }

        private var next: UInt8? { index < bytes.count ? bytes[index] : nil }

        private mutating func skipSpace() {
            while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { index += 1 }
        }

        private mutating func take(_ byte: UInt8) -> Bool {
            skipSpace()
            guard next == byte else { return false }
            index += 1
            return true
        }

        private mutating func take(_ word: StaticString, _ value: JSON) -> JSON? {
            let wanted = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
            guard bytes[index...].starts(with: wanted) else { return nil }
            index += wanted.count
            return value
        }

        mutating func value(depth: Int) -> JSON? {
            skipSpace()
            guard depth <= JSON.depthMax, let byte = next else { return nil }
            switch byte {
            case UInt8(ascii: "{"): return object(depth: depth)
            case UInt8(ascii: "["): return array(depth: depth)
            case UInt8(ascii: "\""): return string().map { .string($0) }
            case UInt8(ascii: "t"): return take("true", .bool(true))
            case UInt8(ascii: "f"): return take("false", .bool(false))
            case UInt8(ascii: "n"): return take("null", .null)
            default: return number()
            }
        }

        private mutating func object(depth: Int) -> JSON? {
            index += 1
            var members: [Member] = []
            if take(UInt8(ascii: "}")) { return .object([]) }
            repeat {
                skipSpace()
                guard next == UInt8(ascii: "\""), let name = string(), take(UInt8(ascii: ":")),
                    let value = value(depth: depth + 1)
                else { return nil }
                members.append(Member(name: name, value: value))
            } while take(UInt8(ascii: ","))
            return take(UInt8(ascii: "}")) ? .object(members) : nil
        }

        private mutating func array(depth: Int) -> JSON? {
            index += 1
            var elements: [JSON] = []
            if take(UInt8(ascii: "]")) { return .array([]) }
            repeat {
                guard let value = value(depth: depth + 1) else { return nil }
                elements.append(value)
            } while take(UInt8(ascii: ","))
            return take(UInt8(ascii: "]")) ? .array(elements) : nil
        }

        /// RFC 8259 §6.
        private mutating func number() -> JSON? {
            let start = index
            if next == UInt8(ascii: "-") { index += 1 }
            let first = next
            guard digits() else { return nil }
            if first == UInt8(ascii: "0"),
                bytes[start..<index].drop(while: { $0 == UInt8(ascii: "-") }).count > 1
            {
                return nil
            }
            var isInteger = true
            if next == UInt8(ascii: ".") {
                isInteger = false
                index += 1
                guard digits() else { return nil }
            }
            if let byte = next, byte | 0x20 == UInt8(ascii: "e") {
                isInteger = false
                index += 1
                if let sign = next, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { index += 1 }
                guard digits() else { return nil }
            }
            let text = String(decoding: bytes[start..<index], as: UTF8.self)
            if isInteger, let number = Int64(text) { return .integer(number) }
            // RFC 8259 §6 leaves the range to who reads; what is not finite could not be written again.
            guard let number = Double(text), number.isFinite else { return nil }
            return .number(number)
        }

        private mutating func digits() -> Bool {
            let start = index
            while let byte = next, (0x30...0x39).contains(byte) { index += 1 }
            return index > start
        }

        /// RFC 8259 §7.
        private mutating func string() -> String? {
            index += 1
            var text: [UInt8] = []
            while let byte = next {
                index += 1
                switch byte {
                case UInt8(ascii: "\""): return String(validating: text, as: UTF8.self)
                case UInt8(ascii: "\\"): guard escape(&text) else { return nil }
                case 0..<0x20: return nil
                default: text.append(byte)
                }
            }
            return nil
        }

        private mutating func escape(_ text: inout [UInt8]) -> Bool {
            guard let byte = next else { return false }
            index += 1
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
            case UInt8(ascii: "b"): text.append(0x08)
            case UInt8(ascii: "f"): text.append(0x0C)
            case UInt8(ascii: "n"): text.append(0x0A)
            case UInt8(ascii: "r"): text.append(0x0D)
            case UInt8(ascii: "t"): text.append(0x09)
            case UInt8(ascii: "u"):
                guard let scalar = unicodeEscape() else { return false }
                text += Array(String(Character(scalar)).utf8)
            default: return false
            }
            return true
        }

        /// Four hexadecimal digits, and for a scalar past the first plane two such units.
        private mutating func unicodeEscape() -> Unicode.Scalar? {
            guard let unit = fourDigits() else { return nil }
            guard (0xD800..<0xDC00).contains(unit) else { return Unicode.Scalar(unit) }
            guard next == UInt8(ascii: "\\") else { return nil }
            index += 1
            guard next == UInt8(ascii: "u") else { return nil }
            index += 1
            guard let low = fourDigits(), (0xDC00..<0xE000).contains(low) else { return nil }
            return Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
        }

        private mutating func fourDigits() -> UInt32? {
            guard index + 4 <= bytes.count else { return nil }
            var value: UInt32 = 0
            for byte in bytes[index..<index + 4] {
                guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                    return nil
                }
                value = value << 4 | UInt32(digit)
            }
            index += 4
            return value
        }
    }
}
