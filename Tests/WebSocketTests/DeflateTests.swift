import ChimeraBytes
import ChimeraTestSupport
import ChimeraWebSocket
import Testing

private let kept = DeflateDirection()
private let forgotten = DeflateDirection(keepsContext: false)
private let always = MessageEncoder.Compression(octetsMin: 0, level: 6)

/// RFC 7692 §7.2.3.
@Suite struct `Examples of RFC 7692` {
    private static let hello: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]

    @Test(
        arguments: [
            ("7.2.3.1 one block", [[0xC1, 0x07] + hello], 1),
            (
                "7.2.3.1 in two frames",
                [[0x41, 0x03, 0xF2, 0x48, 0xCD], [0x80, 0x04, 0xC9, 0xC9, 0x07, 0x00]], 1
            ),
            (
                "7.2.3.2 a shared window",
                [[0xC1, 0x07] + hello, [0xC1, 0x05, 0xF2, 0x00, 0x11, 0x00, 0x00]], 2
            ),
            (
                "7.2.3.3 a block without compression",
                [[0xC1, 0x0B, 0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00]], 1
            ),
            ("7.2.3.4 a last block", [[0xC1, 0x08, 0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]], 1),
            (
                "7.2.3.4 a last block, and what refers to it",
                [
                    [0xC1, 0x08, 0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00],
                    [0xC1, 0x05, 0xF2, 0x00, 0x11, 0x00, 0x00],
                ], 2
            ),
            (
                "a last block, and nothing behind it",
                [[0xC1, 0x07, 0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]], 1
            ),
            (
                "7.2.3.5 two blocks",
                [
                    [
                        0xC1, 0x0D, 0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07,
                        0x00,
                    ]
                ], 1
            ),
            (
                "7.2.3.6 an empty end",
                [[0x41, 0x0B] + hello + [0x00, 0x00, 0xFF, 0xFF], [0x80, 0x01, 0x00]], 1
            ),
        ] as [(String, [[UInt8]], Int)])
    func `each is read`(_ example: String, _ frames: [[UInt8]], _ count: Int) {
        let expected = Array(repeating: Fact.text("Hello"), count: count)
        #expect(messages(.server, frames.flatMap { $0 }, deflate: kept) == expected, "\(example)")
    }

    @Test func `an empty message is one octet`() {
        #expect(messages(.server, [0xC1, 0x01, 0x00], deflate: kept) == [.text("")])
        #expect(messages(.server, [0xC2, 0x01, 0x00], deflate: forgotten) == [.binary([])])
    }

    @Test func `each is written`() {
        var encoder = MessageEncoder(.server, deflate: kept, compression: always)
        let first = written { encoder.append(.text, Array("Hello".utf8).span, to: $0) }
        let second = written { encoder.append(.text, Array("Hello".utf8).span, to: $0) }
        #expect(first == [0xC1, 0x07] + Self.hello)
        #expect(second == [0xC1, 0x05, 0xF2, 0x00, 0x11, 0x00, 0x00])
    }

    @Test func `an empty end is one octet`() {
        var encoder = MessageEncoder(.server, deflate: kept, compression: always)
        encoder.begin(.text)
        let first = written { encoder.appendPart(Array("Hello".utf8).span, isLast: false, to: $0) }
        let second = written { encoder.appendPart([UInt8]().span, isLast: true, to: $0) }
        #expect(first == [0x41, 0x0B] + Self.hello + [0x00, 0x00, 0xFF, 0xFF])
        #expect(second == [0x80, 0x01, 0x00])
    }
}

