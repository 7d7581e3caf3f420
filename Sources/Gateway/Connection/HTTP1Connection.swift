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
final class HTTP1Connection: ClientConnection {
    enum Mode: UInt8 {
        case parked, relay, task, lingering, closed

        /// Something is under way.
        var isBusy: Bool { self == .relay || self == .task }
    }

    @exclusivity(unchecked) var mode = Mode.parked {
        didSet {
            if mode.isBusy != oldValue.isBusy { host.counters.add(.connectionsBusy, mode.isBusy ? 1 : -1) }
        }
    }
    @exclusivity(unchecked) var parser: RequestParser
    /// What exists only while requests that have to wait follow each other: while a task or a relay serves the
    /// connection, and for a moment after.
    @exclusivity(unchecked) var active: ActiveState?
    /// The exchange of a relay, kept for a moment for the next request.
    @exclusivity(unchecked) var warm: HTTP1Exchange?
    /// What is kept goes at the next turn, since too many connections keep theirs.
    @exclusivity(unchecked) private var isCrowded = false
    /// A head has come, so that the connection speaks HTTP/1 for good.
    @exclusivity(unchecked) var hasBegun = false
    /// The connection closes when what was answered is out.
    @exclusivity(unchecked) var endsAfterOutput = false

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

    override init(
        _ socket: Socket, _ client: AcceptedClient, tls: TLSConnection? = nil, host: GatewayWorker
    ) {
        parser = RequestParser(limits: host.limits)
        super.init(socket, client, tls: tls, host: host)
        setDeadline(after: host.timeouts.head)
    }

    // MARK: Events

    override func socketReady(_ socket: Socket) {
        switch mode {
        case .parked: serveParked()
        case .relay, .task: active?.scope.wake(.io)
        case .lingering: drainLingering()
        case .closed: break
        }
    }

    override func deadlineReached(now: Int64) {
        switch mode {
        case .parked: parkedDeadlineReached()
        case .relay, .task: active?.scope.wake(.deadline)
        case .lingering: close(nil)
        case .closed: break
        }
    }

    override func drain() {
        if mode == .parked { drainParked() }
        if mode == .task { active?.scope.wake(.abort) }
    }

    /// Waits for a last request while there is time for one.
    private func drainParked() {
        guard host.worker.now < host.idleUntil else { return close(.draining) }
        setDeadline(after: host.idleUntil - host.worker.now)
    }

    override func cutOff() {
        guard mode == .task || mode == .relay, let active else { return close(.draining, reset: true) }
        active.isCutOff = true
        active.handlerTask?.cancel()
        active.scope.wake(.abort)
    }

    /// It is read off the one deadline, so that keeping it costs a request nothing.
    override var idleSince: Int64? {
        guard mode == .parked, timer.deadline != .max else { return nil }
        if warm != nil { return timer.deadline - min(HTTP1Connection.silence, host.timeouts.idle) }
        return timer.deadline - (hasServed ? host.timeouts.idle : host.timeouts.head)
    }

    override func report() -> ConnectionReport { reported }

    // MARK: Ending

    /// Ends the connection after an answer that went out: our side first, and what the client still sends is dropped.
    override func closeGracefully(_ reason: CloseReason?) {
        // The client has nothing on its way, or has ended its own side: then nothing can hit the answer.
        if socket.isReadClosed && !socket.isReadable { return close(reason) }
        releaseActive()
        mode = .lingering
        if ending == nil { ending = reason }
        beginLingering()
        drainLingering()
    }

    /// The client speaks HTTP/2 (RFC 9113 §3.3), and `input` is what came of that: another connection goes on with it.
    func becomeHTTP2(_ input: ByteBuffer) {
        host.worker.cancel(timer)
        let connection = HTTP2Connection(takingOver: self)
        host.replace(self, by: connection)
        connection.begin(with: input)
        releaseActive()
        mode = .closed
    }

    override func close(_ reason: CloseReason?, reset: Bool = false) {
        guard mode != .closed else { return }
        releaseActive()
        mode = .closed
        host.worker.cancel(timer)
        socket.close(reset: reset)
        host.connectionClosed(self, ending ?? reason)
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
        /// An exchange that went on without a task and is over.
        case handedBack(HTTP1Exchange)
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
