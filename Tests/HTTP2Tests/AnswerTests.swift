import ChimeraBytes
import ChimeraHTTP2
import ChimeraHTTPCore
import Testing

/// An answer that is to one request on stream 1, and what is made of it.
struct Answer: Sendable, CustomTestStringConvertible {
    var name: String
    var method = "GET"
    var upgrade = ""
    var bytes: [UInt8]
    var happenings: [Happening]
    /// Why the stream fails behind that.
    var violation = Violation.outputStalled

    init(
        _ name: String, to method: String = "GET", upgrade: String = "", _ frames: [[UInt8]],
        _ happenings: [Happening]
    ) {
        self.name = name
        self.method = method
        self.upgrade = upgrade
        bytes = Array(frames.joined())
        self.happenings = happenings
    }

    /// One that is malformed.
    static func bad(
        _ name: String, to method: String = "GET", _ frames: [[UInt8]], behind happenings: [Happening] = [],
        _ violation: Violation
    ) -> Answer {
        var answer = Answer(name, to: method, frames, happenings)
        answer.violation = violation
        return answer
    }

    var testDescription: String { name }
}

private func ok(_ fields: String...) -> [String] { [":status: 200"] + fields }
private let opened = headers(1, ok(), endStream: false)

/// A server that was asked with stream 1.
private func asked(
    _ method: String = "GET", upgrade: String = "", with limits: ConnectionLimits = ConnectionLimits()
) -> Server {
    let server = Server(limits, settings: setting(8, 1))
    let body = method == "POST" ? BodyLength.unknown : .none
    server.ask(method, method == "CONNECT" ? "b.example:443" : "/", body, upgrade: upgrade)
    _ = server.sent()
    return server
}

@Suite struct `Answers to requests` {
    static let right: [Answer] = [
        Answer("without content", [headers(1, ok())], [.head(1, ["200 none"]), .end(1)]),
        Answer(
            "with content", [opened, data(1, "ab"), data(1, "c", endStream: true)],
            [.head(1, ["200 unknown"]), .data(1, "abc"), .end(1)]),
        Answer(
            "with a length",
            [headers(1, ok("content-length: 3"), endStream: false), data(1, "abc", endStream: true)],
            [.head(1, ["200 known(3)", "content-length: 3"]), .data(1, "abc"), .end(1)]),
        Answer(
            "with a length of 0", [headers(1, ok("content-length: 0"))],
            [.head(1, ["200 known(0)", "content-length: 0"]), .end(1)]),
        Answer(
            "with trailers", [opened, data(1, "a"), headers(1, ["grpc-status: 0"])],
            [.head(1, ["200 unknown"]), .data(1, "a"), .trailers(1, ["grpc-status: 0"]), .end(1)]),
        Answer(
            "with trailers alone", [headers(1, ok("grpc-status: 12"))],
            [.head(1, ["200 none", "grpc-status: 12"]), .end(1)]),
        // RFC 9113 §8.1: any number of interim heads.
        Answer(
            "behind interim ones",
            [
                headers(1, [":status: 100"], endStream: false),
                headers(1, [":status: 103", "link: </a>"], endStream: false), headers(1, [":status: 404"]),
            ],
            [.head(1, ["100 none"]), .head(1, ["103 none", "link: </a>"]), .head(1, ["404 none"]), .end(1)]),
        // RFC 9113 §8.1.1: no content, whatever the length.
        Answer(
            "to HEAD", to: "HEAD", [headers(1, ok("content-length: 7"))],
            [.head(1, ["200 known(7)", "content-length: 7"]), .end(1)]),
        Answer(
            "to HEAD without a length", to: "HEAD", [headers(1, ok())], [.head(1, ["200 unknown"]), .end(1)]),
        Answer(
            "to HEAD, with its end behind it", to: "HEAD", [opened, data(1, "", endStream: true)],
            [.head(1, ["200 unknown"]), .end(1)]),
        Answer(
            "of 304 with a length", [headers(1, [":status: 304", "content-length: 7"])],
            [.head(1, ["304 none", "content-length: 7"]), .end(1)]),
        Answer("of 204", [headers(1, [":status: 204"])], [.head(1, ["204 none"]), .end(1)]),
        Answer(
            "of a status that is not registered", [headers(1, [":status: 799"])],
            [.head(1, ["799 none"]), .end(1)]),
        // RFC 9110 §9.3.6: any 2xx.
        Answer(
            "of 204 to CONNECT", to: "CONNECT",
            [headers(1, [":status: 204"], endStream: false), data(1, "abc")],
            [.head(1, ["204 unknown"]), .data(1, "abc")]),
        // RFC 9113 §8.5, RFC 8441 §5.
        Answer(
            "to CONNECT", to: "CONNECT",
            [headers(1, ok("content-length: 7"), endStream: false), data(1, "abc")],
            [.head(1, ["200 unknown"]), .data(1, "abc")]),
        Answer(
            "to extended CONNECT", upgrade: "websocket", [opened, data(1, "abc", endStream: true)],
            [.head(1, ["200 unknown"]), .data(1, "abc"), .end(1)]),
        Answer(
            "that refuses CONNECT", to: "CONNECT",
            [
                headers(1, [":status: 403", "content-length: 2"], endStream: false),
                data(1, "no", endStream: true),
            ], [.head(1, ["403 known(2)", "content-length: 2"]), .data(1, "no"), .end(1)]),
        // RFC 9113 §8.1: an answer may be whole before the request is, and the rest of that is given up.
        Answer(
            "before the request has ended", to: "POST",
            [headers(1, ok()), frame(.resetStream, stream: 1, number(0))],
            [.head(1, ["200 none"]), .end(1), .reset(1, .noError)]),
        // RFC 9113 §8.7.
        Answer(
            "that refuses the stream", [frame(.resetStream, stream: 1, number(7))],
            [.reset(1, .refusedStream)]),
        Answer(
            "that is given up", [opened, data(1, "a"), frame(.resetStream, stream: 1, number(2))],
            [.head(1, ["200 unknown"]), .data(1, "a"), .reset(1, .internalError)]),
        // RFC 9113 §6.3: nobody looks at it.
        Answer(
            "behind a priority", [frame(.priority, stream: 1, [0, 0, 0, 0, 1]), headers(1, ok())],
            [.head(1, ["200 none"]), .end(1)]),
    ]

