import ChimeraEventLoop
import ChimeraSessions
import Glibc
import Synchronization
import Testing

@testable import ChimeraServer

@Suite struct ProgramMessageTests {
    private var order: ProgramOrder {
        var order = ProgramOrder(
            path: "/bin/cat", arguments: ["cat", "", "a b"], environment: ["A=b", "C="], directory: "/tmp")
        order.ending.terminate = 10
        order.ending.kill = 20
        order.mayBeRoot = true
        order.hasTerminal = true
        order.limits.memory = 1 << 30
        order.limits.processes = 5
        order.limits.cpuPercent = 50
        order.limits.files = 64
        order.limits.cpuSeconds = 9
        return order
    }

    @Test func `an order arrives as it was given`() throws {
        let message = try #require(ControlMessage(ControlMessage(order, request: -3).encoded))
        #expect(message.programOrder == order && message.number(.request) == -3)
        var plain = ProgramOrder(path: "/x", arguments: ["x"], environment: [], directory: "/")
        #expect(ControlMessage(plain, request: 1).programOrder == plain)
        plain.path = "x"
        #expect(ControlMessage(plain, request: 1).programOrder == nil)
    }

    @Test func `no delay is without bound`() {
        var wild = order
        wild.ending.terminate = .max
        wild.ending.kill = -1
        let taken = ControlMessage(wild, request: 1).programOrder
        #expect(taken?.ending.terminate == 3_600_000 && taken?.ending.kill == 0)
    }

    /// What somebody was told.
    private final class Told: Sendable {
        let started = Mutex<[Result<StartedProgram, SystemError>]>([])
        let ended = Mutex<[ProgramEnd]>([])

