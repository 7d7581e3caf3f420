import ChimeraBytes
import ChimeraHTTP2
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

private func resetFrame(_ id: UInt32, _ code: ErrorCode) -> SentFrame {
    SentFrame(.resetStream, stream: id, number(code.rawValue))
}

@Suite struct `States of streams` {
    /// RFC 9113 §5.1, half-closed (remote): STREAM_CLOSED.
    @Test(arguments: [data(1, "x"), data(1, "", endStream: true), headers(1, ["x: y"])])
    func `what follows the end of a request ends its stream`(_ bytes: [UInt8]) {
        let client = Client()
        client.open(1)
        client.feed(bytes)
        #expect(client.happenings == [.streamFailed(1, .streamClosed)])
        #expect(client.sent() == [resetFrame(1, .streamClosed)])
    }

    /// RFC 9113 §5.1, half-closed (remote): WINDOW_UPDATE, PRIORITY and RST_STREAM may come.
    @Test func `windows, priorities and resets may follow the end of a request`() {
        let client = Client()
        client.open(1)
        client.feed(
            frame(.windowUpdate, stream: 1, number(5)) + frame(.priority, stream: 1, [0, 0, 0, 3, 1]))
        #expect(client.happenings.isEmpty)
        client.feed(frame(.resetStream, stream: 1, number(8)))
        #expect(client.happenings == [.reset(1, .cancel)])
    }

    /// RFC 9113 §5.1, closed after END_STREAM of both: a connection error STREAM_CLOSED.
    @Test(arguments: [data(1, "x"), headers(1, plainHead)])
    func `a stream that both have ended takes nothing more`(_ bytes: [UInt8]) {
        let client = Client()
        client.open(1)
        client.answer(1, .none)
        #expect(client.connection.streamCount == 0)
        client.feed(frame(.windowUpdate, stream: 1, number(5)) + frame(.resetStream, stream: 1, number(8)))
        #expect(client.happenings.isEmpty)
        client.feed(bytes)
        #expect(client.happenings == [.failed(.streamClosed)])
    }

    /// RFC 9113 §5.1, closed by RST_STREAM of the client: a stream error STREAM_CLOSED.
    @Test func `a stream that the client has reset takes nothing more from it`() {
        let client = Client()
        client.open(1, endStream: false)
        client.feed(frame(.resetStream, stream: 1, number(8)))
        client.feed(data(1, "x"))
        #expect(client.happenings == [.reset(1, .cancel)])
        #expect(client.sent() == [resetFrame(1, .streamClosed)])
        client.feed(headers(1, plainHead))
        #expect(client.happenings.last == .requestFailed(1, .streamClosed))
    }

    /// RFC 9113 §5.1, closed by our RST_STREAM: what was on its way is ignored, and its tables are kept.
    @Test func `what was on its way to a stream that we reset is ignored`() {
        let client = Client()
        let stream = client.open(1, endStream: false)
        client.connection.reset(stream, .internalError)
        #expect(client.sent() == [resetFrame(1, .internalError)])
        var trailers = block(["later: indexed"])
        trailers[0] = 0x40
        client.feed(data(1, "x") + frame(.windowUpdate, stream: 1, number(5)))
        client.feed(frame(.headers, [.endHeaders, .endStream], stream: 1, trailers))
        client.feed(frame(.headers, [.endHeaders, .endStream], stream: 3, block(plainHead) + [0xBE]))
        #expect(
            client.happenings == [
                .head(3, ["GET / origin none", "later: indexed", "host: a.example"]), .end(3),
            ])
        #expect(client.sent().isEmpty)
    }

    @Test func `a handle of a stream that is gone does nothing`() {
        let client = Client()
        let stream = client.open(1)
        client.answer(1, .none)
        client.open(3)
        _ = client.sent()
        client.connection.send(stream, Array("x".utf8).span)
        client.connection.finish(stream)
        client.connection.reset(stream, .cancel)
        client.connection.consume(stream, 5)
        client.connection.requestTurn(stream)
        #expect(client.sent().isEmpty)
        #expect(!client.connection.isLive(stream))
        #expect(client.connection.fillOutput() == .idle)
    }

    /// RFC 9113 §5.1.2 and §8.7: REFUSED_STREAM, after which the client may try again.
    @Test(arguments: [1, 2, 100])
    func `a stream past the limit is refused, and one is taken when another has ended`(_ count: Int) {
        var limits = ConnectionLimits()
        limits.streamsMax = count
        let client = Client(limits)
        for index in 0..<count { client.open(UInt32(index * 2 + 1)) }
        let next = UInt32(count * 2 + 1)
        client.feed(request(next, endStream: false) + data(next, "x"))
        #expect(client.happenings == [.requestFailed(next, .tooManyStreams)])
        #expect(client.sent() == [resetFrame(next, .refusedStream)])
        #expect(client.connection.figures.streamsRefused == 1)
        client.answer(1, .none)
        client.feed(request(next + 2))
        #expect(client.happenings.last == .end(next + 2))
    }

    @Test func `slots are used again, and identifiers are found among many`() {
        let client = Client()
        var open: [UInt32] = []
        var generator = SeededGenerator(seed: 3)
        var next: UInt32 = 1
        for _ in 0..<2000 {
            if open.count < 100 && Bool.random(using: &generator) || open.isEmpty {
                client.open(next)
                open.append(next)
                next += 2
            } else {
                let id = open.remove(at: Int.random(in: 0..<open.count, using: &generator))
                #expect(!client.answer(id, .none))
            }
            client.connection.output.clear()
            client.connection.checkInvariants()
        }
        #expect(client.connection.streamCount == open.count)
        let live = client.handles.values.filter(client.connection.isLive).map(\.id)
        #expect(Set(live) == Set(open))
        #expect(client.handles.values.allSatisfy { $0.slot < 128 })
    }
}

