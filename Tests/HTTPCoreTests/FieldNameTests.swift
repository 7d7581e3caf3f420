import ChimeraBytes
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

/// RFC 9110 §5.1: names are case-insensitive.
@Suite struct `Field names` {
    private static let all = (1..<FieldName.count).map { FieldName(rawValue: UInt8($0)) }

    private func lookUp(_ name: String) -> FieldName {
        let bytes = Array(name.utf8)
        return FieldName(bytes.span)
    }

    @Test func `every well-known name is found in any case`() {
        var generator = SeededGenerator(seed: 9110)
        for name in Self.all {
            let text = name.text.description
            #expect(!text.isEmpty)
            #expect(lookUp(text) == name)
            #expect(lookUp(text.lowercased()) == name)
            #expect(lookUp(text.uppercased()) == name)
            for _ in 0..<20 {
                let mixed = String(
                    text.map {
                        Bool.random(using: &generator)
                            ? Character($0.uppercased()) : Character($0.lowercased())
                    })
                #expect(lookUp(mixed) == name, "\(mixed)")
            }
        }
    }

    @Test func `no two well-known names are the same`() {
        #expect(Set(Self.all.map { $0.text.description.lowercased() }).count == FieldName.count - 1)
    }

    @Test func `a name beside a well-known one is another name`() {
        for name in Self.all {
            let text = name.text.description
            let bytes = Array(text.utf8)
            #expect(lookUp(text + "x") == .other)
            #expect(lookUp("x" + text) == .other)
            #expect(lookUp(String(text.dropLast())) == .other, "\(text)")
            for place in bytes.indices {
                // Every octet that may stand in a name, at every place.
                for byte in UInt8(33)...126
                where byte.isTokenCharacter && byte.lowercased != bytes[place].lowercased {
                    var changed = bytes
                    changed[place] = byte
                    let found = FieldName(changed.span)
                    #expect(found != name, "\(String(decoding: changed, as: UTF8.self))")
                }
            }
        }
    }

    @Test(arguments: [
        "", "a", "-", "x-own", "content-lengthy", "transfer_encoding", "host ",
        String(repeating: "a", count: 200),
    ])
    func `what is not in the table is another name`(_ name: String) {
        #expect(lookUp(name) == .other)
        #expect(FieldName.other.text.description == "")
    }

    @Test func `the names that frame and route a message are in the table`() {
        #expect(lookUp("content-length") == .contentLength)
        #expect(lookUp("TRANSFER-ENCODING") == .transferEncoding)
        #expect(lookUp("hOST") == .host)
        #expect(lookUp("connection") == .connection)
        #expect(lookUp("upgrade") == .upgrade)
    }
}
