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

/// What a connection knows of the listener that accepted it.
final class ListenerFacts {
    /// The listener's address, by which other workers know it.
    let text: String
    /// The listener's `name=`; nil where it has none.
    @exclusivity(unchecked) private(set) var name: String?
    /// The port to name in redirects; 0 for a Unix socket.
    @exclusivity(unchecked) private(set) var port: UInt16
    /// Connections begin with TLS.
    @exclusivity(unchecked) private(set) var isSecure: Bool
    /// Trusted peers begin with a PROXY header.
    @exclusivity(unchecked) private(set) var hasProxyHeaders: Bool
    /// The listener's number for the dispatcher; another after each change of configuration.
    @exclusivity(unchecked) var id = ListenerID.unnamed

    /// It is that of `metrics ADDRESS`, which answers until the end of a drain.
    var isTelemetry: Bool { name == Site.telemetryListener }

    init(_ listener: BoundListener) {
        text = listener.text
        isSecure = listener.listener.tls
        hasProxyHeaders = listener.listener.hasProxyHeaders
        name = listener.listener.name
        port = listener.listener.publicPort ?? listener.port
    }

    /// The line of the same address says something else now.
    func changed(to listener: BoundListener) {
        name = listener.listener.name
        port = listener.listener.publicPort ?? listener.port
        isSecure = listener.listener.tls
        hasProxyHeaders = listener.listener.hasProxyHeaders
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
    /// What limits count in.
    let limits: LimitTables
    /// What `metrics ADDRESS` shows.
    let metrics: MetricsSource
    /// What keys of session tickets come from.
    let tickets: TicketSecret
    /// What `tls internal` takes its certificates from.
    let authority: AuthoritySource
    /// Who starts programs.
    let programs: any ProgramSource
    /// Programs that do not belong to one connection.
    let kept: KeptPrograms
    /// Where lines of programs go that nobody else takes.
    let programLog: ProgramLog
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
    @exclusivity(unchecked) private var exchanges: [HTTP2Exchange] = []
    let counters: Counters
    let log: AccessLogBuffer?
    @exclusivity(unchecked) private(set) var limits = Limits()
    /// Bounds of connections of HTTP/2.
    @exclusivity(unchecked) private(set) var http2Limits = ConnectionLimits()
    @exclusivity(unchecked) private(set) var timeouts = ConnectionTimeouts()
    let spares: SpareLimits
    @exclusivity(unchecked) var buffers: BufferPool
    /// How many connections have what is needed for a request that waits.
    @exclusivity(unchecked) var activeConnections = 0
    @exclusivity(unchecked) private(set) var isDraining = false
    @exclusivity(unchecked) private(set) var dispatcher: Dispatcher
    @exclusivity(unchecked) private var factory: WorkerTargets
    @exclusivity(unchecked) private var listeners: [(socket: ListeningSocket, facts: ListenerFacts)] = []
    /// Listeners that are given up, until what had begun to connect is accepted.
    @exclusivity(unchecked) private var leaving: [LeavingListener] = []
    @exclusivity(unchecked) private var retired: [RetiredListener] = []
    /// For each address the listener that was closed last, or that is about to open: another worker may pass on what it
    /// accepted there.
    @exclusivity(unchecked) private var closedFacts: [String: ListenerFacts] = [:]
    /// While it drains: how long connections without a request stay open, in the worker's milliseconds.
    @exclusivity(unchecked) private(set) var idleUntil: Int64 = 0
    @exclusivity(unchecked) private var connectionsMade: UInt64 = 0
    @exclusivity(unchecked) private var transactions: [Transaction] = []
    @exclusivity(unchecked) private(set) var connections: [ClientConnection?] = []
    @exclusivity(unchecked) private var freeConnections: [Int] = []
    /// Connections that do not speak HTTP yet.
    @exclusivity(unchecked) var arrivals: [ObjectIdentifier: any Arrival] = [:]
    @exclusivity(unchecked) private var secure: SecureSites?
    @exclusivity(unchecked) private var dateSeconds: Int64 = -1
    @exclusivity(unchecked) private var dateText = HTTPDate.format(0)
    @exclusivity(unchecked) private var resumeTimer: ResumeTimer?
    @exclusivity(unchecked) private var change: SiteChange?
    @exclusivity(unchecked) private var isPaused = false
    /// `limit connections` of the machine's file.
    @exclusivity(unchecked) private var connectionLimits = MachineConnectionLimits()
    /// Connections of all workers past which accepting pauses.
    @exclusivity(unchecked) private(set) var connectionsMax = Int.max
    /// Open connections of the listener of `metrics ADDRESS`.
    @exclusivity(unchecked) private var telemetryConnections = 0

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

    /// Another worker may accept on a listener, and hand connections over, a moment before this one does.
    func expect(_ facts: ListenerFacts) {
        guard !listeners.contains(where: { $0.facts.text == facts.text }) else { return }
        facts.id = dispatcher.listener(named: facts.name)
        retire(facts)
    }

    /// Starts to accept on a listening socket.
    func listen(_ descriptor: Int32, _ facts: ListenerFacts) throws(SystemError) {
        guard !isDraining else { return FileDescriptors.close(descriptor) }
        facts.id = dispatcher.listener(named: facts.name)
        let socket = ListeningSocket(descriptor, on: worker) { [unowned self] in
            makeRoom(.descriptors)
        } accepted: { [unowned self] connection, peer in
            accept(connection, peer, facts)
        }
        socket.admitHandshakes()
        try socket.resume()
        closedFacts[facts.text] = nil
        listeners.append((socket, facts))
    }

    /// Gives a listening socket up: handshakes under way have so long, then the queue is emptied and the descriptor
    /// closed, and `done` is told.
    func unlisten(_ descriptor: Int32, handshakeMilliseconds: Int64, done: @escaping () -> Void) {
        guard let index = listeners.firstIndex(where: { $0.socket.descriptor == descriptor }) else {
            return done()
        }
        let (socket, facts) = listeners.remove(at: index)
        retire(facts)
        let listener = LeavingListener(socket) { [unowned self] listener in
            if waitsForRoom(listener) { return }
            left(listener)
            done()
        }
        leaving.append(listener)
        worker.set(listener.timer, to: worker.now + handshakeMilliseconds)
    }

    /// While accepting pauses, who waits in the queue of a socket that goes waits for a place as well; then they are
    /// taken, whether there is one or not.
    private func waitsForRoom(_ listener: LeavingListener) -> Bool {
        guard isPaused, !isDraining, listener.pauses < LeavingListener.pausesMax else { return false }
        listener.pauses += 1
        worker.set(listener.timer, to: worker.now + GatewayWorker.pauseMilliseconds)
        return true
    }

    private func left(_ listener: LeavingListener) {
        worker.cancel(listener.timer)
        listener.socket.finish()
        leaving.removeAll { $0 === listener }
        if isDraining { tellIfDrained() }
    }

    private func retire(_ facts: ListenerFacts) {
        retired.append(RetiredListener(facts: facts))
        closedFacts[facts.text] = facts
    }

    /// The line of a listening socket says something else from the next `update` on.
    func rename(_ descriptor: Int32, as listener: BoundListener) {
        listeners.first { $0.socket.descriptor == descriptor }?.facts.changed(to: listener)
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

    /// Takes over a connection that another worker accepted.
    func take(_ descriptor: Int32, _ peer: PeerAddress, from listener: String) {
        let facts = listeners.first { $0.facts.text == listener }?.facts ?? closedFacts[listener]
        guard let facts else { return FileDescriptors.close(descriptor) }
        serve(descriptor, peer, facts)
    }

    /// A listener accepted a connection: it is served here, or by a worker that has notably fewer.
    private func accept(_ descriptor: Int32, _ peer: PeerAddress, _ listener: ListenerFacts) {
        if listener.isTelemetry { return serve(descriptor, peer, listener) }
        if isFull { makeRoom(.connections) }
        let chosen = shared.loads.chooser(for: worker.index, having: connectionCount)
        if chosen != worker.index {
            counters.add(.connectionsHandedOver)
            return shared.handover.pass(descriptor, peer, from: listener.text, to: chosen)
        }
        serve(descriptor, peer, listener)
    }

    private func serve(_ descriptor: Int32, _ peer: PeerAddress, _ listener: ListenerFacts) {
        guard let socket = try? Socket(descriptor, on: worker) else { return }
        counters.add(.connectionsAccepted)
        if listener.isTelemetry { telemetryConnections += 1 }
        if expectsProxyHeader(from: peer, listener) { return awaitProxyHeader(socket, peer, listener) }
        begin(socket, peer, listener)
    }

    /// Begins with TLS or HTTP, for a client whose address is known.
    func begin(_ socket: Socket, _ peer: PeerAddress, _ listener: ListenerFacts) {
        let (places, isExcess) = enter(peer, listener)
        let client = AcceptedClient(peer: peer, listener: listener, places: places, isExcess: isExcess)
        if listener.isSecure {
            shakeHands(socket, client)
        } else {
            add(HTTP1Connection(socket, client, host: self))
        }
        // What came behind a PROXY header is news to nobody.
        if socket.isOpen && socket.isReadable { socket.tellAgain() }
    }

    /// Enters a connection into the table.
    func add(_ connection: ClientConnection) {
        connectionsMade += 1
        connection.number = connectionsMade
        if let free = freeConnections.popLast() {
            connections[free] = connection
            connection.tableIndex = free
        } else {
            connection.tableIndex = connections.count
            connections.append(connection)
        }
        noteLoad()
    }

    func noteLoad() { shared.loads.note(connectionCount, of: worker.index) }

    /// Has another connection stand for `old` in the table, as the same one to everybody else.
    func replace(_ old: ClientConnection, by new: ClientConnection) {
        connections[old.tableIndex] = new
        new.tableIndex = old.tableIndex
        old.tableIndex = -1
    }

    /// Counts a connection for its client where the machine's file bounds those.
    ///
    /// - Returns: where it counts, and whether it is one too many.
    private func enter(_ peer: PeerAddress, _ listener: ListenerFacts) -> (ContiguousArray<Int32>, Bool) {
        if connectionLimits.perClient.isEmpty { return ([], false) }
        // Whoever passes on what others ask has their connections as well.
        guard let ip = peer.ip, !listener.isTelemetry, !dispatcher.isTrusted(ip) else { return ([], false) }
        var places: ContiguousArray<Int32> = []
        for limit in connectionLimits.perClient {
            switch shared.limits.places.enter(limit.key.number(ofPeer: ip), limit: limit.count) {
            case .entered(let place): places.append(place)
            case .uncounted: break
            case .full: return (places, true)
            }
        }
        return (places, false)
    }

    func forEachConnection(_ body: (ClientConnection) -> Void) {
        for connection in connections { if let connection { body(connection) } }
    }

    func connectionClosed(_ connection: ClientConnection, _ reason: CloseReason?) {
        connections[connection.tableIndex] = nil
        freeConnections.append(connection.tableIndex)
        if let reason { counters.add(reason) }
        leave(connection.client)
    }

    /// A connection that was accepted is closed.
    func leave(_ client: AcceptedClient) {
        for place in client.places { shared.limits.places.leave(place) }
        left(client.listener)
    }

    /// The same for one whose client was not known yet.
    func left(_ listener: ListenerFacts) {
        noteLoad()
        counters.add(.connectionsClosed)
        if listener.isTelemetry { telemetryConnections -= 1 }
        if isPaused { resumeAccepting() }
        if isDraining { tellIfDrained() }
    }

    /// Nothing is left to wait for; what asks for metrics does not hold up the end.
    private func tellIfDrained() {
        if connectionCount == telemetryConnections && leaving.isEmpty { shared.drained(worker.index) }
    }

    /// Attempts to connect wait in the kernel's queue for a moment.
    func pauseAccepting() {
        isPaused = true
        for listener in listeners where !listener.facts.isTelemetry { listener.socket.pause() }
        for listener in leaving { listener.socket.pause() }
        let timer = resumeTimer ?? ResumeTimer { [unowned self] in resumeAccepting(isDue: true) }
        resumeTimer = timer
        worker.set(timer.timer, to: worker.now + GatewayWorker.pauseMilliseconds)
    }

    /// Goes on with accepting where there is room.
    ///
    /// - Parameter isDue: a pause has lasted as long as it may: where nothing has ended by itself, something idle may
    ///   give way by now.
    private func resumeAccepting(isDue: Bool = false) {
        guard !isDraining else { return }
        if isFull && !(isDue && closeIdle() > 0) {
            if isDue { pauseAccepting() }
            return
        }
        isPaused = false
        for listener in listeners where (try? listener.socket.resume()) == nil {
            // Where even epoll has no room, the next try is a moment later.
            return pauseAccepting()
        }
        for listener in leaving { try? listener.socket.resume() }
    }

    // MARK: Ending

    /// Closes its listeners; what waits in their queues is for whoever has other descriptors of them.
    ///
    /// - Parameter keepsMetrics: the listener of `metrics ADDRESS` goes on.
    func stopAccepting(keepsMetrics: Bool) {
        for listener in listeners where !(keepsMetrics && listener.facts.isTelemetry) {
            listener.socket.close()
            retire(listener.facts)
        }
        listeners.removeAll { !(keepsMetrics && $0.facts.isTelemetry) }
    }

    /// Accepts no more, ends idle connections, and lets the others finish their exchange.
    ///
    /// - Parameters:
    ///   - idleMilliseconds: how long idle connections may still begin a last exchange.
    ///   - keepsMetrics: the listener of `metrics ADDRESS` goes on.
    func drain(idleMilliseconds: Int64 = 0, keepsMetrics: Bool = false) {
        stopAccepting(keepsMetrics: keepsMetrics)
        if let resumeTimer { worker.cancel(resumeTimer.timer) }
        if idleMilliseconds == 0 { for listener in leaving { listener.leaveNow() } }
        isDraining = true
        idleUntil = worker.now + idleMilliseconds
        for case let connection? in connections where !(keepsMetrics && connection.listener.isTelemetry) {
            connection.drain()
        }
        if idleMilliseconds == 0 { giveUpArrivals() }
        tellIfDrained()
    }

    private func giveUpArrivals() {
        for arrival in Array(arrivals.values) { arrival.giveUp() }
    }

    /// Lets go of what the worker holds, when its loop has ended.
    func close() {
        drain()
        giveUpArrivals()
        for listener in listeners { listener.socket.close() }
        listeners = []
        for connection in connections { connection?.close(.draining, reset: true) }
        transactions = []
        exchanges = []
        change?.close()
        dispatcher.close()
        worker.whenExhausted = nil
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
        if transactions.count < spares.transactions { transactions.append(transaction) }
    }
}

extension GatewayWorker {
    /// An exchange for a stream of HTTP/2.
    func takeExchange() -> HTTP2Exchange { exchanges.popLast() ?? HTTP2Exchange(self) }

    func giveExchange(_ exchange: HTTP2Exchange) {
        if exchanges.count < spares.transactions { exchanges.append(exchange) }
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

/// A listening socket that is given up.
private final class LeavingListener: TimerTarget {
    let socket: ListeningSocket
    private(set) lazy var timer = Timer(target: self)
    private let left: (LeavingListener) -> Void
    /// How often its end was put off since accepting pauses.
    var pauses = 0

    static let pausesMax = 20

    init(_ socket: ListeningSocket, left: @escaping (LeavingListener) -> Void) {
        self.socket = socket
        self.left = left
        socket.refuseHandshakes()
    }

    func deadlineReached(now: Int64) { leave() }

    func leave() { left(self) }

    /// Leaves, without waiting for room.
    func leaveNow() {
        pauses = Self.pausesMax
        leave()
    }
}

/// Makes what routes lead to, for one worker.
private final class WorkerTargets: TargetFactory {
    private let cache: FilesCache
    unowned(unsafe) var host: GatewayWorker!

    init(files cache: FilesCache) {
        self.cache = cache
    }

    func routeSlots(of site: Site) -> [RouteSlot] {
        host.shared.counters.routeSlots(
            of: ChimeraTelemetry.SiteKey(tenant: site.tenant, name: site.name),
            site.routes.map(\.text) + [""])
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
