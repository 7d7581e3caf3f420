import ChimeraBytes
import ChimeraHTTP2
import ChimeraHTTPCore
import Testing

/// Octets from a client, and why the connection fails.
struct Fault: Sendable, CustomTestStringConvertible {
    var name: String
    var bytes: [UInt8]
    var violation: Violation

    init(_ name: String, _ bytes: [UInt8], _ violation: Violation) {
        self.name = name
        self.bytes = bytes
        self.violation = violation
    }

    var testDescription: String { name }
}

private let open1 = request(1, endStream: false)
private let done1 = request(1)
private let pinged = frame(.ping, [UInt8](repeating: 7, count: 8))

/// The last frame says why the connection failed.
private func expectGoAway(
    _ client: Client, _ violation: Violation, sourceLocation: SourceLocation = #_sourceLocation
) {
    let last = client.sent().last
    #expect(last?.type == FrameType.goAway.rawValue, sourceLocation: sourceLocation)
    let code = last.map { Array($0.payload.dropFirst(4).prefix(4)) }
    #expect(code == number(violation.code.rawValue), sourceLocation: sourceLocation)
    #expect(
        last.map { String(decoding: $0.payload.dropFirst(8), as: UTF8.self) } == violation.token,
        sourceLocation: sourceLocation)
}

@Suite struct `The beginning of a connection` {
    /// RFC 9113 §3.4: settings are the first frame of the server; RFC 8441 §3, RFC 9218 §2.1.
    @Test func `our settings are there before anything came`() {
        let client = Client(greets: false)
        let sent = client.sent()
        #expect(sent.map(\.type) == [4, 8])
        #expect(sent.first?.flags == 0)
        let expected =
            setting(3, 128) + setting(4, 131_072) + setting(6, 32_768) + setting(9, 1) + setting(8, 1)
        #expect(sent.first?.payload == expected)
        #expect(sent.last?.payload == number(9_437_184 - 65_535))
    }

    @Test func `settings are acknowledged`() {
        let client = Client(greets: false)
        client.connection.output.clear()
        client.feed(Client.preface + frame(.settings, setting(99, 5)))
        #expect(client.sent() == [SentFrame(.settings, flags: .ack)])
        #expect(!client.connection.settingsAcknowledged)
        client.feed(frame(.settings, .ack))
        #expect(client.connection.settingsAcknowledged)
        #expect(client.happenings.isEmpty)
    }

    @Test(arguments: 0..<24)
    func `a preface with one wrong octet is refused`(_ place: Int) {
        let client = Client(greets: false)
        var preface = Client.preface
        preface[place] ^= 0x20
        client.feed(preface)
        #expect(client.happenings == [.failed(.prefaceWrong)])
        expectGoAway(client, .prefaceWrong)
    }

    /// RFC 9113 §3.4: a SETTINGS frame MUST be the first frame.
    @Test(
        arguments: [
            frame(.settings, .ack), frame(.ping, [UInt8](repeating: 0, count: 8)), request(1), frame(99),
            data(1, "x"),
        ])
    func `the first frame is the client's settings`(_ bytes: [UInt8]) {
        let client = Client(greets: false)
        client.feed(Client.preface + bytes)
        #expect(client.happenings == [.failed(.firstFrameNotSettings)])
    }
}

