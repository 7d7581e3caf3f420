internal import ChimeraAdministration
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraSessions
internal import Glibc
internal import Synchronization

/// The programs of all workers that do not belong to one connection: those whose clients may come back, those that have
/// several, and those that wait for the first. Any thread may use it.
final class KeptPrograms: Sendable {
    private struct State {
        var byToken: [String: KeptProgram] = [:]
        var shared: [RouteKey: SharedPlace] = [:]
        var pools: [RouteKey: WarmPool] = [:]
        var workers: [WorkerThread] = []
        var nextWorker = 0
        var isDraining = false
        var isClosing = false
    }

    let programs: any ProgramSource
    let log: ProgramLog
    private let limits: LimitTables
    let figures = KeptFigures()
    private let state = Mutex(State())
    /// Nothing is kept any more, at the end.
    private let emptied = Latch()

    init(_ programs: any ProgramSource, _ log: ProgramLog, _ limits: LimitTables) {
        self.programs = programs
        self.log = log
        self.limits = limits
    }

    /// In milliseconds of the monotonic clock.
    var now: Int64 { Clock.monotonicMilliseconds() }

    // MARK: Configurations

    /// The workers serve from now on.
    func begin(_ workers: [WorkerThread], _ configuration: MachineConfiguration) {
        state.withLock { $0.workers = workers }
        programs.receive({ [weak self] in self?.adopt($0) }, release: { [weak self] in self?.release($0) })
        configured(configuration)
    }

    /// What this configuration wants is there, and what it has no more goes: programs that wait end, and those that have
    /// clients end with the last of them.
    func configured(_ configuration: MachineConfiguration) {
        let wanted = RouteKey.early(in: configuration)
        let (goneP, newP, goneS, newS) = state.withLock { state in
            guard !state.isDraining else {
                return ([WarmPool](), [WarmPool](), [SharedPlace](), [SharedPlace]())
            }
            let goneP = state.pools.values.filter { !wanted.contains($0.key) }
            let newP = wanted.filter { $0.target.poolCount > 0 && state.pools[$0] == nil }
                .map { WarmPool($0, self) }
            for pool in goneP { state.pools[pool.key] = nil }
            for pool in newP { state.pools[pool.key] = pool }
            let goneS = state.shared.values.filter {
                $0.key.target.sharing?.start == .load && !wanted.contains($0.key)
            }
            let newS = wanted.filter { $0.target.sharing?.start == .load && state.shared[$0] == nil }
                .map { SharedPlace($0, self) }
            for place in goneS { state.shared[place.key] = nil }
            // Of routes that may be no more: whoever comes makes it again.
            state.shared = state.shared.filter { $0.key.target.sharing?.start == .load || !$0.value.isIdle }
            for place in newS { state.shared[place.key] = place }
            return (Array(goneP), newP, Array(goneS), newS)
        }
        for pool in goneP { pool.close() }
        for place in goneS { place.close() }
        for pool in newP { pool.fill() }
        for place in newS { place.start() }
    }

    /// Another process serves from now on, or none: who waits ends, who has nobody is handed over or ends.
    func drain() {
        let (pools, places, kept) = state.withLock { state in
            state.isDraining = true
            defer { state.pools = [:] }
            return (
                Array(state.pools.values), Array(state.shared.values), Array(state.byToken.values)
            )
        }
        for pool in pools { pool.close() }
        for place in places { place.drain() }
        for program in kept where program.clientCount == 0 { program.handOver() }
    }

    /// Whoever comes back comes to another process soon.
    var isDraining: Bool { state.withLock { $0.isDraining } }

    /// All clients are gone, or are cut off: whatever is left is handed over.
    func close(milliseconds: Int64) {
        drain()
        for program in state.withLock({ Array($0.byToken.values) }) { program.handOver() }
        let isEmpty = state.withLock { state in
            state.isClosing = true
            return state.byToken.isEmpty
        }
        if !isEmpty { emptied.wait(milliseconds: milliseconds) }
    }

    /// The workers have ended, each of which knows this.
    func end() {
        state.withLock { $0.workers = [] }
        log.stop()
    }

    // MARK: Programs

    /// A program that waits for a client of the route.
    func takeWarm(_ key: RouteKey) -> RunningProgram? {
        guard key.target.poolCount > 0, let pool = state.withLock({ $0.pools[key] }) else { return nil }
        let running = pool.take()
        let counter = running == nil ? figures.poolMisses : figures.poolHits
        counter.add(1)
        return running
    }

    /// The one program of the route.
    func shared(_ key: RouteKey) -> SharedPlace {
        state.withLock { state in
            if let place = state.shared[key] { return place }
            let place = SharedPlace(key, self)
            state.shared[key] = place
            return place
        }
    }

    func startShared(_ place: SharedPlace) {
        onWorker { host in
            guard let host else { return place.failed(SystemError("execve", ESHUTDOWN)) }
            host.startShared(place)
        }
    }

    func program(_ token: String) -> KeptProgram? { state.withLock { $0.byToken[token] } }

