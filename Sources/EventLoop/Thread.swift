internal import CLinux
internal import Glibc

/// Threads of our own: with a name, detached, and with every signal blocked, since one thread waits for those.
package enum Thread {
    private final class Start {
        let name: String
        let body: @Sendable () -> Void

        init(_ name: String, _ body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts a thread that runs `body` and ends.
    ///
    /// - Returns: false when the system gives no thread.
    package static func start(name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
        let start = Unmanaged.passRetained(Start(name, body))
        var thread = pthread_t()
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                chimera_name_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard result == 0 else {
            start.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    /// Lets the others go first where there are too few cores: for work that is heavy and not urgent. Of the calling
    /// thread.
    package static func yieldToOthers() {
        // Linux: the niceness is the thread's, and 0 names the calling one.
        let which = __priority_which_t(PRIO_PROCESS.rawValue)
        _ = setpriority(which, 0, min(19, getpriority(which, 0) + 5))
    }
}

/// Long work of a thread in pieces, between which whoever waits for its core has a turn: the scheduler's own pieces are
/// milliseconds, and a request on the same core would wait for all of one. Of one thread.
package final class Pace {
    private var since = Clock.monotonicNanoseconds()
    /// How long a piece is.
    private static let pieceNanoseconds: Int64 = 200_000

    package init() {}

    /// To be called often, between steps of the work.
    package func step() {
        guard Clock.monotonicNanoseconds() - since >= Self.pieceNanoseconds else { return }
        sched_yield()
        since = Clock.monotonicNanoseconds()
    }
}