@Suite struct `Going away` {
    /// RFC 9113 §6.8: first with 2^31-1, then with the last that was taken.
    @Test func `draining takes two steps`() throws {
        let client = Client()
        client.open(1)
        client.connection.beginDrain()
        let sent = client.sent()
        #expect(sent.map(\.type) == [7, 6])
        #expect(sent[0].payload == number(0x7FFF_FFFF) + number(0))
        client.open(3)
        client.feed(frame(.ping, .ack, sent[1].payload))
        #expect(client.sent() == [SentFrame(.goAway, number(3) + number(0))])
        #expect(!client.connection.isDrained)
        client.answer(1, .none)
        client.answer(3, .none)
        #expect(client.connection.isDrained)
    }

    @Test func `the second step need not wait for the client`() {
        let client = Client()
        client.connection.beginDrain()
        client.connection.finishDrain()
        client.connection.finishDrain()
        #expect(client.sent().map(\.type) == [7, 6, 7])
        #expect(client.connection.isDrained)
    }

    /// RFC 9113 §6.8: streams beyond the last are ignored, but their fields and content count.
    @Test func `streams beyond the last are ignored`() {
        let client = Client()
        client.open(1, endStream: false)
        client.connection.beginDrain()
        client.connection.finishDrain()
        _ = client.sent()
        client.feed(request(3, endStream: false) + data(3, "x") + frame(.windowUpdate, stream: 3, number(1)))
        client.feed(frame(.resetStream, stream: 3, number(8)) + headers(3, ["x: y"]))
        #expect(client.happenings.isEmpty)
        #expect(client.sent().isEmpty)
        client.feed(data(1, "abc", endStream: true))
        #expect(client.happenings == [.data(1, "abc"), .end(1)])
    }
}

@Suite struct `Ending a connection` {
    @Test func `a connection that is ended says why, and nothing more`() {
        let client = Client()
        let stream = client.open(1)
        client.answer(1)
        _ = client.sent()
        client.connection.end(.settingsTimeout)
        client.connection.send(stream, Array("x".utf8).span, endStream: true)
        client.connection.reset(stream, .cancel)
        client.connection.beginDrain()
        client.feed(request(3))
        #expect(client.sent() == [SentFrame(.goAway, number(1) + number(4))])
        #expect(client.happenings.isEmpty && client.connection.isOver && client.connection.failure == nil)
    }
}

@Suite struct `Giving streams back` {
    /// RFC 9113 §8.7: the client may ask again.
    @Test func `a stream that is refused behind its head is reset as if it had not come`() {
        let client = Client()
        let stream = client.open(1)
        let other = client.open(3)
        client.connection.refuse(stream)
        #expect(client.sent() == [resetFrame(1, .refusedStream)])
        #expect(!client.connection.isLive(stream) && client.connection.isLive(other))
        client.connection.refuse(stream)
        #expect(client.sent().isEmpty && client.connection.figures.streamsRefused == 1)
        #expect(client.connection.failure == nil)
    }
}

