import ChimeraBytes
import ChimeraTestSupport
import ChimeraWebSocket
import Testing

/// RFC 6455 §5.7.
@Suite struct `Examples of RFC 6455` {
    @Test(arguments: [
        (Role.server, [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F] as [UInt8], [Fact.text("Hello")]),
        (
            .client, [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58],
            [.text("Hello")]
        ),
        (.server, [0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F], [.text("Hello")]),
        (.server, [0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], [.ping(Array("Hello".utf8))]),
        (
            .client, [0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58],
            [.pong(Array("Hello".utf8))]
        ),
        (
            .server, [0x82, 0x7E, 0x01, 0x00] + Array(repeating: 7, count: 256),
            [.binary(Array(repeating: 7, count: 256))]
        ),
        (
            .server,
            [0x82, 0x7F, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00] + Array(repeating: 7, count: 65536),
            [.binary(Array(repeating: 7, count: 65536))]
        ),
    ])
    func `each is read`(_ role: Role, _ bytes: [UInt8], _ facts: [Fact]) {
        #expect(messages(role, bytes) == facts)
    }
}

/// What the Autobahn suite asks of framing (sections 1 to 5 and 9), of either role.
@Suite struct `Frames of messages` {
    private static let sizes = [0, 1, 125, 126, 127, 128, 65535, 65536, 200_000]

    @Test(arguments: sizes, Role.allCases)
    func `a message of any length is read`(_ size: Int, _ role: Role) {
        let octets = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        #expect(messages(role, frame(role, 2, octets)) == [.binary(octets)])
        let text = String(repeating: "*", count: size)
        #expect(messages(role, frame(role, 1, text)) == [.text(text)])
    }

    @Test(arguments: Role.allCases)
    func `fragments of any size are one message`(_ role: Role) {
        let octets = (0..<65_536).map { UInt8(truncatingIfNeeded: $0 &* 13) }
        for size in [64, 256, 1024, 4096, 16_384, 65_536] {
            var bytes: [UInt8] = []
            for start in stride(from: 0, to: octets.count, by: size) {
                bytes += frame(
                    role, start == 0 ? 2 : 0, Array(octets[start..<(start + size)]),
                    final: start + size == octets.count)
            }
            #expect(messages(role, bytes) == [.binary(octets)])
        }
    }

    @Test(arguments: [
        [], Array("Hello, world!".utf8), [0, 255, 254, 253, 252, 251, 0, 255],
        Array(repeating: 0xFE, count: 125),
    ])
    func `a ping and a pong are read with what they hold`(_ payload: [UInt8]) {
        for role in Role.allCases {
            #expect(messages(role, frame(role, 9, payload)) == [.ping(payload)])
            #expect(messages(role, frame(role, 10, payload)) == [.pong(payload)])
            let ten = (0..<10).flatMap { _ in frame(role, 9, payload) }
            #expect(messages(role, ten) == Array(repeating: .ping(payload), count: 10))
        }
    }

    @Test(arguments: Role.allCases)
    func `a control frame of 126 octets is refused`(_ role: Role) {
        for opcode: UInt8 in [8, 9, 10] {
            let bytes = frame(role, opcode, Array(repeating: 0x20, count: 126))
            #expect(messages(role, bytes) == [.failed(.controlTooLong)])
        }
    }

    @Test(arguments: 1...7 as ClosedRange<UInt8>, Role.allCases)
    func `reserved bits that nothing was agreed about are refused`(_ bits: UInt8, _ role: Role) {
        let hello = frame(role, 1, "Hello, world!")
        for opcode: UInt8 in [1, 2, 8, 9, 10] {
            let bytes = hello + frame(role, opcode, "*", reserved: bits) + frame(role, 9, "")
            #expect(messages(role, bytes) == [.text("Hello, world!"), .failed(.reservedBits)])
        }
    }

    @Test(arguments: [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] as [UInt8], Role.allCases)
    func `reserved opcodes are refused`(_ opcode: UInt8, _ role: Role) {
        let bytes = frame(role, 1, "Hello") + frame(role, opcode, "") + frame(role, 9, "")
        #expect(messages(role, bytes) == [.text("Hello"), .failed(.opcodeReserved)])
    }