    static let malformed: [Answer] = [
        // RFC 9113 §8.3 and §8.3.2.
        .bad("without a status", [headers(1, ["server: x"])], .pseudoMissing),
        .bad("without any field", [headers(1, [])], .pseudoMissing),
        .bad("with a status twice", [headers(1, [":status: 200", ":status: 200"])], .pseudoRepeated),
        .bad("with a status behind a field", [headers(1, ["server: x", ":status: 200"])], .pseudoMisplaced),
        .bad("with a path", [headers(1, ok(":path: /"))], .pseudoUnknown),
        .bad("with an unknown pseudo-field", [headers(1, ok(":own: x"))], .pseudoUnknown),
        .bad("with a status of two digits", [headers(1, [":status: 20"])], .statusMalformed),
        .bad("with a status of four digits", [headers(1, [":status: 2000"])], .statusMalformed),
        .bad("with a status below 100", [headers(1, [":status: 099"])], .statusMalformed),
        .bad("with a signed status", [headers(1, [":status: +20"])], .statusMalformed),
        .bad("with a status of letters", [headers(1, [":status: abc"])], .statusMalformed),
        // §8.2.1.
        .bad("with a name in capitals", [headers(1, ok("Server: x"))], .fieldMalformed),
        .bad("with a blank in a name", [headers(1, ok("a b: x"))], .fieldMalformed),
        .bad("with a line end in a value", [headers(1, ok("a: x\r\nb: y"))], .fieldMalformed),
        .bad("with a NUL in a value", [headers(1, ok("a: x\0"))], .fieldMalformed),
        .bad("with a blank before a value", [headers(1, ok("a:  x"))], .fieldMalformed),
        // §8.2.2.
        .bad("with Connection", [headers(1, ok("connection: close"))], .fieldConnectionSpecific),
        .bad("with Keep-Alive", [headers(1, ok("keep-alive: 1"))], .fieldConnectionSpecific),
        .bad("with Proxy-Connection", [headers(1, ok("proxy-connection: x"))], .fieldConnectionSpecific),
        .bad(
            "with Transfer-Encoding", [headers(1, ok("transfer-encoding: chunked"))], .fieldConnectionSpecific
        ),
        .bad("with Upgrade", [headers(1, ok("upgrade: x"))], .fieldConnectionSpecific),
        .bad("with TE", [headers(1, ok("te: trailers"))], .fieldConnectionSpecific),
        // §8.6 and §8.1.
        .bad("of 101", [headers(1, [":status: 101"], endStream: false)], .protocolSwitched),
        .bad("that is interim and ends", [headers(1, [":status: 103"])], .interimHeadEnds),
        .bad("of content without a head", [data(1, "abc")], .headMissing),
        .bad("of nothing but an end", [data(1, "", endStream: true)], .headMissing),
        // §8.1.1.
        .bad(
            "shorter than its length",
            [headers(1, ok("content-length: 3"), endStream: false), data(1, "ab", endStream: true)],
            behind: [.head(1, ["200 known(3)", "content-length: 3"])], .lengthMismatched),
        .bad(
            "longer than its length",
            [headers(1, ok("content-length: 3"), endStream: false), data(1, "abcd")],
            behind: [.head(1, ["200 known(3)", "content-length: 3"])], .lengthMismatched),
        .bad(
            "shorter than its length, with trailers",
            [headers(1, ok("content-length: 3"), endStream: false), headers(1, ["a: b"])],
            behind: [.head(1, ["200 known(3)", "content-length: 3"])], .lengthMismatched),
        .bad("that ends with a length to come", [headers(1, ok("content-length: 3"))], .lengthMismatched),
        .bad(
            "with two lengths", [headers(1, ok("content-length: 3", "content-length: 4"))], .lengthMismatched),
        .bad("with a length of letters", [headers(1, ok("content-length: x"))], .lengthMalformed),
        .bad("with a signed length", [headers(1, ok("content-length: -1"))], .lengthMalformed),
        .bad(
            "to HEAD with content", to: "HEAD", [opened, data(1, "x")], behind: [.head(1, ["200 unknown"])],
            .lengthMismatched),
        .bad(
            "of 204 with content", [headers(1, [":status: 204"], endStream: false), data(1, "x")],
            behind: [.head(1, ["204 none"])], .lengthMismatched),
        .bad(
            "of 304 with content", [headers(1, [":status: 304"], endStream: false), data(1, "x")],
            behind: [.head(1, ["304 none"])], .lengthMismatched),
        // Trailers, §8.1.
        .bad(
            "with trailers that do not end it", [opened, headers(1, ["a: b"], endStream: false)],
            behind: [.head(1, ["200 unknown"])], .trailersUnfinished),
        .bad(
            "with a status in trailers", [opened, headers(1, ok())], behind: [.head(1, ["200 unknown"])],
            .pseudoMisplaced),
        .bad(
            "with a field of the connection in trailers", [opened, headers(1, ["connection: x"])],
            behind: [.head(1, ["200 unknown"])], .fieldConnectionSpecific),
        // §8.5.
        .bad(
            "of fields in a tunnel", to: "CONNECT", [opened, headers(1, ["a: b"])],
            behind: [.head(1, ["200 unknown"])], .tunnelInterrupted),
        // §5.2 and §6.9, §6.3.
        .bad(
            "with a window that grows by nothing", [frame(.windowUpdate, stream: 1, number(0))],
            .windowUpdateZero),
        .bad(
            "with a window beyond 2^31", [frame(.windowUpdate, stream: 1, number(0x7FFF_FFFF))],
            .windowOverflow),
        .bad("with a priority of another size", [frame(.priority, stream: 1, [0])], .frameSizeWrong),
        // §5.1: half-closed (remote); the request has not ended.
        .bad(
            "with content behind its end", to: "POST", [headers(1, ok()), data(1, "x")],
            behind: [.head(1, ["200 none"]), .end(1)], .streamClosed),
        .bad(
            "with a head behind its end", to: "POST", [headers(1, ok()), headers(1, ok())],
            behind: [.head(1, ["200 none"]), .end(1)], .streamClosed),
    ]

