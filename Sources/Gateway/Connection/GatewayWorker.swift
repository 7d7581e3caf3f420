internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraFiles
internal import ChimeraHTTP2
internal import ChimeraHTTPCore
internal import ChimeraSessions
internal import ChimeraTLS
internal import ChimeraTelemetry
internal import ChimeraUpstream

/// All that one worker has for serving: its connections, its buffers, its own dispatcher and destinations.
final class GatewayWorker {
    let worker: Worker
    let shared: SharedParts
    /// Where a turn reads to and formats answers in; never held across a wait.
    let scratchInput = ByteBuffer(capacity: 64 * 1024)
    let scratchOutput = ByteBuffer(capacity: 64 * 1024)
    /// Where frames are read to. They are looked at while answers of upstreams pass through `scratchInput`.
    let scratchFrames = ByteBuffer(capacity: 64 * 1024)
    /// Stands in a connection of HTTP/2 for the output that it has not borrowed; always empty.
    let noOutput = ByteBuffer(capacity: 16)
    /// What sessions use while they have a turn.
    private(set) lazy var sessionScratch = SessionScratch()
    /// Sessions that run.
    @exclusivity(unchecked) var sessions: [ObjectIdentifier: RunningSession] = [:]
    /// Outputs of connections of HTTP/2 while they have something to send.
    @exclusivity(unchecked) var outputs: BufferPool
    /// Exchanges of HTTP/2 for the next streams that have to wait.
    @exclusivity(unchecked) var exchanges: [HTTP2Exchange] = []
    let counters: Counters
    let log: AccessLogBuffer?
    @exclusivity(unchecked) private(set) var limits = Limits()
    /// Bounds of connections of HTTP/2.
    @exclusivity(unchecked) private var http2Limits = ConnectionLimits()
    @exclusivity(unchecked) private(set) var timeouts = ConnectionTimeouts()
    let spares: SpareLimits
    @exclusivity(unchecked) var buffers: BufferPool
    /// How many connections have what is needed for a request that waits.
    @exclusivity(unchecked) var activeConnections = 0
    @exclusivity(unchecked) var isDraining = false
    @exclusivity(unchecked) private(set) var dispatcher: Dispatcher
    @exclusivity(unchecked) private var factory: WorkerTargets
    @exclusivity(unchecked) var listeners: [(socket: ListeningSocket, facts: ListenerFacts)] = []
    /// Listeners that are given up, until what had begun to connect is accepted.
    @exclusivity(unchecked) var leaving: [LeavingListener] = []
    @exclusivity(unchecked) var retired: [RetiredListener] = []
    /// For each address the listener that was closed last, or that is about to open: another worker may pass on what it
    /// accepted there.
    @exclusivity(unchecked) var closedFacts: [String: ListenerFacts] = [:]
    /// While it drains: how long connections without a request stay open, in the worker's milliseconds.
    @exclusivity(unchecked) var idleUntil: Int64 = 0
    @exclusivity(unchecked) var connectionsMade: UInt64 = 0
    @exclusivity(unchecked) var transactions: [Transaction] = []
    @exclusivity(unchecked) var connections: [ClientConnection?] = []
    @exclusivity(unchecked) var freeConnections: [Int] = []
    /// Connections that do not speak HTTP yet.
    @exclusivity(unchecked) var arrivals: [ObjectIdentifier: any Arrival] = [:]
    @exclusivity(unchecked) private var secure: SecureSites?
    @exclusivity(unchecked) private var dateSeconds: Int64 = -1
    @exclusivity(unchecked) private var dateText = HTTPDate.format(0)
    @exclusivity(unchecked) var resumeTimer: ResumeTimer?
    @exclusivity(unchecked) var change: SiteChange?
    @exclusivity(unchecked) var isPaused = false
    /// `limit connections` of the machine's file.
    @exclusivity(unchecked) var connectionLimits = MachineConnectionLimits()
    /// Connections of all workers past which accepting pauses.
    @exclusivity(unchecked) private(set) var connectionsMax = Int.max
    /// Open connections of the listener of `metrics ADDRESS`.
    @exclusivity(unchecked) var telemetryConnections = 0