/// What a receiver of compressed messages refuses (RFC 7692 §6, §7.2.2).
@Suite struct `Compressed messages` {
    private let hello = "Hello"
    private let deflated: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]

    @Test(arguments: Role.allCases)
    func `the bit stands at a message's first frame alone`(_ role: Role) {
        let good = frame(role, 1, Array(deflated[..<3]), final: false, reserved: 4)
        #expect(
            messages(role, good + frame(role, 0, Array(deflated[3...])), deflate: kept) == [.text("Hello")])
        #expect(
            messages(role, good + frame(role, 0, Array(deflated[3...]), reserved: 4), deflate: kept)
                == [.failed(.reservedBits)])
        #expect(
            messages(role, good + frame(role, 9, "", reserved: 4), deflate: kept) == [.failed(.reservedBits)])
        #expect(
            messages(role, good + frame(role, 9, "p") + frame(role, 0, Array(deflated[3...])), deflate: kept)
                == [.ping(Array("p".utf8)), .text("Hello")])
    }

    @Test(arguments: [1, 2, 3, 5, 6, 7] as [UInt8])
    func `the other bits belong to nobody`(_ bits: UInt8) {
        #expect(
            messages(.server, frame(.server, 1, deflated, reserved: bits), deflate: kept)
                == [.failed(.reservedBits)])
    }

    @Test func `messages that are not compressed stand between others`() {
        let bytes =
            frame(.server, 1, deflated, reserved: 4) + frame(.server, 1, "Hello")
            + frame(.server, 1, [0xF2, 0x00, 0x11, 0x00, 0x00], reserved: 4)
        #expect(messages(.server, bytes, deflate: kept) == Array(repeating: .text("Hello"), count: 3))
    }

    @Test(arguments: [
        ("a block of the kind that is none", [0x07] as [UInt8]), ("nothing", []),
        ("lengths that do not fit", [0x00, 0x05, 0x00, 0x00, 0x00]),
        ("cut in a block", [0xF2, 0x48, 0xCD]),
        ("cut in a block without compression", [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48]),
        (
            "with the tail that is left away",
            [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00, 0x00, 0xFF, 0xFF]
        ),
        ("what refers to nothing", [0xF2, 0x00, 0x11, 0x00, 0x00]),
    ])
    func `what is not deflated is refused`(_ what: String, _ octets: [UInt8]) {
        for opcode: UInt8 in [1, 2] {
            for direction in [kept, forgotten] {
                #expect(
                    messages(.server, frame(.server, opcode, octets, reserved: 4), deflate: direction)
                        == [.failed(.deflateMalformed)], "\(what)")
            }
        }
        #expect(ConnectionFailure.deflateMalformed.status == .invalidData)
    }

    @Test func `where the context is not kept nothing refers to what was before`() {
        let bytes =
            frame(.server, 1, deflated, reserved: 4)
            + frame(.server, 1, [0xF2, 0x00, 0x11, 0x00, 0x00], reserved: 4)
        #expect(messages(.server, bytes, deflate: forgotten) == [.text("Hello"), .failed(.deflateMalformed)])
    }

    @Test func `text is checked after it is inflated`() {
        for (octets, facts) in [
            ([0xC3, 0xA9], [Fact.text("é")]), ([0xC3, 0x28], [.failed(.textMalformed)]),
            ([0x61, 0xC3], [.failed(.textMalformed)]),
        ] as [([UInt8], [Fact])] {
            var encoder = MessageEncoder(.server, deflate: kept, compression: always)
            let bytes = written { encoder.append(.text, octets.span, to: $0) }
            #expect(bytes[0] == 0xC1)
            #expect(messages(.server, bytes, deflate: kept) == facts)
        }
    }

    @Test(arguments: [299, 300, 301, 302, 100_000], [kept, forgotten])
    func `the bound is one of inflated octets`(_ count: Int, _ direction: DeflateDirection) {
        let octets = Array(repeating: 0x61 as UInt8, count: count)
        var encoder = MessageEncoder(.client, deflate: direction, compression: always)
        let bytes = written { encoder.append(.binary, octets.span, maskingKey: 77, to: $0) }
        #expect(bytes.count < 250)
        let limits = MessageLimits(frameBytesMax: 250, messageBytesMax: 300)
        #expect(
            messages(.client, bytes, limits: limits, deflate: direction)
                == (count <= 300 ? [.binary(octets)] : [.failed(.messageTooLong)]))
    }

    @Test func `the bound on frames is one of octets as they are sent`() {
        let limits = MessageLimits(frameBytesMax: 6, messageBytesMax: 300)
        #expect(
            messages(.server, frame(.server, 1, deflated, reserved: 4), limits: limits, deflate: kept)
                == [.failed(.frameTooLong)])
    }

    @Test func `a bomb is refused before memory grows`() {
        var encoder = MessageEncoder(.server, deflate: kept)
        let zeroes = [UInt8](repeating: 0, count: 1 << 20)
        let output = ByteBuffer(capacity: 1024)
        encoder.begin(.binary)
        for index in 0..<16 { encoder.appendPart(zeroes.span, isLast: index == 15, to: output) }
        #expect(output.count < 200_000)
        var reader = Reader(.server, limits: MessageLimits(messageBytesMax: 100_000), deflate: kept)
        reader.read([UInt8](copying: output.readable))
        #expect(reader.facts == [.failed(.messageTooLong)])
        #expect(reader.open.count <= 100_000)
        #expect(reader.inflated.capacity <= 4 * MessageDecoder.inflatedOctetsMax)
    }

    @Test func `a long message comes in parts, and its end with the last of them`() {
        var random = SeededGenerator(seed: 1)
        for count in [16_383, 16_384, 16_385, 32_768, 100_000] {
            let octets = (0..<count).map { _ in UInt8.random(in: 0...3, using: &random) }
            var encoder = MessageEncoder(.server, deflate: forgotten)
            let bytes = written { encoder.append(.binary, octets.span, to: $0) }
            var reader = Reader(.server, deflate: forgotten)
            reader.read(bytes)
            #expect(reader.facts == [.binary(octets)])
            #expect(reader.parts >= count / 16_384)
        }
    }

    @Test(arguments: [kept, forgotten])
    func `memory stays between messages only for a context that is kept`(_ direction: DeflateDirection) {
        var encoder = MessageEncoder(.server, deflate: direction, compression: always)
        var reader = Reader(.server, deflate: direction)
        var holds = [encoder.holdsDeflater, reader.decoder.holdsInflater]
        #expect(holds == [false, false])
        encoder.begin(.text)
        reader.read(written { encoder.appendPart(Array("Hello, ".utf8).span, isLast: false, to: $0) })
        holds = [encoder.holdsDeflater, reader.decoder.holdsInflater]
        #expect(holds == [true, true])
        #expect(reader.open == Array("Hello, ".utf8))
        reader.read(written { encoder.appendPart(Array("world".utf8).span, isLast: true, to: $0) })
        #expect(reader.facts == [.text("Hello, world")])
        holds = [encoder.holdsDeflater, reader.decoder.holdsInflater]
        #expect(holds == [direction.keepsContext, direction.keepsContext])
    }
}

