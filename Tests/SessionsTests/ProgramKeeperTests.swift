import ChimeraEventLoop
import ChimeraSessions
import ChimeraTestSupport
import Glibc
import Synchronization
import Testing

/// What a program of these tests is started with.
private func order(_ arguments: [String], directory: String = "/tmp") -> ProgramOrder {
    var order = ProgramOrder(
        path: arguments[0], arguments: arguments, environment: ["PATH=/usr/bin:/bin", "NAME=value"],
        directory: directory)
    order.ending.terminate = 50
    order.ending.kill = 50
    order.mayBeRoot = true
    return order
}

/// What can be read until the other end is closed.
private func content(of descriptor: Int32) -> String {
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 4096)
    while case let count = read(descriptor, &room, room.count), count > 0 { bytes += room[..<count] }
    close(descriptor)
    return String(decoding: bytes, as: UTF8.self)
}

/// A program that was started, and how it ended.
private final class Run: Sendable {
    let result = Mutex<Result<StartedProgram, SystemError>?>(nil)
    let end = Mutex<ProgramEnd?>(nil)
    let started = Latch()
    let ended = Latch()

    func program() throws -> StartedProgram {
        #expect(started.wait(milliseconds: 30_000))
        return try #require(result.withLock { $0 }).get()
    }

    func start(_ order: ProgramOrder, from programs: LocalPrograms) {
        programs.start(order) { result in
            self.result.withLock { $0 = result }
            self.started.open()
        } ended: { end in
            self.end.withLock { $0 = end }
            self.ended.open()
        }
    }
}

@Suite struct ProgramKeeperTests {
    private let programs = LocalPrograms()

    private func run(_ arguments: [String]) throws -> (Run, StartedProgram) {
        let run = Run()
        run.start(order(arguments), from: programs)
        return (run, try run.program())
    }

    @Test func `a program has its pipes, its environment, its directory and its end`() throws {
        let (run, program) = try run(["/bin/sh", "-c", "read x; echo $x $NAME $PWD; echo wrong >&2; exit 3"])
        #expect(write(program.input, "hello\n", 6) == 6)
        #expect(content(of: program.output) == "hello value /tmp\n")
        #expect(content(of: try #require(program.error)) == "wrong\n")
        close(program.input)
        #expect(run.ended.wait(milliseconds: 30_000))
        #expect(run.end.withLock { $0 } == .exited(3))
    }

    @Test func `limits of processes hold for each of them, and memory as well where there is no cgroup`()
        throws
    {
        let run = Run()
        var wanted = order(["/bin/sh", "-c", "ulimit -Hn; ulimit -Hv; ulimit -St; sh -c 'ulimit -n'"])
        wanted.limits.files = 40
        wanted.limits.memory = 256 << 20
        wanted.limits.cpuSeconds = 7
        run.start(wanted, from: programs)
        let program = try run.program()
        #expect(content(of: program.output) == "40\n262144\n7\n40\n")
        for descriptor in program.descriptors.filter({ $0 != program.output }) { close(descriptor) }
    }

    @Test func `it has a process group of its own, and no terminal`() throws {
        let (_, program) = try run([
            "/bin/sh", "-c", "cut -d ' ' -f 1,5,7 /proc/$$/stat; sh -c ': >/dev/tty' || echo none",
        ])
        #expect(content(of: program.output) == "\(program.process) \(program.process) 0\nnone\n")
        for descriptor in program.descriptors.filter({ $0 != program.output }) { close(descriptor) }
    }

    @Test func `it knows its session, of which there is one`() throws {
        let (_, first) = try run(["/bin/sh", "-c", "echo $CHIMERA_SESSION"])
        let (_, second) = try run(["/bin/sh", "-c", "echo $CHIMERA_SESSION"])
        #expect(content(of: first.output) == first.id + "\n")
        #expect(content(of: second.output) == second.id + "\n")
        #expect(first.id != second.id)
        for program in [first, second] {
            for descriptor in program.descriptors.filter({ $0 != program.output }) { close(descriptor) }
        }
    }

    @Test(arguments: [
        (["/no/such/program"], ENOENT), (["/etc/passwd"], EACCES),
    ])
    func `what cannot be executed is told with its error`(_ arguments: [String], _ number: Int32) throws {
        let run = Run()
        run.start(order(arguments), from: programs)
        #expect(run.started.wait(milliseconds: 30_000))
        guard case .failure(let error)? = run.result.withLock({ $0 }) else {
            Issue.record("it was started")
            return
        }
        #expect(error.number == number)
    }

    @Test func `a directory that is not there is told as well`() throws {
        let run = Run()
        run.start(order(["/bin/true"], directory: "/no/such/directory"), from: programs)
        #expect(run.started.wait(milliseconds: 30_000))
        guard case .failure(let error)? = run.result.withLock({ $0 }) else {
            Issue.record("it was started")
            return
        }
        #expect(error.number == ENOENT)
    }

    @Test func `a terminal is one, and controls its session`() throws {
        let run = Run()
        var wanted = order(["/bin/sh", "-c", "test -t 0 && test -t 2 && tty >/dev/tty; stty size; exit 4"])
        wanted.hasTerminal = true
        run.start(wanted, from: programs)
        let program = try run.program()
        #expect(program.error == nil && program.descriptors.count == 2)
        let said = content(of: program.output)
        #expect(said.hasPrefix("/dev/pts/") && said.hasSuffix("\r\n24 80\r\n"))
        close(program.input)
        #expect(run.ended.wait(milliseconds: 30_000))
        #expect(run.end.withLock { $0 } == .exited(4))
    }

    @Test func `who ignores SIGTERM is killed`() throws {
        let (run, program) = try run([
            "/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done",
        ])
        var room = [UInt8](repeating: 0, count: 6)
        #expect(read(program.output, &room, 6) == 6)
        program.descriptors.forEach { close($0) }
        programs.end(program.id)
        #expect(run.ended.wait(milliseconds: 30_000))
        #expect(run.end.withLock { $0 } == .signalled(SIGKILL))
    }

    @Test func `a signal reaches the group`() throws {
        let (run, program) = try run(["/bin/sh", "-c", "echo ready; sleep 1000"])
        var room = [UInt8](repeating: 0, count: 6)
        #expect(read(program.output, &room, 6) == 6)
        programs.signal(program.id, SIGHUP)
        #expect(run.ended.wait(milliseconds: 30_000))
        #expect(run.end.withLock { $0 } == .signalled(SIGHUP))
        // The child had it too: nobody holds the pipe any more.
        #expect(content(of: program.output) == "")
        for descriptor in program.descriptors.filter({ $0 != program.output }) { close(descriptor) }
    }
}
