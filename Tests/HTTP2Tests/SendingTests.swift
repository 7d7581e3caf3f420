import ChimeraBytes
import ChimeraHTTP2
import ChimeraHTTPCore
import Testing

private func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: UInt8(ascii: "x"), count: count) }

/// A client with a window of its own.
private func client(window: UInt32, _ limits: ConnectionLimits = ConnectionLimits()) -> Client {
    let client = Client(limits)
    client.feed(frame(.settings, setting(4, window)))
    client.connection.output.clear()
    return client
}

/// Calls `fillOutput` until nothing more goes.
private func fill(_ client: Client) -> [SendTurn] {
    var turns: [SendTurn] = []
    while case let turn = client.connection.fillOutput(), turn != .idle, turn != .full { turns.append(turn) }
    client.connection.checkInvariants()
    return turns
}

@Suite struct `Response heads` {
    private func response(_ status: Int, _ body: BodyLength, _ fields: [(FieldName, StaticString)] = [])
        -> ResponseHead
    {
        let head = ResponseHead()
        head.reset(status: status)
        head.body = body
        for (name, value) in fields { head.add(name, value) }
        return head
    }

    private let dateLine = "date: " + String(repeating: "d", count: 29)

    /// RFC 9113 §8.3.2 and §8.1.
    @Test(
        arguments: [
            (200, BodyLength.none, Method.get, ["content-length: 0"], true),
            (200, .known(5), .get, ["content-length: 5"], false), (200, .unknown, .get, [], false),
            (200, .known(5), .head, ["content-length: 5"], true), (200, .unknown, .head, [], true),
            (204, .none, .get, [], true), (304, .known(5), .get, [], true),
            (404, .none, .get, ["content-length: 0"], true),
            (599, .none, .get, ["content-length: 0"], true),
        ])
    func `a head says status, date and length`(
        _ status: Int, _ body: BodyLength, _ method: Method, _ lines: [String], _ ends: Bool
    ) throws {
        let client = Client()
        client.open(1)
        let hasContent = client.connection.sendHead(
            client.handles[1]!, response(status, body), answering: method, date: date)
        let frame = try #require(client.sent().first)
        #expect(frame.type == 1 && frame.stream == 1)
        #expect(frame.flags == (ends ? 5 : 4))
        #expect(hasContent == !ends)
        #expect(try client.fields(frame) == [":status: \(status)", dateLine] + lines)
        #expect(client.connection.isLive(client.handles[1]!) == !ends)
    }

