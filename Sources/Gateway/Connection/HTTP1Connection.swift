internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP1
internal import ChimeraHTTPCore

/// One client's connection that speaks HTTP/1.
///
/// ```
///            bytes                     head incomplete, or the answer must wait
///  parked ─────────▶ answered at once ───────────────────────▶ task
///    ▲                     │                                    │
///    └─────────────────────┘ ◀──────── a second of silence ─────┘
///  parked, task ──▶ lingering ──▶ closed
/// ```
/// A parked connection has no task and no buffer: its bytes are read into the worker's own and answered from there
/// while answers need no wait. Lingering means that the last answer is out and what the client still sends is
/// dropped for a while, so that the kernel does not reset the connection under the answer.
final class HTTP1Connection: SocketObserver, TimerTarget {
    enum Mode: UInt8 { case parked, task, lingering, closed }

    /// The connection leaves its worker's table when it closes, which breaks the cycle.
    let host: GatewayWorker
    let socket: Socket
    let peer: PeerAddress
    let listener: ListenerFacts
    @exclusivity(unchecked) var mode = Mode.parked
    @exclusivity(unchecked) var parser: RequestParser
    /// Where the connection stands in its worker's table.
    @exclusivity(unchecked) var tableIndex = -1
    /// What exists only while a task serves the connection.
    @exclusivity(unchecked) var active: ActiveState?
    /// The connection closes when what was answered is out.
    @exclusivity(unchecked) var endsAfterOutput = false
    private let timer = Timer()
    @exclusivity(unchecked) private var lingered = 0

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

        init(input: ByteBuffer, output: ByteBuffer) {
            self.input = input
            self.output = output
        }
    }

    init(_ socket: Socket, peer: PeerAddress, listener: ListenerFacts, host: GatewayWorker) {
        self.socket = socket
        self.peer = peer
        self.listener = listener
        self.host = host
        parser = RequestParser(limits: host.limits)
        timer.target = self
        socket.observe(self)
        setDeadline(after: host.timeouts.head)
    }

    /// Sets the connection's one deadline; nil for none.
    func setDeadline(after milliseconds: Int64?) {
        host.worker.set(timer, to: milliseconds.map { host.worker.now + $0 } ?? .max)
    }

    // MARK: Events

    func socketReady(_ socket: Socket) {
        switch mode {
        case .parked: serveParked()
        case .task: active?.scope.wake(.io)
        case .lingering: drainLingering()
        case .closed: break
        }
    }

    func deadlineReached(now: Int64) {
        switch mode {
        case .parked: close(.idleTimeout)
        case .task: active?.scope.wake(.deadline)
        case .lingering: close(nil)
        case .closed: break
        }
    }

    /// The gateway drains: an idle connection ends now, another one after its exchange.
    func drain() {
        if mode == .parked { close(.draining) }
        if mode == .task { active?.scope.wake(.abort) }
    }

    /// The gateway ends: the connection does so now, or as soon as its task has seen it.
    func cutOff() {
        guard mode == .task, let active else { return close(.draining, reset: true) }
        active.isCutOff = true
        active.handlerTask?.cancel()
        active.scope.wake(.abort)
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

    private func releaseActive() {
        guard let active else { return }
        host.buffers.give(active.input)
        host.buffers.give(active.output)
        self.active = nil
    }

    // MARK: Parking

    /// Goes back to waiting without a task. Nothing may be unread or unsent.
    func park() {
        releaseActive()
        parser.reset()
        mode = .parked
        if host.isDraining { return close(.draining) }
        setDeadline(after: host.timeouts.idle)
        // What came while the task ended found nobody to serve it.
        if socket.isReadable { serveParked() }
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
    }

    /// Starts a task, with its own copies of what is unread and unsent.
    func becomeTask(_ start: TaskStart, input: ByteBuffer, output: ByteBuffer) {
        let active = ActiveState(input: host.buffers.take(), output: host.buffers.take())
        active.input.append(input.readable)
        active.output.append(output.readable)
        self.active = active
        mode = .task
        host.worker.start { [self] in await run(start) }
    }
}
