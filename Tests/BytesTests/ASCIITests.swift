import ChimeraBytes
import Testing

@Suite struct `ASCII classes` {
    @Test(arguments: 0...255)
    func `every octet is in the classes that the RFCs say`(_ value: Int) {
        let byte = UInt8(value)
        let letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        func isOne(of characters: String) -> Bool { characters.utf8.contains(byte) }
        let isVisible = (0x21...0x7E).contains(value)
        #expect(byte.isTokenCharacter == isOne(of: letters + "0123456789!#$%&'*+-.^_`|~"))
        #expect(byte.isFieldValueCharacter == (isVisible || value >= 0x80 || value == 0x20 || value == 9))
        #expect(byte.isControl == (value < 32 || value == 127))
        #expect(byte.isDigit == isOne(of: "0123456789"))
        #expect(byte.isLetter == isOne(of: letters))
        #expect((byte.hexValue != nil) == isOne(of: "0123456789abcdefABCDEF"))
        #expect(byte.isOptionalWhitespace == isOne(of: " \t"))
        #expect(ByteSet.entityTag.contains(byte) == ((isVisible && byte != 0x22) || value >= 0x80))
        #expect(ByteSet.unreserved.contains(byte) == isOne(of: letters + "0123456789-._~"))
        #expect(ByteSet.registeredName.contains(byte) == isOne(of: letters + "0123456789-._~!$&'()*+,;="))
        #expect(ByteSet.path.contains(byte) == isOne(of: letters + "0123456789-._~!$&'()*+,;=:@/"))
        let isCapital = (0x41...0x5A).contains(value)
        #expect(byte.lowercased == (isCapital ? byte + 32 : byte))
    }

    @Test func `hexadecimal digits have their value`() {
        for (index, digit) in "0123456789abcdef".utf8.enumerated() { #expect(digit.hexValue == UInt8(index)) }
        for (index, digit) in "ABCDEF".utf8.enumerated() { #expect(digit.hexValue == UInt8(index + 10)) }
    }

    @Test(arguments: [
        ("Content-Length", true), ("content-length", true), ("CONTENT-LENGTH", true),
        ("content-lengt", false),
        ("content-lengthh", false), ("content_length", false), ("", false),
    ])
    func `case does not count for letters alone`(_ text: String, _ isEqual: Bool) {
        let bytes = Array(text.utf8)
        #expect(bytes.span.equalsIgnoringCase("Content-Length") == isEqual)
        #expect(bytes.span.equals("Content-Length") == (text == "Content-Length"))
        let reference = Array("cONTENT-LENGTh".utf8)
        #expect(bytes.span.equalsIgnoringCase(reference.span) == isEqual)
        #expect(bytes.span.equals(bytes.span) == true)
    }

    @Test func `an at sign is not a small grave accent`() {
        let bytes: [UInt8] = [0x40, 0x5B, 0xC1]
        let others: [UInt8] = [0x60, 0x7B, 0xE1]
        #expect(bytes.span.equalsIgnoringCase(others.span) == false)
    }

    @Test func `a prefix is found`() {
        let bytes = Array("Bearer x".utf8)
        #expect(bytes.span.starts(with: "Bearer") == true)
        #expect(bytes.span.starts(with: "bearer") == false)
        #expect(bytes.span.startsIgnoringCase(with: "bearer ") == true)
        #expect(bytes.span.startsIgnoringCase(with: "bearer xy") == false)
    }

    @Test(arguments: [("  a b\t", "a b"), ("", ""), (" \t ", ""), ("a", "a"), ("\u{0B}a", "\u{0B}a")])
    func `white space is trimmed at the ends`(_ text: String, _ trimmed: String) {
        let bytes = Array(text.utf8)
        #expect([UInt8](copying: bytes.span.trimmingWhitespace()) == Array(trimmed.utf8))
    }

    @Test func `octets are found from either end`() {
        let bytes = Array("a,b,c".utf8)
        let comma = UInt8(ascii: ",")
        #expect(bytes.span.firstIndex(of: comma) == 1)
        #expect(bytes.span.firstIndex(of: comma, from: 2) == 3)
        #expect(bytes.span.firstIndex(of: comma, from: 4) == nil)
        #expect(bytes.span.lastIndex(of: comma) == 3)
        #expect(bytes.span.lastIndex(of: 0) == nil)
        #expect(bytes.span.allSatisfy(.fieldVisible) == true)
        #expect(bytes.span.allSatisfy(.token) == false)
    }

    @Test func `what does not fit is not appended at all`() {
        var short = [UInt8]()
        short.append(addingCapacity: 3) { output in
            let bytes = [UInt8](repeating: 1, count: output.capacity + 1)
            let tooMuch = output.append(bytes: bytes.span)
            let enough = output.append(text: "abc")
            #expect(!tooMuch && enough)
        }
        #expect(short == Array("abc".utf8))
    }
}
