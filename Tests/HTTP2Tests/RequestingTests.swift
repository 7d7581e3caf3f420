import ChimeraBytes
import ChimeraHTTP2
import ChimeraHTTPCore
import Testing

private let plain = [":method: GET", ":scheme: https", ":authority: a.example", ":path: /"]

/// A request that is to be sent, and what its block says.
struct Asked: Sendable, CustomTestStringConvertible {
    var method = "GET"
    var target = "/"
    var body = BodyLength.none
    var upgrade = ""
    var isSecure = true
    var fields = ["Host: a.example"]
    var lines: [String]
    var ends = true

    var testDescription: String { "\(method) \(target) \(body) \(fields)" }
}

@Suite struct `The beginning of a connection that asks` {
    /// RFC 9113 §3.4, §6.5.2: the preface, and nobody may push.
    @Test func `preface and settings are there before anything came`() {
        let server = Server(greets: false)
        let output = server.connection.output
        let bytes = [UInt8](copying: output.readable)
        #expect(bytes.starts(with: Client.preface))
        let sent = frames(in: Array(bytes.dropFirst(Client.preface.count)))
        #expect(sent.map(\.type) == [4, 8])
        #expect(sent[0].payload == setting(2, 0) + setting(4, 262_144) + setting(6, 32_768) + setting(9, 1))
        // All streams together have room for what each may have.
        #expect(sent[1].payload == number(128 * 262_144 - 65_535))
    }

    @Test func `a larger table and larger frames are said`() {
        var limits = ConnectionLimits()
        limits.tableBytesMax = 8192
        limits.frameBytesMax = 20_000
        let connection = RequestingConnection(limits: limits, output: ByteBuffer(capacity: 64))
        let output = connection.output
        let bytes = [UInt8](copying: output.readable)
        #expect(
            frames(in: Array(bytes.dropFirst(24)))[0].payload.suffix(12)
                == (setting(1, 8192) + setting(5, 20_000))[...])
    }

    @Test func `the server's settings are taken and acknowledged`() {
        let server = Server(greets: false)
        server.connection.output.clear()
        #expect(!server.connection.hasBegun)
        server.feed(frame(.settings, setting(3, 7) + setting(4, 1000) + setting(8, 1) + setting(99, 5)))
        #expect(server.connection.hasBegun && server.happenings.isEmpty)
        #expect(server.sent() == [SentFrame(.settings, flags: .ack)])
        #expect(server.connection.peer.maxConcurrentStreams == 7)
        #expect(server.connection.peer.allowsExtendedConnect)
        #expect(server.connection.peer.initialWindowSize == 1000)
        #expect(!server.connection.settingsAcknowledged)
        server.feed(frame(.settings, .ack))
        #expect(server.connection.settingsAcknowledged)
    }

    /// RFC 9113 §3.4; a server of HTTP/1.1 answers the preface in its own way.
    @Test(
        arguments: [
            frame(.settings, .ack), frame(.ping, [UInt8](repeating: 0, count: 8)), frame(99),
            Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), frame(.goAway, number(0) + number(0)),
        ])
    func `the first frame is the server's settings`(_ bytes: [UInt8]) {
        let server = Server(greets: false)
        server.feed(bytes)
        #expect(server.happenings == [.failed(.firstFrameNotSettings)])
        #expect(server.connection.isExhausted)
    }
}

@Suite struct `Heads of requests` {
    static let cases: [Asked] = [
        Asked(lines: plain),
        Asked(isSecure: false, lines: [plain[0], ":scheme: http"] + plain[2...]),
        Asked(fields: [], lines: [":method: GET", ":scheme: https", ":path: /"]),
        Asked(method: "OPTIONS", target: "*", lines: [":method: OPTIONS"] + plain[1...2] + [":path: *"]),
        Asked(
            method: "POST", target: "/a?b=c", body: .known(5),
            lines: [":method: POST"] + plain[1...2] + [":path: /a?b=c", "content-length: 5"], ends: false),
        Asked(
            method: "PUT", body: .unknown, lines: [":method: PUT"] + plain[1...], ends: false),
        // RFC 9110 §8.6: a length of 0 is said where it was.
        Asked(
            method: "POST", fields: ["Host: a.example", "Content-Length: 0"],
            lines: [":method: POST"] + plain[1...] + ["content-length: 0"]),
        Asked(method: "DELETE", lines: [":method: DELETE"] + plain[1...]),
        Asked(method: "HEAD", lines: [":method: HEAD"] + plain[1...]),
        Asked(method: "PURGE", lines: [":method: PURGE"] + plain[1...]),
        // RFC 9113 §8.2.2 and §8.2: fields of a connection are left out, names are in small letters.
        Asked(
            fields: [
                "Host: a.example", "Connection: x", "Keep-Alive: 1", "Proxy-Connection: x", "Upgrade: x",
                "Transfer-Encoding: chunked", "HTTP2-Settings: x", "TE: gzip", "X-Own-NAME: Value",
                "User-Agent: u",
            ], lines: plain + ["x-own-name: Value", "user-agent: u"]),
        Asked(fields: ["Host: a.example", "TE: trailers"], lines: plain + ["te: trailers"]),
        // RFC 9113 §8.5.
        Asked(
            method: "CONNECT", target: "b.example:443",
            lines: [":method: CONNECT", ":authority: b.example:443"], ends: false),
        // RFC 8441 §4 and §5.
        Asked(
            target: "/chat", upgrade: "websocket",
            fields: ["Host: a.example", "Sec-WebSocket-Key: abc", "Sec-WebSocket-Version: 13"],
            lines: [":method: CONNECT", ":protocol: websocket"] + plain[1...2]
                + [":path: /chat", "sec-websocket-version: 13"], ends: false),
    ]

