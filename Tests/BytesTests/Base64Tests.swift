import ChimeraBytes
import ChimeraTestSupport
import Testing

@Suite struct `Base 64` {
    /// RFC 4648 §10, and what needs the last two digits.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"), ("~~?", "fn4/"), ("~>~", "fj5+"),
    ])
    func `the vectors of the RFC go both ways`(_ plain: String, _ encoded: String) {
        let bytes = Array(plain.utf8), text = Array(encoded.utf8)
        #expect(Base64.encode(bytes.span) == text)
        #expect(Base64.decode(text.span) == bytes)
        let bare = Array(encoded.utf8.filter { $0 != UInt8(ascii: "=") })
        #expect(Base64.decode(bare.span) == bytes)
    }

    @Test(arguments: [
        "Z", "Zg=", "Zg===", "=", "==", "====", "Zm9vY", "Zm9vYg=", "Zh==", "Zm9=", "Zm8=Zg==", "Zm 9",
        "Zm9\n",
        "Zm9v=", "Zm9v====", "-_-_", "Zg=a",
    ])
    func `what is not base 64 is refused and leaves the output alone`(_ encoded: String) {
        let text = Array(encoded.utf8)
        var output: [UInt8] = [1, 2]
        #expect(Base64.decode(text.span, into: &output) == false)
        #expect(output == [1, 2])
    }

    @Test func `random octets survive, and random text never traps`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<3_000 {
            let bytes = generator.bytes(upTo: 40, from: "AZaz09+/=")
            let encoded = Base64.encode(bytes.span)
            #expect(encoded.count == Base64.encodedCount(bytes.count), "seed \(seed)")
            #expect(Base64.decode(encoded.span) == bytes, "seed \(seed)")
            if let decoded = Base64.decode(bytes.span) {
                let again = Base64.encode(decoded.span).filter { $0 != UInt8(ascii: "=") }
                #expect(again == bytes.filter { $0 != UInt8(ascii: "=") }, "seed \(seed)")
            }
        }
    }
}
