/// A page of HTML while it is put together: what is ours goes in as it is, what is anybody else's is escaped.
struct HTMLText {
    private(set) var bytes: [UInt8] = []

    /// Markup of ours.
    mutating func put(_ markup: StaticString) {
        bytes += UnsafeBufferPointer(start: markup.utf8Start, count: markup.utf8CodeUnitCount)
    }

    /// Text, as content or in a quoted attribute: it never opens a tag, ends an attribute or begins an
    /// entity.
    mutating func put(escaped text: some StringProtocol) {
        for byte in text.utf8 {
            if let entity = Markup.entity(for: byte) {
                put(entity)
                continue
            }
            switch byte {
            // HTML §13.2.3.5: neither NUL nor other controls belong in a document.
            case 0x09, 0x0A, 0x20...0x7E, 0x80...0xFF: bytes.append(byte)
            default: put("\u{FFFD}")
            }
        }
    }

    /// A number with its thousands set apart.
    mutating func put(number value: UInt64) {
        let digits = Array(String(value).utf8)
        for (index, digit) in digits.enumerated() {
            if index > 0 && (digits.count - index) % 3 == 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(digit)
        }
    }

    /// A configuration file's text: an element for each line, so that one which is wrapped can hang, and its comments
    /// set apart.
    mutating func put(configuration text: String) {
        let whole = text.hasSuffix("\n") ? text.dropLast() : text[...]
        for line in whole.split(separator: "\n", omittingEmptySubsequences: false) {
            let comment = HTMLText.commentStart(line) ?? line.endIndex
            put("<span>")
            put(escaped: line[..<comment])
            if comment < line.endIndex {
                put("<i>")
                put(escaped: line[comment...])
                put("</i>")
            }
            put("\n</span>")
        }
    }

    /// Where a line's comment begins: at a `#` that begins a word and stands in no quotes.
    private static func commentStart(_ line: Substring) -> Substring.Index? {
        var quote: Character?
        var before: Character = " "
        for index in line.indices {
            let character = line[index]
            let beginsWord = before == " " || before == "\t"
            if quote == nil {
                if character == "#" && beginsWord { return index }
                if character == "\"" || character == "'" { quote = character }
            } else if character == quote && before != "\\" {
                quote = nil
            }
            before = character
        }
        return nil
    }
}
