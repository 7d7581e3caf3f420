import ChimeraBytes
import Testing

@testable import ChimeraSessions

@Suite struct ClientTagTests {
    private func tagged(_ manner: ClientTag.Manner, _ parts: [String]) -> String {
        var input = ProgramInput(.lines, tag: ClientTag(manner, client: 3))
        let output = ByteBuffer(capacity: 16)
        for (index, part) in parts.enumerated() {
            input.take(Array(part.utf8).span, isLast: index == parts.count - 1, to: output)
        }
        return String(decoding: Array(copying: output.readable), as: UTF8.self)
    }

    @Test(arguments: [
        (["hello"], "3 hello\n"), (["hel", "", "lo"], "3 hello\n"), ([""], "3 \n"),
        // Nobody speaks for another.
        (["a\n4 b"], "3 a\n3 4 b\n"), (["a\n"], "3 a\n3 \n"),
    ])
    func `each line has its client before it`(_ parts: [String], _ expected: String) {
        #expect(tagged(.prefix, parts) == expected)
    }

    @Test func `an object says who speaks`() {
        #expect(tagged(.json, ["a\n", "\"b"]) == #"{"client":3,"type":"message","data":"a\n\"b"}"# + "\n")
        #expect(tagged(.off, ["a\nb"]) == "a\nb\n")
        let tag = ClientTag(.json, client: 7)
        #expect(
            String(decoding: tag.opening(["A=b=c", "D="]), as: UTF8.self)
                == #"{"client":7,"type":"open","request":{"A":"b=c","D":""}}"# + "\n")
        #expect(String(decoding: tag.closing, as: UTF8.self) == #"{"client":7,"type":"close"}"# + "\n")
        let plain = ClientTag(.prefix, client: 7)
        #expect(plain.opening(["A=b"]).isEmpty && plain.closing.isEmpty)
    }

    @Test func `a request is a line, or a message with its length`() {
        #expect(RequestFacts.message(["A=b"], .lines) == Array("{\"A\":\"b\"}\n".utf8))
        #expect(RequestFacts.message(["A=b"], .length) == [0, 0, 0, 9] + Array("{\"A\":\"b\"}".utf8))
    }
}