    @Test(arguments: right)
    func `what is right is told`(_ answer: Answer) {
        let server = asked(answer.method, upgrade: answer.upgrade)
        server.feed(answer.bytes)
        #expect(server.happenings == answer.happenings)
        #expect(server.connection.failure == nil && server.sent().isEmpty)
    }

    /// RFC 9113 §8.1.1: a stream error, and the others go on.
    @Test(arguments: malformed)
    func `what is malformed ends its stream alone`(_ answer: Answer) {
        let server = asked(answer.method, upgrade: answer.upgrade)
        server.ask()
        _ = server.sent()
        server.feed(answer.bytes)
        #expect(server.happenings == answer.happenings + [.streamFailed(1, answer.violation)])
        let code = answer.violation.code.rawValue
        #expect(server.sent() == [SentFrame(.resetStream, stream: 1, number(code))])
        #expect(server.connection.streamCount == 1)
        server.feed(headers(3, ok()))
        #expect(server.happenings.suffix(2) == [.head(3, ["200 none"]), .end(3)])
    }

    @Test func `a head beyond the bounds is refused, and content may follow`() {
        var limits = ConnectionLimits()
        limits.message.headBytesMax = 200
        let server = asked(with: limits)
        server.feed(headers(1, ok("x: " + String(repeating: "y", count: 200)), endStream: false))
        server.feed(data(1, "abc", endStream: true))
        #expect(server.happenings == [.refused(1, .headTooLarge), .data(1, "abc"), .end(1)])
        server.ask()
        server.feed(headers(3, [":status: 200"] + (0..<200).map { "x\($0): y" }))
        #expect(server.happenings.suffix(2) == [.refused(3, .headTooLarge), .end(3)])
    }

