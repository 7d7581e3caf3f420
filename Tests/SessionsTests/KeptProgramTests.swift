import ChimeraBytes
import ChimeraEventLoop
import ChimeraTestSupport
import ChimeraWebSocket
import Synchronization
import Testing

@testable import ChimeraSessions

/// The places at a program, without the program: what it would write is put into the log here.
@Suite struct KeptProgramTests {
    private static let token = String(repeating: "ab", count: 20)

    private static func kept(
        _ manner: KeptProgram.Manner = .resumed(token: token, milliseconds: 1000), capacity: Int = 8,
        from position: Int64 = 0, hasTerminal: Bool = false
    ) -> KeptProgram {
        let program = StartedProgram(
            id: "i.1", process: 7, input: -1, output: -1, error: hasTerminal ? nil : -1)
        let facts = KeptProgram.Facts(tenant: "t", site: "s", route: "/", user: "", command: "cat")
        return KeptProgram(
            program, manner, facts, keepsErrors: true,
            KeptRemains(OutputLog(capacity: capacity, from: position)),
            forgottenBefore: position, startedAt: 0, now: 0)
    }

    private static func write(_ text: String, _ kept: KeptProgram) {
        Array(text.utf8).withUnsafeBytes { bytes in kept.state.withLock { $0.log.append(.stdout, bytes) } }
    }

    /// What a client reads now, without waiting.
    private static func text(of client: KeptClient) -> String {
        let room = ByteBuffer(capacity: 64)
        while case .bytes(let count) = client.read(.stdout, into: room.writable) { room.commit(count) }
        return String(decoding: Array(copying: room.readable), as: UTF8.self)
    }

    private static func seat(
        _ kept: KeptProgram, _ claim: ResumeClaim? = nil, on worker: Worker
    ) throws -> KeptClient {
        try kept.seat(claim, getsErrors: true, request: ["A=b"], on: worker)
    }

    @Test func `who comes back reads on behind what it has`() async throws {
        try await onWorker { worker in
            let kept = Self.kept()
            Self.write("abcdef", kept)
            let client = try Self.seat(kept, ResumeClaim(token: Self.token, position: 2), on: worker)
            #expect(Self.text(of: client) == "cdef" && client.takeLoss() == nil)
            #expect(client.resumption == Resumption(token: Self.token, position: 6, isBack: true))
        }
    }

    @Test(arguments: [
        // What is kept is 4 to 12, and what was before 1 is another process's.
        (Int64?.none, Int64?.none, Int64(5)), (5, -1, 5), (2, 3, 5), (0, nil, 5), (13, nil, 5), (12, -1, 12),
    ])
    func `what is lost is told as far as it is known`(_ position: Int64?, _ octets: Int64?, _ first: Int64)
        async throws
    {
        try await onWorker { worker in
            let kept = Self.kept(from: 1)
            // The character is cut where what is kept begins.
            Self.write("abßcefghij", kept)
            let client = try Self.seat(kept, ResumeClaim(token: Self.token, position: position), on: worker)
            let loss = octets == -1 ? nil : LostOutput(octets: octets, position: first)
            #expect(client.initialLoss == loss && client.takeLoss() == loss && client.takeLoss() == nil)
            #expect(client.resumption?.position == first)
        }
    }

    @Test func `one client at a time has it`() async throws {
        try await onWorker { worker in
            let kept = Self.kept()
            let first = try Self.seat(kept, on: worker)
            let second = try Self.seat(kept, ResumeClaim(token: Self.token), on: worker)
            #expect(first.dismissal == .takenOver && second.dismissal == nil)
            let input = ByteBuffer(capacity: 8)
            input.append(string: "first")
            first.write(input)
            input.append(string: "second")
            second.write(input)
            #expect(kept.state.withLock { $0.input } == Array("second".utf8))
            // Who had to go ends nothing.
            first.leave(.client(.normal), Self.parts(worker))
            #expect(!kept.isOver && kept.clientCount == 1)
            second.leave(.lost, Self.parts(worker))
            #expect(!kept.isOver && kept.state.withLock { $0.emptySince } != nil)
        }
    }