    /// RFC 9113 §8.2.2 and §8.2: small letters.
    @Test func `fields of a connection are left out, and names are in small letters`() throws {
        let client = Client()
        client.open(1)
        let head = response(
            200, .unknown,
            [
                (.connection, "close"), (.keepAlive, "1"), (.transferEncoding, "chunked"), (.upgrade, "x"),
                (.proxyConnection, "x"), (.contentLength, "7"), (.date, "now"), (.server, "S"),
                (.xRequestId, "Id"),
            ])
        head.add(name: Array("X-Own-NAME".utf8).span, value: Array("Value".utf8).span)
        client.connection.sendHead(client.handles[1]!, head, answering: .get, date: date)
        let frame = try #require(client.sent().first)
        #expect(
            try client.fields(frame) == [
                ":status: 200", "date: now", "server: S", "x-request-id: Id", "x-own-name: Value",
            ])
    }

    @Test func `a second head is not sent`() {
        let client = Client()
        client.open(1)
        #expect(client.answer(1))
        _ = client.sent()
        #expect(!client.answer(1))
        client.connection.sendInformational(client.handles[1]!, status: 103, nil)
        #expect(client.sent().isEmpty)
    }

    /// RFC 9113 §8.1 and §8.6.
    @Test func `interim heads come before the final one, but 101 is none`() throws {
        let client = Client()
        client.open(1)
        client.connection.sendInformational(
            client.handles[1]!, status: 103, response(103, .none, [(.link, "</a>; rel=preload")]))
        client.connection.sendInformational(client.handles[1]!, status: 101, nil)
        client.answer(1, .none)
        let sent = client.sent()
        #expect(sent.map(\.flags) == [4, 5])
        #expect(try client.fields(sent[0]) == [":status: 103", "link: </a>; rel=preload"])
    }

    /// RFC 7541 §2.3, §7.1.
    @Test func `what is sent again is one octet, what is secret never is in a table`() throws {
        let client = Client()
        var sizes: [Int] = []
        for id in [1, 3, 5, 7] as [UInt32] {
            client.open(id)
            let head = response(
                200, .none,
                [
                    (.server, "chimera"), (.contentType, "text/html; charset=utf-8"),
                    (.setCookie, "a=b; HttpOnly"),
                ])
            client.connection.sendHead(client.handles[id]!, head, answering: .get, date: date)
            let frame = try #require(client.sent().first)
            #expect(try client.fields(frame).contains("set-cookie: a=b; HttpOnly"))
            // RFC 7541 §6.2.3: never indexed, with the name of index 55.
            #expect(
                frame.payload.indices.dropLast().contains {
                    frame.payload[$0] == 0x1F && frame.payload[$0 + 1] == 40
                })
            sizes.append(frame.payload.count)
        }
        #expect(sizes[1] <= sizes[0])
        #expect(sizes[2] < sizes[0] / 2)
        #expect(sizes[3] == sizes[2])
    }

    /// RFC 7541 §4.2: the change is said at the start of the next block.
    @Test func `a smaller table of the client's is kept to`() throws {
        let client = Client()
        client.feed(frame(.settings, setting(1, 0) + setting(1, 100)))
        client.connection.output.clear()
        for id in [1, 3, 5] as [UInt32] {
            client.open(id)
            client.connection.sendHead(
                client.handles[id]!, response(200, .none, [(.server, "chimera")]), answering: .get, date: date
            )
            let frame = try #require(client.sent().first)
            #expect((frame.payload.first.map { $0 & 0xE0 } == 0x20) == (id == 1))
            #expect(try client.fields(frame).contains("server: chimera"))
        }
    }

    /// RFC 9113 §4.3 and §6.10.
    @Test func `a head beyond the client's frames goes on in CONTINUATION`() throws {
        let client = Client()
        client.open(1)
        let head = response(200, .none)
        for index in 0..<50 {
            head.add(name: Array("x\(index)".utf8).span, value: [UInt8](repeating: 0xFF, count: 1000).span)
        }
        client.connection.sendHead(client.handles[1]!, head, answering: .get, date: date)
        let sent = client.sent()
        #expect(sent.map(\.type) == [1, 9, 9, 9])
        #expect(sent.map(\.flags) == [1, 0, 0, 4])
        #expect(sent.allSatisfy { $0.payload.count <= 16_384 && $0.stream == 1 })
        #expect(try client.fields(sent.flatMap(\.payload)).count == 53)
    }

    @Test func `a tunnel has a head without a length`() throws {
        let client = Client()
        client.feed(
            headers(
                1, [":method: CONNECT", ":protocol: websocket"] + plainHead.dropFirst(), endStream: false))
        let stream = try #require(client.handles[1])
        client.connection.sendTunnelHead(stream, response(200, .none), date: date)
        client.connection.send(stream, bytes(3).span)
        client.connection.finish(stream)
        let sent = client.sent()
        #expect(try client.fields(sent[0]) == [":status: 200", dateLine])
        #expect(sent.map(\.flags) == [4, 1])
        client.feed(data(1, "still here", endStream: true))
        #expect(client.happenings.suffix(2) == [.data(1, "still here"), .end(1)])
    }
}

@Suite struct `Content of responses` {
    @Test func `the end of an answer is in its last frame`() {
        let client = Client()
        let stream = client.open(1)
        client.answer(1)
        client.connection.send(stream, bytes(5).span)
        client.connection.finish(stream)
        let sent = client.sent()
        #expect(sent.map(\.type) == [1, 0])
        #expect(sent[1].isEnd && sent[1].payload.count == 5)
        #expect(client.connection.streamCount == 0)
    }

    @Test func `the end of an answer whose last frame is gone is a frame of its own`() {
        let client = Client()
        let stream = client.open(1)
        client.answer(1)
        client.connection.send(stream, bytes(5).span)
        client.connection.output.consume(1)
        client.connection.output.clear()
        client.connection.finish(stream)
        #expect(client.sent() == [SentFrame(.data, flags: .endStream, stream: 1)])
    }

    @Test func `the end of one answer does not end another`() {
        let client = Client()
        let (one, other) = (client.open(1), client.open(3))
        client.answer(1)
        client.answer(3)
        client.connection.send(one, bytes(5).span)
        client.connection.send(other, bytes(6).span)
        client.connection.finish(one)
        client.connection.finish(other, trailers: nil)
        let sent = client.sent().filter { $0.type == 0 }
        #expect(sent.map(\.stream) == [1, 3, 1, 3])
        #expect(sent.map(\.isEnd) == [false, false, true, true])
    }

    /// RFC 9113 §8.1.
    @Test func `trailers end an answer`() throws {
        let client = Client()
        let stream = client.open(1)
        client.answer(1)
        client.connection.send(stream, bytes(5).span)
        let trailers = FieldBlock()
        trailers.add(name: Array("Checksum".utf8).span, value: Array("1".utf8).span)
        client.connection.finish(stream, trailers: trailers)
        let sent = client.sent()
        #expect(sent.map(\.type) == [1, 0, 1])
        #expect(sent.map(\.isEnd) == [false, false, true])
        _ = try client.fields(sent[0])
        #expect(try client.fields(sent[2]) == ["checksum: 1"])
    }