    func add(_ program: KeptProgram) {
        guard let token = program.token else { return }
        let isDraining = state.withLock { state in
            state.byToken[token] = program
            return state.isDraining && program.clientCount == 0
        }
        if isDraining { program.handOver() }
    }

    func remove(_ program: KeptProgram) {
        guard let token = program.token else { return }
        let isLast = state.withLock { state in
            state.byToken[token] = nil
            return state.isClosing && state.byToken.isEmpty
        }
        if isLast { emptied.open() }
    }

    /// Programs without a client.
    var unattended: [KeptProgram] {
        let (kept, places) = state.withLock { (Array($0.byToken.values), Array($0.shared.values)) }
        return (kept + places.compactMap(\.program)).filter { $0.clientCount == 0 }
    }

    func program(withID id: String) -> KeptProgram? {
        let (kept, places) = state.withLock { (Array($0.byToken.values), Array($0.shared.values)) }
        return (kept + places.compactMap(\.program)).first { $0.id == id }
    }

    /// Programs that wait for a client.
    var warmCount: Int { state.withLock { Array($0.pools.values) }.reduce(0) { $0 + $1.count } }

    // MARK: From and to other processes

    /// Takes over a program that another process has left.
    private func adopt(_ handed: HandedProgram) {
        guard let record = KeptFacts(handed.record.facts) else {
            handed.running.program.descriptors.forEach(FileDescriptors.close)
            return programs.end(handed.running.program.id)
        }
        let first = handed.handovers << KeptFacts.positionBits
        let remains =
            handed.log.flatMap { KeptRemains($0, capacity: record.replayBytes) }
            ?? KeptRemains(OutputLog(capacity: record.replayBytes, from: first))
        let kept = KeptProgram(
            handed.running.program,
            .resumed(token: handed.record.token, milliseconds: handed.record.milliseconds), record.facts,
            keepsErrors: record.keepsErrors, remains,
            forgottenBefore: (remains.log.start >> KeptFacts.positionBits) << KeptFacts.positionBits,
            startedAt: record.startedAt, lifeMax: record.lifeMax, now: now)
        // Before anybody can come back to it. It had its places in the process that has left it.
        let (places, table) = (SessionLimits.enter(record, limits), limits.places)
        add(kept)
        onWorker { host in
            let leave = { for place in places { table.leave(place) } }
            guard let host else { return leave() }
            host.own(kept, handed.running, record, gone: leave)
        }
    }

    /// Another process wants a program.
    private func release(_ id: String) {
        let kept = state.withLock { state in state.byToken.values.first { $0.id == id } }
        kept?.handOver()
    }

    // MARK: Workers

    private func onWorker(_ work: @escaping @Sendable (GatewayWorker?) -> Void) {
        let worker = state.withLock { state -> WorkerThread? in
            guard !state.workers.isEmpty else { return nil }
            state.nextWorker = (state.nextWorker + 1) % state.workers.count
            return state.workers[state.nextWorker]
        }
        guard let worker else { return work(nil) }
        worker.ask(work)
    }

    /// Does something after so many milliseconds, on a worker; where the gateway ends before, never.
    func later(_ milliseconds: Int64, _ work: @escaping @Sendable () -> Void) {
        guard let worker = state.withLock({ $0.workers.first?.worker }) else { return }
        worker.submit { worker in LaterCall(work).set(worker, after: milliseconds) }
    }
}

/// What is done at a time; it keeps itself until then.
private final class LaterCall: TimerTarget {
    private let work: () -> Void
    private lazy var timer = Timer(target: self)
    private var itself: LaterCall?

    init(_ work: @escaping () -> Void) { self.work = work }

    func set(_ worker: Worker, after milliseconds: Int64) {
        itself = self
        worker.set(timer, to: worker.now + milliseconds)
    }

    func deadlineReached(now: Int64) {
        let mine = itself
        itself = nil
        work()
        withExtendedLifetime(mine) {}
    }
}

/// What is counted of sessions and of kept programs.
final class KeptFigures: Sendable {
    final class Figure: Sendable {
        private let value = Atomic<UInt64>(0)

        func add(_ amount: Int) { value.wrappingAdd(UInt64(max(0, amount)), ordering: .relaxed) }

        var count: UInt64 { value.load(ordering: .relaxed) }
    }

    /// Sessions that have ended, by why.
    private let ends = SessionEnd.Reason.allCases.map { _ in Figure() }

    func add(_ end: SessionEnd) { ends[end.reason.rawValue].add(1) }

    func count(_ reason: SessionEnd.Reason) -> UInt64 { ends[reason.rawValue].count }

    /// Clients that got a program which waited, and those that came when none did.
    let poolHits = Figure()
    let poolMisses = Figure()
    /// Programs that ended while they waited.
    let poolDeaths = Figure()
    /// Clients that came back, those whose token nobody knew, and those that had to make way for one that came back.
    let resumed = Figure()
    let unknownTokens = Figure()
    let takenOver = Figure()
    /// Octets that no client got.
    let lostOctets = Figure()
    /// Clients that were too slow for what all of a program get.
    let tooSlow = Figure()
}
