package import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
package import ChimeraSessions
package import ChimeraTLS
internal import ChimeraTelemetry
internal import ChimeraUpstream
package import Logging
internal import Synchronization

/// A gateway: listeners, workers and what they serve, from `start()` to its end.
///
/// ```
///  Gateway ── snapshot ──▶ worker 0 ── sockets ── connections ── dispatcher ── destinations
///          ── snapshot ──▶ worker 1 ── sockets ── connections ── dispatcher ── destinations
/// ```
/// Its methods may be called from any thread. Each worker has a thread of its own, and all that serves a request
/// belongs to one worker.
public final class Gateway: Sendable {
    private struct State {
        var configuration: MachineConfiguration
        var sequence: SnapshotSequence
        var workers: [WorkerThread] = []
        var bound: [BoundListener] = []
        var undrained: Set<Int> = []
        /// What has to be done to listeners between two changes of configuration.
        var errands: [Errand] = []
        var startedAt: Int64 = 0
        var hasStarted = false
        var isStopping = false
    }

    /// Something that must not happen while a change of configuration opens and gives up listeners.
    private enum Errand: Sendable {
        /// These are to be given up.
        case leave([Listener.Address])
        /// The workers are done with a listener that was given up.
        case left(Listener.Address)
    }

    private let state: Mutex<State>
    private let logger: Logger
    private let log: AccessLogWriter?
    // What blocks has threads by its kind, so that a name server which is silent, or a flood of wrong passwords, keeps no
    // file waiting.
    private let pool = BlockingPool()
    private let namePool = BlockingPool()
    /// Hashing takes the time of a core and not of a disk: some cores are left to the workers.
    private let passwordPool = BlockingPool(threadsMax: max(1, Machine.usableCores / 2), queueMax: 1_000)
    private let counters: CounterBoard
    private let welcome: WelcomeSource
    private let loads: WorkerLoads
    private let handover = Handover()
    private let limits = LimitTables()
    private let metrics: MetricsSource
    private let tickets: TicketSecret
    private let authority: AuthoritySource
    private let workerCount: Int
    private let source: any ListenerSource
    private let programs: any ProgramSource
    private let programLog: ProgramLog
    let kept: KeptPrograms
    private let files: any ConfigurationFileSystem
    /// One change of configuration at a time.
    private let reloading = Mutex(())
    private let drained = Latch()
    private let stopped = Latch()

    /// How long workers may take to let go of what a reload replaced, before it counts as done without them.
    private static let changeMilliseconds: Int64 = 10_000
    /// How long the access log may take to write what is left.
    private static let logMilliseconds: Int64 = 2_000
    /// How long tasks may take to notice that their connection was cut off, and WebSockets to end after a Close frame.
    private static let cutOffMilliseconds: Int64 = 1_000
    /// How long workers have to answer a question of the operator.
    private static let answerMilliseconds: Int64 = 2_000

    /// Makes a gateway that serves nothing yet.
    ///
    /// - Parameters:
    ///   - source: where the listening sockets come from; it binds them itself if not given.
    ///   - dataDirectory: where the authority of `tls internal` is kept, unless the configuration says.
    ///   - tickets: what keys of TLS session tickets come from; nil for a secret of its own.
    ///   - programs: who starts programs; a thread of its own if not given.
    ///   - handler: where routes of the configuration to an embedded handler lead.
    /// - Throws: when the access log cannot be opened.
    package init(
        configuration: MachineConfiguration, logger: Logger,
        files: any ConfigurationFileSystem = SystemFileSystem(),
        listeners source: any ListenerSource = ListenerGroups(), tickets: TicketSecret? = nil,
        dataDirectory: String? = nil, programs: any ProgramSource = LocalPrograms(),
        handler: (any Handler)? = nil
    ) throws {
        self.programs = programs
        programLog = ProgramLog(logger)
        kept = KeptPrograms(programs, programLog, limits)
        authority = AuthoritySource(directory: configuration.dataDirectory ?? dataDirectory, logger)
        self.tickets = tickets ?? TicketSecret(now: ProcessFigures.wallSeconds)
        self.source = source
        self.logger = logger
        self.files = files
        workerCount = configuration.workers.resolved
        counters = CounterBoard(workers: workerCount)
        welcome = WelcomeSource(counters: counters)
        loads = WorkerLoads(workers: workerCount)
        log = try Gateway.makeLog(configuration.accessLog, logger)
        state = Mutex(
            State(
                configuration: configuration,
                sequence: SnapshotSequence(handler: handler, counters: counters)))
        metrics = MetricsSource(
            state: ServiceState(), counters: counters, loads: loads, limits: limits,
            pools: [("files", pool), ("names", namePool), ("passwords", passwordPool)], log: log, kept: kept)
    }