    /// RFC 9113 §6.9.1.
    @Test func `no more is sent than the windows allow`() {
        let client = client(window: 10)
        let stream = client.open(1)
        client.answer(1)
        client.connection.send(stream, bytes(25).span)
        client.connection.finish(stream)
        #expect(client.sent().map(\.payload.count).last == 10)
        #expect(client.connection.isBlocked(stream) && client.connection.isWindowBlocked(stream))
        #expect(client.connection.pendingBytes(stream) == 15)
        #expect(fill(client).isEmpty)
        client.feed(frame(.windowUpdate, stream: 1, number(10)))
        #expect(fill(client).isEmpty)
        #expect(client.sent().map(\.payload.count) == [10])
        client.feed(frame(.windowUpdate, stream: 1, number(10)))
        #expect(fill(client) == [.finished(stream)])
        let last = client.sent()
        #expect(last.map(\.payload.count) == [5] && last.allSatisfy(\.isEnd))
        #expect(client.connection.streamCount == 0)
    }

    /// RFC 9113 §6.9.2: below zero, and back.
    @Test func `a smaller initial window may make a stream's window negative`() {
        let client = client(window: 100)
        let stream = client.open(1)
        client.answer(1)
        client.connection.send(stream, bytes(150).span)
        #expect(client.sent().last?.payload.count == 100)
        client.feed(frame(.settings, setting(4, 20)))
        client.feed(frame(.windowUpdate, stream: 1, number(80)))
        #expect(fill(client).isEmpty)
        #expect(client.sent().map(\.type) == [4])
        client.feed(frame(.windowUpdate, stream: 1, number(7)))
        _ = fill(client)
        #expect(client.sent().map(\.payload.count) == [7])
        client.feed(frame(.settings, setting(4, 40)))
        _ = fill(client)
        #expect(client.sent().map(\.payload.count) == [0, 20])
        client.feed(frame(.settings, setting(4, 400)))
        #expect(fill(client) == [.drained(stream)])
    }

    /// RFC 9113 §6.9.2: FLOW_CONTROL_ERROR.
    @Test func `an initial window that makes a stream's window too large fails the connection`() {
        let client = Client()
        client.open(1)
        client.feed(frame(.windowUpdate, stream: 1, number(0x7FFF_FFFF - 65_535)))
        #expect(client.connection.failure == nil)
        client.feed(frame(.settings, setting(4, 65_536)))
        #expect(client.happenings == [.failed(.windowOverflow)])
        #expect(Violation.windowOverflow.code == .flowControlError)
    }

    /// RFC 9113 §6.9.1: a stream error FLOW_CONTROL_ERROR; §6.9: PROTOCOL_ERROR for none.
    @Test(arguments: [
        (UInt32(0x7FFF_FFFF), Violation.windowOverflow), (0, .windowUpdateZero), (1 << 31, .windowUpdateZero),
    ])
    func `a wrong update of a stream's window ends the stream`(_ increment: UInt32, _ violation: Violation) {
        let client = Client()
        client.open(1)
        client.feed(frame(.windowUpdate, stream: 1, number(increment)))
        #expect(client.happenings == [.streamFailed(1, violation)])
        #expect(client.sent() == [SentFrame(.resetStream, stream: 1, number(violation.code.rawValue))])
    }

    @Test func `the window of the connection holds for all streams together`() {
        let client = client(window: 1 << 20)
        let (one, other) = (client.open(1), client.open(3))
        client.answer(1)
        client.answer(3)
        client.connection.send(one, bytes(60_000).span)
        client.connection.output.clear()
        client.connection.send(other, bytes(10_000).span)
        #expect(client.sent().last?.payload.count == 5_535)
        #expect(client.connection.isWindowBlocked(other))
        client.feed(frame(.windowUpdate, number(4_465)))
        #expect(fill(client) == [.drained(other)])
    }

    /// RFC 9113 §4.2: no frame is larger than the client takes, or than we want.
    @Test func `content is cut into frames`() {
        let client = client(window: 1 << 20)
        client.feed(frame(.settings, setting(5, 1 << 20)))
        let stream = client.open(1)
        client.answer(1)
        client.connection.send(stream, bytes(40_000).span, endStream: true)
        #expect(client.sent().filter { $0.type == 0 }.map(\.payload.count) == [16_384, 16_384, 7_232])
    }