    @Test(arguments: Role.allCases)
    func `a frame that is masked for the wrong role is refused`(_ role: Role) {
        let other: Role = role == .client ? .server : .client
        #expect(
            messages(role, frame(other, 1, "Hello"))
                == [.failed(role == .client ? .maskMissing : .maskUnexpected)])
    }

    struct Sequence: Sendable, CustomTestStringConvertible {
        /// Opcode, payload, whether it is final.
        var frames: [(UInt8, String, Bool)]
        var facts: [Fact]
        var testDescription: String

        init(_ description: String, _ frames: [(UInt8, String, Bool)], _ facts: [Fact]) {
            (testDescription, self.frames, self.facts) = (description, frames, facts)
        }
    }

    private static let ping = Fact.ping(Array("p".utf8))

    @Test(
        arguments: [
            Sequence("5.1 a ping in two", [(9, "a", false), (0, "b", true)], [.failed(.controlFragmented)]),
            Sequence("5.2 a pong in two", [(10, "a", false), (0, "b", true)], [.failed(.controlFragmented)]),
            Sequence("5.3 text in two", [(1, "a", false), (0, "b", true)], [.text("ab")]),
            Sequence(
                "5.6 a ping between", [(1, "a", false), (9, "p", true), (0, "b", true)], [ping, .text("ab")]),
            Sequence(
                "5.9 unsolicited, final", [(0, "x", true), (1, "a", true)], [.failed(.continuationUnexpected)]
            ),
            Sequence(
                "5.12 unsolicited", [(0, "x", false), (1, "a", true)], [.failed(.continuationUnexpected)]),
            Sequence(
                "5.15 more than the message",
                [(1, "a", false), (0, "b", true), (0, "x", false), (1, "c", true)],
                [.text("ab"), .failed(.continuationUnexpected)]),
            Sequence(
                "5.18 both are text", [(1, "a", false), (1, "b", true)], [.failed(.messageInterrupted)]),
            Sequence("binary in text", [(1, "a", false), (2, "b", true)], [.failed(.messageInterrupted)]),
            Sequence(
                "5.19 five, with pings",
                [
                    (1, "1", false), (0, "2", false), (9, "p", true), (0, "3", false), (0, "4", false),
                    (9, "p", true), (0, "5", true),
                ], [ping, ping, .text("12345")]),
            Sequence(
                "6.1.2 three of nothing", [(1, "", false), (0, "", false), (0, "", true)], [.text("")]),
            Sequence(
                "6.1.3 nothing around", [(1, "", false), (0, "middle", false), (0, "", true)],
                [.text("middle")]),
            Sequence(
                "the next begins as any", [(1, "a", false), (0, "b", true), (2, "c", false), (0, "", true)],
                [.text("ab"), .binary(Array("c".utf8))]),
            Sequence(
                "7.1.5 a close between", [(1, "a", false), (8, "", true), (0, "b", true)], [.close(nil, [])]),
        ], Role.allCases)
    func `fragments are put together as they may be, and refused where not`(
        _ sequence: Sequence, _ role: Role
    ) {
        let bytes = sequence.frames.flatMap { frame(role, $0.0, $0.1, final: $0.2) }
        #expect(messages(role, bytes) == sequence.facts)
    }

    @Test(arguments: Role.allCases)
    func `a long message is handed out as it comes`(_ role: Role) {
        let octets = Array(repeating: 0x41 as UInt8, count: 1000)
        let bytes = frame(role, 1, octets)
        var reader = Reader(role)
        reader.read(bytes[..<400])
        #expect(reader.parts == 1 && reader.facts == [])
        #expect(reader.open.count == 400 - (role == .client ? 8 : 4))
        let isIdle = reader.decoder.isIdle
        #expect(!isIdle)
        reader.read(bytes[400...])
        #expect(reader.parts == 2 && reader.facts == [.text(String(repeating: "A", count: 1000))])
        let isIdleAgain = reader.decoder.isIdle
        #expect(isIdleAgain)
    }

    @Test func `what is to come may be read into the input while a part stands there`() {
        let input = ByteBuffer(capacity: 1)
        let inflated = ByteBuffer(capacity: 1)
        var decoder = MessageDecoder(.client, limits: MessageLimits())
        let bytes = frame(.client, 2, Array(0...99))
        input.append(Array(bytes[..<50]).span)
        guard case .data(let part) = decoder.next(input, inflated: inflated) else {
            Issue.record("no data")
            return
        }
        input.append(Array(bytes[50...]).span)
        #expect([UInt8](copying: input.readable.extracting(first: part.count)) == Array(0..<44))
        input.consume(part.count)
        guard case .data(let rest) = decoder.next(input, inflated: inflated) else {
            Issue.record("no data")
            return
        }
        #expect(rest.isLast && !rest.isFirst)
        #expect([UInt8](copying: input.readable) == Array(44...99))
    }

    @Test(arguments: 0..<30, Role.allCases)
    func `random streams mean the same in any pieces`(_ seed: UInt64, _ role: Role) {
        var random = SeededGenerator(seed: seed)
        var (bytes, expected): ([UInt8], [Fact]) = ([], [])
        for _ in 0..<Int.random(in: 1...12, using: &random) {
            let octets = random.bytes(upTo: Int.random(in: 0...300, using: &random), from: "abcé€")
            var rest = octets[...]
            var isFirst = true
            repeat {
                let part = Array(rest.prefix(Int.random(in: 0...200, using: &random)))
                rest = rest.dropFirst(part.count)
                bytes += frame(role, isFirst ? 2 : 0, part, final: rest.isEmpty)
                isFirst = false
                if Bool.random(using: &random) && !rest.isEmpty {
                    bytes += frame(role, 10, part.prefix(125).map { $0 })
                    expected.append(.pong(Array(part.prefix(125))))
                }
            } while !rest.isEmpty
            expected.append(.binary(octets))
        }
        #expect(messages(role, bytes) == expected, "seed \(seed)")
    }

    @Test func `masking is the same from any place and of any length`() {
        for key: UInt32 in [0, 1, 0x37FA_213D, 0xFFFF_FFFF, 0x8000_0000] {
            for count in Array(0...40) + [1000, 1001, 1002, 1003] {
                let octets = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
                var encoder = MessageEncoder(.client)
                let bytes = written { encoder.append(.binary, octets.span, maskingKey: key, to: $0) }
                let shifts = (0..<count).map { UInt32(24 - 8 * ($0 & 3)) }
                let masked = zip(octets, shifts).map { $0 ^ UInt8(truncatingIfNeeded: key >> $1) }
                #expect(Array(bytes.suffix(count)) == masked)
                #expect(messages(.client, bytes) == [.binary(octets)])
            }
        }
    }
}