/// Sections 12 and 13 of the Autobahn suite: what is written is read, with all that can be agreed.
@Suite struct `Compression both ways` {
    private static let sizes = [
        0, 1, 16, 63, 64, 65, 100, 130, 256, 1024, 4096, 8192, 65_400, 65_600, 131_072,
    ]

    private static func payload(_ size: Int, _ kind: Int, _ random: inout SeededGenerator) -> [UInt8] {
        if kind == 0 { return (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) } }
        var octets: [UInt8] = []
        while octets.count < size {
            octets += "{\"id\": \(Int.random(in: 0..<1000, using: &random)), \"name\": \"some\"}, ".utf8
        }
        return Array(octets[..<size])
    }

    @Test(arguments: [8, 9, 10, 12, 15], [true, false])
    func `messages of any length come through`(_ bits: Int, _ keepsContext: Bool) {
        let direction = DeflateDirection(keepsContext: keepsContext, windowBits: bits)
        var random = SeededGenerator(seed: UInt64(bits))
        for role in Role.allCases {
            var encoder = MessageEncoder(role, deflate: direction)
            let output = ByteBuffer(capacity: 1)
            var expected: [Fact] = []
            for size in Self.sizes {
                for kind in 0...1 {
                    let octets = Self.payload(size, kind, &random)
                    let key = role == .client ? UInt32.random(in: .min ... .max, using: &random) : nil
                    let before = output.count
                    encoder.append(kind == 0 ? .binary : .text, octets.span, maskingKey: key, to: output)
                    expected.append(.message(kind == 0 ? .binary : .text, octets))
                    let isCompressed = output.readable[before] & 0x40 != 0
                    let isWorthwhile = size >= 64 && bits > 8 && (keepsContext || kind == 1)
                    #expect(isCompressed == isWorthwhile, "\(size) octets")
                    if isCompressed && kind == 1 && size >= 1024 {
                        #expect(output.count - before < size / 2 + 14)
                    }
                }
            }
            #expect(messages(role, [UInt8](copying: output.readable), deflate: direction) == expected)
        }
    }

    @Test(arguments: [true, false], 0..<10)
    func `streamed messages come through, part by part`(_ keepsContext: Bool, _ seed: UInt64) {
        let direction = DeflateDirection(keepsContext: keepsContext, windowBits: 11)
        var random = SeededGenerator(seed: seed)
        var encoder = MessageEncoder(.client, deflate: direction)
        var reader = Reader(.client, deflate: direction)
        for round in 0..<6 {
            let octets = Self.payload(Int.random(in: 0...5000, using: &random), 1, &random)
            encoder.begin(.text, isCompressible: round != 3)
            var rest = octets[...]
            repeat {
                let part = Array(rest.prefix(Int.random(in: 0...1500, using: &random)))
                rest = rest.dropFirst(part.count)
                let isLast = rest.isEmpty && Bool.random(using: &random)
                let isOpen = encoder.isInMessage
                #expect(isOpen)
                let bytes = written {
                    encoder.appendPart(part.span, isLast: isLast, maskingKey: 0x0102_0304, to: $0)
                }
                reader.read(bytes)
                // All that was written can be read at once.
                if !isLast { #expect(reader.open.count == octets.count - rest.count) }
                if isLast { break }
            } while true
            let isOpen = encoder.isInMessage
            #expect(!isOpen)
            #expect(reader.facts.last == .message(.text, octets), "seed \(seed)")
        }
        #expect(reader.facts.count == 6)
    }

    @Test func `a context that is kept makes what comes again short`() {
        let octets = Array(
            "A sentence that is said again and again, by one and the same speaker, is dull.".utf8)
        for keepsContext in [true, false] {
            let direction = DeflateDirection(keepsContext: keepsContext)
            var encoder = MessageEncoder(.server, deflate: direction)
            let first = written { encoder.append(.text, octets.span, to: $0) }
            let second = written { encoder.append(.text, octets.span, to: $0) }
            #expect(keepsContext ? second.count < 20 : second == first)
        }
    }

    @Test func `what stands in the buffer already stays there`() {
        var random = SeededGenerator(seed: 9)
        for capacity in 1...120 {
            let output = ByteBuffer(capacity: capacity)
            output.append("before")
            var encoder = MessageEncoder(.server, deflate: kept, compression: always)
            var expected: [Fact] = []
            for size in [100, 120, 121, 122, 123, 124, 125, 126, 127, 128] {
                let octets = Self.payload(size, capacity & 1, &random)
                encoder.append(.binary, octets.span, to: output)
                expected.append(.binary(octets))
            }
            #expect([UInt8](copying: output.readable.extracting(first: 6)) == Array("before".utf8))
            output.consume(6)
            #expect(messages(.server, [UInt8](copying: output.readable), deflate: kept) == expected)
        }
    }
}