    private static func makeLog(_ wanted: AccessLog?, _ logger: Logger) throws -> AccessLogWriter? {
        let log = wanted ?? AccessLog(format: Machine.hasTerminal ? .text : .json)
        let format: AccessLogFormat
        switch log.format {
        case .off: return nil
        case .text: format = .text
        case .json: format = .json
        }
        let target: AccessLogTarget
        switch log.target {
        case .standardOutput: target = .standardOutput
        case .file(let path): target = .file(path: path)
        }
        do throws(SystemError) {
            return try AccessLogWriter(target, format: format) { event in
                logger.log(level: event.isTrouble ? .warning : .info, "access log: \(event)")
            }
        } catch {
            throw AccessLogUnwritable(reason: error, user: ProcessFigures.userName)
        }
    }

    // MARK: Starting

    /// Binds the listeners, starts the workers and serves. A gateway starts once.
    ///
    /// - Throws: the listener that cannot be bound, and why.
    public func start() throws {
        let configuration = state.withLock { state in
            precondition(!state.hasStarted, "a gateway starts once")
            state.hasStarted = true
            return state.configuration
        }
        var bound: [BoundListener] = []
        do {
            for listener in configuration.listeners {
                bound.append(try BoundListener(listener, workers: workerCount, from: source))
            }
        } catch {
            for listener in bound { listener.close() }
            source.closeAll()
            throw error
        }
        welcome.update(configuration, from: files)
        authority.prepare(for: configuration)
        let workers: [WorkerThread]
        do {
            workers = try startWorkers(makeSnapshot(configuration))
        } catch {
            for listener in bound { listener.close() }
            source.closeAll()
            throw error
        }
        log?.start()
        handover.set(workers)
        metrics.set(workers.map(\.worker.turns))
        state.withLock { state in
            state.workers = workers
            state.bound = bound
            state.undrained = Set(0..<workerCount)
            state.startedAt = Clock.monotonicMilliseconds()
        }
        metrics.state.configured(configuration)
        kept.begin(workers, configuration)
        if configuration.hasSessions {
            let ceiling = SessionCeiling.ofMachine()
            logger.info("room for \(ceiling.count) sessions at once, which \(ceiling.reason) sets")
            let unenforced = programs.unenforced(configuration.programControllers)
            for controller in ControlGroups.Controller.allCases where unenforced.contains(controller) {
                logger.warning("\(controller.consequence)")
            }
        }
        for listener in bound { open(listener, on: workers) }
    }

    /// Starts all workers, or none.
    private func startWorkers(_ snapshot: Snapshot) throws -> [WorkerThread] {
        let shared = makeShared()
        var started: [WorkerThread] = []
        do {
            for index in 0..<workerCount {
                let worker = try WorkerThread(index: index, shared: shared)
                try worker.start(snapshot)
                started.append(worker)
            }
        } catch {
            for worker in started { worker.stop() }
            for worker in started { worker.waitUntilEnded() }
            throw error
        }
        return started
    }