    /// What the log calls endpoints.
    @exclusivity(unchecked) var addressTexts: [SocketAddress: AccessText] = [:]

    static let addressTextsMax = 1024

    init(worker: Worker, shared: SharedParts, snapshot: Snapshot) {
        self.worker = worker
        self.shared = shared
        spares = SpareLimits(workers: shared.loads.count)
        buffers = BufferPool(capacity: 1024, capacityMax: 16 * 1024, keptMax: spares.buffers)
        outputs = BufferPool(capacity: 32 * 1024, capacityMax: 256 * 1024, keptMax: 16)
        counters = shared.counters.counters(ofWorker: worker.index)
        log = shared.log?.makeBuffer()
        var files = FilesLimits()
        files.descriptorsMax = max(8, min(files.descriptorsMax, ProcessFigures.descriptorLimit / 32))
        factory = WorkerTargets(files: FilesCache(worker: worker, pool: shared.pool, limits: files))
        dispatcher = Dispatcher(snapshot, targets: factory, limits: shared.limits) {
            UInt64(worker.nanoseconds)
        }
        factory.host = self
        worker.whenExhausted = { [unowned self] in freeDescriptor() }
        dispatcher.securePort = { [unowned self] names in securePort(on: names) }
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
            target.name, on: worker, limits: UpstreamLimits(), resolver: shared.resolver, reach: target.reach,
            meter: UpstreamMeter(target.name.text, counters, shared.counters))
    }

    // MARK: Configuration

    /// Another configuration counts from now on; exchanges under way keep their site. What was made of sites that are
    /// others now goes in turns, between which the sockets have theirs; `done` is told after the last.
    func update(to snapshot: Snapshot, done: @escaping @Sendable () -> Void) {
        let change = change ?? SiteChange(dispatcher, on: worker)
        self.change = change
        change.begin(snapshot, done: done)
        secure?.forget(snapshot.changed)
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
        http2Limits.message = limits
        timeouts = ConnectionTimeouts(settings.timeouts)
        connectionLimits = settings.machineConnections
        let possible = GatewayWorker.connectionsMax(descriptors: ProcessFigures.descriptorLimit)
        connectionsMax = min(connectionLimits.connectionsMax ?? possible, possible)
        shared.metrics.set(connectionsMax: connectionsMax)
    }

    // MARK: Connections

    var connectionCount: Int { connections.count - freeConnections.count + arrivals.count }

    var listenerFacts: some Sequence<ListenerFacts> { listeners.lazy.map(\.facts) }

    /// What is shown to clients of sites with `tls`, made when it is first needed; nil where there is no memory.
    func secureSites() -> SecureSites? {
        if let secure { return secure }
        secure = TLSEndpoint(on: worker).map {
            SecureSites($0, tickets: shared.tickets, authority: shared.authority)
        }
        return secure
    }

    // MARK: Transactions

    func takeTransaction() -> Transaction {
        guard let transaction = transactions.popLast() else { return Transaction(host: self) }
        return transaction
    }

    func giveTransaction(_ transaction: Transaction) {
        transaction.reset()
        if transactions.count < spares.transactions { transactions.append(transaction) }
    }
}

extension GatewayWorker {
    /// - Parameter overTLS: a DATA frame fills one record, its head included.
    func http2Limits(overTLS: Bool) -> ConnectionLimits {
        var limits = http2Limits
        if overTLS { limits.fit(unitBytes: TLSConnection.recordBytesMax) }
        return limits
    }

    /// An exchange for a stream of HTTP/2.
    func takeExchange() -> HTTP2Exchange { exchanges.popLast() ?? HTTP2Exchange(self) }

    func giveExchange(_ exchange: HTTP2Exchange) {
        if exchanges.count < spares.transactions { exchanges.append(exchange) }
    }
}
