import ChimeraBytes
import ChimeraHTTP2
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

/// A message as both ends know it without a word: how long it is, and each of its octets.
private struct Script {
    var stream: UInt32
    var isRequest: Bool
    private var draw: UInt64 {
        var generator = SeededGenerator(seed: UInt64(stream) * 2 + (isRequest ? 1 : 0))
        return generator.next()
    }

    var count: Int { [0, 1, 100, 5000, 20_000, 70_000][Int(draw % 6)] }
    var hasTrailers: Bool { draw >> 8 & 3 == 0 }
    /// Says its length in the head.
    var isKnown: Bool { draw >> 16 & 1 == 0 && !hasTrailers }
    var body: BodyLength { isKnown ? .known(count) : .unknown }
    var interimHeads: Int { isRequest ? 0 : Int(draw >> 24 & 3) }

    func octet(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: index &* 31 &+ Int(stream) &* 7) }

    func octets(_ range: Range<Int>) -> [UInt8] { range.map(octet) }
}

/// One side's part of a stream: what it has sent, and what came.
private struct Side {
    var sent: Int?
    var isDone = false
    var received = 0
    var heads = 0
    var hasEnded = false
    var held = 0
    /// Either side gave it up.
    var isGone = false
}

/// One end of the pipe, with what its user does.
private class Party {
    let end: ConnectionEnd
    let isClient: Bool
    var sides: [StreamHandle: Side] = [:]
    /// What has come and was not taken.
    var input: [UInt8] = []
    var faults: [String] = []
    var resets = 0
    /// Requests that went out before the server had said how many it takes.
    var refused = 0

    init(_ end: ConnectionEnd, isClient: Bool) {
        self.end = end
        self.isClient = isClient
    }

    func receive(at now: Int64) -> Received { Received(consumed: 0, event: nil) }
    func head(_ stream: StreamHandle, at now: Int64) {}

    func script(_ stream: StreamHandle, ours: Bool) -> Script {
        Script(stream: stream.id, isRequest: isClient == ours)
    }

    /// Takes what has come.
    func takeInput(at now: Int64) {
        while true {
            let received = receive(at: now)
            switch received.event {
            case .head(let stream, let endStream):
                head(stream, at: now)
                if endStream { ended(stream, hasTrailers: false) }
            case .data(let stream, let range, let endStream):
                content(stream, input[range])
                if endStream { ended(stream, hasTrailers: false) }
            case .end(let stream): ended(stream, hasTrailers: false)
            case .trailers(let stream):
                let trailers = fieldLines(end.trailers)
                if trailers != ["stream: \(stream.id)"] { faults.append("trailers \(trailers)") }
                ended(stream, hasTrailers: true)
            case .reset(let stream, let code):
                sides[stream]?.isGone = true
                if code == .refusedStream { refused += 1 }
            case .goAway, .requestFailed(_, .tooManyStreams), nil: break
            case .headRefused, .streamFailed, .requestFailed, .failed:
                faults.append("\(received.event.map { "\($0)" } ?? "")")
            }
            input.removeFirst(received.consumed)
            end.checkInvariants()
            if received.event == nil || end.isOver { return }
        }
    }

    private func content(_ stream: StreamHandle, _ octets: ArraySlice<UInt8>) {
        guard var side = sides[stream] else { return faults.append("content of nobody") }
        let expected = script(stream, ours: false)
        for octet in octets {
            if octet != expected.octet(side.received) { return faults.append("another octet") }
            side.received += 1
        }
        side.held += octets.count
        sides[stream] = side
    }

    private func ended(_ stream: StreamHandle, hasTrailers: Bool) {
        let expected = script(stream, ours: false)
        guard let side = sides[stream], !side.hasEnded, side.received == expected.count,
            hasTrailers == expected.hasTrailers
        else { return faults.append("stream \(stream.id) ends with \(sides[stream]?.received ?? -1)") }
        sides[stream]?.hasEnded = true
    }

    // MARK: What its user does

    /// Sends a little more of what there is to send.
    func sendSome(_ generator: inout SeededGenerator) {
        for (stream, side) in live() {
            guard let sent = side.sent, !side.isDone, !end.isBlocked(stream) else { continue }
            if Int.random(in: 0..<3, using: &generator) == 0 { continue }
            if sent < script(stream, ours: true).count && Bool.random(using: &generator) {
                end.requestTurn(stream)
            } else {
                send(stream, Int.random(in: 1...20_000, using: &generator))
            }
        }
    }

    private func send(_ stream: StreamHandle, _ most: Int) {
        guard let sent = sides[stream]?.sent else { return }
        let script = script(stream, ours: true)
        let next = min(script.count, sent + most)
        let isLast = next == script.count
        if next > sent {
            end.send(stream, script.octets(sent..<next).span, endStream: isLast && !script.hasTrailers)
        }
        sides[stream]?.sent = next
        guard isLast else { return }
        sides[stream]?.isDone = true
        if script.hasTrailers {
            let trailers = FieldBlock()
            trailers.add(name: Array("Stream".utf8).span, value: Array("\(stream.id)".utf8).span)
            end.finish(stream, trailers: trailers)
        } else if next == sent {
            end.finish(stream)
        }
    }