@Suite struct `Flow control of requests` {
    /// Destinations that take nothing hold what came for them, and no more of the connection's window than that.
    @Test func `uploads that stall leave the rest of the window to another`() {
        let client = Client()
        client.consumes = false
        let limits = ConnectionLimits()
        let content = String(repeating: "x", count: 16_384)
        let stalled = limits.streamsMax / 2
        for id in (0..<stalled).map({ UInt32($0 * 2 + 1) }) {
            client.open(id, endStream: false)
            for _ in 0..<(limits.streamWindow / 16_384) { client.feed(data(id, content)) }
        }
        let last = UInt32(stalled * 2 + 1)
        client.open(last, endStream: false)
        _ = client.sent()
        client.consumes = true
        var window = limits.connectionWindow - stalled * limits.streamWindow
        for _ in 0..<200 {
            #expect(window >= 16_384)
            client.feed(data(last, content))
            window -= 16_384
            for frame in client.sent() where frame.stream == 0 {
                window += frame.payload.reduce(0) { $0 << 8 | Int($1) }
            }
        }
        #expect(client.connection.failure == nil)
        #expect(client.contentBytes == 200 * 16_384)
    }

    private func limits(stream: Int, connection: Int = 100_000) -> ConnectionLimits {
        var limits = ConnectionLimits()
        limits.streamWindow = stream
        limits.connectionWindow = connection
        return limits
    }

    private func content(_ id: UInt32, _ count: Int) -> [UInt8] {
        stride(from: 0, to: count, by: 16_384).flatMap {
            data(id, String(repeating: "x", count: min(16_384, count - $0)))
        }
    }

    /// RFC 9113 §6.9: what was not consumed is not given back.
    @Test func `a window is given back as its octets are consumed`() {
        let client = Client(limits(stream: 80_000))
        client.consumes = false
        let stream = client.open(1, endStream: false)
        client.feed(content(1, 60_000))
        #expect(client.sent().isEmpty)
        #expect(client.connection.unconsumed(stream) == 60_000)
        client.connection.consume(stream, 39_999)
        #expect(client.sent().isEmpty)
        client.connection.consume(stream, 1)
        // Of either window half of what is not held here.
        #expect(
            client.sent() == [
                SentFrame(.windowUpdate, number(40_000)), SentFrame(.windowUpdate, stream: 1, number(40_000)),
            ])
        client.connection.consume(stream, 20_000)
        #expect(client.sent().isEmpty)
        #expect(client.connection.unconsumed(stream) == 0)
    }

    /// RFC 9113 §6.9.1: FLOW_CONTROL_ERROR, of the stream or of the connection.
    @Test func `a stream beyond its window ends`() {
        let client = Client(limits(stream: 70_000))
        client.consumes = false
        client.open(1, endStream: false)
        client.feed(content(1, 70_000))
        client.feed(data(1, "x"))
        #expect(client.happenings.last == .streamFailed(1, .windowExceeded))
        #expect(client.sent().contains(resetFrame(1, .flowControlError)))
        client.open(3)
        #expect(client.connection.failure == nil)
    }

    @Test func `a connection beyond its window fails`() {
        let client = Client(limits(stream: 100_000, connection: 70_000))
        client.consumes = false
        client.open(1, endStream: false)
        client.open(3, endStream: false)
        client.feed(content(1, 40_000) + content(3, 30_000))
        #expect(client.connection.failure == nil)
        client.feed(data(3, "x"))
        #expect(client.happenings.last == .failed(.windowExceeded))
    }

    /// A stream that goes gives back what nobody will consume.
    @Test func `what a stream held of the connection's window is given back when it ends`() {
        let client = Client(limits(stream: 100_000, connection: 70_000))
        client.consumes = false
        let stream = client.open(1, endStream: false)
        client.feed(content(1, 60_000))
        client.connection.reset(stream, .cancel)
        #expect(client.sent() == [resetFrame(1, .cancel), SentFrame(.windowUpdate, number(60_000))])
        client.feed(content(1, 40_000))
        #expect(client.sent() == [SentFrame(.windowUpdate, number(40_000))])
    }

    /// RFC 9113 §6.9.3: smaller windows hold once the client has acknowledged them.
    @Test func `a window below the initial value holds from the acknowledgement on`() {
        let client = Client(limits(stream: 1000), greets: false)
        client.consumes = false
        client.feed(Client.preface + frame(.settings))
        client.open(1, endStream: false)
        client.feed(content(1, 60_000))
        #expect(client.connection.failure == nil && client.happenings.count == 1)
        client.feed(frame(.settings, .ack))
        client.open(3, endStream: false)
        client.feed(content(3, 1001))
        #expect(client.happenings.last == .streamFailed(3, .windowExceeded))
        client.feed(data(1, "x"))
        #expect(client.happenings.last == .streamFailed(1, .windowExceeded))
    }

    @Test func `padding is given back as it comes`() {
        let client = Client(limits(stream: 70_000, connection: 70_000))
        client.consumes = false
        client.open(1, endStream: false)
        var given: UInt32 = 0
        for _ in 0..<2000 {
            client.feed(frame(.data, .padded, stream: 1, [99, 1] + [UInt8](repeating: 0, count: 99)))
            for frame in client.sent() where frame.type == 8 && frame.stream == 1 {
                given += frame.payload.reduce(0) { $0 << 8 | UInt32($1) }
            }
        }
        #expect(client.connection.failure == nil)
        #expect(given > 160_000)
        #expect(client.contentBytes == 2000)
    }
}