    private func makeSnapshot(
        _ configuration: MachineConfiguration, pause: () -> Void = {}
    ) -> Snapshot {
        state.withLock { $0.sequence.next(configuration, pause: pause) }
    }

    private func makeShared() -> SharedParts {
        SharedParts(
            pool: pool, passwordPool: passwordPool, resolver: Resolver(pool: namePool), counters: counters,
            log: log, welcome: welcome, loads: loads, handover: handover, limits: limits, metrics: metrics,
            tickets: tickets, authority: authority, programs: programs, kept: kept, programLog: programLog,
            drained: { [weak self] index in self?.workerDrained(index) })
    }

    private func open(_ listener: BoundListener, on workers: [WorkerThread]) {
        let (expected, opened) = (Latch(), Latch())
        let all = Countdown(workers.count) { expected.open() }
        for worker in workers { worker.expect(listener, done: all.countDown) }
        expected.wait(milliseconds: 5_000)
        for share in listener.shares {
            workers[share.worker].listen(share.descriptor, listener) { [logger] error in
                if let error { logger.error("a worker cannot accept on \(listener.text): \(error)") }
                opened.open()
            }
        }
        opened.wait(milliseconds: 5_000)
        let session = listener.listener.session.map { " for session=\($0.text)" } ?? ""
        logger.info("listening on \(listener.text)\(listener.listener.tls ? " with TLS" : "")\(session)")
    }

    // MARK: Running

    /// The addresses that are listened on, as the log names them.
    public var listeningAddresses: [String] { state.withLock { $0.bound.map(\.text) } }

    /// Serves another configuration from now on. Connections stay, exchanges under way finish with the old one,
    /// listeners that are new are opened and those that are gone are closed. Blocks until the workers have let go of
    /// what was replaced; it must not be called on one of them.
    ///
    /// - Throws: the new listener that cannot be bound, and why; nothing changes then.
    package func reload(_ configuration: MachineConfiguration) throws {
        defer { runErrands() }
        try reloading.withLock { _ in try change(to: configuration) }
    }

    private func change(to configuration: MachineConfiguration) throws {
        let (workers, bound, isStopping) = state.withLock { ($0.workers, $0.bound, $0.isStopping) }
        guard !isStopping else { return }
        let change = try ListenerChange(
            from: bound, to: configuration.listeners, workers: workerCount, source: source)
        welcome.update(configuration, from: files)
        authority.prepare(for: configuration)
        let before = state.withLock { $0.sequence.latest }
        let snapshot = makeSnapshot(configuration, pause: Pace().step)
        let changed = Latch()
        let all = Countdown(workers.count + 1) { changed.open() }
        all.countDown()
        for worker in workers { worker.update(to: snapshot, change.kept, done: all.countDown) }
        metrics.state.configured(configuration)
        for listener in change.fresh { open(listener, on: workers) }
        state.withLock { state in
            state.configuration = configuration
            state.bound = change.kept + change.fresh
        }
        // What was before is freed here, and not on the worker that lets go of it last.
        withExtendedLifetime(before) {
            if changed.wait(milliseconds: Gateway.changeMilliseconds) {
                state.withLock { $0.sequence.workersAreDone() }
            }
        }
        kept.configured(configuration)
        for listener in change.gone { leave(listener, workers, change.handshakeMilliseconds(of: listener)) }
    }

    /// Gives a listener up: what has begun to connect is accepted first.
    private func leave(_ listener: BoundListener, _ workers: [WorkerThread], _ milliseconds: Int64) {
        logger.info("no longer listening on \(listener.text)")
        let address = listener.listener.address
        let all = Countdown(listener.shares.count) { [weak self] in self?.runLater(.left(address)) }
        for share in listener.shares {
            workers[share.worker].unlisten(
                share.descriptor, handshakeMilliseconds: milliseconds, done: all.countDown)
        }
    }

    /// Gives up what is listened on at these addresses, and serves the rest as before. Where a change of configuration
    /// is under way, that comes first.
    package func leave(_ addresses: [Listener.Address]) { run(.leave(addresses)) }

