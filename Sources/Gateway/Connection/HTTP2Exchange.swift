internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP2
internal import ChimeraHTTPCore
internal import ChimeraUpstream

/// An exchange on a stream of HTTP/2 that has to wait; pooled by the worker.
///
/// ```
///            ╭─▶ relay ─▶╮  the answer is handed over   all of it is out
///  free ─▶ begun ─▶ task ─▶ flushing ─────────────────────────────────▶ discarding ─▶ free
///            ╰─▶ pulling ─▶╯  (its own turns, by priority)               what of the request is left
/// ```
/// What came of the request's body waits in the exchange, and counts against the client's windows until it was passed
/// on. What is sent waits in the codec, for the windows and for the stream's turn.
final class HTTP2Exchange: GatewayExchange, RelayOwner {
    enum Mode: UInt8 { case free, relay, task, pulling, flushing, discarding }

    let worker: Worker
    let scope = Scope()
    let host: GatewayWorker
    @exclusivity(unchecked) private(set) var transaction: Transaction
    @exclusivity(unchecked) private(set) var stream = StreamHandle(slot: -1, id: 0)
    @exclusivity(unchecked) var mode = Mode.free
    /// When the exchange wants to be told that its time is over, in milliseconds of the worker's clock.
    @exclusivity(unchecked) var deadline = Int64.max
    @exclusivity(unchecked) private(set) var connection: HTTP2Connection?
    @exclusivity(unchecked) var hasSentHead = false
    @exclusivity(unchecked) var requestTrailers: FieldBlock?
    @exclusivity(unchecked) var handlerTask: UnsafeCurrentTask?
    /// What came of the request's body and was not passed on.
    @exclusivity(unchecked) var input: ByteBuffer?
    /// The client has sent the last of its request.
    @exclusivity(unchecked) var requestHasEnded = false
    @exclusivity(unchecked) var owesContinue = false
    /// Content may follow the head that was sent.
    @exclusivity(unchecked) var takesContent = false
    @exclusivity(unchecked) var hasFinished = false
    @exclusivity(unchecked) var isTunnel = false
    /// It goes on without the task that served it.
    @exclusivity(unchecked) private var isHandedOver = false
    @exclusivity(unchecked) var isLast = false
    @exclusivity(unchecked) var wantsRoom = false
    @exclusivity(unchecked) var abortReason: CloseReason?
    /// Why the stream or its connection is gone.
    @exclusivity(unchecked) var lossReason: CloseReason?
    @exclusivity(unchecked) var discarded = 0
    @exclusivity(unchecked) private var relay: DirectRelay?
    /// How many streams it has served.
    @exclusivity(unchecked) private(set) var use = 0
    @exclusivity(unchecked) var pulled = Pulled()

    /// An answer's body that is put into the output when it is the stream's turn.
    struct Pulled {
        var body = AnswerBody.none
        var position = 0
        /// Up to where the file's pages are in memory.
        var residentTo = 0
        var isReading = false
    }

    /// Octets of a request's body that are passed on at once.
    static let windowBytes = 64 * 1024

    init(_ host: GatewayWorker) {
        self.host = host
        worker = host.worker
        transaction = Transaction(host: host)
    }

    var request: RequestHead { transaction.request }
    var response: ResponseHead { transaction.response }

    // MARK: Beginning

    /// Serves a stream.
    func begin(_ connection: HTTP2Connection, _ stream: StreamHandle, endStream: Bool) {
        precondition(mode == .free && self.connection == nil)
        self.connection = connection
        self.stream = stream
        requestHasEnded = endStream
        connection.enter(self, stream)
    }

    /// Serves the request of `filled`, which gets an empty transaction for the next one.
    func begin(
        _ connection: HTTP2Connection, _ stream: StreamHandle, _ filled: inout Transaction?, endStream: Bool
    ) {
        if let given = filled {
            filled = transaction
            transaction = given
        }
        owesContinue = transaction.request.expectsContinue
        begin(connection, stream, endStream: endStream)
    }

