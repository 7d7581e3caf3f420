import ChimeraWebSocket
import Testing

@testable import ChimeraServer

@Suite struct ConnectTests {
    @Test(arguments: [
        ("ws://localhost", "localhost", "80", "localhost", "/"),
        ("ws://localhost:8080/a/b?c=d#e", "localhost", "8080", "localhost:8080", "/a/b?c=d"),
        ("ws://[::1]:81/x", "::1", "81", "[::1]:81", "/x"), ("ws://[::1]", "::1", "80", "[::1]", "/"),
        ("ws://host?q", "host", "80", "host", "/?q"), ("wss://host/a", "host", "443", "host", "/a"),
        ("wss://host:8443", "host", "8443", "host:8443", "/"),
    ])
    func `an address has its parts`(
        _ text: String, _ host: String, _ port: String, _ authority: String, _ target: String
    ) throws {
        let address = try WebSocketAddress(text)
        #expect(address.host == host && address.port == port)
        #expect(address.authority == authority && address.target == target)
        #expect(address.isSecure == text.hasPrefix("wss:"))
    }

    @Test(arguments: [
        "wss://", "http://localhost", "localhost", "ws://", "ws://:80", "ws://a:b", "ws://a:99999",
        "ws://@host", "ws://a b", "ws://a%4@host", "ws://a%+1@host", "ws://user@",
    ])
    func `what is no address is refused`(_ text: String) {
        #expect(throws: WebSocketAddress.Malformed.self) { try WebSocketAddress(text) }
    }

    @Test(arguments: [
        ("ws://ann@host:81/a", "ann"), ("ws://ann:se%3Acret%20%25@host:81/a", "ann:se:cret %"),
        ("ws://a@b:c@host:81/a", "a@b:c"),
    ])
    func `an address may say who asks`(_ text: String, _ user: String) throws {
        let address = try WebSocketAddress(text)
        #expect(address.user == user && address.host == "host" && address.authority == "host:81")
    }

    @Test func `fields of the operator are lines of the head`() throws {
        // RFC 7617 §2
        #expect(
            HandshakeFields.authorization("Aladdin:open sesame")
                == "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        let head = ClientHandshake.request(try WebSocketAddress("ws://host/"), [65], nil, ["Cookie: a=b"])
        #expect(String(decoding: head, as: UTF8.self).hasSuffix("\r\nCookie: a=b\r\n\r\n"))
        #expect(HandshakeFields.isField("X-Word: said") && HandshakeFields.isField("X:"))
        for wrong in ["", ":a", "word", "a b: c", "A: b\r\nC: d", "A: \u{7F}"] {
            #expect(!HandshakeFields.isField(wrong), "\(wrong)")
        }
    }

    @Test(arguments: [
        ("~.", "", true), ("a~.", "a~.", false), ("a\r~.b", "a\r", true), ("a\n~.", "a\n", true),
        ("~~.", "~.", false), ("~a~.", "~a~.", false), ("\r~\r~.", "\r~\r", true),
    ])
    func `a tilde and a dot at the beginning of a line leave`(_ typed: String, _ keys: String, _ leaves: Bool)
    {
        var all = TerminalEscape()
        let atOnce = all.take(Array(typed.utf8))
        #expect(atOnce.keys == Array(keys.utf8) && atOnce.leaves == leaves)
        var each = TerminalEscape()
        var (sent, left): ([UInt8], Bool) = ([], false)
        for key in typed.utf8 where !left {
            let taken = each.take([key])
            sent += taken.keys
            left = taken.leaves
        }
        #expect(sent == Array(keys.utf8) && left == leaves)
    }

    @Test func `only an answer to what was asked is one`() throws {
        // RFC 6455 §1.3
        let key = Array("dGhlIHNhbXBsZSBub25jZQ==".utf8)
        func agreed(_ lines: [String], _ subprotocol: String? = "a") throws -> Bool {
            try ClientHandshake.agreed(
                Array(lines.joined(separator: "\r\n").utf8), key, subprotocol)
        }
        let right = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        #expect(try !agreed(["HTTP/1.1 101 Switching Protocols", right]))
        #expect(try agreed(["HTTP/1.1 101 Switching Protocols", right, "sec-websocket-protocol:  a "]))
        for wrong in [
            ["HTTP/1.1 200 OK", right], ["HTTP/1.1 101 x"],
            ["HTTP/1.1 101 x", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOx="],
            ["HTTP/1.1 101 x", right, "Sec-WebSocket-Protocol: b"],
            ["HTTP/1.1 101 x", right, "Sec-WebSocket-Extensions: permessage-deflate"], [""],
        ] {
            #expect(throws: ClientHandshake.Failure.self) { _ = try agreed(wrong) }
        }
    }

    @Test(
        arguments: [
            (nil, 0), (1000, 0), (4003, 3), (4255, 255), (4309, 137), (1012, nil), (4300, nil), (4000, nil),
        ] as [(UInt16?, Int32?)])
    func `a Close tells the exit status`(_ code: UInt16?, _ status: Int32?) {
        #expect(JoinedTerminal.exitStatus(code.map { .init(rawValue: $0) }) == status)
    }
}
