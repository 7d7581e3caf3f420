import ChimeraBytes
import ChimeraHTTPCore
import Testing

@testable import Chimera

struct ExtendedConnectTests {
    private func head(_ token: String) -> RequestHead {
        let head = RequestHead()
        head.majorVersion = 2
        head.method = .connect
        head.methodBytes = head.store(Array("CONNECT".utf8).span)
        head.upgrade = head.store(Array(token.utf8).span)
        return head
    }

    private func text(_ bytes: Span<UInt8>) -> String { String(copying: bytes) }

    private func answer(_ proof: String?) -> ResponseHead {
        let response = ResponseHead()
        if let proof {
            response.add(name: Array("Sec-WebSocket-Accept".utf8).span, value: Array(proof.utf8).span)
        }
        return response
    }

    /// The value of the first field of that name.
    private func value(_ name: String, in block: FieldBlock) -> String? {
        let octets = Array(name.utf8)
        guard let index = block.index(ofName: octets.span) else { return nil }
        return text(block[block.line(at: index).value])
    }

    private func proof(of key: String) -> String? {
        let octets = Array(key.utf8)
        return ExtendedConnect.proof(of: octets.span).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func `the proof of a key is that of RFC 6455`() {
        #expect(proof(of: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test func `a request for a WebSocket becomes a GET with a key of 16 octets`() throws {
        let head = head("websocket")
        ExtendedConnect.normalise(head)
        #expect(head.method == .get)
        let method = text(head[head.methodBytes])
        #expect(method == "GET")
        let key = try #require(value("sec-websocket-key", in: head))
        let octets = Array(key.utf8)
        let decoded = Base64.decode(octets.span)
        #expect(decoded?.count == 16)
    }

    @Test func `a key that the client made is not passed on`() {
        var keys: [String?] = []
        for token in ["websocket", "WebSocket"] {
            let head = head(token)
            head.add(name: Array("Sec-WebSocket-Key".utf8).span, value: Array("mine".utf8).span)
            ExtendedConnect.normalise(head)
            keys.append(value("sec-websocket-key", in: head))
        }
        #expect(keys[0] != "mine" && keys[1] != "mine" && keys[0] != keys[1])
    }

    @Test func `another protocol has no key`() {
        let head = head("connect-udp")
        ExtendedConnect.normalise(head)
        #expect(value("sec-websocket-key", in: head) == nil)
        #expect(ExtendedConnect.agrees(answer(nil), to: head))
    }

    @Test func `an upstream agrees by the proof alone, which is taken out`() throws {
        let head = head("websocket")
        ExtendedConnect.normalise(head)
        let key = try #require(value("sec-websocket-key", in: head))
        let right = answer(proof(of: key))
        #expect(ExtendedConnect.agrees(right, to: head))
        #expect(value("sec-websocket-accept", in: right) == nil)
        for wrong in [nil, "", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="] {
            #expect(!ExtendedConnect.agrees(answer(wrong), to: head))
        }
    }

    @Test(arguments: [
        (199, false), (200, true), (204, true), (299, true), (302, false), (403, false), (501, false),
    ])
    func `an answer that would agree to the protocol is refused`(status: Int, isRefused: Bool) {
        #expect(ExtendedConnect.mustRefuse(head("websocket"), status: status) == isRefused)
        let plain = RequestHead()
        plain.majorVersion = 2
        #expect(!ExtendedConnect.mustRefuse(plain, status: status))
        let ofHTTP1 = head("websocket")
        ofHTTP1.majorVersion = 1
        #expect(!ExtendedConnect.mustRefuse(ofHTTP1, status: status))
    }
}