        func enter(_ desk: ProgramDesk) throws -> Int64 {
            try #require(
                desk.enter({ result in self.started.withLock { $0.append(result) } }) { end in
                    self.ended.withLock { $0.append(end) }
                })
        }
    }

    private func startedMessage(_ request: Int64, _ id: String) -> ControlMessage {
        ControlMessage(.programStarted).with(.request, request).with(.text, id).with(.count, 77)
    }

    @Test func `each program's news goes to whoever asked for it`() throws {
        let desk = ProgramDesk()
        let (one, other) = (Told(), Told())
        let (first, second) = (try one.enter(desk), try other.enter(desk))
        #expect(first != second && first < 0 && second < 0)
        var descriptors: [Int32] = [-1, -2, -3]
        #expect(desk.started(startedMessage(second, "i.1"), &descriptors) == nil)
        #expect(descriptors.isEmpty)
        guard case .success(let program)? = other.started.withLock({ $0.first }) else {
            Issue.record("nothing was told")
            return
        }
        #expect(program == StartedProgram(id: "i.1", process: 77, input: -1, output: -2, error: -3))
        #expect(desk.refused(.refusal(first, SystemError("execve", ENOENT))))
        guard case .failure(let error)? = one.started.withLock({ $0.first }) else {
            Issue.record("no failure was told")
            return
        }
        #expect(error.number == ENOENT)
        desk.ended(ControlMessage(.programEnded).with(.text, "i.1").with(.count, 3 << 8))
        desk.ended(ControlMessage(.programEnded).with(.text, "i.1").with(.count, 3 << 8))
        #expect(other.ended.withLock { $0 } == [.exited(3)] && one.ended.withLock { $0 }.isEmpty)
    }

    @Test func `a program whose descriptors have not come is ended, and whoever asked told`() throws {
        let desk = ProgramDesk()
        let told = Told()
        let request = try told.enter(desk)
        var none: [Int32] = []
        #expect(desk.started(startedMessage(request, "i.2"), &none) == "i.2")
        guard case .failure(let error)? = told.started.withLock({ $0.first }) else {
            Issue.record("no failure was told")
            return
        }
        #expect(error.isShortage)
        var late: [Int32] = [-1, -2, -3]
        #expect(desk.started(startedMessage(request, "i.3"), &late) == "i.3", "nobody asked for it")
        #expect(late.count == 3)
    }

    @Test func `a refusal of a socket is none of a program`() {
        #expect(!ProgramDesk().refused(.refusal(1, SystemError("listen", EINVAL))))
    }

    @Test func `without a supervisor programs have ended and none is started`() throws {
        let desk = ProgramDesk()
        let (running, waiting) = (Told(), Told())
        var descriptors: [Int32] = [-1, -2]
        let request = try running.enter(desk)
        #expect(desk.started(startedMessage(request, "nobody"), &descriptors) == nil)
        _ = try waiting.enter(desk)
        desk.supervisorEnded()
        #expect(running.ended.withLock { $0 } == [.unknown])
        #expect(waiting.started.withLock { $0 }.count == 1 && waiting.ended.withLock { $0 }.isEmpty)
        #expect(desk.enter({ _ in }, { _ in }) == nil)
    }

    /// Programs that were handed over.
    private final class Received: Sendable {
        let programs = Mutex<[HandedProgram]>([])
        let released = Mutex<[String]>([])
        let found = Mutex(0)
    }

    private var handed: ControlMessage {
        ControlMessage(.programKept).with(.text, "i.4").with(.token, "t").with(.facts, "{}")
            .with(.milliseconds, 5).with(.count, 77).with(.more, 3).with(.terminal, 0)
    }

    @Test func `a program that another has left comes with its output, or without`() throws {
        let desk = ProgramDesk()
        let received = Received()
        var nobodys: [Int32] = [-1, -2, -3]
        #expect(desk.kept(handed, &nobodys) == "i.4")
        #expect(nobodys.count == 3, "nobody takes it, so that it is closed")
        desk.receive { program in
            received.programs.withLock { $0.append(program) }
        } release: { id in
            received.released.withLock { $0.append(id) }
        }
        var none: [Int32] = []
        #expect(desk.kept(handed, &none) == "i.4", "there was no room for its descriptors")
        #expect(desk.kept(handed, &nobodys) == nil)
        let file = try #require(MemoryFile.make([1, 2, 3]))
        var withLog: [Int32] = [-1, -2, file]
        #expect(desk.kept(handed.with(.log, 1).with(.terminal, 1), &withLog) == nil)
        #expect(nobodys.isEmpty && withLog.isEmpty)
        let programs = received.programs.withLock { $0 }
        #expect(programs.map(\.log) == [nil, [1, 2, 3]] && programs.map(\.handovers) == [3, 3])
        #expect(programs.first?.record == KeptRecord(token: "t", facts: "{}", milliseconds: 5))
        #expect(programs.first?.running.program.error == -3 && programs.last?.running.program.error == nil)
        desk.release(ControlMessage(.release).with(.text, "i.4"))
        #expect(received.released.withLock { $0 } == ["i.4"])
        // Its end is told as that of any other.
        desk.ended(ControlMessage(.programEnded).with(.text, "i.4").with(.count, 0))
        #expect(programs.last?.running.hasEnded == true)
    }

    @Test func `who asks for a token is told once, also where the supervisor goes`() throws {
        let (desk, received) = (ProgramDesk(), Received())
        let first = try #require(desk.enter { received.found.withLock { $0 += 1 } })
        _ = try #require(desk.enter { received.found.withLock { $0 += 10 } })
        desk.found(ControlMessage(.programFound).with(.request, first))
        desk.found(ControlMessage(.programFound).with(.request, first))
        #expect(received.found.withLock { $0 } == 1)
        desk.supervisorEnded()
        #expect(received.found.withLock { $0 } == 11)
    }

    @Test func `what is no file in memory is no output`() throws {
        var pipe: (Int32, Int32) = (-1, -1)
        withUnsafeMutableBytes(of: &pipe) { bytes in
            #expect(Glibc.pipe(bytes.baseAddress?.assumingMemoryBound(to: Int32.self)) == 0)
        }
        #expect(MemoryFile.content(of: pipe.0) == nil)
        close(pipe.0)
        close(pipe.1)
        let file = try #require(MemoryFile.make([]))
        #expect(MemoryFile.content(of: file) == [])
        close(file)
    }
}
