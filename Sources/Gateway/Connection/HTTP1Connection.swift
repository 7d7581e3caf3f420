internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP1
internal import ChimeraHTTPCore
internal import ChimeraTLS
internal import ChimeraTelemetry
internal import ChimeraUpstream

/// One client's connection that speaks HTTP/1.
///
/// ```
///            bytes             for an upstream to which a connection is kept
///  parked ─────────▶ decided ────────────────────────────────────▶ relay
///    ▲                │    ╰── what has to wait otherwise ──▶ task   │
///    ╰── answered ◀───┴────────── no further request is there ◀─┴────╯
///  all of them ──▶ lingering ──▶ closed
/// ```
/// A parked connection has no task and no buffer: its bytes are read into the worker's own and answered from there
/// while answers need no wait. Lingering means that the last answer is out and what the client still sends is
/// dropped for a while, so that the kernel does not reset the connection under the answer.
final class HTTP1Connection: SocketObserver, TimerTarget {
    enum Mode: UInt8 {
        case parked, relay, task, lingering, closed

        /// Something is under way.
        var isBusy: Bool { self == .relay || self == .task }
    }

    /// The connection leaves its worker's table when it closes, which breaks the cycle.
    let host: GatewayWorker
    let socket: Socket
    let client: AcceptedClient
    /// Nil where the connection is without TLS.
    let tls: TLSConnection?
    var peer: PeerAddress { client.peer }
    var listener: ListenerFacts { client.listener }
    @exclusivity(unchecked) var mode = Mode.parked {
        didSet {
            if mode.isBusy != oldValue.isBusy { host.counters.add(.connectionsBusy, mode.isBusy ? 1 : -1) }
        }
    }
    @exclusivity(unchecked) var parser: RequestParser
    /// Where the connection stands in its worker's table.
    @exclusivity(unchecked) var tableIndex = -1
    /// The connection's number among those of its worker, from 1.
    @exclusivity(unchecked) var number: UInt64 = 0
    /// When it was accepted, in milliseconds of the worker's clock.
    let acceptedAt: Int64
    /// What exists only while requests that have to wait follow each other: while a task or a relay serves the
    /// connection, and for a moment after.
    @exclusivity(unchecked) var active: ActiveState?
    /// The exchange of a relay, kept for a moment for the next request.
    @exclusivity(unchecked) var warm: HTTP1Exchange?
    /// What is kept goes at the next turn, since too many connections keep theirs.
    @exclusivity(unchecked) private var isCrowded = false
    /// Bytes have come on it.
    @exclusivity(unchecked) var hasServed = false
    /// The connection closes when what was answered is out.
    @exclusivity(unchecked) var endsAfterOutput = false
    private let timer = Timer()
    @exclusivity(unchecked) private var lingered = 0
    /// What the peer had acknowledged when it was last asked about.
    @exclusivity(unchecked) private var acknowledged: UInt64 = 0

    /// Bytes that a lingering connection may still send.
    private static let lingerBytesMax = 1 << 20

    /// The buffers of a connection with a task.
    final class ActiveState {
        let input: ByteBuffer
        let output: ByteBuffer
        let scope = Scope()
        /// The gateway ends the connection, whatever the task does.
        @exclusivity(unchecked) fileprivate(set) var isCutOff = false
        /// The task while an embedded handler runs in it, who may wait for anything.
        @exclusivity(unchecked) var handlerTask: UnsafeCurrentTask?
        /// What the task serves, for who asks what the connection does.
        @exclusivity(unchecked) var transaction: Transaction?

        init(input: ByteBuffer, output: ByteBuffer) {
            self.input = input
            self.output = output
        }
    }

    init(
        _ socket: Socket, _ client: AcceptedClient, tls: TLSConnection? = nil, host: GatewayWorker
    ) {
        self.client = client
        self.tls = tls
        self.socket = socket
        self.host = host
        acceptedAt = host.worker.now
        parser = RequestParser(limits: host.limits)
        timer.target = self
        socket.observe(self)
        setDeadline(after: host.timeouts.head)
    }

    /// Sets the connection's one deadline; nil for none.
    func setDeadline(after milliseconds: Int64?) {
        host.worker.set(timer, to: milliseconds.map { host.worker.now + $0 } ?? .max)
    }

    /// Whether the peer took bytes since it was last asked about.
    func peerHasProgressed() -> Bool {
        let before = acknowledged
        acknowledged = socket.acknowledgedBytes
        return acknowledged > before
    }

    // MARK: Events

    func socketReady(_ socket: Socket) {
        switch mode {
        case .parked: serveParked()
        case .relay, .task: active?.scope.wake(.io)
        case .lingering: drainLingering()
        case .closed: break
        }
    }

    func deadlineReached(now: Int64) {
        switch mode {
        case .parked: parkedDeadlineReached()
        case .relay, .task: active?.scope.wake(.deadline)
        case .lingering: close(nil)
        case .closed: break
        }
    }

    /// The gateway drains: an idle connection ends now, another one after its exchange.
    func drain() {
        if mode == .parked { drainParked() }
        if mode == .task { active?.scope.wake(.abort) }
    }

    /// Waits for a last request while there is time for one.
    private func drainParked() {
        guard host.worker.now < host.idleUntil else { return close(.draining) }
        setDeadline(after: host.idleUntil - host.worker.now)
    }

    /// The gateway ends: the connection does so now, or as soon as its task has seen it.
    func cutOff() {
        guard mode == .task || mode == .relay, let active else { return close(.draining, reset: true) }
        active.isCutOff = true
        active.handlerTask?.cancel()
        active.scope.wake(.abort)
    }