    @Test(arguments: cases)
    func `a head says what was asked`(_ asked: Asked) throws {
        let server = Server(settings: setting(8, 1))
        let stream = server.ask(
            asked.method, asked.target, asked.body, upgrade: asked.upgrade, isSecure: asked.isSecure,
            asked.fields)
        let frame = try #require(server.sent().first)
        #expect(frame.type == 1 && frame.stream == 1 && stream?.id == 1)
        #expect(frame.flags == (asked.ends ? 5 : 4))
        #expect(try server.fields(frame) == asked.lines)
        #expect(try server.connection.hasEnded(#require(stream)) == asked.ends)
        #expect(server.connection.streamCount == 1)
    }

    @Test func `streams are odd and go up`() {
        let server = Server()
        #expect((0..<4).map { _ in server.ask()?.id } == [1, 3, 5, 7])
    }

    @Test func `what is sent again is small`() throws {
        let server = Server()
        var sizes: [Int] = []
        for _ in 0..<4 {
            server.ask("GET", "/index.html", ["Host: a.example", "User-Agent: somebody", "Accept: */*"])
            let frame = try #require(server.sent().first)
            #expect(try server.fields(frame).count == 6)
            sizes.append(frame.payload.count)
        }
        #expect(sizes[3] == 6)
        #expect(sizes[0] > 30)
    }

    /// RFC 9113 §4.3 and §6.10.
    @Test func `a head beyond the server's frames goes on in CONTINUATION`() throws {
        let server = Server()
        let fields = (0..<50).map { "x\($0): " + String(repeating: "~", count: 1000) }
        server.ask(fields)
        let sent = server.sent()
        #expect(sent.map(\.type) == [1, 9, 9, 9])
        #expect(sent.map(\.flags) == [1, 0, 0, 4])
        #expect(try server.fields(sent.flatMap(\.payload)).count == 54)
    }

    /// RFC 8441 §3: not before the server said that it knows it.
    @Test func `there is no extended CONNECT for a server that does not have it`() {
        let server = Server()
        #expect(server.ask(upgrade: "websocket") == nil)
        #expect(server.sent().isEmpty && server.connection.streamCount == 0)
        server.feed(frame(.settings, setting(8, 1)))
        #expect(server.ask(upgrade: "websocket") != nil)
    }
}

extension Server {
    /// A GET with fields.
    @discardableResult
    fileprivate func ask(_ fields: [String]) -> StreamHandle? {
        ask("GET", "/", .none, ["Host: a.example"] + fields)
    }

    @discardableResult
    fileprivate func ask(_ method: String, _ target: String, _ fields: [String]) -> StreamHandle? {
        ask(method, target, .none, fields)
    }
}

