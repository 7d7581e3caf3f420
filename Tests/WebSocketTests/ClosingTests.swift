import ChimeraBytes
import ChimeraWebSocket
import Testing

/// RFC 6455 §5.5.1 and §7.4; section 7 of the Autobahn suite.
@Suite struct `Close frames` {
    @Test(
        arguments: [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
        ] as [UInt16], Role.allCases)
    func `a status that may be sent is read`(_ status: UInt16, _ role: Role) {
        let payload = [UInt8(status >> 8), UInt8(status & 0xFF)]
        #expect(messages(role, frame(role, 8, payload)) == [.close(CloseStatus(rawValue: status), [])])
        let reason = Array("Grüße".utf8)
        #expect(
            messages(role, frame(role, 8, payload + reason))
                == [.close(CloseStatus(rawValue: status), reason)])
    }

    @Test(
        arguments: [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] as [UInt16],
        Role.allCases)
    func `a status that may not be sent is refused`(_ status: UInt16, _ role: Role) {
        let payload = [UInt8(status >> 8), UInt8(status & 0xFF)]
        #expect(messages(role, frame(role, 8, payload)) == [.failed(.closeStatusInvalid)])
        #expect(!CloseStatus(rawValue: status).mayBeSent)
    }

    @Test(arguments: Role.allCases)
    func `its payload is nothing, or a status and text`(_ role: Role) {
        let normal: [UInt8] = [0x03, 0xE8]
        let longest = Array(repeating: 0x2A as UInt8, count: CloseFrame.reasonOctetsMax)
        let greek: [UInt8] = [0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xCF, 0x83, 0xCE, 0xBC, 0xCE, 0xB5]
        let table: [([UInt8], Fact)] = [
            ([], .close(nil, [])), ([0x03], .failed(.closeTooShort)), (normal, .close(.normal, [])),
            (normal + longest, .close(.normal, longest)),
            (normal + longest + [0x2A], .failed(.controlTooLong)),
            (normal + greek + [0xED, 0xA0, 0x80], .failed(.closeReasonMalformed)),
            (normal + [0xCE], .failed(.closeReasonMalformed)),
        ]
        for (payload, fact) in table { #expect(messages(role, frame(role, 8, payload)) == [fact]) }
    }

    @Test(arguments: Role.allCases)
    func `what comes behind one is dropped`(_ role: Role) {
        let close = frame(role, 8, [0x03, 0xE8])
        for more in [close, frame(role, 9, "p"), frame(role, 1, "text"), [0xFF, 0xFF, 0xFF]] {
            #expect(messages(role, close + more) == [.close(.normal, [])])
        }
        let long = Array(repeating: 0x2A as UInt8, count: 262_144)
        #expect(
            messages(role, frame(role, 2, long) + close + frame(role, 9, ""))
                == [.binary(long), .close(.normal, [])])
    }

    @Test func `each failure has a token and a status that may be sent`() {
        var tokens: Set<String> = []
        for failure in ConnectionFailure.allCases {
            #expect(failure.status.mayBeSent)
            tokens.insert(failure.token)
        }
        #expect(tokens.count == ConnectionFailure.allCases.count)
        #expect(tokens.contains("close-status-invalid"))
    }
}

/// RFC 6455 §7.1.
@Suite struct `Closing handshakes` {
    private typealias Step = ClosingHandshake.Step

    private func last(_ role: Role) -> ClosingHandshake.Transport {
        role == .server ? .endSending : .awaitEnd
    }

    @Test(arguments: [CloseStatus.normal, .goingAway, nil], Role.allCases)
    func `we close, and the peer answers`(_ status: CloseStatus?, _ role: Role) {
        var closing = ClosingHandshake(role)
        #expect(closing.maySend && closing.mayReceive && closing.deadline == nil && closing.cause == nil)
        #expect(closing.close(status) == Step(sendsClose: true, status: status))
        #expect(!closing.maySend && closing.mayReceive && closing.deadline == .answer && !closing.isClean)
        #expect(closing.peerClosed(.protocolError) == Step(transport: last(role)))
        #expect(!closing.mayReceive && closing.deadline == .transport && closing.isClean)
        #expect(closing.transportEnded() == Step(transport: .release))
        #expect(closing.deadline == nil && closing.cause == .us(status) && closing.isClean)
        #expect(closing.cause?.status == status ?? .absent)
    }

    @Test(arguments: [CloseStatus.normal, .goingAway, nil], Role.allCases)
    func `the peer closes, and is answered with its own status`(_ status: CloseStatus?, _ role: Role) {
        var closing = ClosingHandshake(role)
        #expect(
            closing.peerClosed(status) == Step(sendsClose: true, status: status, transport: last(role)))
        #expect(!closing.maySend && !closing.mayReceive && closing.isClean)
        #expect(closing.deadline == .transport)
        #expect(closing.expired() == Step(transport: .release))
        #expect(closing.cause == .peer(status) && closing.deadline == nil)
    }

    @Test(arguments: Role.allCases)
    func `a failure is told and ends it`(_ role: Role) {
        var closing = ClosingHandshake(role)
        #expect(
            closing.failed(.textMalformed)
                == Step(sendsClose: true, status: .invalidData, transport: last(role)))
        #expect(!closing.maySend && !closing.mayReceive && !closing.isClean)
        #expect(closing.cause == .failure(.textMalformed) && closing.cause?.status == .invalidData)
        #expect(closing.deadline == .transport)
    }

    @Test(arguments: Role.allCases)
    func `one Close is sent, never a second`(_ role: Role) {
        var closing = ClosingHandshake(role)
        #expect(closing.close(.normal).sendsClose)
        #expect(closing.close(.goingAway) == Step())
        #expect(closing.failed(.reservedBits) == Step(transport: last(role)))
        #expect(closing.cause == .failure(.reservedBits))
        #expect(closing.failed(.reservedBits) == Step() && closing.peerClosed(.normal) == Step())
        #expect(closing.close(.normal) == Step())
        var other = ClosingHandshake(role)
        #expect(other.peerClosed(.normal).sendsClose)
        #expect(other.peerClosed(.normal) == Step() && other.close(.normal) == Step())
    }

    @Test(arguments: Role.allCases)
    func `a transport that ends without a word is lost`(_ role: Role) {
        var closing = ClosingHandshake(role)
        #expect(closing.transportEnded() == Step(transport: .release))
        #expect(closing.cause == .lost && closing.cause?.status == .abnormal && !closing.isClean)
        #expect(!closing.maySend && !closing.mayReceive && closing.deadline == nil)
        #expect(closing.transportEnded() == Step() && closing.expired() == Step())
        #expect(closing.close(.normal) == Step())
    }

    @Test(arguments: Role.allCases)
    func `who does not answer is not waited for`(_ role: Role) {
        var closing = ClosingHandshake(role)
        #expect(closing.expired() == Step() && closing.maySend)
        _ = closing.close(.normal)
        #expect(closing.expired() == Step(transport: .release))
        #expect(closing.cause == .us(.normal) && !closing.isClean && !closing.mayReceive)
    }
}