    @Test func `there are so many fields and interim heads`() {
        var limits = ConnectionLimits()
        limits.message.fieldsMax = 3
        limits.message.interimAnswersMax = 2
        let server = asked(with: limits)
        server.feed(headers(1, ok("a: 1", "b: 2", "c: 3")))
        #expect(server.happenings == [.refused(1, .fieldsTooMany), .end(1)])
        server.ask()
        server.happenings.removeAll()
        for _ in 0..<3 { server.feed(headers(3, [":status: 103"], endStream: false)) }
        #expect(
            server.happenings == [
                .head(3, ["103 none"]), .head(3, ["103 none"]), .streamFailed(3, .tooManyInterimHeads),
            ])
    }

    @Test func `trailers beyond the bounds end the stream`() {
        var limits = ConnectionLimits()
        limits.message.trailerBytesMax = 100
        let server = asked(with: limits)
        server.feed(opened + headers(1, ["x: " + String(repeating: "y", count: 100)]))
        #expect(server.happenings.last == .streamFailed(1, .trailersTooLarge))
    }

    /// All kinds of frames behind each other.
    private static let conversation = [
        frame(.settings, setting(4, 100)), frame(.settings, .ack),
        headers(1, [":status: 103"], endStream: false),
        headers(1, ok("content-length: 11"), endStream: false), data(1, "hello "),
        frame(.data, [.padded, .endStream], stream: 1, padded("world", 3)),
        frame(.headers, .padded, stream: 3, [2] + block(ok())[..<5] + [0, 0]),
        frame(.continuation, .endHeaders, stream: 3, Array(block(ok())[5...])),
        frame(99, [UInt8](repeating: 5, count: 40)), frame(.windowUpdate, stream: 3, number(10)),
        data(3, ""), data(3, "x"), headers(3, ["checksum: 1"]),
        frame(.ping, [UInt8](repeating: 1, count: 8)), frame(.resetStream, stream: 5, number(8)),
        headers(7, ["x: y"]), frame(.goAway, number(7) + number(0)), headers(7, ok()), data(9, "late"),
        frame(.resetStream, stream: 9, number(7)),
    ].flatMap(\.self)

    private static func padded(_ text: String, _ count: UInt8) -> [UInt8] {
        [count] + Array(text.utf8) + [UInt8](repeating: 0, count: Int(count))
    }

    @Test(arguments: 0..<12)
    func `the same is made of input cut anywhere`(_ seed: Int) {
        func server() -> Server {
            let server = Server(greets: false)
            for _ in 0..<5 { server.ask("POST", "/", .unknown) }
            server.connection.output.clear()
            return server
        }
        let whole = server()
        whole.feed(Self.conversation)
        #expect(whole.happenings.count == 12)
        let pieces = server()
        pieces.feed(Self.conversation, randomEnds(Self.conversation.count, seed))
        #expect(pieces.happenings == whole.happenings)
        #expect(pieces.sent() == whole.sent())
        #expect(pieces.connection.failure == nil)
    }
}