    /// Does it now, or where a change of configuration is under way, lets that one do it at its end.
    private func run(_ errand: Errand) {
        state.withLock { $0.errands.append(errand) }
        runErrands()
    }

    /// Does it on another thread: a worker must not wait for a change that is under way, nor for whoever keeps the
    /// sockets. Where the system gives no thread, it is done with the next change or errand.
    private func runLater(_ errand: Errand) {
        state.withLock { $0.errands.append(errand) }
        let work: @Sendable () -> Void = { [weak self] in self?.runErrands() }
        guard !pool.submit(work), !Thread.start(name: "chimera-errand", work) else { return }
        logger.warning("there is no thread to give a socket back; it is given back with the next reload")
    }

    /// Whoever has the lock looks again after it has let go, so that no errand is left behind.
    private func runErrands() {
        while !state.withLock({ $0.errands.isEmpty }) {
            let hasRun: Void? = reloading.withLockIfAvailable { _ in
                let errands = state.withLock { state in
                    defer { state.errands = [] }
                    return state.errands
                }
                for errand in errands {
                    switch errand {
                    case .leave(let addresses): giveUp(addresses)
                    case .left(let address): left(address)
                    }
                }
            }
            if hasRun == nil { return }
        }
    }

    /// The source keeps an address that meanwhile is listened on again.
    private func left(_ address: Listener.Address) {
        let isBound = state.withLock { $0.bound.contains { $0.listener.address == address } }
        if !isBound { source.close(address) }
    }

    private func giveUp(_ addresses: [Listener.Address]) {
        let (workers, going) = state.withLock { state in
            let going = state.bound.filter { addresses.contains($0.listener.address) }
            state.bound.removeAll { addresses.contains($0.listener.address) }
            return (state.workers, going)
        }
        for listener in going { leave(listener, workers, ListenerChange.handshakeMilliseconds) }
    }

    /// What each worker answers to a question, in their order; a worker that is busy for too long is left out.
    func ask<Answer: Sendable>(_ question: @escaping @Sendable (GatewayWorker) -> Answer) -> [Answer] {
        let workers = state.withLock { $0.workers }
        guard !workers.isEmpty else { return [] }
        let latch = Latch()
        let answers = WorkerAnswers<Answer>()
        let all = Countdown(workers.count) { latch.open() }
        for worker in workers {
            worker.ask { host in
                if let host { answers.add(question(host), of: worker.worker.index) }
                all.countDown()
            }
        }
        latch.wait(milliseconds: Gateway.answerMilliseconds)
        return answers.inOrder
    }

    /// What is served.
    package var configuration: MachineConfiguration { state.withLock { $0.configuration } }

    /// How the gateway is.
    package func status() -> GatewayStatus {
        let (configuration, startedAt, bound) = state.withLock {
            ($0.configuration, $0.startedAt, $0.bound.map(\.text))
        }
        let totals = counters.totals()
        return GatewayStatus(
            workers: ask { $0.connectionCount }, listening: bound,
            sites: configuration.sites.count { !$0.site.isTelemetry },
            requests: totals[.requests],
            uptimeMilliseconds: startedAt == 0 ? 0 : Clock.monotonicMilliseconds() - startedAt)
    }

    /// Connections that are open now.
    package var openConnections: Int { loads.total }

    /// The configuration was loaded, or could not be: for the metrics.
    package func note(_ status: ReloadStatus) { metrics.state.noted(status) }

    /// Opens the access log's file again by its name.
    public func reopenLogs() { log?.reopen() }

    // MARK: Ending

    /// Accepts no more, closes idle connections, gives the others so long to finish, and stops. Returns at once.
    public func drain(deadlineMilliseconds: Int64) {
        drain(deadlineMilliseconds: deadlineMilliseconds, idleMilliseconds: 0)
    }

