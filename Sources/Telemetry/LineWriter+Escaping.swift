/// Texts of others in a line, so that no text can end its string, its line or the line's encoding.
extension LineWriter {
    // MARK: JSON, RFC 8259 §7

    /// A text between the quotes of a JSON string: quotes, backslashes and controls (C1 ones too, which
    /// terminals obey) are escaped, and what is not UTF-8 becomes U+FFFD.
    @inline(__always)
    mutating func put(json bytes: Span<UInt8>, max: Int) {
        bytes.withUnsafeBufferPointer { put(json: $0, max: max) }
    }

    mutating func put(json string: String, max: Int) {
        var copy = string
        copy.withUTF8 { put(json: $0, max: max) }
    }

    @inline(__always)
    private mutating func put(json bytes: UnsafeBufferPointer<UInt8>, max: Int) {
        guard let base = bytes.baseAddress else { return }
        let count = min(bytes.count, max)
        var index = put(cleanPrefixOf: base, count: count)
        while index < count {
            let byte = base[index]
            if LineWriter.isSpecial(byte) {
                index &+= put(jsonEscapeOf: base + index, count: count &- index)
                index &+= put(cleanPrefixOf: base + index, count: count &- index)
            } else {
                put(byte: byte)
                index &+= 1
            }
        }
        if count < bytes.count { put("\u{2026}") }
    }

    /// - Returns: how many bytes of the text it stands for.
    private mutating func put(jsonEscapeOf bytes: UnsafePointer<UInt8>, count: Int) -> Int {
        let byte = bytes[0]
        if byte == 0x22 || byte == 0x5C {
            put(byte: 0x5C)
            put(byte: byte)
            return 1
        }
        if byte <= 0x7F {
            put(unicodeEscapeOf: byte)
            return 1
        }
        let length = LineWriter.sequenceLength(bytes, count: count)
        if length == 0 {
            put("\u{FFFD}")
            return 1
        }
        if length == 2 && byte == 0xC2 && bytes[1] < 0xA0 {
            put(unicodeEscapeOf: bytes[1])
            return 2
        }
        cursor.update(from: bytes, count: length)
        advance(by: length)
        return length
    }

    private mutating func put(unicodeEscapeOf byte: UInt8) {
        put("\\u00")
        put(hexadecimal: byte)
    }

    /// The length of the well-formed sequence beyond ASCII that begins there (Unicode 15, table 3-7); 0 for
    /// none.
    private static func sequenceLength(_ bytes: UnsafePointer<UInt8>, count: Int) -> Int {
        let second: ClosedRange<UInt8>
        let length: Int
        switch bytes[0] {
        case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
        default: return 0
        }
        guard count >= length, second.contains(bytes[1]) else { return 0 }
        for index in 2..<4 where index < length && bytes[index] & 0xC0 != 0x80 { return 0 }
        return length
    }

    // MARK: Text, as nginx escapes

    /// A text in the text format: quotes, backslashes, controls and all beyond ASCII become `\xHH`.
    ///
    /// - Parameter word: The text stands without quotes, so that spaces are escaped too, and nothing is `-`.
    @inline(__always)
    mutating func put(text bytes: Span<UInt8>, max: Int, asWord word: Bool = false) {
        bytes.withUnsafeBufferPointer { put(text: $0, max: max, asWord: word) }
    }

    mutating func put(text string: String, max: Int, asWord word: Bool = false) {
        var copy = string
        copy.withUTF8 { put(text: $0, max: max, asWord: word) }
    }

    @inline(__always)
    private mutating func put(text bytes: UnsafeBufferPointer<UInt8>, max: Int, asWord word: Bool) {
        guard let base = bytes.baseAddress, bytes.count > 0 else {
            if word { put("-") }
            return
        }
        let count = min(bytes.count, max)
        var index = word ? 0 : put(cleanPrefixOf: base, count: count)
        while index < count {
            let byte = base[index]
            index &+= 1
            if LineWriter.isSpecial(byte) || (word && byte == 0x20) {
                put("\\x")
                put(hexadecimal: byte)
            } else {
                put(byte: byte)
            }
        }
        if count < bytes.count { put("...") }
    }

    private mutating func put(hexadecimal byte: UInt8) {
        put(digit: byte >> 4)
        put(digit: byte & 15)
    }

    private mutating func put(digit: UInt8) {
        put(byte: digit < 10 ? 0x30 + digit : 0x57 + digit)
    }

    private mutating func advance(by count: Int) {
        self = LineWriter(at: cursor + count)
    }
}
