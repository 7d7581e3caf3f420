import ChimeraBytes
import ChimeraWebSocket
import Testing

private let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]

/// RFC 6455 §5.2.
@Suite struct `Frame headers` {
    private func parse(_ role: Role, _ bytes: [UInt8]) -> (step: FrameHeaderParser.Step, taken: Int) {
        var parser = FrameHeaderParser(role)
        for (index, octet) in bytes.enumerated() {
            let step = parser.take(octet)
            if step != .incomplete { return (step, index + 1) }
        }
        return (.incomplete, bytes.count)
    }

    @Test(arguments: [0, 1, 125, 126, 127, 65535, 65536, 70_000, Int(Int32.max), Int.max], Role.allCases)
    func `a header says what it was made of`(_ length: Int, _ role: Role) {
        for opcode: UInt8 in [0, 1, 2] {
            for reserved: UInt8 in [0, 4] {
                let bytes = header(
                    opcode, length, final: opcode != 2, key: role == .client ? key : nil, reserved: reserved)
                var expected = FrameHeader()
                expected.isFinal = opcode != 2
                expected.opcode = opcode
                expected.reserved = reserved
                expected.payloadLength = UInt64(length)
                expected.maskingKey = role == .client ? 0x37FA_213D : nil
                let result = parse(role, bytes)
                #expect(result.step == .complete(expected))
                #expect(result.taken == bytes.count)
                #expect(bytes.count <= FrameHeader.octetsMax)
            }
        }
    }

    @Test func `one header follows another`() {
        var parser = FrameHeaderParser(.client)
        for length in [0, 300, 5, 70_000, 125] {
            let bytes = header(2, length, key: key)
            #expect(parser.isAtStart)
            for octet in bytes.dropLast() { #expect(parser.take(octet) == .incomplete) }
            #expect(!parser.isAtStart)
            guard case .complete(let found) = parser.take(bytes[bytes.count - 1]) else {
                Issue.record("no header")
                return
            }
            #expect(found.payloadLength == UInt64(length))
        }
    }

    @Test(arguments: [
        (Role.server, [0x81, 0x80] as [UInt8], 2, "a server masks"),
        (.client, [0x81, 0x00], 2, "a client does not"),
        (.server, [0x83], 1, "a reserved data frame"), (.server, [0x8B], 1, "a reserved control frame"),
        (.server, [0x08], 1, "a control frame in pieces"), (.server, [0x89, 126], 2, "a long control frame"),
        (.server, [0x89, 127], 2, "a longer control frame"),
        (.server, [0x82, 126, 0, 125], 4, "125 in 16 bits"),
        (.server, [0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], 10, "65535 in 64 bits"),
        (.server, [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], 10, "2^63"),
        (.client, [0x82, 0xFE, 0, 125], 4, "125 in 16 bits from a client"),
    ])
    func `what no peer may send is refused at the octet that says so`(
        _ role: Role, _ bytes: [UInt8], _ octets: Int, _ what: String
    ) {
        let result = parse(role, bytes + [0, 0, 0, 0, 0])
        #expect(result.step == .malformed, "\(what)")
        #expect(result.taken == octets, "\(what)")
    }

    /// IANA's registry: 1012, "Service Restart".
    @Test func `a close frame of a server is four octets`() {
        let output = ByteBuffer(capacity: 1)
        CloseFrame.append(.serviceRestart, maskingKey: nil, to: output)
        #expect([UInt8](copying: output.readable) == [0x88, 0x02, 0x03, 0xF4])
    }

    @Test func `a close frame of a client is masked with the key that it bears`() {
        let output = ByteBuffer(capacity: 1)
        CloseFrame.append(.serviceRestart, maskingKey: 0x37FA_213D, to: output)
        #expect(
            [UInt8](copying: output.readable)
                == [0x88, 0x82, 0x37, 0xFA, 0x21, 0x3D, 0x03 ^ 0x37, 0xF4 ^ 0xFA])
    }

    @Test(arguments: Role.allCases)
    func `a close frame is one that the peer can read`(_ role: Role) {
        let output = ByteBuffer(capacity: 1)
        CloseFrame.append(.serviceRestart, maskingKey: role == .client ? 1 : nil, to: output)
        let facts = ScannerFacts(role, [[UInt8](copying: output.readable)])
        #expect(facts.isAtBoundary && facts.hasClosed && !facts.mayBeJoined)
    }
}
