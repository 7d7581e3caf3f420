import ChimeraBytes
import ChimeraWebSocket
import Testing

@Suite struct `Messages that are written` {
    @Test(arguments: [0, 1, 125, 126, 127, 65535, 65536, 70_000], Role.allCases)
    func `a message is one frame in the shortest form`(_ size: Int, _ role: Role) {
        let octets = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
        for kind in MessageKind.allCases {
            var encoder = MessageEncoder(role)
            let bytes = written {
                encoder.append(kind, octets.span, maskingKey: role == .client ? 0x37FA_213D : nil, to: $0)
            }
            #expect(bytes == frame(role, kind.rawValue, octets))
        }
    }

    @Test(arguments: Role.allCases)
    func `a streamed message is a frame for each part`(_ role: Role) {
        var encoder = MessageEncoder(role)
        let key: UInt32? = role == .client ? 0x37FA_213D : nil
        let output = ByteBuffer(capacity: 1)
        encoder.begin(.text)
        for part in ["", "Hel", "", "lo"] {
            encoder.appendPart(Array(part.utf8).span, isLast: false, maskingKey: key, to: output)
        }
        encoder.appendPart([UInt8]().span, isLast: true, maskingKey: key, to: output)
        encoder.append(.binary, [7].span, maskingKey: key, to: output)
        #expect(
            [UInt8](copying: output.readable)
                == frame(role, 1, "Hel", final: false) + frame(role, 0, "lo", final: false)
                + frame(role, 0, "")
                + frame(role, 2, [7]))
    }

    @Test func `a streamed message of one part is a message`() {
        var encoder = MessageEncoder(.server)
        encoder.begin(.text)
        let bytes = written { encoder.appendPart(Array("Hi".utf8).span, isLast: true, to: $0) }
        #expect(bytes == frame(.server, 1, "Hi"))
    }

    @Test(arguments: Role.allCases)
    func `a ping and a pong are written`(_ role: Role) {
        let key: UInt32? = role == .client ? 0x37FA_213D : nil
        for (opcode, raw) in [(Opcode.ping, 9), (.pong, 10)] as [(Opcode, UInt8)] {
            for size in [0, 1, 125] {
                let octets = Array(repeating: UInt8(size), count: size)
                let bytes = written { ControlFrame.append(opcode, octets.span, maskingKey: key, to: $0) }
                #expect(bytes == frame(role, raw, octets))
            }
        }
    }

    @Test(arguments: [63, 64, 65])
    func `short messages are not compressed`(_ size: Int) {
        let octets = Array(repeating: 0x61 as UInt8, count: size)
        var encoder = MessageEncoder(.server, deflate: DeflateDirection())
        let bytes = written { encoder.append(.text, octets.span, to: $0) }
        #expect((bytes[0] == 0xC1) == (size >= 64))
        if size < 64 { #expect(bytes == frame(.server, 1, octets)) }
    }

    @Test func `what nobody agreed to compress is not compressed`() {
        let octets = Array(repeating: 0x61 as UInt8, count: 1000)
        var encoder = MessageEncoder(.server)
        encoder.begin(.text, isCompressible: true)
        let bytes = written { encoder.appendPart(octets.span, isLast: true, to: $0) }
        #expect(bytes == frame(.server, 1, octets))
    }
}
