internal import CLinux
internal import Glibc
internal import Logging

/// What a signal asks for.
enum ServiceAction: Equatable {
    /// Finish what is under way, and end.
    case drain
    /// End, without finishing.
    case stopNow
    /// End, without waiting for anything.
    case exit
    case reload
    case reopenLogs
    /// Let the binary that is at our path now take over.
    case upgrade
    case nothing
}

/// What each signal means, one after the other.
struct SignalPlan {
    /// How many signals asked for the end.
    private var stops = 0

    mutating func received(_ signal: Int32) -> ServiceAction {
        switch signal {
        case SIGTERM, SIGINT:
            stops += 1
            return stops == 1 ? .drain : stops == 2 ? .stopNow : .exit
        case SIGHUP: return stops == 0 ? .reload : .nothing
        case SIGUSR1: return .reopenLogs
        case SIGUSR2: return stops == 0 ? .upgrade : .nothing
        default: return .nothing
        }
    }
}

/// The signals of the process: blocked in every thread, and taken by the one that waits.
struct ServiceSignals {
    /// Tells the waiting thread that the gateway has stopped; what comes from outside is told apart by
    /// looking.
    static let ended = SIGUSR2

    private var set = sigset_t()

    init() {
        sigemptyset(&set)
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR1, ServiceSignals.ended] { sigaddset(&set, signal) }
    }

    /// Blocks them for this thread and for those that it starts from now on. A write to a closed connection
    /// is an error of that write and no signal.
    func block() {
        var blocked = set
        pthread_sigmask(SIG_BLOCK, &blocked, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// The next signal.
    func wait() -> Int32 {
        var waited = set
        var number: Int32 = 0
        while sigwait(&waited, &number) != 0 {}
        return number
    }
}

/// The number of descriptors that the process may have: each connection is one.
enum DescriptorLimit {
    /// Raises it to the most that the system allows without asking for a privilege.
    static func raise(_ logger: Logger) {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        let before = limit.rlim_cur
        limit.rlim_cur = limit.rlim_max
        if setrlimit(resource, &limit) == 0 {
            logger.debug("descriptors", metadata: ["before": "\(before)", "now": "\(limit.rlim_cur)"])
        } else {
            logger.warning("the limit of descriptors cannot be raised", metadata: ["limit": "\(before)"])
        }
    }
}