@Suite struct `Frames that break a rule` {
    static let faults: [Fault] = [
        // RFC 9113 §4.2.
        Fault(
            "a frame beyond the largest", frame(.data, stream: 1, [UInt8](repeating: 0, count: 16_385)),
            .frameTooLarge),
        Fault(
            "an unknown frame beyond the largest", frame(77, [UInt8](repeating: 0, count: 16_385)),
            .frameTooLarge),
        // §6.1 DATA.
        Fault("DATA on stream 0", data(0, "x"), .streamZero),
        Fault("DATA on an idle stream", data(1, "x"), .streamIdle),
        Fault("DATA on a stream of ours", data(2, "x"), .streamIdle),
        Fault(
            "DATA with more padding than payload", open1 + frame(.data, .padded, stream: 1, [3, 0, 0]),
            .paddingTooLong),
        Fault(
            "DATA with all padding but one octet", open1 + frame(.data, .padded, stream: 1, [1]),
            .paddingTooLong),
        Fault("padded DATA without a pad length", open1 + frame(.data, .padded, stream: 1), .frameSizeWrong),
        // §6.2 HEADERS.
        Fault("HEADERS on stream 0", headers(0, plainHead), .streamZero),
        Fault("HEADERS on an even stream", headers(2, plainHead), .streamIdentifierUnexpected),
        Fault("HEADERS on a lower stream", request(5) + request(3), .streamIdentifierUnexpected),
        Fault(
            "HEADERS with more padding than payload",
            frame(.headers, [.padded, .endHeaders], stream: 1, [9, 0x82]), .paddingTooLong),
        Fault(
            "padded HEADERS without a pad length", frame(.headers, [.padded, .endHeaders], stream: 1),
            .frameSizeWrong),
        Fault(
            "HEADERS too short for its priority",
            frame(.headers, [.priority, .endHeaders], stream: 1, [0, 0, 0, 0]), .frameSizeWrong),
        // §6.3 PRIORITY.
        Fault("PRIORITY on stream 0", frame(.priority, [0, 0, 0, 1, 9]), .streamZero),
        Fault("PRIORITY of another size", frame(.priority, stream: 1, [0, 0, 0, 1]), .frameSizeWrong),
        // §6.4 RST_STREAM.
        Fault("RST_STREAM on stream 0", frame(.resetStream, number(8)), .streamZero),
        Fault("RST_STREAM on an idle stream", frame(.resetStream, stream: 1, number(8)), .streamIdle),
        Fault(
            "RST_STREAM of another size", open1 + frame(.resetStream, stream: 1, [0, 0, 8]), .frameSizeWrong),
        // §6.5 SETTINGS.
        Fault("SETTINGS on a stream", frame(.settings, stream: 1), .streamNotZero),
        Fault("SETTINGS of no multiple of six", frame(.settings, [0, 4, 0, 0, 1]), .frameSizeWrong),
        Fault(
            "an acknowledgement with payload", frame(.settings, .ack, setting(4, 1)), .settingsAckWithPayload),
        Fault("ENABLE_PUSH of 2", frame(.settings, setting(2, 2)), .settingInvalid),
        Fault("an initial window of 2^31", frame(.settings, setting(4, 1 << 31)), .initialWindowTooLarge),
        Fault("a largest frame below 16,384", frame(.settings, setting(5, 16_383)), .settingInvalid),
        Fault("a largest frame of 2^24", frame(.settings, setting(5, 1 << 24)), .settingInvalid),
        Fault("ENABLE_CONNECT_PROTOCOL of 2", frame(.settings, setting(8, 2)), .settingInvalid),
        Fault("NO_RFC7540_PRIORITIES of 2", frame(.settings, setting(9, 2)), .settingInvalid),
        Fault(
            "33 settings in a frame", frame(.settings, (0..<33).flatMap { _ in setting(99, 1) }),
            .tooManySettings),
        // §6.6 PUSH_PROMISE, §8.4.
        Fault(
            "PUSH_PROMISE", open1 + frame(.pushPromise, .endHeaders, stream: 1, number(2) + block(plainHead)),
            .pushRefused),
        // §6.7 PING.
        Fault("PING on a stream", frame(.ping, stream: 1, [UInt8](repeating: 0, count: 8)), .streamNotZero),
        Fault("PING of seven octets", frame(.ping, [UInt8](repeating: 0, count: 7)), .frameSizeWrong),
        Fault("PING of nine octets", frame(.ping, [UInt8](repeating: 0, count: 9)), .frameSizeWrong),
        // §6.8 GOAWAY.
        Fault("GOAWAY on a stream", frame(.goAway, stream: 1, number(0) + number(0)), .streamNotZero),
        Fault("GOAWAY of seven octets", frame(.goAway, [UInt8](repeating: 0, count: 7)), .frameSizeWrong),
        // §6.9 WINDOW_UPDATE.
        Fault("WINDOW_UPDATE of three octets", frame(.windowUpdate, [0, 0, 1]), .frameSizeWrong),
        Fault("WINDOW_UPDATE by 0 of the connection", frame(.windowUpdate, number(0)), .windowUpdateZero),
        Fault(
            "WINDOW_UPDATE beyond 2^31 of the connection", frame(.windowUpdate, number(0x7FFF_FFFF)),
            .windowOverflow),
        Fault("WINDOW_UPDATE on an idle stream", frame(.windowUpdate, stream: 1, number(1)), .streamIdle),
        // §6.10 CONTINUATION, §4.3.
        Fault(
            "CONTINUATION without HEADERS", frame(.continuation, .endHeaders, stream: 1, [0x82]),
            .continuationUnexpected),
        Fault("CONTINUATION on stream 0", frame(.continuation, .endHeaders, [0x82]), .streamZero),
        Fault(
            "CONTINUATION behind a whole block", open1 + frame(.continuation, .endHeaders, stream: 1, [0x82]),
            .continuationUnexpected),
        Fault("PING within a block", frame(.headers, stream: 1, [0x82]) + pinged, .continuationMissing),
        Fault(
            "an unknown frame within a block", frame(.headers, stream: 1, [0x82]) + frame(99),
            .continuationMissing),
        Fault(
            "HEADERS within a block", frame(.headers, stream: 1, [0x82]) + headers(1, plainHead),
            .continuationMissing),
        Fault(
            "CONTINUATION of another stream",
            frame(.headers, stream: 1, [0x82]) + frame(.continuation, .endHeaders, stream: 3),
            .continuationMissing),
        // RFC 7541 in a block.
        Fault(
            "a block with an unknown index", frame(.headers, .endHeaders, stream: 1, [0xFF, 0]), .indexUnknown
        ),
        Fault("a block that is cut", frame(.headers, .endHeaders, stream: 1, [0x40]), .blockCut),
        Fault(
            "a block with a broken code", frame(.headers, .endHeaders, stream: 1, hex("0084ffffffff00")),
            .codeBroken),
        Fault(
            "a block with an endless integer", frame(.headers, .endHeaders, stream: 1, hex("ffffffffff7f")),
            .integerTooLarge),
        Fault(
            "a block that makes the table larger than allowed",
            frame(.headers, .endHeaders, stream: 1, hex("3fe21f")), .resizeRefused),
        // RFC 9218 §7.1.
        Fault("PRIORITY_UPDATE on a stream", frame(.priorityUpdate, stream: 1, number(1)), .streamNotZero),
        Fault("PRIORITY_UPDATE of three octets", frame(.priorityUpdate, [0, 0, 1]), .frameSizeWrong),
        Fault("PRIORITY_UPDATE for stream 0", frame(.priorityUpdate, number(0)), .streamIdentifierUnexpected),
        Fault(
            "PRIORITY_UPDATE for a stream of ours", frame(.priorityUpdate, number(2)),
            .streamIdentifierUnexpected),
    ]