    /// Since when nothing is under way, in milliseconds of the worker's clock; nil where something is.
    ///
    /// It is read off the one deadline, so that keeping it costs a request nothing.
    var idleSince: Int64? {
        guard mode == .parked, timer.deadline != .max else { return nil }
        if warm != nil { return timer.deadline - min(HTTP1Connection.silence, host.timeouts.idle) }
        return timer.deadline - (hasServed ? host.timeouts.idle : host.timeouts.head)
    }

    // MARK: Ending

    /// Ends the connection after an answer that went out: our side first, and what the client still sends is dropped.
    func closeGracefully(_ reason: CloseReason?) {
        // The client has nothing on its way, or has ended its own side: then nothing can hit the answer.
        if socket.isReadClosed && !socket.isReadable { return close(reason) }
        releaseActive()
        mode = .lingering
        socket.shutdownWrite()
        setDeadline(after: 2_000)
        drainLingering()
    }

    private func drainLingering() {
        let scratch = host.scratchInput
        scratch.clear()
        while socket.isReadable {
            switch socket.read(into: scratch.writable) {
            case .bytes(let count):
                lingered += count
                if lingered > HTTP1Connection.lingerBytesMax { return close(nil) }
            case .wouldBlock: return
            case .end, .failed: return close(nil)
            }
        }
    }

    /// Ends the connection at once; with `reset` the client learns that an answer is not whole.
    func close(_ reason: CloseReason?, reset: Bool = false) {
        guard mode != .closed else { return }
        releaseActive()
        mode = .closed
        host.worker.cancel(timer)
        socket.close(reset: reset)
        host.connectionClosed(self, reason)
    }

    /// A parked connection lets go of what it kept for the next request, or has been idle for too long.
    private func parkedDeadlineReached() {
        if host.isDraining { return close(.draining) }
        guard warm != nil else { return close(.idleTimeout) }
        releaseActive()
        setDeadline(after: max(0, host.timeouts.idle - (isCrowded ? 0 : HTTP1Connection.silence)))
    }

    private func releaseActive() {
        if let warm { host.giveTransaction(warm.transaction) }
        warm = nil
        guard let active else { return }
        host.buffers.give(active.input)
        host.buffers.give(active.output)
        self.active = nil
        host.activeConnections -= 1
    }

    // MARK: Parking

    /// Goes back to waiting without a task. Nothing may be unread or unsent; the exchange is kept for a moment.
    func park(_ exchange: HTTP1Exchange) {
        warm = exchange
        parser.reset()
        mode = .parked
        if host.isDraining {
            drainParked()
            if mode == .closed { return }
        } else {
            waitParked()
        }
        // What came while the task ended found nobody to serve it.
        if socket.isReadable { serveParked() }
    }

    /// Sets the deadline of a parked connection: for letting go of what it keeps, or for its end.
    func waitParked() {
        guard warm != nil else { return setDeadline(after: host.timeouts.idle) }
        isCrowded = host.activeConnections > host.spares.active
        setDeadline(after: isCrowded ? 0 : min(HTTP1Connection.silence, host.timeouts.idle))
    }

    /// What a task begins with.
    enum TaskStart {
        /// A head that is not whole.
        case head(Transaction)
        /// A request that has to wait.
        case request(Transaction, Verdict)
        /// A file of which a part went.
        case file(Transaction, FileHandle, offset: Int64, count: Int)
        /// Answers that did not fit, or more requests than one turn serves.
        case next(Transaction)
        /// A request for an upstream to which no connection is kept.
        case planned(HTTP1Exchange)
        /// A relay that ended otherwise than with the whole answer.
        case relayed(HTTP1Exchange, ProxyOutcome, mayRepeat: Bool)
    }

    /// Starts a task, with its own copies of what is unread and unsent.
    func becomeTask(_ start: TaskStart, input: ByteBuffer, output: ByteBuffer) {
        let active = activate()
        active.input.append(input.readable)
        active.output.append(output.readable)
        startTask(start)
    }

    func startTask(_ start: TaskStart) {
        mode = .task
        host.worker.start { [self] in await run(start) }
    }

    /// The buffers for what has to wait.
    private func activate() -> ActiveState {
        if let active { return active }
        let made = ActiveState(input: host.buffers.take(), output: host.buffers.take())
        active = made
        host.activeConnections += 1
        return made
    }

    // MARK: Relays

    /// A transaction for the next request: that of the exchange which is kept, or a pooled one.
    func takeTransaction() -> Transaction { warm?.transaction ?? host.takeTransaction() }

    /// Gives a transaction back after an answer.
    func giveTransaction(_ transaction: Transaction) {
        if transaction === warm?.transaction {
            transaction.reset()
        } else {
            host.giveTransaction(transaction)
        }
    }

    /// Passes a request on to an upstream: by a relay where a connection is kept, else by a task.
    func passOn(
        _ transaction: Transaction, _ target: UpstreamTargets, _ route: CompiledRoute, input: ByteBuffer,
        output: ByteBuffer
    ) -> Bool {
        guard host.planProxy(transaction, target, route) else { return false }
        let active = activate()
        active.input.append(input.readable)
        active.output.append(output.readable)
        let exchange = warm ?? HTTP1Exchange(self, active, transaction)
        warm = exchange
        mode = .relay
        exchange.begin()
        if !exchange.relayByPlan() { startTask(.planned(exchange)) }
        return true
    }

    /// A relay brought the whole answer: the connection waits for its next request.
    func relayFinished(_ exchange: HTTP1Exchange) {
        if !exchange.active.input.isEmpty { return startTask(.next(exchange.transaction)) }
        park(exchange)
    }
}