    /// The same, but a connection without a request is open for a moment more: where another data plane takes over,
    /// a request that is on its way now is answered, and its answer says that the connection closes.
    ///
    /// Where nobody takes over, `/ready` and the other pages of `metrics ADDRESS` answer until the end.
    ///
    /// - Parameter idleMilliseconds: how long that is. A second call with 0 closes them at once.
    package func drain(deadlineMilliseconds: Int64, idleMilliseconds: Int64) {
        let (workers, isFirst) = state.withLock { state in
            defer { state.isStopping = true }
            return (state.workers, !state.isStopping)
        }
        let keepsMetrics = idleMilliseconds == 0
        guard isFirst else {
            for worker in workers { worker.drain(idleMilliseconds: idleMilliseconds, keepsMetrics: false) }
            return
        }
        metrics.state.drainBegins()
        onThread("chimera-drain") { [self] in
            stopAccepting(workers, keepsMetrics: keepsMetrics)
            kept.drain()
            for worker in workers {
                worker.drain(idleMilliseconds: idleMilliseconds, keepsMetrics: keepsMetrics)
            }
            if !drained.wait(milliseconds: deadlineMilliseconds) {
                logger.warning(
                    "connections were open at the deadline and are closed",
                    metadata: ["connections": "\(openConnections)"])
                cutOff(workers)
            }
            end()
        }
    }

    /// Returns when no worker accepts any more: what one of them passed to another before is in that one's mail.
    private func stopAccepting(_ workers: [WorkerThread], keepsMetrics: Bool) {
        guard !workers.isEmpty else { return }
        let latch = Latch()
        let all = Countdown(workers.count) { latch.open() }
        for worker in workers { worker.stopAccepting(keepsMetrics: keepsMetrics, done: all.countDown) }
        latch.wait(milliseconds: Gateway.cutOffMilliseconds)
        source.closeAll()
    }

    /// Closes every connection and stops. Returns at once.
    public func stopNow() {
        let workers = state.withLock { state in
            state.isStopping = true
            return state.workers
        }
        metrics.state.drainBegins()
        onThread("chimera-stop") { [self] in
            cutOff(workers)
            // A drain that is under way waits no longer.
            drained.open()
            end()
        }
    }

    /// An end that is asked for comes, also where the system gives no thread: then the caller waits for it.
    private func onThread(_ name: String, _ work: @escaping @Sendable () -> Void) {
        if Thread.start(name: name, work) { return }
        logger.warning("the system gives no thread; nothing else is obeyed until the gateway has ended")
        work()
    }

    /// Closes every connection. What serves them has a moment to see it.
    private func cutOff(_ workers: [WorkerThread]) {
        for worker in workers { worker.closeAll() }
        drained.wait(milliseconds: Gateway.cutOffMilliseconds)
    }

    /// Returns when the gateway has stopped.
    public func waitUntilStopped() { stopped.wait() }

    private func workerDrained(_ index: Int) {
        let isLast = state.withLock { state in
            state.undrained.remove(index)
            return state.undrained.isEmpty
        }
        if isLast { drained.open() }
    }

    private func end() {
        let workers = state.withLock { state in
            defer { state.workers = [] }
            return state.workers
        }
        guard !workers.isEmpty else { return }
        kept.close(milliseconds: Gateway.cutOffMilliseconds)
        handover.set([])
        for worker in workers { worker.stop() }
        for worker in workers { worker.waitUntilEnded() }
        kept.end()
        source.closeAll()
        log?.stop(deadlineMilliseconds: Gateway.logMilliseconds)
        for pool in [pool, namePool, passwordPool] { pool.stop() }
        stopped.open()
    }
}

/// The access log cannot be opened.
private struct AccessLogUnwritable: Error, CustomStringConvertible {
    let reason: SystemError
    /// Who tried it: file modes are seldom those of whoever started the gateway.
    let user: String

    var description: String { "the access log cannot be written by user \(user): \(reason)" }
}
