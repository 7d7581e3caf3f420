internal import ChimeraBytes

/// Host names as they are compared: lowercase, in A-labels, without the dot at the end.
package enum HostName {
    package enum Failure: Error, Sendable, Hashable {
        case empty
        /// A label is empty or longer than 63 bytes, or the whole is longer than 253.
        case length
        /// A byte or a character that a host name cannot have.
        case character
        case hasPort(host: String)
    }

    /// The normal form of a name or an address. Labels beyond ASCII become A-labels (RFC 3492); an IPv6 address stands
    /// in brackets, in its canonical form.
    package static func normalized(_ text: String) -> Result<String, Failure> {
        if text.isEmpty { return .failure(.empty) }
        if text.hasPrefix("[") { return bracketed(text) }
        if let address = IPAddress(text) { return .success(address.isV4 ? text : "[\(address)]") }
        if let colon = text.lastIndex(of: ":"), text[text.index(after: colon)...].allSatisfy(\.isWholeNumber)
        {
            return .failure(.hasPort(host: String(text[..<colon])))
        }
        var labels: [String] = []
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if part.isEmpty, index > 0, index == parts.count - 1 { break }
            switch label(part) {
            case .success(let label): labels.append(label)
            case .failure(let failure): return .failure(failure)
            }
        }
        let name = labels.joined(separator: ".")
        return name.utf8.count <= 253 ? .success(name) : .failure(.length)
    }

    private static func bracketed(_ text: String) -> Result<String, Failure> {
        guard let end = text.lastIndex(of: "]") else { return .failure(.character) }
        let inner = String(text[text.index(after: text.startIndex)..<end])
        guard inner.contains(":"), let address = IPAddress(inner) else { return .failure(.character) }
        let host = address.isV4 ? "\(address)" : "[\(address)]"
        let rest = text[text.index(after: end)...]
        if rest.isEmpty { return .success(host) }
        return .failure(rest.hasPrefix(":") ? .hasPort(host: host) : .character)
    }

    private static func label(_ text: Substring) -> Result<String, Failure> {
        // No encoding makes a label shorter.
        guard !text.isEmpty, text.unicodeScalars.count <= 63 else { return .failure(.length) }
        let lowercase = text.lowercased()
        var label = lowercase
        if !lowercase.utf8.allSatisfy({ $0 < 0x80 }) {
            guard lowercase.unicodeScalars.allSatisfy({ $0.value < 0x80 || isLetterLike($0) }),
                let encoded = Punycode.encode(lowercase)
            else { return .failure(.character) }
            label = "xn--" + encoded
        }
        guard label.utf8.count <= 63 else { return .failure(.length) }
        let isRight = label.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"),
                UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard isRight, !label.hasPrefix("-"), !label.hasSuffix("-") else { return .failure(.character) }
        return .success(label)
    }

    /// A rough form of what IDNA allows (RFC 5892): letters, marks and digits.
    private static func isLetterLike(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .lowercaseLetter, .otherLetter, .modifierLetter, .nonspacingMark, .spacingMark, .decimalNumber:
            true
        default:
            scalar.value == 0xb7 || scalar.value == 0x200c || scalar.value == 0x200d || scalar.value == 0x30fb
        }
    }
}

/// RFC 3492, the direction that a configuration needs.
enum Punycode {
    /// The encoded form without `xn--`; nil on overflow.
    static func encode(_ label: String) -> String? {
        let scalars = label.unicodeScalars.map(\.value)
        var output = scalars.filter { $0 < 0x80 }.map { UInt8($0) }
        var handled = output.count
        let basic = handled
        if basic > 0 { output.append(UInt8(ascii: "-")) }
        var code: UInt32 = 128
        var delta: UInt32 = 0
        var bias: UInt32 = 72
        while handled < scalars.count {
            guard let next = scalars.filter({ $0 >= code }).min() else { return nil }
            let (step, overflow) = (next - code).multipliedReportingOverflow(by: UInt32(handled + 1))
            guard !overflow, delta <= UInt32.max - step else { return nil }
            delta += step
            code = next
            for scalar in scalars {
                if scalar < code { delta += 1 }
                guard scalar == code else { continue }
                append(delta, bias: bias, to: &output)
                bias = adapt(delta, count: UInt32(handled + 1), isFirst: handled == basic)
                delta = 0
                handled += 1
            }
            delta += 1
            code += 1
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func append(_ delta: UInt32, bias: UInt32, to output: inout [UInt8]) {
        var rest = delta
        var position: UInt32 = 36
        while true {
            let threshold = position <= bias ? 1 : min(position - bias, 26)
            guard rest >= threshold else { break }
            output.append(digit(threshold + (rest - threshold) % (36 - threshold)))
            rest = (rest - threshold) / (36 - threshold)
            position += 36
        }
        output.append(digit(rest))
    }

    private static func digit(_ value: UInt32) -> UInt8 {
        value < 26 ? UInt8(ascii: "a") + UInt8(value) : UInt8(ascii: "0") + UInt8(value - 26)
    }

    private static func adapt(_ delta: UInt32, count: UInt32, isFirst: Bool) -> UInt32 {
        var delta = isFirst ? delta / 700 : delta / 2
        delta += delta / count
        var position: UInt32 = 0
        while delta > 455 {
            delta /= 35
            position += 36
        }
        return position + 36 * delta / (delta + 38)
    }
}