    /// Has a task serve it.
    func start(_ verdict: Verdict) {
        startTask { [self] in await host.serve(self, verdict) }
    }

    /// Has a task do what is left. Behind it the exchange may be another stream's already, where it went on by itself.
    private func startTask(_ body: @escaping () async -> Void) {
        mode = .task
        let use = self.use
        worker.start { [self] in
            await body()
            if self.use == use && mode == .task && !isHandedOver { complete() }
        }
    }

    /// Passes the request on by the transaction's plan: without a task where a connection to the upstream is kept.
    func passOn() {
        guard let plan = transaction.plan else { return abortNow(.upstreamBroken) }
        mode = .relay
        let relay = relay ?? DirectRelay(worker: worker, scope: scope)
        self.relay = relay
        let isPassed = plan.proxy.serveDirectly(
            self, head: plan.head, target: plan.target, timeouts: plan.settings.upstreamTimeouts,
            client: transaction, by: relay, for: self)
        if !isPassed { startTask { [self] in await host.passOn(self) } }
    }

    func relayEnded(_ outcome: ProxyOutcome, mayRepeat: Bool) {
        if case .answered = outcome { return complete() }
        startTask { [self] in
            guard mayRepeat else { return await host.conclude(self, outcome) }
            // RFC 9112 §9.3.1: a kept connection that turns out to be closed says nothing of this request.
            transaction.upstreamFigures.retries += 1
            await host.passOn(self)
        }
    }

    // MARK: Ending

    /// Whoever served it is done: the answer is handed over, or it is given up.
    private func complete() {
        setDeadline(after: nil)
        if abortReason == nil && !hasFinished { abortReason = lost ?? .upstreamBroken }
        if let reason = abortReason ?? lossReason { return abortNow(reason) }
        mode = .flushing
        guard let connection, !connection.codec.hasEnded(stream) else { return answerFinished() }
        connection.touch()
        setDeadline(after: host.timeouts.send)
    }

    /// All of the answer is in the connection's output.
    func answerFinished() {
        guard mode == .flushing || mode == .pulling else { return }
        host.finished(transaction)
        transaction.reset()
        discard()
    }

    /// Drops what is left of the request; at once where it is too much, which the client is told (RFC 9113 §8.1).
    func discard() {
        mode = .discarding
        guard let connection, !requestHasEnded, connection.codec.isLive(stream) else { return release() }
        setDeadline(after: UnwantedBody.milliseconds)
        drop(input?.count ?? 0)
        input?.clear()
        if isLast && mode == .discarding { endDiscarding() }
    }

    private func drop(_ count: Int) {
        guard let connection else { return }
        discarded += count
        if discarded > UnwantedBody.bytesMax {
            if mode == .discarding { endDiscarding() }
            return
        }
        connection.touch()
        connection.codec.consume(stream, count)
    }

    private func endDiscarding() {
        connection?.touch()
        connection?.codec.reset(stream, .noError)
        release()
    }

    /// Gives the stream up.
    func abortNow(_ reason: CloseReason) {
        if transaction.startedAt != 0 {
            transaction.closeReason = reason
            host.finished(transaction)
        }
        connection?.touch()
        connection?.codec.reset(stream, reason.errorCode)
        release()
    }

    /// Goes back to the pool.
    private func release() {
        guard let connection else { return }
        let stream = self.stream
        transaction.reset()
        if let input { host.buffers.give(input) }
        scope.reset()
        input = nil
        use &+= 1
        mode = .free
        deadline = .max
        self.connection = nil
        requestTrailers = nil
        (hasSentHead, requestHasEnded, owesContinue, takesContent) = (false, false, false, false)
        (hasFinished, isTunnel, isLast, wantsRoom) = (false, false, false, false)
        isHandedOver = false
        (abortReason, lossReason) = (nil, nil)
        discarded = 0
        pulled = Pulled()
        connection.leave(self, stream)
        host.giveExchange(self)
    }