@Suite struct `A server that goes away` {
    /// RFC 9113 §6.8: streams beyond the last were not processed, and may be sent again.
    @Test func `what it did not process is told`() {
        let server = Server()
        for _ in 0..<4 { server.ask() }
        server.feed(frame(.goAway, number(3) + number(0)))
        #expect(
            server.happenings == [.goAway(.noError), .reset(5, .refusedStream), .reset(7, .refusedStream)])
        #expect(server.connection.streamCount == 2 && server.connection.isExhausted)
        #expect(server.ask() == nil)
        server.feed(headers(1, ok()) + headers(3, ok()) + headers(5, ok()))
        #expect(
            server.happenings.suffix(4) == [.head(1, ["200 none"]), .end(1), .head(3, ["200 none"]), .end(3)])
        #expect(server.connection.streamCount == 0 && server.connection.failure == nil)
    }

    @Test func `it may do so in two steps`() {
        let server = Server()
        for _ in 0..<2 { server.ask() }
        server.feed(frame(.goAway, number(0x7FFF_FFFF) + number(0)))
        #expect(server.happenings == [.goAway(.noError)])
        #expect(server.connection.streamCount == 2 && server.ask() == nil)
        server.feed(frame(.goAway, number(1) + number(0)))
        #expect(server.happenings.suffix(2) == [.goAway(.noError), .reset(3, .refusedStream)])
    }

    @Test func `it does not take more again`() {
        let server = Server()
        server.feed(frame(.goAway, number(1) + number(0)) + frame(.goAway, number(3) + number(0)))
        #expect(server.happenings == [.goAway(.noError), .failed(.goAwayIncreased)])
    }

    @Test func `what is told is told once, whatever its receiver does meanwhile`() throws {
        let server = Server()
        let streams = (0..<4).compactMap { _ in server.ask("POST", "/", .unknown) }
        let bytes = frame(.goAway, number(0) + number(11))
        #expect(
            server.connection.receive(bytes.span, into: ResponseHead(), at: 0).event
                == .goAway(.enhanceYourCalm))
        server.connection.reset(streams[1], .cancel)
        var told: [Event?] = []
        for _ in 0..<4 { told.append(server.connection.receive(Span(), into: ResponseHead(), at: 0).event) }
        #expect(told == [0, 2, 3].map { .reset(streams[$0], .refusedStream) } + [nil])
    }
}

@Suite struct `Windows of answers` {
    @Test func `nothing is given back before it is consumed`() throws {
        var limits = ConnectionLimits()
        limits.streamWindow = 100_000
        limits.streamsMax = 2
        let server = asked(with: limits)
        server.consumes = false
        let stream = try #require(server.handles[1])
        server.feed(opened)
        for _ in 0..<6 { server.feed(data(1, String(repeating: "x", count: 16_000))) }
        #expect(server.sent().isEmpty && server.connection.unconsumed(stream) == 96_000)
        server.connection.consume(stream, 50_000)
        #expect(server.sent() == [SentFrame(.windowUpdate, stream: 1, number(50_000))])
        server.feed(
            data(1, String(repeating: "x", count: 16_000)) + data(1, String(repeating: "x", count: 16_000)))
        #expect(server.connection.failure == nil)
        // RFC 9113 §6.9.1: beyond its window.
        for _ in 0..<2 { server.feed(data(1, String(repeating: "x", count: 16_000))) }
        #expect(server.happenings.last == .streamFailed(1, .windowExceeded))
    }

    /// A stream that stalls holds its own window alone: the others get all that they need for ever.
    @Test(arguments: [1, 7])
    func `streams that stall take nothing from another`(_ stalled: Int) {
        var limits = ConnectionLimits()
        limits.streamsMax = stalled + 1
        limits.streamWindow = 70_000
        limits.connectionWindow = 65_535
        let server = Server(limits)
        server.consumes = false
        let content = String(repeating: "x", count: 10_000)
        for index in 0...stalled {
            server.ask()
            server.feed(headers(UInt32(index * 2 + 1), ok(), endStream: false))
        }
        for index in 0..<stalled {
            for _ in 0..<7 { server.feed(data(UInt32(index * 2 + 1), content)) }
        }
        _ = server.sent()
        let last = UInt32(stalled * 2 + 1)
        var (mine, all) = (70_000, 0)
        server.consumes = true
        var credits = 0
        for _ in 0..<500 {
            #expect(mine >= 10_000)
            server.feed(data(last, content))
            mine -= 10_000
            all -= 10_000
            for frame in server.sent() {
                let count = Int(frame.payload.reduce(0 as UInt32) { $0 << 8 | UInt32($1) })
                if frame.stream == last { mine += count } else { all += count }
                credits += 1
            }
        }
        // Of the connection's window never more is missing than the stream's own.
        #expect(all >= -70_000)
        #expect(credits < 400 && server.connection.failure == nil)
    }

    @Test func `what of a stream that is given up was not consumed is given back to the others`() throws {
        var limits = ConnectionLimits()
        limits.streamsMax = 1
        limits.streamWindow = 65_535
        limits.connectionWindow = 65_535
        let server = Server(limits)
        server.consumes = false
        for round in 0..<8 {
            let id = UInt32(round * 2 + 1)
            server.ask()
            server.feed(headers(id, ok(), endStream: false))
            for _ in 0..<4 { server.feed(data(id, String(repeating: "x", count: 16_000))) }
            server.connection.reset(try #require(server.handles[id]), .cancel)
            #expect(server.sent().contains { $0.type == 8 && $0.stream == 0 })
        }
        #expect(server.connection.failure == nil)
    }
}
