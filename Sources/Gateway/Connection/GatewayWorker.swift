internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraFiles
internal import ChimeraHTTPCore
internal import ChimeraTelemetry
internal import ChimeraUpstream

/// What a connection knows of the listener that accepted it.
final class ListenerFacts {
    /// The listener's address, by which other workers know it.
    let text: String
    /// The listener's `name=`; nil where it has none.
    @exclusivity(unchecked) private(set) var name: String?
    /// The port to name in redirects; 0 for a Unix socket.
    @exclusivity(unchecked) private(set) var port: UInt16
    let isSecure: Bool
    /// The listener's number for the dispatcher; another after each change of configuration.
    @exclusivity(unchecked) var id = ListenerID.unnamed

    init(_ listener: BoundListener) {
        text = listener.text
        isSecure = listener.listener.tls
        name = listener.listener.name
        port = listener.listener.publicPort ?? listener.port
    }

    /// The line of the same address says something else now.
    func changed(to listener: BoundListener) {
        name = listener.listener.name
        port = listener.listener.publicPort ?? listener.port
    }
}

/// A listener that is closed, as long as connections which it accepted are open: they go on to be told apart by its name.
private struct RetiredListener {
    weak var facts: ListenerFacts?
}

/// What all workers of a gateway share; each part is made for sharing.
struct SharedParts: Sendable {
    /// For files.
    let pool: BlockingPool
    /// For hashes of passwords.
    let passwordPool: BlockingPool
    let resolver: Resolver
    let counters: CounterBoard
    let log: AccessLogWriter?
    /// What the verb `welcome` shows, and where the counts come from.
    let welcome: WelcomeSource
    /// How many connections each worker has.
    let loads: WorkerLoads
    let handover: Handover
    /// The turns of workers that reloads caused.
    let reloadTurns: TurnHistogram
    /// Told once when a worker's last connection has ended while it drains.
    let drained: @Sendable (Int) -> Void
}

/// All that one worker has for serving: its connections, its buffers, its own dispatcher and destinations.
final class GatewayWorker {
    let worker: Worker
    let shared: SharedParts
    /// Where a turn reads to and formats answers in; never held across a wait.
    let scratchInput = ByteBuffer(capacity: 64 * 1024)
    let scratchOutput = ByteBuffer(capacity: 64 * 1024)
    let counters: Counters
    let log: AccessLogBuffer?
    @exclusivity(unchecked) private(set) var limits = Limits()
    @exclusivity(unchecked) private(set) var timeouts = ConnectionTimeouts()
    @exclusivity(unchecked) var buffers = BufferPool(capacity: 1024, capacityMax: 16 * 1024, keptMax: 1024)
    /// How many connections have what is needed for a request that waits.
    @exclusivity(unchecked) var activeConnections = 0
    @exclusivity(unchecked) private(set) var isDraining = false
    @exclusivity(unchecked) private(set) var dispatcher: Dispatcher
    @exclusivity(unchecked) private var factory: WorkerTargets
    @exclusivity(unchecked) private var listeners: [(socket: ListeningSocket, facts: ListenerFacts)] = []
    @exclusivity(unchecked) private var retired: [RetiredListener] = []
    @exclusivity(unchecked) private var transactions: [Transaction] = []
    @exclusivity(unchecked) private var connections: [HTTP1Connection?] = []
    @exclusivity(unchecked) private var freeConnections: [Int] = []
    @exclusivity(unchecked) private var dateSeconds: Int64 = -1
    @exclusivity(unchecked) private var dateText = HTTPDate.format(0)
    @exclusivity(unchecked) private var resumeTimer: ResumeTimer?
    @exclusivity(unchecked) private var change: SiteChange?

    /// What the log calls endpoints.
    @exclusivity(unchecked) var addressTexts: [SocketAddress: AccessText] = [:]

    static let addressTextsMax = 1024
    private static let transactionsKept = 256
    /// Past so many, connections do not keep what served one request for the next: each has some 8 KiB then, which a
    /// burst of many would leave behind.
    static let activeKeptMax = 512