    func closeAfterAnswer() { isLast = true }

    func handOver() {
        isHandedOver = true
        if let input, input.isEmpty {
            host.buffers.give(input)
            self.input = nil
        }
    }

    func takeBack() {
        startTask { [self] in isHandedOver = false }
    }

    // MARK: What the connection tells

    /// The stream is gone.
    func streamLost(_ reason: CloseReason) {
        if mode == .free { return }
        if lossReason == nil { lossReason = reason }
        switch mode {
        case .free: break
        case .relay, .task:
            handlerTask?.cancel()
            scope.wake(.io)
        case .pulling, .flushing: abortNow(reason)
        case .discarding: release()
        }
    }

    /// The connection is gone.
    func connectionLost(_ reason: CloseReason) { streamLost(reason) }

    /// The gateway ends the connection.
    func cutOff() {
        switch mode {
        case .relay, .task:
            handlerTask?.cancel()
            scope.wake(.abort)
        case .pulling, .flushing: abortNow(.draining)
        case .discarding: endDiscarding()
        case .free: break
        }
    }

    /// The client has ended its side of the connection.
    func clientEnded() {
        if !requestHasEnded { return streamLost(.clientClosed) }
        if mode == .relay || mode == .task { scope.wake(.io) }
    }

    func contentCame(_ bytes: Span<UInt8>, endStream: Bool) {
        if endStream { requestHasEnded = true }
        switch mode {
        case .pulling, .flushing: drop(bytes.count)
        case .discarding:
            drop(bytes.count)
            if endStream { release() }
        case .free: break
        case .relay, .task:
            let input = input ?? host.buffers.take()
            self.input = input
            input.append(bytes)
            scope.wake(.io)
        }
    }

    func requestEnds(trailers: FieldBlock?) {
        requestHasEnded = true
        if mode == .discarding { return release() }
        if let trailers {
            let copy = FieldBlock(byteCapacity: 256, lineCapacity: 8)
            copy.copyFields(of: trailers)
            requestTrailers = copy
        }
        if mode == .relay || mode == .task { scope.wake(.io) }
    }

    /// What waited of the answer is in the output.
    func hasDrained() {
        if mode == .relay || mode == .task { scope.wake(.io) }
    }

    /// The output has room again.
    func roomCame() {
        guard wantsRoom else { return }
        wantsRoom = false
        if mode == .relay || mode == .task { scope.wake(.io) }
    }

    func deadlineReached(_ now: Int64) {
        deadline = .max
        switch mode {
        case .free: break
        case .relay, .task: scope.wake(.deadline)
        case .discarding: endDiscarding()
        case .pulling, .flushing:
            if clientHasProgressed() {
                setDeadline(after: host.timeouts.send)
            } else {
                abortNow(.sendTimeout)
            }
        }
    }

    var activity: ConnectionReport.Activity {
        switch mode {
        case .relay: .relaying
        case .task, .pulling, .flushing: .serving
        case .free, .discarding: .closing
        }
    }

}

extension CloseReason {
    /// What a client is told of a stream that ends so (RFC 9113 §7).
    fileprivate var errorCode: ErrorCode {
        switch self {
        case .clientClosed, .clientFailed, .clientReset, .bodyTimeout, .sendTimeout, .idleTimeout,
            .quietTimeout,
            .responseTimeout, .headTimeout, .draining, .makingRoom:
            .cancel
        case .refused: .noError
        case .flooded: .enhanceYourCalm
        case .protocolViolated, .proxyHeaderRefused: .protocolError
        case .settingsTimeout: .settingsTimeout
        case .upstreamBroken, .upstreamTimeout, .fileChanged, .handlerFailed: .internalError
        }
    }
}