@Suite struct `How many requests there may be` {
    /// RFC 9113 §5.1.2: what the server says, and no more than our own bound.
    @Test(arguments: [(0, 0), (1, 1), (5, 5), (500, 128)])
    func `the server's bound and ours hold`(_ theirs: UInt32, _ room: Int) {
        let server = Server(settings: setting(3, theirs))
        #expect(server.connection.streamRoom == room)
        for _ in 0..<room { #expect(server.ask() != nil) }
        #expect(server.connection.streamRoom == 0 && server.ask() == nil)
        #expect(server.connection.streamCount == room)
        guard room > 0 else { return }
        server.feed(headers(1, [":status: 200"]))
        #expect(server.connection.streamRoom == 1)
        #expect(!server.connection.isExhausted)
    }

    @Test func `a bound that becomes smaller takes nothing away`() {
        let server = Server()
        for _ in 0..<3 { server.ask() }
        server.feed(frame(.settings, setting(3, 2)))
        #expect(server.connection.streamRoom == 0 && server.connection.streamCount == 3)
        server.feed(headers(1, [":status: 200"]) + headers(3, [":status: 200"]))
        #expect(server.connection.streamRoom == 1)
    }

    @Test func `before the server has spoken there are a hundred`() {
        let server = Server(greets: false)
        #expect(server.connection.streamRoom == 100)
        server.feed(frame(.settings))
        #expect(server.connection.streamRoom == 128)
    }

    /// RFC 9113 §5.1.1: streams cannot be used again.
    @Test func `the last identifier is the end of the connection`() {
        let server = Server(lastStream: 0x7FFF_FFFB)
        #expect(server.ask()?.id == 0x7FFF_FFFD)
        #expect(server.ask()?.id == 0x7FFF_FFFF)
        #expect(server.connection.isExhausted && server.connection.streamRoom == 0 && server.ask() == nil)
        server.feed(headers(0x7FFF_FFFF, [":status: 200"]))
        #expect(server.happenings == [.head(0x7FFF_FFFF, ["200 none"]), .end(0x7FFF_FFFF)])
    }

    @Test func `a server that reads nothing is sent no more requests`() {
        var limits = ConnectionLimits()
        limits.unreadOutputMax = 1000
        let server = Server(limits)
        let fields = ["x: " + String(repeating: "~", count: 600)]
        for _ in 0..<10 { server.ask(fields) }
        #expect(server.connection.streamCount == 2 && server.connection.streamRoom == 0)
        server.connection.output.clear()
        #expect(server.connection.streamRoom == 126)
    }

    @Test func `our own end lets what is there go on`() throws {
        let server = Server()
        server.ask()
        _ = server.sent()
        server.connection.finishDrain()
        // RFC 9113 §6.8: no stream of a server's was processed.
        #expect(server.sent() == [SentFrame(.goAway, number(0) + number(0))])
        #expect(server.ask() == nil && !server.connection.isDrained)
        server.feed(headers(1, [":status: 200"]))
        #expect(server.connection.isDrained)
    }
}

@Suite struct `Content of what is asked` {
    @Test func `content goes in frames, and its end in the last`() throws {
        let server = Server()
        let stream = try #require(server.ask("POST", "/", .known(20_000)))
        server.connection.send(stream, [UInt8](repeating: 120, count: 20_000).span, endStream: true)
        let sent = server.sent()
        #expect(sent.map(\.type) == [1, 0, 0] && sent.map(\.flags) == [4, 0, 1])
        #expect(sent.map(\.payload.count).dropFirst() == [16_384, 3616])
        #expect(server.connection.hasEnded(stream) && server.connection.isLive(stream))
    }

    /// RFC 9113 §5.2: windows of the stream and of the connection.
    @Test func `content waits for the server's windows`() throws {
        let server = Server(settings: setting(4, 10))
        let stream = try #require(server.ask("POST", "/", .unknown))
        server.connection.send(stream, [UInt8](repeating: 120, count: 25).span)
        #expect(server.connection.isWindowBlocked(stream) && server.connection.pendingBytes(stream) == 15)
        server.feed(frame(.windowUpdate, stream: 1, number(20)))
        #expect(server.connection.fillOutput() == .drained(stream))
        server.connection.finish(stream)
        #expect(server.sent().dropFirst().map(\.payload.count) == [10, 15])
    }

    @Test func `trailers end a request`() throws {
        let server = Server()
        let stream = try #require(server.ask("POST", "/", .unknown))
        server.connection.send(stream, [1, 2, 3].span)
        let trailers = FieldBlock()
        trailers.add(name: Array("Checksum".utf8).span, value: Array("1".utf8).span)
        server.connection.finish(stream, trailers: trailers)
        let sent = server.sent()
        #expect(sent.map(\.type) == [1, 0, 1] && sent.map(\.flags) == [4, 0, 5])
        #expect(try server.fields(sent[0]).count == 4)
        #expect(try server.fields(sent[2]) == ["checksum: 1"])
    }

    @Test func `content of many streams takes turns`() throws {
        var limits = ConnectionLimits()
        limits.dataBytesMax = 1000
        limits.outputBytesMax = 4000
        let server = Server(limits)
        for _ in 0..<2 {
            let stream = try #require(server.ask("POST", "/", .unknown))
            server.connection.send(stream, [UInt8](repeating: 120, count: 6000).span)
        }
        var order: [UInt32] = []
        for _ in 0..<10 {
            while case let turn = server.connection.fillOutput(), turn != .full, turn != .idle {}
            order += server.sent().filter { $0.type == 0 }.map(\.stream)
        }
        // The first had the room for itself at first.
        #expect(order.count == 12)
        #expect(order.dropFirst(4).prefix(4).filter { $0 == 1 }.count == 2)
    }

    @Test func `a request is given up with a code`() throws {
        let server = Server()
        let stream = try #require(server.ask("POST", "/", .unknown))
        _ = server.sent()
        server.connection.reset(stream, .cancel)
        #expect(server.sent() == [SentFrame(.resetStream, stream: 1, number(8))])
        #expect(!server.connection.isLive(stream) && server.connection.streamCount == 0)
        // RFC 9113 §5.1: what was on its way is ignored.
        server.feed(headers(1, [":status: 200"], endStream: false) + data(1, "late") + headers(1, ["t: 1"]))
        #expect(server.happenings.isEmpty && server.connection.failure == nil)
    }
}
