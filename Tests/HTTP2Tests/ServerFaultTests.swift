import ChimeraBytes
import ChimeraHTTP2
import ChimeraHTTPCore
import Testing

private let ok = [":status: 200"]
private let pinged = frame(.ping, [UInt8](repeating: 7, count: 8))
/// An answer that has ended.
private let done = headers(1, ok)
private let goAwayAtOnce = number(0) + number(0)

/// A server that was asked with streams 1 and 3.
private func asked(_ limits: ConnectionLimits = ConnectionLimits()) -> Server {
    let server = Server(limits)
    server.ask()
    server.ask("POST", "/", .unknown)
    _ = server.sent()
    return server
}

@Suite struct `What a server does against a connection` {
    static let faults: [Fault] = [
        // RFC 9113 §4.2, §4.3.
        Fault(
            "a frame beyond the largest", frame(.data, stream: 1, [UInt8](repeating: 0, count: 16_385)),
            .frameTooLarge),
        Fault("PING within a block", frame(.headers, stream: 1, [0x88]) + pinged, .continuationMissing),
        Fault(
            "CONTINUATION of another stream",
            frame(.headers, stream: 1, [0x88]) + frame(.continuation, .endHeaders, stream: 3),
            .continuationMissing),
        Fault(
            "CONTINUATION without HEADERS", frame(.continuation, .endHeaders, stream: 1, [0x88]),
            .continuationUnexpected),
        Fault(
            "a block with an unknown index", frame(.headers, .endHeaders, stream: 1, [0xFF, 0]), .indexUnknown
        ),
        Fault("a block that is cut", frame(.headers, .endHeaders, stream: 1, [0x40]), .blockCut),
        // §5.1, §5.1.1: frames for streams that were never opened, and of its own.
        Fault("HEADERS on stream 0", headers(0, ok), .streamZero),
        Fault("HEADERS on a stream of its own", headers(2, ok), .streamIdentifierUnexpected),
        Fault("HEADERS on a stream that nobody opened", headers(5, ok), .streamIdle),
        Fault("DATA on stream 0", data(0, "x"), .streamZero),
        Fault("DATA on a stream that nobody opened", data(5, "x"), .streamIdle),
        Fault("DATA on a stream of its own", data(2, "x"), .streamIdle),
        Fault(
            "RST_STREAM on a stream that nobody opened", frame(.resetStream, stream: 5, number(8)),
            .streamIdle),
        Fault(
            "WINDOW_UPDATE on a stream that nobody opened", frame(.windowUpdate, stream: 5, number(1)),
            .streamIdle),
        // §5.1: closed.
        Fault("HEADERS behind the end of a stream", done + headers(1, ok), .streamClosed),
        Fault("DATA behind the end of a stream", done + data(1, "x"), .streamClosed),
        // §6.5, §6.5.2, RFC 8441 §3, RFC 9218 §2.1.
        Fault("SETTINGS on a stream", frame(.settings, stream: 1), .streamNotZero),
        Fault("SETTINGS of no multiple of six", frame(.settings, [0, 4, 0, 0, 1]), .frameSizeWrong),
        Fault("ENABLE_PUSH of 1", frame(.settings, setting(2, 1)), .settingInvalid),
        Fault("an initial window of 2^31", frame(.settings, setting(4, 1 << 31)), .initialWindowTooLarge),
        Fault("a largest frame below 16,384", frame(.settings, setting(5, 16_383)), .settingInvalid),
        Fault("ENABLE_CONNECT_PROTOCOL of 2", frame(.settings, setting(8, 2)), .settingInvalid),
        Fault(
            "ENABLE_CONNECT_PROTOCOL that is taken back", frame(.settings, setting(8, 1) + setting(8, 0)),
            .settingInvalid),
        Fault("NO_RFC7540_PRIORITIES of 2", frame(.settings, setting(9, 2)), .settingInvalid),
        // §6.6, §8.4: we said that there is no push.
        Fault(
            "PUSH_PROMISE",
            frame(.pushPromise, .endHeaders, stream: 1, number(2) + block([":method: GET", ":path: /"])),
            .pushRefused),
        // §6.7, §6.8, §6.9.
        Fault("PING of seven octets", frame(.ping, [UInt8](repeating: 0, count: 7)), .frameSizeWrong),
        Fault("GOAWAY on a stream", frame(.goAway, stream: 1, goAwayAtOnce), .streamNotZero),
        Fault("GOAWAY of seven octets", frame(.goAway, [UInt8](repeating: 0, count: 7)), .frameSizeWrong),
        Fault("WINDOW_UPDATE by 0 of the connection", frame(.windowUpdate, number(0)), .windowUpdateZero),
        Fault("WINDOW_UPDATE beyond 2^31", frame(.windowUpdate, number(0x7FFF_FFFF)), .windowOverflow),
        // RFC 9218 §7.1: servers must not send it.
        Fault(
            "PRIORITY_UPDATE", frame(.priorityUpdate, number(1) + Array("u=1".utf8)), .priorityUpdateMisplaced
        ),
    ]