    init(worker: Worker, shared: SharedParts, snapshot: Snapshot) {
        self.worker = worker
        self.shared = shared
        counters = shared.counters.counters(ofWorker: worker.index)
        log = shared.log?.makeBuffer()
        factory = WorkerTargets(files: FilesCache(worker: worker, pool: shared.pool))
        dispatcher = Dispatcher(snapshot, targets: factory) { UInt64(worker.nanoseconds) }
        factory.host = self
        applySettings()
    }

    var pool: BlockingPool { shared.pool }

    /// The current date in the form of RFC 9110 §5.6.7, made once a second.
    var date: InlineArray<29, UInt8> {
        if worker.wallSeconds != dateSeconds {
            dateSeconds = worker.wallSeconds
            dateText = HTTPDate.format(dateSeconds)
        }
        return dateText
    }

    /// Connections to one endpoint.
    func makePool(_ target: ReachableEndpoint) -> EndpointPool {
        EndpointPool(
            target.name, on: worker, limits: UpstreamLimits(), resolver: shared.resolver, reach: target.reach)
    }

    // MARK: Configuration

    /// Another configuration counts from now on; exchanges under way keep their site. What was made of sites that are
    /// others now goes in turns, between which the sockets have theirs; `done` is told after the last.
    func update(to snapshot: Snapshot, done: @escaping @Sendable () -> Void) {
        let change = change ?? SiteChange(dispatcher, on: worker, turns: shared.reloadTurns)
        self.change = change
        change.begin(snapshot, done: done)
        for listener in listeners { listener.facts.id = dispatcher.listener(named: listener.facts.name) }
        retired.removeAll { $0.facts == nil }
        for listener in retired {
            guard let facts = listener.facts else { continue }
            facts.id = dispatcher.listener(named: facts.name)
        }
        applySettings()
    }

    private func applySettings() {
        let settings = dispatcher.machineSettings
        limits.headBytesMax = Int(settings.limitHead)
        limits.startLineBytesMax = min(Limits().startLineBytesMax, limits.headBytesMax)
        timeouts = ConnectionTimeouts(settings.timeouts)
    }

    /// Starts to accept on a listening socket.
    func listen(_ descriptor: Int32, _ facts: ListenerFacts) throws(SystemError) {
        guard !isDraining else { return FileDescriptors.close(descriptor) }
        facts.id = dispatcher.listener(named: facts.name)
        let socket = ListeningSocket(descriptor, on: worker) { [unowned self] in
            descriptorsExhausted()
        } accepted: { [unowned self] connection, peer in
            accept(connection, peer, facts)
        }
        try socket.resume()
        listeners.append((socket, facts))
    }

    /// Stops to accept on a listening socket, after those who wait there already, and closes it.
    func unlisten(_ descriptor: Int32) {
        guard let index = listeners.firstIndex(where: { $0.socket.descriptor == descriptor }) else { return }
        let (socket, facts) = listeners.remove(at: index)
        socket.finish()
        retired.append(RetiredListener(facts: facts))
    }

    /// The line of a listening socket says something else from the next `update` on.
    func rename(_ descriptor: Int32, as listener: BoundListener) {
        listeners.first { $0.socket.descriptor == descriptor }?.facts.changed(to: listener)
    }

    // MARK: Connections

    var connectionCount: Int { connections.count - freeConnections.count }

    /// Takes over a connection that another worker accepted.
    func take(_ descriptor: Int32, _ peer: PeerAddress, from listener: String) {
        guard !isDraining, let facts = listeners.first(where: { $0.facts.text == listener })?.facts else {
            return FileDescriptors.close(descriptor)
        }
        serve(descriptor, peer, facts)
    }

    /// A listener accepted a connection: it is served here, or by a worker that has notably fewer.
    private func accept(_ descriptor: Int32, _ peer: PeerAddress, _ listener: ListenerFacts) {
        let chosen = shared.loads.chooser(for: worker.index, having: connectionCount)
        if chosen != worker.index {
            return shared.handover.pass(descriptor, peer, from: listener.text, to: chosen)
        }
        serve(descriptor, peer, listener)
    }

