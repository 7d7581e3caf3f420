import HTTPTypes
import Testing

@testable import Chimera

/// Goes over to whatever is asked for, and sends back what it gets there.
private struct OtherProtocol: Handler {
    var fields = HTTPFields()

    func handle(
        _ request: HTTPRequest, context: ExchangeContext, body: consuming sending RequestBody,
        response: consuming sending ResponseSender
    ) async throws {
        guard let upgrade = context.upgrade else {
            return try await response.send(HTTPResponse(status: .ok), content: "as before")
        }
        var body = body
        var writer = try await response.acceptUpgrade(fields)
        try await writer.write("\(upgrade):")
        while let bytes = try await body.read() { try await writer.write(bytes) }
        try await writer.write("bye")
        try await writer.finish()
    }
}

@Suite struct APIUpgradeTests {
    private static func request(_ fields: String, _ rest: String = "") -> String {
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\(fields)\r\n\(rest)"
    }

    @Test func `bytes of another protocol go both ways as they are, and each side ends for itself`()
        async throws
    {
        var fields = HTTPFields()
        fields[.secWebSocketProtocol] = "chosen"
        fields[.contentLength] = "5"
        let text = try await serving(OtherProtocol(fields: fields)) { address in
            let client = try RawClient(address)
            try client.send(Self.request("Upgrade: echo\r\n", "early\r\n"))
            let head = try client.read(until: "\r\n\r\n")
            let early = try client.read("echo:early\r\n".utf8.count)
            try client.send("late")
            let late = try client.read("late".utf8.count)
            client.finishSending()
            return head + String(decoding: early + late, as: UTF8.self) + (try client.readToEnd())
        }
        #expect(text.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
        #expect(text.hasSuffix("\r\n\r\necho:early\r\nlatebye"))
        #expect(text.lowercased().contains("\r\nupgrade: echo\r\n"))
        #expect(text.contains("\r\nSec-WebSocket-Protocol: chosen\r\n"))
        #expect(!text.lowercased().contains("content-length"))
    }

    @Test func `a WebSocket's key is answered by the gateway, and one without a key is no WebSocket`()
        async throws
    {
        let (with, without) = try await serving(OtherProtocol()) { address in
            let client = try RawClient(address)
            try client.send(
                Self.request("Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
            let with = try client.read(until: "\r\n\r\n")
            let other = try RawClient(address)
            try other.send(Self.request("Upgrade: websocket\r\n"))
            return (with, try other.response())
        }
        // RFC 6455 §1.3 has this very key and its answer.
        #expect(with.lowercased().contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"))
        #expect((without.status, without.text) == (200, "as before"))
    }

    @Test func `what was not asked for cannot be accepted`() async throws {
        let failure = Note<String>()
        let handler = Answering { _, context, _, response in
            #expect(context.upgrade == nil)
            do {
                _ = try await response.acceptUpgrade()
            } catch {
                failure.set("\(error)")
                throw error
            }
        }
        let answer = try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return try client.response()
        }
        #expect(answer.status == 500)
        #expect(failure.wait()?.contains("asked for no other protocol") == true)
    }

    @Test func `content that was not read would be taken for the other protocol`() async throws {
        let handler = Answering { _, context, body, response in
            #expect(context.upgrade == "echo")
            if context.id.isEmpty { return }
            var body = body
            if try await body.read().map({ String(decoding: $0, as: UTF8.self) }) == "read" {
                while try await body.read() != nil {}
            }
            let writer = try await response.acceptUpgrade()
            try await writer.finish()
        }
        let statuses = try await serving(handler) { address in
            try ["read", "left"].map { content in
                let client = try RawClient(address)
                try client.send(
                    Self.request("Upgrade: echo\r\nTransfer-Encoding: chunked\r\n", "4\r\n\(content)\r\n"))
                if content == "read" { try client.send("0\r\n\r\n") }
                return String(try client.read(until: "\r\n").prefix(12))
            }
        }
        #expect(statuses == ["HTTP/1.1 101", "HTTP/1.1 500"])
    }

    @Test func `a handler that leaves another protocol without an end cuts it off`() async throws {
        let handler = Answering { _, _, _, response in
            var writer = try await response.acceptUpgrade()
            try await writer.write("half")
        }
        let text = try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send(Self.request("Upgrade: echo\r\n"))
            return try client.readToEnd()
        }
        #expect(text.hasPrefix("HTTP/1.1 101 "))
    }

    @Test func `the listener of metrics is beside the handler, whatever the host`() async throws {
        let gateway = try Gateway(
            listening: ["127.0.0.1:0"], directives: "metrics 127.0.0.2:0", handler: OtherProtocol())
        try gateway.start()
        // `metrics` has one of its own.
        let address = try #require(gateway.listeningAddresses.first { $0.hasPrefix("127.0.0.1:") })
        let answer = try await blocking {
            let client = try RawClient(address)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return try client.response().text
        }
        gateway.stopNow()
        try await blocking { gateway.waitUntilStopped() }
        #expect(answer == "as before")
    }

    @Test(arguments: ["nowhere.pem nowhere.key", "internal {", "outside"])
    func `certificates that are none are said`(tls: String) {
        #expect(throws: ConfigurationError.self) {
            try Gateway(listening: ["127.0.0.1:0 tls"], tls: tls, handler: OtherProtocol())
        }
    }

    @Test func `certificates without a listener for them are said`() {
        #expect(throws: ConfigurationError.self) {
            try Gateway(listening: ["127.0.0.1:0"], tls: "internal", handler: OtherProtocol())
        }
    }
}
