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

    @Test func `the proof of a key is that of RFC 6455`() throws {
        let made = ExtendedConnect.proof(of: Array("dGhlIHNhbXBsZSBub25jZQ==".utf8).span)
        let proof = try #require(made)
        #expect(String(decoding: proof, as: UTF8.self) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test func `a request for a WebSocket becomes a GET with a key of 16 octets`() throws {
        let head = head("websocket")
        ExtendedConnect.normalise(head)
        #expect(head.method == .get && text(head[head.methodBytes]) == "GET")
        let found = head.index(ofName: Array("sec-websocket-key".utf8).span)
        let index = try #require(found)
        #expect(Base64.decode(head[head.line(at: index).value])?.count == 16)
    }

    @Test func `a key that the client made is not passed on`() throws {
        let (first, second) = (head("websocket"), head("WebSocket"))
        for head in [first, second] {
            head.add(name: Array("Sec-WebSocket-Key".utf8).span, value: Array("mine".utf8).span)
            ExtendedConnect.normalise(head)
        }
        let name = Array("sec-websocket-key".utf8)
        let places = (first.index(ofName: name.span), second.index(ofName: name.span))
        let (left, right) = (try #require(places.0), try #require(places.1))
        #expect(text(first[first.line(at: left).value]) != "mine")
        #expect(text(first[first.line(at: left).value]) != text(second[second.line(at: right).value]))
    }

    @Test func `another protocol has no key`() {
        let head = head("connect-udp")
        ExtendedConnect.normalise(head)
        #expect(head.index(ofName: Array("sec-websocket-key".utf8).span) == nil)
        #expect(ExtendedConnect.agrees(answer(nil), to: head))
    }

    @Test func `an upstream agrees by the proof alone, which is taken out`() throws {
        let head = head("websocket")
        ExtendedConnect.normalise(head)
        let found = head.index(ofName: Array("sec-websocket-key".utf8).span)
        let index = try #require(found)
        let made = ExtendedConnect.proof(of: head[head.line(at: index).value])
        let proof = try #require(made)
        let right = answer(String(decoding: proof, as: UTF8.self))
        #expect(ExtendedConnect.agrees(right, to: head))
        #expect(right.index(ofName: Array("sec-websocket-accept".utf8).span) == nil)
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
