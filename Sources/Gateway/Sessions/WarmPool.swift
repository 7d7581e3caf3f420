internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraSessions
internal import Glibc
internal import Synchronization

/// `pool=N`: programs of one route that wait for clients. They are started one after the other, off the way of any
/// client, and more and more slowly where they do not stay alive.
final class WarmPool: Sendable {
    private struct Waiting {
        let running: RunningProgram
        let since: Int64
    }

    /// A program that may have been started.
    private final class Slot: Sendable {
        let running = Mutex<RunningProgram?>(nil)
    }

    private struct State {
        var waiting: [Waiting] = []
        var isStarting = false
        /// A later call of `fill` is on its way.
        var isScheduled = false
        var failures = 0
        var nextAt: Int64 = 0
        var isClosed = false
    }

    let key: RouteKey
    private let order: ProgramOrder
    private let house: KeptPrograms
    private let state = Mutex(State())

    /// Between two starts.
    private static let pauseMilliseconds: Int64 = 10
    /// Who has lived so long has not died at once.
    private static let soundMilliseconds: Int64 = 10_000

    init(_ key: RouteKey, _ house: KeptPrograms) {
        self.key = key
        self.house = house
        order = key.order
    }

    /// How many wait.
    var count: Int { state.withLock { $0.waiting.count } }

    /// The one that has waited longest, if any is there that lives.
    func take() -> RunningProgram? {
        var found: RunningProgram?
        while found == nil {
            guard let next = state.withLock({ $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() }) else {
                break
            }
            if Self.lives(next.running) {
                found = next.running
            } else {
                died(next.running, lived: house.now - next.since)
            }
        }
        fill()
        return found
    }

    /// Whether it can serve: its end may not have been told yet, but nobody has its pipes then.
    private static func lives(_ running: RunningProgram) -> Bool {
        guard !running.hasEnded else { return false }
        var ends = [
            pollfd(fd: running.program.output, events: Int16(POLLIN), revents: 0),
            pollfd(fd: running.program.input, events: 0, revents: 0),
        ]
        guard poll(&ends, 2, 0) > 0 else { return true }
        return ends.allSatisfy { Int32($0.revents) & (POLLHUP | POLLERR) == 0 }
    }

    /// Starts what is missing, now or when it is time.
    func fill() {
        let now = house.now
        let wait = state.withLock { state -> Int64? in
            guard !state.isClosed, !state.isStarting, state.waiting.count < key.target.poolCount else {
                return nil
            }
            if now >= state.nextAt {
                state.isStarting = true
                return 0
            }
            guard !state.isScheduled else { return nil }
            state.isScheduled = true
            return state.nextAt - now
        }
        guard let wait else { return }
        if wait == 0 { return start() }
        house.later(wait) { [self] in
            state.withLock { $0.isScheduled = false }
            fill()
        }
    }

    private func start() {
        let place = Slot()
        house.programs.start(order) { [self] result in
            switch result {
            case .success(let program):
                let running = RunningProgram(program)
                place.running.withLock { $0 = running }
                started(running)
            case .failure(let error): failed(error)
            }
        } ended: { [self] end in
            guard let running = place.running.withLock({ $0 }) else { return }
            running.ended(end)
            ended(running)
        }
    }

    private func started(_ running: RunningProgram) {
        let now = house.now
        let isWanted = state.withLock { state in
            state.isStarting = false
            state.nextAt = max(state.nextAt, now + Self.pauseMilliseconds)
            if !state.isClosed { state.waiting.append(Waiting(running: running, since: now)) }
            return !state.isClosed
        }
        if !isWanted { discard(running) }
        fill()
    }

    private func failed(_ error: SystemError) {
        let wait = noteFailure(lived: 0) { $0.isStarting = false }
        house.log.cannotStart(key.target.program, error, tenant: key.tenant)
        house.log.poolWaits(key, milliseconds: wait)
        fill()
    }

    /// Where it had a client, that one knows.
    private func ended(_ running: RunningProgram) {
        let now = house.now
        let waited = state.withLock { state -> Int64? in
            guard let index = state.waiting.firstIndex(where: { $0.running === running }) else { return nil }
            return now - state.waiting.remove(at: index).since
        }
        if let waited { died(running, lived: waited) }
        fill()
    }

    private func died(_ running: RunningProgram, lived: Int64) {
        house.figures.poolDeaths.add(1)
        let wait = noteFailure(lived: lived) { _ in }
        house.log.poolWaits(key, milliseconds: wait)
        discard(running)
    }

    private func noteFailure(lived: Int64, _ change: (inout State) -> Void) -> Int64 {
        let now = house.now
        return state.withLock { state in
            change(&state)
            state.failures = lived >= Self.soundMilliseconds ? 1 : state.failures + 1
            let wait = BackOff.milliseconds(failures: state.failures)
            state.nextAt = max(state.nextAt, now + wait)
            return wait
        }
    }

    private func discard(_ running: RunningProgram) {
        running.program.descriptors.forEach(FileDescriptors.close)
        house.programs.end(running.program.id)
    }

    /// Nobody comes any more: who waits ends.
    func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for entry in waiting { discard(entry.running) }
    }
}
