internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraSessions
internal import Synchronization

/// `shared=on`: the one program of a route, whether it runs or not. Any thread may use it.
final class SharedPlace: Sendable {
    /// What a client that comes is told.
    enum Answer {
        case running(KeptProgram)
        /// It is being started, or just ends; the client is told when there is news.
        case wait
        /// It ended at once, or could not be started, a moment ago.
        case refused(SystemError?)
    }

    private enum Standing {
        case idle
        case starting
        case running(KeptProgram)
    }

    private struct State {
        var standing = Standing.idle
        var waiting: [@Sendable () -> Void] = []
        var failures = 0
        var nextAt: Int64 = 0
        var startedAt: Int64 = 0
        /// Why it could not be started.
        var error: SystemError?
        var isClosed = false
        var isDraining = false
        var isScheduled = false
    }

    let key: RouteKey
    private let house: KeptPrograms
    private let state = Mutex(State())

    /// Who has lived so long has not died at once.
    private static let soundMilliseconds: Int64 = 5_000

    init(_ key: RouteKey, _ house: KeptPrograms) {
        self.key = key
        self.house = house
    }

    var program: KeptProgram? {
        state.withLock { if case .running(let program) = $0.standing { program } else { nil } }
    }

    /// It does not run, and is not about to.
    var isIdle: Bool {
        state.withLock { state in
            guard case .idle = state.standing else { return false }
            return state.waiting.isEmpty && !state.isScheduled
        }
    }

    private var startsWithLoad: Bool { key.target.sharing?.start == .load }

    /// The program, started where it does not run.
    ///
    /// - Parameter news: told once where the answer is to wait.
    func join(_ news: @escaping @Sendable () -> Void) -> Answer {
        let now = house.now
        var starts = false
        let answer = state.withLock { state -> Answer in
            switch state.standing {
            case .running(let program) where !program.isOver: return .running(program)
            case .idle where state.isClosed || now < state.nextAt: return .refused(state.error)
            case .idle:
                state.standing = .starting
                starts = true
            case .starting, .running: break
            }
            state.waiting.append(news)
            return .wait
        }
        if starts { house.startShared(self) }
        return answer
    }

    /// Starts it where it does not run, now or when it is time.
    func start() {
        let now = house.now
        let wait = state.withLock { state -> Int64? in
            guard !state.isClosed, !state.isDraining, case .idle = state.standing else { return nil }
            if now >= state.nextAt {
                state.standing = .starting
                return 0
            }
            guard !state.isScheduled else { return nil }
            state.isScheduled = true
            return state.nextAt - now
        }
        guard let wait else { return }
        if wait == 0 { return house.startShared(self) }
        house.later(wait) { [self] in
            state.withLock { $0.isScheduled = false }
            start()
        }
    }

    func started(_ program: KeptProgram) {
        let now = house.now
        let isClosed = state.withLock { state in
            state.standing = .running(program)
            state.startedAt = now
            return state.isClosed
        }
        tellAll()
        if isClosed { program.retire() }
    }

    func failed(_ error: SystemError) {
        house.log.cannotStart(key.target.program, error, tenant: key.tenant)
        ended(isFailure: true, error)
    }

    /// - Parameter end: nil where it was told to end.
    func ended(_ end: ProgramEnd?) {
        let lived = house.now - state.withLock { $0.startedAt }
        let isFailure = end != nil && (startsWithLoad || end != .exited(0)) && lived < Self.soundMilliseconds
        ended(isFailure: isFailure, nil)
    }

    private func ended(isFailure: Bool, _ error: SystemError?) {
        let now = house.now
        let wait = state.withLock { state in
            state.standing = .idle
            state.error = error
            state.failures = isFailure ? state.failures + 1 : 0
            // A client that comes may try a second time at once.
            let patience = startsWithLoad || error != nil ? 0 : 1
            let wait = BackOff.milliseconds(failures: state.failures - patience)
            state.nextAt = now + wait
            return wait
        }
        if wait > 0 { house.log.sharedWaits(key, milliseconds: wait) }
        tellAll()
        if startsWithLoad { start() }
    }

    private func tellAll() {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        for tell in waiting { tell() }
    }

    /// Another process starts its own: this one is not started again, and ends where nobody is there.
    func drain() {
        if program.map({ $0.clientCount == 0 }) ?? true { return close() }
        state.withLock { $0.isDraining = true }
    }

    /// The route is another one now: its clients stay, and nobody comes.
    func close() {
        state.withLock { $0.isClosed = true }
        program?.retire()
    }
}