    /// Fills the output.
    func fill() {
        while true {
            switch end.fillOutput() {
            case .produce(let stream, let room): send(stream, room)
            case .drained, .finished: break
            case .full, .idle: return
            }
        }
    }

    /// Consumes some of what streams hold.
    func consumeSome(_ generator: inout SeededGenerator, sparing stalled: Set<UInt32> = []) {
        for (stream, side) in live() where side.held > 0 && !stalled.contains(stream.id) {
            let count =
                Bool.random(using: &generator) ? side.held : Int.random(in: 0...side.held, using: &generator)
            end.consume(stream, count)
            sides[stream]?.held -= count
        }
    }

    func resetOne(_ generator: inout SeededGenerator) {
        guard let (stream, _) = live().randomElement(using: &generator) else { return }
        end.reset(stream, .cancel)
        sides[stream]?.isGone = true
        resets += 1
    }

    /// In the order of their identifiers, so that a seed gives one run.
    func live() -> [(StreamHandle, Side)] {
        sides.filter { !$0.value.isGone && end.isLive($0.key) }.sorted { $0.key.id < $1.key.id }
    }

    /// Moves up to so many octets of the output to the other.
    func move(_ count: Int, to other: Party) {
        let output = end.output
        let count = min(count, output.count)
        let readable = output.readable
        other.input += [UInt8](copying: readable.extracting(0..<count))
        output.consume(count)
    }
}

private final class AskingParty: Party {
    let connection: RequestingConnection
    private var spare = ResponseHead()

    init(_ limits: ConnectionLimits) {
        connection = RequestingConnection(limits: limits, output: ByteBuffer(capacity: 64))
        super.init(connection, isClient: true)
    }

    override func receive(at now: Int64) -> Received { connection.receive(input.span, into: spare, at: now) }

    override func head(_ stream: StreamHandle, at now: Int64) {
        let expected = script(stream, ours: false).interimHeads
        let heads = sides[stream]?.heads ?? -1
        if spare.status != (heads == expected ? 200 : 103) { faults.append("head \(spare.status)") }
        sides[stream]?.heads = heads + 1
    }

    /// - Returns: whether there was room for a request.
    func open() -> Bool {
        let id = connection.figures.streamsOpened * 2 + 1
        let script = Script(stream: UInt32(id), isRequest: true)
        let head = RequestHead()
        head.method = .post
        head.methodBytes = head.store(Array("POST".utf8).span)
        head.body = script.body
        let target = head.store(Array("/\(id)".utf8).span)
        head.add(name: Array("Host".utf8).span, value: Array("a.example".utf8).span)
        guard let stream = connection.open(head, target: target, upgrade: .empty, isSecure: true) else {
            return false
        }
        sides[stream] = Side(sent: 0, isDone: connection.hasEnded(stream))
        return true
    }
}

private final class AnsweringParty: Party {
    let connection: ServerConnection
    private var spare = RequestHead()

    init(_ limits: ConnectionLimits) {
        connection = ServerConnection(limits: limits, output: ByteBuffer(capacity: 64))
        super.init(connection, isClient: false)
    }

    override func receive(at now: Int64) -> Received { connection.receive(input.span, into: spare, at: now) }

    override func head(_ stream: StreamHandle, at now: Int64) {
        if text(spare[spare.target]) != "/\(stream.id)" { faults.append("another target") }
        sides[stream] = Side(heads: 1)
        spare = RequestHead()
    }

    /// Answers streams that have no head yet.
    func answerSome(_ generator: inout SeededGenerator) {
        for (stream, side) in live() where side.sent == nil && Bool.random(using: &generator) {
            let script = script(stream, ours: true)
            for _ in 0..<script.interimHeads { connection.sendInformational(stream, status: 103, nil) }
            let head = ResponseHead()
            head.body = script.body
            sides[stream]?.sent = 0
            let hasContent = connection.sendHead(stream, head, answering: .post, date: date)
            sides[stream]?.isDone = !hasContent
        }
    }
}

/// Two ends, and a pipe each way.
private struct Loop {
    let client: AskingParty
    let server: AnsweringParty
    var generator: SeededGenerator
    var now: Int64 = 1000

    init(_ client: ConnectionLimits, _ server: ConnectionLimits, seed: Int) {
        self.client = AskingParty(client)
        self.server = AnsweringParty(server)
        generator = SeededGenerator(seed: UInt64(seed))
    }