    @Test func `content behind a full output waits`() {
        let client = client(window: 1 << 20)
        client.feed(frame(.windowUpdate, number(1 << 20)))
        let stream = client.open(1)
        client.answer(1)
        client.connection.send(stream, bytes(200_000).span)
        #expect(client.connection.output.count < 64 * 1024 + 16_400)
        #expect(client.connection.fillOutput() == .full)
        var rounds = 0
        var received = 0
        while rounds < 10 {
            rounds += 1
            received += client.sent().filter { $0.type == 0 }.reduce(0) { $0 + $1.payload.count }
            if fill(client) == [.drained(stream)] { break }
        }
        received += client.sent().reduce(0) { $0 + $1.payload.count }
        #expect(received == 200_000)
        #expect(rounds == 3)
    }

    @Test func `what waits goes when the client resets the stream`() {
        let client = client(window: 5)
        let stream = client.open(1)
        client.answer(1)
        client.connection.send(stream, bytes(50).span)
        client.feed(frame(.resetStream, stream: 1, number(8)))
        #expect(client.happenings == [.reset(1, .cancel)])
        client.feed(frame(.windowUpdate, number(50)))
        #expect(fill(client).isEmpty)
        #expect(client.connection.waitingSince(stream) == nil)
    }
}

@Suite struct `Taking turns` {
    private func two(_ priorities: [String?]) -> (Client, [StreamHandle]) {
        var limits = ConnectionLimits()
        limits.outputBytesMax = 1
        limits.dataBytesMax = 100
        let client = client(window: 1 << 20, limits)
        var streams: [StreamHandle] = []
        for (index, priority) in priorities.enumerated() {
            let id = UInt32(index * 2 + 1)
            client.feed(request(id, endStream: true, priority.map { ["priority: " + $0] } ?? []))
            streams.append(client.handles[id]!)
            client.answer(id)
        }
        for stream in streams { client.connection.send(stream, bytes(300).span) }
        client.connection.output.clear()
        return (client, streams)
    }

    /// The streams of the frames that go one by one.
    private func order(_ client: Client) -> [UInt32] {
        var order: [UInt32] = []
        for _ in 0..<20 {
            _ = client.connection.fillOutput()
            order += client.sent().map(\.stream)
        }
        return order
    }

    @Test func `streams of one urgency take turns`() {
        #expect(order(two([nil, nil, nil]).0) == [1, 3, 5, 1, 3, 5, 1, 3, 5])
    }

    /// RFC 9218 §10.
    @Test func `the more urgent goes first, and what is of use only whole is not mixed`() {
        #expect(order(two(["u=5", "u=1", nil]).0) == [3, 3, 3, 5, 5, 5, 1, 1, 1])
        #expect(order(two(["u=3", "u=3"]).0) == [1, 1, 1, 3, 3, 3])
        #expect(order(two(["u=3, i", "u=3, i"]).0) == [1, 3, 1, 3, 1, 3])
    }

    @Test func `a stream may ask for a turn and write in place`() throws {
        let client = client(window: 50)
        let stream = client.open(1)
        client.answer(1)
        client.connection.output.clear()
        client.connection.requestTurn(stream)
        #expect(client.connection.fillOutput() == .produce(stream, 50))
        #expect(client.connection.fillOutput() == .idle)
        let room = try #require(client.connection.prepareData(stream, 80))
        #expect(room.count == 50)
        for index in 0..<50 { room[index] = UInt8(ascii: "y") }
        client.connection.commitData(stream, 50)
        #expect(
            client.sent() == [SentFrame(.data, stream: 1, [UInt8](repeating: UInt8(ascii: "y"), count: 50))])
        client.connection.requestTurn(stream)
        #expect(client.connection.fillOutput() == .idle)
        #expect(client.connection.prepareData(stream, 80) == nil)
        client.feed(frame(.windowUpdate, stream: 1, number(9)))
        #expect(client.connection.fillOutput() == .produce(stream, 9))
        client.connection.finish(stream)
        #expect(client.sent() == [SentFrame(.data, flags: .endStream, stream: 1)])
    }

    /// For a deadline: a window of zero, and whatever else keeps a stream from sending.
    @Test func `how long a stream waits is told, until something of it goes`() {
        let client = client(window: 0)
        let stream = client.open(1)
        client.answer(1)
        #expect(client.connection.waitingSince(stream) == nil)
        client.now = 5000
        client.feed(frame(.ping, [UInt8](repeating: 0, count: 8)))
        client.connection.send(stream, bytes(10).span)
        client.now = 6000
        let other = client.open(3)
        client.answer(3)
        client.connection.requestTurn(other)
        #expect(client.connection.waitingSince(stream) == 5000)
        #expect(client.connection.waitingSince(other) == 6000)
        client.now = 7000
        client.feed(frame(.windowUpdate, stream: 1, number(1)))
        _ = client.connection.fillOutput()
        #expect(client.connection.waitingSince(stream) == 7000)
        #expect(client.connection.waitingSince(other) == 6000)
    }
}