    @Test(arguments: faults)
    func `the connection fails, with the code of the rule`(_ fault: Fault) {
        let client = Client()
        client.feed(fault.bytes)
        #expect(client.happenings.last == .failed(fault.violation))
        #expect(client.connection.failure == fault.violation)
        expectGoAway(client, fault.violation)
    }

    @Test(arguments: faults)
    func `what follows is not looked at`(_ fault: Fault) {
        let client = Client()
        client.feed(fault.bytes)
        let before = client.happenings
        client.feed(request(101) + pinged)
        #expect(client.happenings == before)
    }

    /// RFC 9113 §7: each violation of a rule has the code that its section demands.
    @Test func `each violation has its own token`() {
        #expect(Set(Violation.allCases.map(\.token)).count == Violation.allCases.count)
        #expect(Violation.continuationMissing.token == "continuation-missing")
        #expect(Violation.allCases.allSatisfy { $0.code != .noError })
    }
}

@Suite struct `Frames that are right` {
    @Test func `a PING is answered with its payload`() {
        let client = Client()
        client.feed(frame(.ping, Array("abcdefgh".utf8)))
        #expect(client.sent() == [SentFrame(.ping, flags: .ack, Array("abcdefgh".utf8))])
        client.feed(frame(.ping, .ack, Array("abcdefgh".utf8)))
        #expect(client.sent().isEmpty)
        #expect(client.happenings.isEmpty)
    }

