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
        (Role.server, [0x81, 0x80] as [UInt8], 2, ConnectionFailure.maskUnexpected, "a server masks"),
        (.client, [0x81, 0x00], 2, .maskMissing, "a client does not"),
        (.server, [0x83], 1, .opcodeReserved, "a reserved data frame"),
        (.server, [0x8B], 1, .opcodeReserved, "a reserved control frame"),
        (.server, [0x08], 1, .controlFragmented, "a control frame in pieces"),
        (.server, [0x89, 126], 2, .controlTooLong, "a long control frame"),
        (.server, [0x89, 127], 2, .controlTooLong, "a longer control frame"),
        (.server, [0x82, 126, 0, 125], 4, .lengthMalformed, "125 in 16 bits"),
        (.server, [0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], 10, .lengthMalformed, "65535 in 64 bits"),
        (.server, [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], 10, .lengthMalformed, "2^63"),
        (.client, [0x82, 0xFE, 0, 125], 4, .lengthMalformed, "125 in 16 bits from a client"),
    ])
    func `what no peer may send is refused at the octet that says so`(
        _ role: Role, _ bytes: [UInt8], _ octets: Int, _ failure: ConnectionFailure, _ what: String
    ) {
        let result = parse(role, bytes + [0, 0, 0, 0, 0])
        #expect(result.step == .malformed(failure), "\(what)")
        #expect(result.taken == octets, "\(what)")
    }

    @Test(arguments: [0, 1, 125, 126, 127, 65535, 65536, Int.max], Role.allCases)
    func `a header that is written is read as it was`(_ length: Int, _ role: Role) {
        var written = FrameHeader()
        written.isFinal = length != 126
        written.opcode = 2
        written.reserved = length & 4 == 0 ? 0 : 4
        written.payloadLength = UInt64(length)
        written.maskingKey = role == .client ? 0x0102_03F4 : nil
        let output = ByteBuffer(capacity: 1)
        written.append(to: output)
        let bytes = [UInt8](copying: output.readable)
        #expect(bytes.count == FrameHeader.octets(payload: length, isMasked: role == .client))
        let result = parse(role, bytes)
        #expect(result.step == .complete(written) && result.taken == bytes.count)
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

    @Test(arguments: [
        ("", 0), ("bye", 3), (String(repeating: "x", count: 123), 123),
        (String(repeating: "x", count: 124), 123),
        (String(repeating: "x", count: 122) + "é", 122), (String(repeating: "€", count: 50), 123),
        (String(repeating: "🙂", count: 50), 120),
        ("e\u{301}" + String(repeating: "\u{301}", count: 100), 123),
    ])
    func `a reason is cut between two characters where it does not fit`(_ reason: String, _ octets: Int) {
        let output = ByteBuffer(capacity: 1)
        CloseFrame.append(.normal, reason: reason, maskingKey: nil, to: output)
        let bytes = [UInt8](copying: output.readable)
        #expect(bytes[..<4] == [0x88, UInt8(2 + octets), 0x03, 0xE8])
        #expect(Array(bytes[4...]) == Array(reason.utf8.prefix(octets)))
        #expect(messages(.server, bytes) == [.close(.normal, Array(reason.utf8.prefix(octets)))])
    }

    @Test func `a close frame without a status is empty`() {
        let output = ByteBuffer(capacity: 1)
        CloseFrame.append(nil, reason: "never seen", maskingKey: nil, to: output)
        #expect([UInt8](copying: output.readable) == [0x88, 0])
    }
}