    private func serve(_ descriptor: Int32, _ peer: PeerAddress, _ listener: ListenerFacts) {
        guard let socket = try? Socket(descriptor, on: worker) else { return }
        counters.add(.connectionsAccepted)
        let connection = HTTP1Connection(socket, peer: peer, listener: listener, host: self)
        if let free = freeConnections.popLast() {
            connections[free] = connection
            connection.tableIndex = free
        } else {
            connection.tableIndex = connections.count
            connections.append(connection)
        }
        shared.loads.note(connectionCount, of: worker.index)
    }

    func connectionClosed(_ connection: HTTP1Connection, _ reason: CloseReason?) {
        connections[connection.tableIndex] = nil
        freeConnections.append(connection.tableIndex)
        shared.loads.note(connectionCount, of: worker.index)
        counters.add(.connectionsClosed)
        if let reason { counters.add(reason) }
        if isDraining && connectionCount == 0 { shared.drained(worker.index) }
    }

    /// The process has no descriptor left: attempts wait in the kernel's queue for a moment.
    private func descriptorsExhausted() {
        counters.add(.descriptors)
        for listener in listeners { listener.socket.pause() }
        let timer = resumeTimer ?? ResumeTimer { [unowned self] in resumeAccepting() }
        resumeTimer = timer
        worker.set(timer.timer, to: worker.now + 100)
    }

    private func resumeAccepting() {
        guard !isDraining else { return }
        for listener in listeners {
            // Where even epoll has no room, the next try is a moment later.
            if (try? listener.socket.resume()) == nil { descriptorsExhausted() }
        }
    }

    // MARK: Ending

    /// Accepts no more, ends idle connections, and lets the others finish their exchange.
    func drain() {
        guard !isDraining else { return }
        isDraining = true
        for listener in listeners { listener.socket.close() }
        listeners = []
        if let resumeTimer { worker.cancel(resumeTimer.timer) }
        for connection in connections { connection?.drain() }
        if connectionCount == 0 { shared.drained(worker.index) }
    }

    /// Lets go of what the worker holds, when its loop has ended.
    func close() {
        drain()
        for connection in connections { connection?.close(.draining, reset: true) }
        transactions = []
        change?.close()
        dispatcher.close()
    }

    /// Ends every connection: those that a task serves as soon as it has seen it.
    func closeAll() {
        drain()
        for connection in connections { connection?.cutOff() }
    }

    // MARK: Transactions

    func takeTransaction() -> Transaction {
        guard let transaction = transactions.popLast() else { return Transaction(host: self) }
        return transaction
    }

    func giveTransaction(_ transaction: Transaction) {
        transaction.reset()
        if transactions.count < GatewayWorker.transactionsKept { transactions.append(transaction) }
    }
}

/// Deadlines of connections, in milliseconds.
struct ConnectionTimeouts {
    var head: Int64 = 10_000
    var idle: Int64 = 60_000
    var send: Int64 = 30_000

    /// What stands for no bound: longer than any machine runs.
    private static let never: Int64 = 1 << 50

    init() {}

    init(_ timeouts: ResolvedTimeouts) {
        head = timeouts.head ?? Self.never
        idle = timeouts.idle ?? Self.never
        send = timeouts.send ?? Self.never
    }
}

/// Goes on with accepting after a pause.
private final class ResumeTimer: TimerTarget {
    private let resume: () -> Void
    private(set) lazy var timer = Timer(target: self)

    init(_ resume: @escaping () -> Void) {
        self.resume = resume
    }

    func deadlineReached(now: Int64) { resume() }
}

/// Makes what routes lead to, for one worker.
private final class WorkerTargets: TargetFactory {
    private let cache: FilesCache
    unowned(unsafe) var host: GatewayWorker!

    init(files cache: FilesCache) {
        self.cache = cache
    }

    func files(_ target: FilesTarget, sourceExtensions: [String]) -> DirectoryTarget {
        DirectoryTarget(target, sourceExtensions: sourceExtensions, cache: cache)
    }

    func proxy(_ target: ProxyTarget) -> UpstreamTargets {
        UpstreamTargets(target) { [unowned(unsafe) host = host!] names in
            let pools = names.map { host.makePool($0) }
            return (pools, Proxy(pools, on: host.worker, scratch: host.scratchInput, limits: host.limits))
        }
    }
}