@Suite struct `Abuse` {
    /// What an abuser sends again and again.
    struct Attack: Sendable, CustomTestStringConvertible {
        var name: String
        var kind: Flood
        var violation: Violation
        var before: [UInt8] = []
        var step: @Sendable (UInt32) -> [UInt8]

        var testDescription: String { name }
    }

    static let attacks: [Attack] = [
        Attack(name: "rapid reset, CVE-2023-44487", kind: .resets, violation: .resetFlood) {
            request($0) + frame(.resetStream, stream: $0, number(8))
        },
        Attack(name: "MadeYouReset by a window of 0, CVE-2025-8671", kind: .resets, violation: .resetFlood) {
            request($0) + frame(.windowUpdate, stream: $0, number(0))
        },
        Attack(name: "MadeYouReset by an overflow", kind: .resets, violation: .resetFlood) {
            request($0) + frame(.windowUpdate, stream: $0, number(0x7FFF_FFFF))
        },
        Attack(name: "MadeYouReset by DATA behind the end", kind: .resets, violation: .resetFlood) {
            request($0) + data($0, "x")
        },
        Attack(name: "MadeYouReset by a second head", kind: .resets, violation: .resetFlood) {
            request($0) + headers($0, ["x: y"])
        },
        Attack(name: "MadeYouReset by a priority of another size", kind: .resets, violation: .resetFlood) {
            request($0) + frame(.priority, stream: $0, [0])
        },
        Attack(name: "MadeYouReset by more content than declared", kind: .resets, violation: .resetFlood) {
            request($0, endStream: false, ["content-length: 1"]) + data($0, "xx")
        },
        Attack(name: "malformed requests", kind: .resets, violation: .resetFlood) { headers($0, ["x: y"]) },
        Attack(name: "settings, CVE-2019-9515", kind: .settings, violation: .settingsFlood) { _ in
            frame(.settings, setting(4, 65_535))
        },
        Attack(name: "acknowledgements", kind: .settings, violation: .settingsFlood) { _ in
            frame(.settings, .ack)
        },
        Attack(name: "pings, CVE-2019-9512", kind: .pings, violation: .pingFlood) { _ in
            frame(.ping, [UInt8](repeating: 0, count: 8))
        },
        Attack(
            name: "empty DATA, CVE-2019-9518", kind: .emptyData, violation: .emptyDataFlood,
            before: request(1, endStream: false)
        ) { _ in data(1, "") },
        Attack(
            name: "padding without content", kind: .emptyData, violation: .emptyDataFlood,
            before: request(1, endStream: false)
        ) { _ in frame(.data, .padded, stream: 1, [5, 0, 0, 0, 0, 0]) },
        Attack(
            name: "empty DATA on a stream that was reset", kind: .emptyData, violation: .emptyDataFlood,
            before: request(1, endStream: false) + frame(.windowUpdate, stream: 1, number(0))
        ) { _ in data(1, "", endStream: true) },
        Attack(name: "window updates", kind: .windowUpdates, violation: .windowUpdateFlood) { _ in
            frame(.windowUpdate, number(1))
        },
        Attack(name: "priorities, CVE-2019-9513", kind: .priorities, violation: .priorityFlood) { _ in
            frame(.priority, stream: 1, [0, 0, 0, 3, 1])
        },
        Attack(name: "priority updates", kind: .priorities, violation: .priorityFlood) { _ in
            frame(.priorityUpdate, number(1) + Array("u=1".utf8))
        },
        Attack(name: "unknown frames", kind: .unknownFrames, violation: .unknownFrameFlood) { _ in frame(0x42)
        },
    ]

