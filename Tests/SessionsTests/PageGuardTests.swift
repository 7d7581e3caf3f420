import ChimeraBytes
import Testing

@testable import ChimeraSessions

@Suite struct PageGuardTests {
    /// What passes of `pieces`; nil where they are refused.
    private static func passed(_ pieces: [String]) -> String? {
        var pageGuard = PageGuard()
        var text = ""
        for (index, piece) in pieces.enumerated() {
            let buffer = ByteBuffer(capacity: 64)
            buffer.append(string: piece)
            switch pageGuard.take(buffer, isLast: index == pieces.count - 1) {
            case .refuse: return nil
            case .hold: #expect(buffer.isEmpty)
            case .pass:
                text += String(decoding: Array(copying: buffer.readable), as: UTF8.self)
                return text + pieces[(index + 1)...].joined()
            }
        }
        return text
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "POST /a?b HTTP/1.0\nbody", "OPTIONS * HTTP/1.1\n", "CONNECT a:1 HTTP/1.1\r\n",
        "PUT / HTTP/9\n",
    ])
    func `a request is refused however it is cut`(_ text: String) {
        #expect(Self.passed([text]) == nil && Self.passed(text.map(String.init)) == nil)
    }

    @Test(arguments: [
        "", "\n", "G", "GET", "GET ", "GET x\n", "get / HTTP/1.1\n", "POSTED HTTP/1.1\n",
        "GET HTTP\nx HTTP/1.1\n", "hello\n",
    ])
    func `all else passes however it is cut`(_ text: String) {
        #expect(Self.passed([text]) == text && Self.passed(text.map(String.init) + [""]) == text)
    }

    @Test func `a first line without an end is that of a request`() {
        #expect(Self.passed(["GET ", String(repeating: "a", count: 9000), "\n"]) == nil)
    }
}