    /// RFC 9113 §4.1: unknown types are ignored; §6.3: PRIORITY is; flags that are not defined are.
    @Test func `what is not known is ignored`() {
        let client = Client()
        client.feed(frame(99, FrameFlags(rawValue: 255), stream: 5, Array("abc".utf8)))
        client.feed(frame(.priority, stream: 9, [0x80, 0, 0, 9, 200]))
        client.feed(frame(.ping, FrameFlags(rawValue: 0xFE), [UInt8](repeating: 1, count: 8)))
        client.feed(frame(.settings, setting(0x4A4A, 7)))
        #expect(client.happenings.isEmpty)
        #expect(client.sent().map(\.type) == [6, 4])
    }

    /// RFC 9113 §4.1: the reserved bit is ignored.
    @Test func `the reserved bit of the stream is ignored`() {
        let client = Client()
        var bytes = request(1)
        bytes[5] |= 0x80
        client.feed(bytes)
        #expect(client.happenings.last == .end(1))
    }

    /// RFC 9113 §6.2: padding and priority are skipped; §6.10: blocks in pieces.
    @Test func `a block in pieces, with padding and priority, is one head`() throws {
        let client = Client()
        let whole = block(plainHead)
        let first: [UInt8] = [4, 0, 0, 0, 0, 9] + whole[..<7] + [0, 0, 0, 0]
        client.feed(
            frame(.headers, [.padded, .priority, .endStream], stream: 1, first)
                + frame(.continuation, stream: 1, Array(whole[7..<20])) + frame(.continuation, stream: 1)
                + frame(.continuation, .endHeaders, stream: 1, Array(whole[20...])))
        #expect(client.happenings == [.head(1, ["GET / origin none", "host: a.example"]), .end(1)])
    }

    @Test func `the client's GOAWAY is told`() {
        let client = Client()
        client.feed(frame(.goAway, number(0) + number(11) + Array("bye".utf8)))
        #expect(client.happenings == [.goAway(.enhanceYourCalm)])
        client.feed(frame(.goAway, number(0) + number(4711)))
        #expect(client.happenings.last == .goAway(.internalError))
    }

    @Test func `padding is not content, and counts against the windows`() {
        let client = Client()
        client.open(1, endStream: false)
        client.feed(frame(.data, .padded, stream: 1, [4] + Array("abc".utf8) + [0, 0, 0, 0]))
        client.feed(frame(.data, [.padded, .endStream], stream: 1, [0]))
        #expect(client.happenings == [.data(1, "abc"), .end(1)])
    }
}

@Suite struct `Input in pieces` {
    /// All kinds of frames behind each other.
    private static let conversation: [UInt8] =
        Client.preface + frame(.settings, setting(4, 100)) + frame(.settings, .ack)
        + request(1, endStream: false, ["content-length: 11"]) + data(1, "hello ")
        + frame(.data, [.padded, .endStream], stream: 1, [3] + Array("world".utf8) + [0, 0, 0])
        + frame(
            .headers, [.padded, .priority], stream: 3, [2, 0, 0, 0, 0, 9] + block(plainHead)[..<9] + [0, 0])
        + frame(.continuation, .endHeaders, stream: 3, Array(block(plainHead)[9...]))
        + frame(99, [UInt8](repeating: 5, count: 40)) + frame(.windowUpdate, stream: 3, number(10))
        + data(3, "") + data(3, "x") + headers(3, ["checksum: 1"])
        + frame(.ping, [UInt8](repeating: 1, count: 8)) + request(5, endStream: false)
        + frame(.resetStream, stream: 5, number(8)) + data(5, "late")

    @Test(arguments: 0..<12)
    func `the same is made of input cut anywhere`(_ seed: Int) {
        let whole = Client(greets: false)
        whole.feed(Self.conversation)
        #expect(whole.happenings.count == 9)
        let pieces = Client(greets: false)
        pieces.feed(Self.conversation, randomEnds(Self.conversation.count, seed))
        #expect(pieces.happenings == whole.happenings)
        #expect(pieces.sent() == whole.sent())
    }

    @Test func `octets that are not taken are at most a frame`() {
        let client = Client()
        let frame = frame(.headers, .endHeaders, stream: 1, [UInt8](repeating: 0x82, count: 16_384))
        let received = client.connection.receive(
            frame.span.extracting(0..<16_392), into: RequestHead(), at: 0)
        #expect(received == Received(consumed: 0, event: nil))
    }
}