    private static func parts(_ worker: Worker) -> LeavingParts {
        LeavingParts(
            worker, SessionScratch(), EndingDelays(), ProgramErrors(clock: { 0 }, report: nil))
    }

    @Test(arguments: [
        (SessionEnd.client(.normal), true), (.client(nil), true), (.client(.goingAway), false),
        (.lost, false),
        (.unanswered, false), (.sendTimeout, false), (.draining, false), (.idle, true), (.life, true),
        (.operatorAsked, true), (.handedOver, false),
    ])
    func `who says that all is done means it`(_ end: SessionEnd, _ isFinal: Bool) async throws {
        try await onWorker { worker in
            let kept = Self.kept()
            try Self.seat(kept, on: worker).leave(end, Self.parts(worker))
            #expect(kept.isOver == isFinal && kept.state.withLock { $0.isToEnd } == isFinal)
        }
    }

    @Test func `input that nobody takes has its client wait`() async throws {
        try await onWorker { worker in
            let kept = Self.kept()
            let client = try Self.seat(kept, on: worker)
            let input = ByteBuffer(capacity: KeptProgram.inputMax)
            for _ in 0..<2 {
                input.append([UInt8](repeating: 0, count: KeptProgram.inputMax).span)
                client.write(input)
            }
            #expect(client.hasUnwritten && !client.mayFlush && !client.flush())
            #expect(kept.state.withLock { $0.input.count } == KeptProgram.inputMax)
            kept.state.withLock { $0.input = [] }
            #expect(client.mayFlush && client.flush() && !client.hasUnwritten)
        }
    }

    @Test(arguments: [false, true])
    func `the end of input is behind what was said before it`(_ hasTerminal: Bool) async throws {
        try await onWorker { worker in
            let kept = Self.kept(hasTerminal: hasTerminal)
            let client = try Self.seat(kept, on: worker)
            let input = ByteBuffer(capacity: KeptProgram.inputMax)
            input.append([UInt8](repeating: 0, count: KeptProgram.inputMax).span)
            client.write(input)
            for text in ["before", "after"] {
                input.append(string: text)
                client.write(input)
                if text == "before" {
                    #expect(client.endInput())
                    client.endInputIfDue()
                }
            }
            kept.state.withLock { $0.input = [] }
            #expect(client.flush())
            let (said, isOver) = kept.state.withLock { ($0.input, $0.endsInput) }
            #expect(String(decoding: said, as: UTF8.self) == (hasTerminal ? "before\u{4}after" : "before"))
            #expect(isOver == !hasTerminal)
        }
    }

    @Test func `a client that is alone holds its program up, and loses nothing`() async throws {
        try await onWorker { worker in
            let kept = Self.kept()
            let client = try Self.seat(kept, on: worker)
            Self.write("abcdefgh", kept)
            #expect(kept.state.withLock { $0.room } == 0)
            #expect(Self.text(of: client) == "abcdefgh")
            #expect(kept.state.withLock { $0.room } == 8)
            client.leave(.lost, Self.parts(worker))
            Self.write("ijkl", kept)
            #expect(kept.state.withLock { $0.room } == 8, "nobody is there whom it could wait for")
        }
    }

    @Test func `one of several is waited for so long and no longer`() async throws {
        try await onWorker { worker in
            let kept = Self.kept(.shared(.off, milliseconds: .max))
            let (fast, slow) = (try Self.seat(kept, on: worker), try Self.seat(kept, on: worker))
            Self.write("abcdefgh", kept)
            #expect(Self.text(of: fast) == "abcdefgh")
            kept.state.withLock { state in
                state.giveUpOnSlow(now: 100)
                #expect(state.room == 0 && state.patienceEnds == 1100)
                state.giveUpOnSlow(now: 1099)
                #expect(state.room == 0)
                state.giveUpOnSlow(now: 1100)
                #expect(state.room == 8 && state.patienceEnds == .max)
            }
            Self.write("ijkl", kept)
            #expect(Self.text(of: slow) == "efghijkl")
            #expect(slow.takeLoss() == LostOutput(octets: 4, position: 4, isFatal: true))
            // It has caught up, and counts again.
            Self.write("mnopqrst", kept)
            #expect(kept.state.withLock { $0.room } == 0)
            #expect(Self.text(of: fast) == "ijklmnopqrst".suffix(8))
        }
    }

