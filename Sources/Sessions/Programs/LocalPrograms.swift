internal import CLinux
package import ChimeraEventLoop
internal import Glibc
internal import Synchronization

/// Programs of a process without a supervisor, such as one that embeds the gateway: a thread of its own starts them, waits
/// for them, and ends them.
///
/// It reaps its own children alone, as the rest of the process may have others.
package final class LocalPrograms: ProgramSource {
    private typealias Letter = @Sendable (Desk) -> Void

    private struct Mail {
        var letters: [Letter] = []
        /// The thread runs.
        var hasStarted = false
        /// Nothing is started any more.
        var isEnding = false
    }

    private let mail = Mutex(Mail())
    private let wake: Int32
    /// Is told what the ids of all programs begin with, before the first one starts.
    private let begun: @Sendable (String) -> Void

    /// What the thread has.
    private final class Desk {
        let keeper = ProgramKeeper(reach: .everywhere, listPath: nil)
        /// By process: what becomes readable at its end, and who is told of that.
        var watched: [Int32: (descriptor: Int32, ended: @Sendable (ProgramEnd) -> Void)] = [:]
        /// Open once nothing is left.
        var waiters: [Latch] = []
    }

    /// - Parameter begun: told what the ids of all programs begin with, on another thread and before the first one starts.
    package init(begun: @escaping @Sendable (String) -> Void = { _ in }) {
        self.begun = begun
        wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    }

    /// Ends all programs, starts none any more, and waits until nothing of them is left, or for so long.
    package func endAll(atMostMilliseconds most: Int64) {
        let latch = Latch()
        let hasStarted = mail.withLock { mail in
            mail.isEnding = true
            return mail.hasStarted
        }
        guard hasStarted else { return }
        send { desk in
            desk.waiters.append(latch)
            desk.keeper.endAll(now: Clock.monotonicMilliseconds())
        }
        latch.wait(milliseconds: most)
    }

    deinit { if wake >= 0 { close(wake) } }

    package func start(
        _ order: ProgramOrder, started: @escaping @Sendable (Result<StartedProgram, SystemError>) -> Void,
        ended: @escaping @Sendable (ProgramEnd) -> Void
    ) {
        guard !mail.withLock({ $0.isEnding }) else {
            return started(.failure(SystemError("execve", ESHUTDOWN)))
        }
        guard startThread() else { return started(.failure(SystemError("pthread_create", EAGAIN))) }
        send { desk in
            do throws(SystemError) {
                if geteuid() == 0 && !order.mayBeRoot { throw SystemError("execve", EPERM) }
                let program = try desk.keeper.start(order, owner: 0, as: nil)
                desk.watched[program.process] = (chimera_process_descriptor(program.process), ended)
                started(.success(program))
            } catch {
                started(.failure(error))
            }
        }
    }

    package func end(_ id: String) {
        send { $0.keeper.end(id, now: Clock.monotonicMilliseconds()) }
    }

    /// It has no cgroups: only a process that is alone in its own can make others.
    package func unenforced(_ wanted: Set<ControlGroups.Controller>) -> Set<ControlGroups.Controller> {
        wanted
    }

    package func signal(_ id: String, _ number: Int32) { send { $0.keeper.signal(id, number) } }

    private func send(_ letter: @escaping Letter) {
        mail.withLock { $0.letters.append(letter) }
        var one: UInt64 = 1
        _ = write(wake, &one, 8)
    }

    /// - Returns: false where the system gives no thread.
    private func startThread() -> Bool {
        mail.withLock { mail in
            if mail.hasStarted { return true }
            guard wake >= 0 else { return false }
            // It lives as long as the process: with the thread that started it a program would be killed.
            mail.hasStarted = Thread.start(name: "chimera-program") { [self] in run() }
            return mail.hasStarted
        }
    }

    private func run() {
        let desk = Desk()
        begun(desk.keeper.instance)
        while true {
            var polled = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
            for watch in desk.watched.values where watch.descriptor >= 0 {
                polled.append(pollfd(fd: watch.descriptor, events: Int16(POLLIN), revents: 0))
            }
            poll(&polled, nfds_t(polled.count), waitMilliseconds(desk))
            var count: UInt64 = 0
            _ = read(wake, &count, 8)
            let letters = mail.withLock { mail in
                defer { mail.letters = [] }
                return mail.letters
            }
            for letter in letters { letter(desk) }
            reap(desk)
            desk.keeper.expired(now: Clock.monotonicMilliseconds())
            guard !desk.waiters.isEmpty, !desk.keeper.hasWork else { continue }
            for waiter in desk.waiters { waiter.open() }
            desk.waiters = []
        }
    }

    private func waitMilliseconds(_ desk: Desk) -> Int32 {
        // A kernel that tells of no process's end is asked now and then.
        let isBlind = desk.watched.values.contains { $0.descriptor < 0 }
        let next = desk.keeper.deadline
        let wait = next == .max ? Int64.max : max(0, next - Clock.monotonicMilliseconds())
        if isBlind { return Int32(min(wait, 50)) }
        return wait == .max ? -1 : Int32(clamping: wait)
    }

    private func reap(_ desk: Desk) {
        for (process, watch) in desk.watched {
            var status: Int32 = 0
            guard waitpid(process, &status, WNOHANG) == process else { continue }
            desk.watched[process] = nil
            if watch.descriptor >= 0 { close(watch.descriptor) }
            let now = Clock.monotonicMilliseconds()
            guard let told = desk.keeper.reaped(process, waitStatus: status, now: now) else { continue }
            watch.ended(told.end)
        }
    }
}