    private func budget(_ kind: Flood, _ limits: ConnectionLimits) -> Budget {
        switch kind {
        case .resets: limits.resets
        case .settings: limits.settings
        case .pings: limits.pings
        case .emptyData: limits.emptyData
        case .windowUpdates: limits.windowUpdates
        case .priorities: limits.priorities
        case .unknownFrames: limits.unknownFrames
        }
    }

    /// RFC 9113 §10.5: ENHANCE_YOUR_CALM.
    @Test(arguments: attacks)
    func `a flood is taken up to its budget, and then the connection fails`(_ attack: Attack) {
        let client = Client()
        client.feed(attack.before)
        let already = client.connection.count(of: attack.kind)
        let burst = budget(attack.kind, ConnectionLimits()).burst - Int(already)
        for step in 0..<burst {
            client.feed(attack.step(UInt32(step) * 2 + 3))
            client.connection.output.clear()
        }
        #expect(client.connection.failure == nil)
        client.feed(attack.step(UInt32(burst) * 2 + 3))
        #expect(client.happenings.last == .failed(attack.violation))
        #expect(client.connection.count(of: attack.kind) == already + UInt64(burst) + 1)
        let last = client.sent().last
        #expect(last?.type == 7)
        #expect(last.map { Array($0.payload[4..<8]) } == number(ErrorCode.enhanceYourCalm.rawValue))
    }

    @Test func `empty DATA beyond the last stream that is taken counts`() {
        let client = Client()
        client.connection.finishDrain()
        for _ in 0..<ConnectionLimits().emptyData.burst { client.feed(data(1, "")) }
        #expect(client.connection.failure == nil)
        client.feed(data(1, ""))
        #expect(client.connection.failure == .emptyDataFlood)
    }

