internal import ChimeraEventLoop

/// A worker's share of a reload, in turns of a millisecond: between two of them the worker's sockets have theirs.
final class SiteChange: TurnTarget, TimerTarget {
    private let dispatcher: Dispatcher
    private let worker: Worker
    @exclusivity(unchecked) private var isPostponed = false
    @exclusivity(unchecked) private var waiting: [@Sendable () -> Void] = []
    private(set) lazy var timer = Timer(target: self)

    /// What a turn may take, of the two milliseconds that a client may notice.
    private static let turnNanoseconds: Int64 = 1_000_000
    /// How long a site that was replaced is kept for its successor, in milliseconds.
    private static let keptMilliseconds: Int64 = 30_000

    init(_ dispatcher: Dispatcher, on worker: Worker) {
        self.dispatcher = dispatcher
        self.worker = worker
        dispatcher.hasRetired = { [unowned self] in postpone() }
    }

    /// Begins a change; `done` is told after its last turn.
    func begin(_ snapshot: Snapshot, done: @escaping @Sendable () -> Void) {
        let start = Clock.monotonicNanoseconds()
        dispatcher.begin(snapshot)
        waiting.append(done)
        worker.set(timer, to: worker.now + SiteChange.keptMilliseconds)
        go(since: start)
    }

    func takeTurn() {
        isPostponed = false
        go(since: Clock.monotonicNanoseconds())
    }

    func deadlineReached(now: Int64) {
        let before = now - SiteChange.keptMilliseconds
        if before > 0, dispatcher.forgetPredecessors(before: UInt64(before + 1) * 1_000_000) {
            worker.set(timer, to: now + 1_000)
        }
        postpone()
    }

    /// Before the worker ends.
    func close() {
        worker.cancel(timer)
        dispatcher.hasRetired = nil
        finish()
    }

    private func go(since start: Int64) {
        worker.noteReload()
        var now = start
        while dispatcher.hasPendingSteps, now - start < SiteChange.turnNanoseconds {
            dispatcher.step()
            now = Clock.monotonicNanoseconds()
        }
        if dispatcher.hasPendingSteps { postpone() } else { finish() }
    }

    private func postpone() {
        guard !isPostponed, dispatcher.hasPendingSteps else { return }
        isPostponed = true
        worker.postpone(self)
    }

    private func finish() {
        let told = waiting
        waiting = []
        for done in told { done() }
    }
}