    @Test func `who comes to a program of several begins with what comes`() async throws {
        try await onWorker { worker in
            let kept = Self.kept(.shared(.json, milliseconds: 10))
            Self.write("before", kept)
            let client = try Self.seat(kept, on: worker)
            #expect(client.takeLoss() == nil && client.resumption == nil)
            Self.write("x", kept)
            #expect(Self.text(of: client) == "x")
            #expect(!client.signal(2) && !client.endInput() && client.tag?.client == 1)
            client.leave(.client(.normal), Self.parts(worker))
            let told = String(decoding: kept.state.withLock { $0.input }, as: UTF8.self)
            #expect(
                told == #"{"client":1,"type":"open","request":{"A":"b"}}"# + "\n"
                    + #"{"client":1,"type":"close"}"# + "\n")
            #expect(!kept.isOver, "one of them ends nothing")
        }
    }

    @Test func `a program that is handed over takes along what its client had no room for`() async throws {
        try await onWorker { worker in
            let kept = Self.kept()
            let client = try Self.seat(kept, on: worker)
            let input = ByteBuffer(capacity: KeptProgram.inputMax)
            for byte: UInt8 in [0, 1] {
                input.append([UInt8](repeating: byte, count: KeptProgram.inputMax).span)
                client.write(input)
            }
            #expect(
                client.hasUnwritten && kept.state.withLock { $0.seats.values.first?.waitsForRoom } == true)
            kept.handOver()
            #expect(client.dismissal == .handedOver && client.mayFlush && client.flush())
            let (count, waits) = kept.state.withLock { ($0.input.count, $0.seats.values.first?.waitsForRoom) }
            #expect(count == 2 * KeptProgram.inputMax && waits == false)
            kept.state.withLock { $0.isHandedOver = true }
            input.append(string: "late")
            client.write(input)
            #expect(kept.state.withLock { $0.input.count } == count && !client.hasUnwritten)
        }
    }

    @Test(arguments: [
        ([UInt8](), false), (Array("input".utf8), false), ([], true),
        ([255, 255, 255, 255, 255, 255, 255, 255], true),
    ])
    func `what is left of a program is told whole`(_ input: [UInt8], _ endsInput: Bool) throws {
        var log = OutputLog(capacity: 100, from: 7)
        Array("output".utf8).withUnsafeBytes { log.append(.stdout, $0) }
        var remains = KeptRemains(log)
        (remains.input, remains.endsInput) = (input, endsInput)
        let bytes = remains.encoded
        let read = try #require(KeptRemains(bytes, capacity: 100))
        #expect(read.input == input && read.endsInput == endsInput && read.log.encoded == log.encoded)
        for count in 0..<bytes.count {
            #expect(KeptRemains(Array(bytes[..<count]), capacity: 100) == nil)
        }
    }

    @Test(arguments: [
        (4, ""), (5, ""), (6, "cdef\n"), (8, "cdef\n"), (9, "ab\ncdef\n"), (11, "\n\nab\ncdef\n"),
    ])
    func `a client of lines gets no rest of one`(_ capacity: Int, _ text: String) async throws {
        try await onWorker { worker in
            let kept = Self.kept(capacity: capacity)
            Self.write("\n\nab\ncdef\n", kept)
            let client = try kept.seat(
                ResumeClaim(token: Self.token), getsErrors: true, wholeLines: true, request: [], on: worker)
            #expect(Self.text(of: client) == text)
            let lost = Int64(10 - text.utf8.count)
            #expect(client.initialLoss?.octets == (lost == 0 ? nil : lost))
        }
    }

    @Test func `nobody gets a place at a program that ends`() async throws {
        try await onWorker { worker in
            for end in [{ $0.end(nil) }, { $0.handOver() }, { $0.retire() }] as [(KeptProgram) -> Void] {
                let kept = Self.kept()
                let client = try Self.seat(kept, on: worker)
                end(kept)
                #expect(throws: KeptProgram.Refusal.over) { try Self.seat(kept, on: worker) }
                withExtendedLifetime(client) {}
            }
        }
    }
}