    @Test(arguments: faults)
    func `the connection fails, with the code of the rule`(_ fault: Fault) {
        let server = asked()
        server.feed(fault.bytes)
        #expect(server.happenings.last == .failed(fault.violation))
        #expect(server.connection.failure == fault.violation)
        #expect(server.connection.isExhausted && server.connection.streamRoom == 0)
        // RFC 9113 §6.8: no stream of the server's was there to be processed.
        let last = server.sent().last
        #expect(last?.type == FrameType.goAway.rawValue)
        #expect(last.map { Array($0.payload.prefix(8)) } == number(0) + number(fault.violation.code.rawValue))
        let before = server.happenings
        server.feed(headers(3, ok) + pinged)
        #expect(server.happenings == before)
    }

    /// RFC 9113 §5.1: what was on its way when a stream was reset.
    @Test func `frames for streams that were given up do no harm, however many these are`() throws {
        let server = Server()
        for round in 0..<500 {
            let id = UInt32(round * 2 + 1)
            let stream = try #require(server.ask("POST", "/", .unknown))
            #expect(stream.id == id)
            server.connection.reset(stream, .cancel)
            server.connection.output.clear()
        }
        for round in 0..<500 {
            let id = UInt32(round * 2 + 1)
            server.feed(
                headers(id, ok, endStream: false) + data(id, "late")
                    + frame(.windowUpdate, stream: id, number(1))
                    + headers(id, ["grpc-status: 0"]))
        }
        #expect(server.happenings.isEmpty && server.connection.failure == nil)
        server.ask()
        server.feed(headers(1001, ok))
        #expect(server.happenings == [.head(1001, ["200 none"]), .end(1001)])
    }

    /// RFC 9113 §5.1: behind its own RST_STREAM a peer sends nothing.
    @Test func `a server that goes on behind its reset is told so`() {
        let server = asked()
        server.feed(frame(.resetStream, stream: 3, number(8)) + data(3, "x") + headers(3, ok))
        #expect(server.happenings == [.reset(3, .cancel), .requestFailed(3, .streamClosed)])
        let codes = server.sent().map { ($0.type, $0.stream, Array($0.payload)) }
        #expect(codes.count == 2 && codes.allSatisfy { $0 == (3, 3, number(5)) })
    }

    // MARK: Floods, RFC 9113 §10.5

    @Test(
        arguments: [
            (Flood.settings, frame(.settings), 20), (.settings, frame(.settings, .ack), 20),
            (.settings, frame(.goAway, number(3) + number(0)), 20), (.pings, pinged, 50),
            (.pings, frame(.ping, .ack, [UInt8](repeating: 0, count: 8)), 50),
            (.windowUpdates, frame(.windowUpdate, stream: 3, number(1)), 1000),
            (.priorities, frame(.priority, stream: 3, [0, 0, 0, 0, 1]), 500),
            (.unknownFrames, frame(99), 100),
            (.resets, frame(.resetStream, stream: 1, number(8)), 200),
        ])
    func `what comes too often ends the connection`(_ flood: Flood, _ bytes: [UInt8], _ burst: Int) {
        let server = asked()
        // Stream 1 is gone.
        server.feed(headers(1, ok))
        for _ in 0..<burst - 2 { server.feed(bytes) }
        #expect(server.connection.failure == nil)
        for _ in 0..<4 { server.feed(bytes) }
        #expect(server.connection.failure?.code == .enhanceYourCalm)
        #expect(server.connection.count(of: flood) >= UInt64(burst))
    }