    /// Bounds at random.
    static func limits(_ generator: inout SeededGenerator) -> ConnectionLimits {
        var limits = ConnectionLimits()
        limits.streamsMax = [1, 3, 20].randomElement(using: &generator)!
        limits.streamWindow = [2000, 65_535, 200_000].randomElement(using: &generator)!
        limits.connectionWindow = [65_535, 300_000].randomElement(using: &generator)!
        limits.outputBytesMax = [300, 20_000, 65_536].randomElement(using: &generator)!
        limits.dataBytesMax = [100, 3000, 16_384].randomElement(using: &generator)!
        limits.tableBytesMax = [0, 4096, 8192].randomElement(using: &generator)!
        // What is tested is that all arrives; each bound on abuse has its own test.
        limits.windowUpdates = Budget(burst: 1_000_000, perSecond: 1)
        limits.resets = Budget(burst: 1_000_000, perSecond: 1)
        return limits
    }

    /// Whatever either user and the pipes do in one round.
    mutating func round(sparing stalled: Set<UInt32> = []) {
        now += 10
        server.answerSome(&generator)
        for party in [client, server] as [Party] {
            party.sendSome(&generator)
            party.consumeSome(&generator, sparing: party === client ? stalled : [])
            party.fill()
        }
        for _ in 0..<3 {
            client.move(Int.random(in: 1...60_000, using: &generator), to: server)
            server.takeInput(at: now)
            server.move(Int.random(in: 1...60_000, using: &generator), to: client)
            client.takeInput(at: now)
        }
    }
}

@Suite struct `Both ends on a pipe` {
    /// RFC 9113 §5.2: whatever the windows, the pieces and the resets, all that was not given up arrives, and nothing stays.
    @Test(arguments: 0..<24)
    func `every message arrives whole, and both tables end empty`(_ seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed + 4711))
        let limits = Loop.limits(&generator)
        var loop = Loop(limits, Loop.limits(&generator), seed: seed)
        let (client, server) = (loop.client, loop.server)
        let requests = 30
        var (opened, rounds) = (0, 0)
        while rounds < 6000 {
            rounds += 1
            while opened < requests, Bool.random(using: &loop.generator), client.open() { opened += 1 }
            if seed % 3 == 0, Int.random(in: 0..<20, using: &loop.generator) == 0 {
                let party: Party = Bool.random(using: &loop.generator) ? client : server
                party.resetOne(&loop.generator)
            }
            loop.round()
            if opened == requests && client.end.streamCount == 0 && server.end.streamCount == 0 { break }
        }
        #expect(rounds < 6000, "it does not go on")
        #expect(client.faults.isEmpty && server.faults.isEmpty, "\(client.faults) \(server.faults)")
        #expect(client.end.failure == nil && server.end.failure == nil)
        #expect(client.sides.count == requests)
        let whole = client.sides.filter { !$0.value.isGone }
        #expect(whole.allSatisfy { $0.value.hasEnded && $0.value.isDone })
        // What one gave up the other does not see as whole, but for what had ended before.
        #expect(requests - whole.count <= client.resets + server.resets + client.refused)
        #expect(whole.count <= requests - client.refused)
    }

    /// One connection carries the streams of many: those whose clients take nothing stall themselves alone.
    @Test(arguments: 0..<6)
    func `streams that stall hold up no other`(_ seed: Int) {
        var limits = ConnectionLimits()
        limits.streamsMax = 12
        limits.streamWindow = 2000
        limits.connectionWindow = 65_535
        var loop = Loop(limits, limits, seed: seed)
        let (client, server) = (loop.client, loop.server)
        while client.open() {}
        let long = client.sides.keys.filter { Script(stream: $0.id, isRequest: false).count > 2000 }.map(\.id)
        let stalled = Set(long.sorted().prefix(long.count / 2))
        #expect(stalled.count >= 2)
        var rounds = 0
        while rounds < 6000, client.end.streamCount > stalled.count {
            rounds += 1
            loop.round(sparing: stalled)
        }
        #expect(rounds < 6000, "streams wait for those that stall")
        #expect(Set(client.live().map(\.0.id)) == stalled)
        while rounds < 12_000, client.end.streamCount > 0 {
            rounds += 1
            loop.round()
        }
        #expect(client.faults.isEmpty && server.faults.isEmpty, "\(client.faults) \(server.faults)")
        #expect(client.sides.values.allSatisfy { $0.hasEnded && $0.isDone })
    }

    /// RFC 9113 §6.8: the server ends with what it has taken, and the client knows what may be sent again.
    @Test(arguments: 0..<6)
    func `a server that drains serves what it took`(_ seed: Int) {
        var loop = Loop(ConnectionLimits(), ConnectionLimits(), seed: seed)
        let (client, server) = (loop.client, loop.server)
        for _ in 0..<10 { _ = client.open() }
        for _ in 0..<seed { loop.round() }
        server.connection.beginDrain()
        _ = client.open()
        var rounds = 0
        while rounds < 3000, !server.end.isDrained || client.end.streamCount > 0 {
            rounds += 1
            loop.round()
        }
        #expect(rounds < 3000 && client.connection.isExhausted)
        #expect(client.faults.isEmpty && server.faults.isEmpty)
        // The first GOAWAY left time for what was on its way.
        #expect(client.sides.count == 11 && client.sides.values.allSatisfy { $0.hasEnded && !$0.isGone })
    }
}