    /// Whose body was on its way when the stream was reset ends it as well.
    @Test func `empty DATA that ends each stream which is reset is no flood`() throws {
        let client = Client()
        for id in stride(from: UInt32(1), to: 2001, by: 2) {
            client.open(id, endStream: false)
            client.connection.reset(try #require(client.handles[id]), .noError)
            client.feed(data(id, "", endStream: true))
            client.connection.output.clear()
        }
        #expect(client.connection.failure == nil)
    }

    @Test(arguments: attacks)
    func `the same in its own time is taken`(_ attack: Attack) {
        let client = Client()
        client.feed(attack.before)
        let budget = budget(attack.kind, ConnectionLimits())
        for step in 0..<(budget.burst * 2) {
            client.now += Int64(1000 / budget.perSecond)
            client.feed(attack.step(UInt32(step) * 2 + 3))
            client.connection.output.clear()
        }
        #expect(client.connection.failure == nil)
    }

    /// CVE-2024-27316.
    @Test func `a block of many frames fails the connection`() {
        let client = Client()
        client.feed(frame(.headers, stream: 1, block(plainHead)))
        for _ in 0..<8 { client.feed(frame(.continuation, stream: 1, block(["x: y"]))) }
        #expect(client.happenings.isEmpty)
        client.feed(frame(.continuation, stream: 1, block(["x: y"])))
        #expect(client.happenings == [.failed(.tooManyContinuations)])
        #expect(Violation.tooManyContinuations.code == .enhanceYourCalm)
    }

    @Test func `a block beyond its octets fails the connection`() {
        let client = Client()
        let large = [UInt8](repeating: 0x82, count: 16_384)
        client.feed(frame(.headers, stream: 1, large))
        for _ in 0..<3 { client.feed(frame(.continuation, stream: 1, large)) }
        #expect(client.happenings.isEmpty)
        client.feed(frame(.continuation, stream: 1, [0x82]))
        #expect(client.happenings == [.failed(.blockTooLarge)])
    }

    /// A client that has us answer and does not read.
    @Test func `answers that nobody reads fail the connection`() {
        var limits = ConnectionLimits()
        limits.pings = Budget(burst: 1_000_000, perSecond: 1)
        limits.unreadOutputMax = 1000
        let client = Client(limits)
        for _ in 0..<60 { client.feed(frame(.ping, [UInt8](repeating: 0, count: 8))) }
        #expect(client.happenings == [.failed(.outputStalled)])
    }

    /// Tiny windows make tiny frames, which are worth no further updates; large ones are.
    @Test(arguments: [(1, false), (63, false), (128, true), (16_384, true)])
    func `a dribble of windows fails the connection, and a download does not`(
        _ increment: UInt32, _ isTaken: Bool
    ) {
        let client = downloader(window: 0, bytes: 4_000_000)
        for _ in 0..<200 { client.giveBack(increment) }
        #expect((client.connection.failure == nil) == isTaken)
    }

    /// Who gives back each frame by itself keeps a window in the pieces that it once fell into (RFC 9293 §3.8.6.2 calls
    /// it the silly window); who reads events gives back each small one.
    @Test func `a window in pieces and small pieces of content are no dribble`() {
        var pieces = [300, 700, 40, 90, 200, 5, 1200, 16_384, 333, 77]
        let client = downloader(window: UInt32(pieces.reduce(0, +)), bytes: 4_000_000)
        client.connection.output.clear()
        for _ in 0..<500 {
            let piece = pieces.removeFirst()
            pieces.append(piece)
            client.giveBack(UInt32(piece))
        }
        #expect(client.connection.failure == nil)

        let events = downloader(window: 1000, bytes: 0)
        for _ in 0..<500 {
            events.connection.send(events.handles[1]!, [UInt8](repeating: 0, count: 20).span)
            events.giveBack(20)
        }
        #expect(events.connection.failure == nil)
    }

    /// Who measures how much is on its way sends a PING behind each frame that comes.
    @Test(arguments: [true, false])
    func `a PING for each frame of content is no flood`(_ hasContent: Bool) {
        var limits = ConnectionLimits()
        limits.pings = Budget(burst: 50, perSecond: 1)
        let client = Client(limits)
        let stream = client.open(1)
        client.answer(1)
        for _ in 0..<100 {
            if hasContent { client.connection.send(stream, [UInt8](repeating: 0, count: 20).span) }
            client.connection.output.clear()
            client.feed(frame(.ping, [UInt8](repeating: 0, count: 8)))
        }
        #expect((client.connection.failure == nil) == hasContent)
    }

    /// RFC 9218 §7, RFC 9113 §5.5: who says something of each of its requests, or greases them.
    @Test func `priorities and unknown frames with each request are no flood`() {
        var limits = ConnectionLimits()
        limits.priorities = Budget(burst: 20, perSecond: 1)
        limits.unknownFrames = Budget(burst: 20, perSecond: 1)
        let client = Client(limits)
        for id in stride(from: UInt32(1), to: 401, by: 2) {
            client.open(id)
            client.feed(frame(.priority, stream: id, [0, 0, 0, 0, 1]) + frame(.priorityUpdate, number(id)))
            client.feed(frame(0x2B) + frame(0x2B))
            client.answer(id, .none)
            client.connection.output.clear()
        }
        #expect(client.connection.failure == nil)
    }

    /// A client that downloads `bytes` through a window on its stream, with little room for updates.
    private func downloader(window: UInt32, bytes: Int) -> Client {
        var limits = ConnectionLimits()
        limits.windowUpdates = Budget(burst: 50, perSecond: 1)
        let client = Client(limits)
        client.feed(frame(.settings, setting(4, window)))
        let stream = client.open(1)
        client.answer(1)
        client.connection.send(stream, [UInt8](repeating: 0, count: bytes).span)
        while client.connection.fillOutput() != .idle { client.connection.output.clear() }
        client.connection.output.clear()
        return client
    }
}

extension Client {
    /// Gives stream 1 and the connection a window of `count` octets more, and takes what comes.
    fileprivate func giveBack(_ count: UInt32) {
        feed(frame(.windowUpdate, number(count)) + frame(.windowUpdate, stream: 1, number(count)))
        while connection.fillOutput() != .idle {}
        connection.output.clear()
    }
}