/// RFC 6455 §10.4.
@Suite struct `Bounds of messages` {
    private let limits = MessageLimits(frameBytesMax: 200, messageBytesMax: 300)

    @Test(arguments: [
        ([200], [Fact.binary(Array(repeating: 0x88, count: 200))]), ([201], [.failed(.frameTooLong)]),
        ([200, 100], [.binary(Array(repeating: 0x88, count: 300))]),
        ([200, 101], [.failed(.messageTooLong)]), ([100, 100, 100, 1], [.failed(.messageTooLong)]),
        ([100, 100, 100, 0], [.binary(Array(repeating: 0x88, count: 300))]),
    ])
    func `each is held to the octet`(_ sizes: [Int], _ facts: [Fact]) {
        for role in Role.allCases {
            let bytes = sizes.indices.flatMap { index in
                frame(
                    role, index == 0 ? 2 : 0, Array(repeating: 0x88, count: sizes[index]),
                    final: index == sizes.count - 1)
            }
            #expect(messages(role, bytes, limits: limits) == facts)
        }
    }

    @Test func `the header alone is enough to refuse what is too long`() {
        for (length, failure) in [(201, ConnectionFailure.frameTooLong), (Int.max, .frameTooLong)] {
            var reader = Reader(.server, limits: limits)
            reader.read(header(2, length))
            #expect(reader.facts == [.failed(failure)])
            #expect(failure.status == .messageTooBig)
        }
        var reader = Reader(.server, limits: MessageLimits(frameBytesMax: .max, messageBytesMax: 10))
        reader.read(header(2, 11))
        #expect(reader.facts == [.failed(.messageTooLong)])
    }

    @Test func `where no length is allowed only empty messages are`() {
        let none = MessageLimits(frameBytesMax: 0, messageBytesMax: 0)
        #expect(messages(.server, frame(.server, 1, ""), limits: none) == [.text("")])
        #expect(messages(.server, frame(.server, 1, "a"), limits: none) == [.failed(.frameTooLong)])
    }

    @Test func `without bounds a message goes on for ever`() {
        var reader = Reader(.server, limits: MessageLimits(frameBytesMax: .max, messageBytesMax: .max))
        reader.read(header(2, Int.max))
        for _ in 0..<10 { reader.read(Array(repeating: 1, count: 10_000)) }
        #expect(reader.facts == [] && reader.open.count == 100_000)
    }

    @Test func `bounds leave control frames alone`() {
        let bytes = frame(.server, 9, Array(repeating: 1, count: 125))
        let none = MessageLimits(frameBytesMax: 0, messageBytesMax: 0)
        #expect(messages(.server, bytes, limits: none) == [.ping(Array(repeating: 1, count: 125))])
    }
}