    @Test func `empty DATA that goes on for ever ends the connection`() {
        let server = asked()
        server.feed(headers(1, ok, endStream: false))
        for _ in 0..<105 { server.feed(data(1, "")) }
        #expect(server.connection.failure == .emptyDataFlood)
    }

    @Test func `blocks without an end are refused`() {
        var limits = ConnectionLimits()
        limits.continuationsMax = 3
        let server = asked(limits)
        server.feed(frame(.headers, stream: 1, [0x88]))
        for _ in 0..<3 { server.feed(frame(.continuation, stream: 1)) }
        #expect(server.connection.failure == nil && server.connection.hasPartialBlock)
        server.feed(frame(.continuation, stream: 1))
        #expect(server.connection.failure == .tooManyContinuations)
    }

    @Test func `answers to what is ignored are bounded`() {
        let server = asked()
        let stream = server.handles[3]!
        server.connection.reset(stream, .cancel)
        for _ in 0..<200 { server.feed(headers(3, ["x: y"])) }
        #expect(server.connection.failure == nil)
        for _ in 0..<10 { server.feed(headers(3, ["x: y"])) }
        #expect(server.connection.failure == .resetFlood)
    }

    @Test func `acknowledgements that are not read are bounded`() {
        var limits = ConnectionLimits()
        limits.unreadOutputMax = 200
        let server = Server(limits)
        for _ in 0..<20 { server.feed(pinged) }
        #expect(server.connection.failure == .outputStalled)
    }

    /// What a server does to streams of ours is bounded by how many we open: malformed answers of one do not end those of
    /// the others.
    @Test func `streams that fail, however many, do not end the connection`() {
        let server = Server()
        for round in 0..<1000 {
            let id = UInt32(round * 2 + 1)
            server.ask()
            server.feed(
                round % 2 == 0 ? headers(id, ["no: status"]) : frame(.resetStream, stream: id, number(2)))
            server.connection.output.clear()
        }
        #expect(server.connection.failure == nil && server.connection.streamCount == 0)
        #expect(server.happenings.count == 1000)
    }

    /// Who measures the bandwidth sends one with each piece of content that came.
    @Test func `each DATA frame of ours allows a PING`() throws {
        let server = asked()
        for _ in 0..<500 {
            server.connection.send(try #require(server.handles[3]), [1, 2, 3].span)
            server.feed(pinged + frame(.windowUpdate, stream: 3, number(3)) + frame(.windowUpdate, number(3)))
            server.connection.output.clear()
        }
        #expect(server.connection.failure == nil && server.connection.count(of: .pings) == 500)
    }
}

@Suite struct `Signs of life` {
    @Test func `an answered PING is a sign of life`() {
        let server = Server()
        #expect(server.connection.unansweredPing == nil)
        server.connection.sendPing(at: 5000)
        server.connection.sendPing(at: 6000)
        let sent = server.sent()
        #expect(sent.map(\.type) == [6] && sent.map(\.flags) == [0])
        #expect(server.connection.unansweredPing == 5000)
        // Not of another one.
        server.feed(frame(.ping, .ack, [UInt8](repeating: 0, count: 8)))
        #expect(server.connection.unansweredPing == 5000)
        server.feed(frame(.ping, .ack, sent[0].payload))
        #expect(server.connection.unansweredPing == nil)
        server.connection.sendPing(at: 7000)
        #expect(server.connection.unansweredPing == 7000)
    }

    @Test func `who ends the connection says why, and nothing more goes`() {
        let server = Server()
        let stream = server.ask()
        server.connection.output.clear()
        server.connection.end(.settingsTimeout)
        #expect(server.sent() == [SentFrame(.goAway, number(0) + number(4))])
        server.connection.sendPing(at: 1)
        if let stream { server.connection.reset(stream, .cancel) }
        #expect(server.sent().isEmpty && server.ask() == nil)
    }
}
