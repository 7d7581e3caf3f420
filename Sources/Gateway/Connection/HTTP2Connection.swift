internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP2
internal import ChimeraHTTPCore
internal import ChimeraTLS
internal import ChimeraTelemetry
internal import ChimeraUpstream

/// One client's connection that speaks HTTP/2 (RFC 9113).
///
/// ```
///             read            events                answers that need no wait
///  socket ──────────▶ codec ─────────▶ requests ───────────────────────────────▶ codec's output ──one write──▶
///                       ▲                  ╰─▶ exchanges: relays, tasks, files ─▶ codec's streams
///                       ╰── windows, what was consumed ◀──╯      turns, by priority ──╯
///  open ──▶ lingering ──▶ closed
/// ```
/// A turn reads once, takes all frames, puts what can be answered at once into the output and writes it. A stream that
/// has to wait, or whose answer does not fit into the windows, has an exchange, found by the stream's slot; what
/// exchanges send outside of a turn is written together at the end of the worker's own. There is one deadline, the
/// earliest of the connection's and its exchanges'. An idle connection holds no buffer.
final class HTTP2Connection: ClientConnection, TurnTarget {
    enum Mode: UInt8 { case open, lingering, closed }

    let codec: ServerConnection
    @exclusivity(unchecked) private(set) var mode = Mode.open
    /// The exchanges of streams that have one, by the slots of these.
    @exclusivity(unchecked) private(set) var exchanges: ContiguousArray<HTTP2Exchange?> = []
    @exclusivity(unchecked) private(set) var exchangeCount = 0
    /// What the next request is read into; only within a turn.
    @exclusivity(unchecked) var current: Transaction?
    /// What came and could not be used yet.
    @exclusivity(unchecked) var held: ByteBuffer?
    /// The connection's turn is going on: what is sent goes out at its end.
    @exclusivity(unchecked) private var isInTurn = false
    @exclusivity(unchecked) private var isPostponed = false
    /// More of what came can be looked at when the others of the worker have had their turn.
    @exclusivity(unchecked) var hasMore = false
    /// The last turn did not come to all that was read.
    @exclusivity(unchecked) var isCut = false
    /// The client has ended its side.
    @exclusivity(unchecked) var readHasEnded = false
    /// The gateway ends the connection, whatever its streams do.
    @exclusivity(unchecked) private(set) var isCutOff = false
    /// An exchange waits for room in the output.
    @exclusivity(unchecked) var roomIsWanted = false

    // Times, in milliseconds of the worker's clock.

    private let begunAt: Int64
    /// Since when nothing was under way: when the last request came, or its exchange ended.
    @exclusivity(unchecked) var idleFrom: Int64
    /// Since when a frame is not whole; nil where none is.
    @exclusivity(unchecked) var frameSince: Int64?
    /// Since when a field block is not whole; nil where none is.
    @exclusivity(unchecked) var blockSince: Int64?
    /// When the client last took something of the output.
    @exclusivity(unchecked) var progressAt: Int64 = 0
    /// The client did not take all of the output when it was last written.
    @exclusivity(unchecked) var isWaitingToWrite = false
    /// When no more streams are taken, whether the client has said that it knows of the drain or not.
    @exclusivity(unchecked) private var drainLimit: Int64?
    /// No exchange has a deadline before.
    @exclusivity(unchecked) private var exchangesDue = Int64.max

    /// How long a client has for the answer to what announces a drain, in milliseconds.
    private static let drainMilliseconds: Int64 = 1_000
    /// Streams in a report.
    private static let reportedStreamsMax = 16

    override init(_ socket: Socket, _ client: AcceptedClient, tls: TLSConnection?, host: GatewayWorker) {
        codec = ServerConnection(limits: host.http2Limits(overTLS: tls != nil), output: host.outputs.take())
        begunAt = host.worker.now
        idleFrom = begunAt
        progressAt = begunAt
        super.init(socket, client, tls: tls, host: host)
    }

    override init(takingOver other: ClientConnection) {
        let limits = other.host.http2Limits(overTLS: other.tls != nil)
        codec = ServerConnection(limits: limits, output: other.host.outputs.take())
        begunAt = other.host.worker.now
        idleFrom = begunAt
        progressAt = begunAt
        super.init(takingOver: other)
    }

    /// Starts, with what was read already.
    func begin(with input: ByteBuffer?) {
        host.counters.add(.http2Connections)
        socket.disableDelay()
        if let input, !input.isEmpty {
            let kept = host.buffers.take()
            kept.append(input.readable)
            held = kept
        }
        if host.isDraining { beginDrain() }
        turn()
    }

    // MARK: Turns

    override func socketReady(_ socket: Socket) {
        switch mode {
        case .open: turn()
        case .lingering: drainLingering()
        case .closed: break
        }
    }

    func takeTurn() {
        isPostponed = false
        if mode == .open { turn() }
    }

    private func turn() {
        if socket.isBroken { return close(.clientFailed) }
        isInTurn = true
        borrowOutput()
        if !codec.output.isEmpty { write() }
        if mode == .open { receive() }
        settle()
    }

    /// Sends what there is to send, and ends the turn.
    private func settle() {
        isInTurn = true
        if mode == .open { pump() }
        if mode == .open && readHasEnded && !isCut { loseWhatWaits() }
        isInTurn = false
        if let current {
            host.giveTransaction(current)
            self.current = nil
        }
        guard mode == .open else { return }
        if endsNow() { return }
        if codec.output.isEmpty {
            returnOutput()
            if isIdle { codec.releaseSpares() }
        }
        if hasMore && !isStalled { postpone() }
        arm()
    }

    /// A client that has ended its side gives no windows any more: what waits for one is lost.
    private func loseWhatWaits() {
        for exchange in allExchanges where codec.isWindowBlocked(exchange.stream) {
            exchange.streamLost(.clientClosed)
        }
        write()
    }

    /// Somebody outside of a turn sends: that goes out soon.
    func touch() {
        guard mode == .open else { return }
        borrowOutput()
        if !isInTurn { postpone() }
    }

    private func postpone() {
        if isPostponed { return }
        isPostponed = true
        host.worker.postpone(self)
    }

    private func borrowOutput() {
        if codec.output === host.noOutput { codec.output = host.outputs.take() }
    }

    private func returnOutput() {
        guard codec.output !== host.noOutput else { return }
        host.outputs.give(codec.output)
        codec.output = host.noOutput
    }

    // MARK: Exchanges

    func exchange(of stream: StreamHandle) -> HTTP2Exchange? {
        let slot = Int(stream.slot)
        guard slot < exchanges.count, let exchange = exchanges[slot], exchange.stream == stream else {
            return nil
        }
        return exchange
    }

    /// Gives a stream an exchange.
    func enter(_ exchange: HTTP2Exchange, _ stream: StreamHandle) {
        let slot = Int(stream.slot)
        while exchanges.count <= slot { exchanges.append(nil) }
        // The stream that was there before is gone, and its exchange has not seen it yet.
        if let before = exchanges[slot] { orphans.append(before) }
        exchanges[slot] = exchange
        exchangeCount += 1
        if exchangeCount == 1 { host.counters.add(.connectionsBusy, 1) }
    }

    /// An exchange has ended.
    func leave(_ exchange: HTTP2Exchange, _ stream: StreamHandle) {
        let slot = Int(stream.slot)
        if slot < exchanges.count, exchanges[slot] === exchange {
            exchanges[slot] = nil
        } else if let index = orphans.firstIndex(where: { $0 === exchange }) {
            orphans.remove(at: index)
        }
        exchangeCount -= 1
        guard exchangeCount == 0 else { return }
        host.counters.add(.connectionsBusy, -1)
        idleFrom = host.worker.now
        if !isInTurn && mode == .open { postpone() }
    }

    /// Exchanges whose streams are gone and whose slots have others by now.
    @exclusivity(unchecked) private var orphans: ContiguousArray<HTTP2Exchange> = []

    private var allExchanges: ContiguousArray<HTTP2Exchange> {
        ContiguousArray(exchanges.lazy.compactMap { $0 }) + orphans
    }

    // MARK: Deadlines

    /// An exchange waits until `deadline` at most.
    func exchangeWaits(until deadline: Int64) {
        guard deadline < exchangesDue else { return }
        exchangesDue = deadline
        if mode == .open && deadline < timer.deadline { host.worker.set(timer, to: deadline) }
    }

    private func arm() {
        var due = exchangesDue
        if !codec.output.isEmpty { due = min(due, progressAt + host.timeouts.send) }
        if !codec.isOver && !isStalled {
            if !codec.settingsAcknowledged { due = min(due, begunAt + host.timeouts.head) }
            if let frameSince { due = min(due, frameSince + host.timeouts.head) }
            if let blockSince { due = min(due, blockSince + host.timeouts.head) }
            if isIdle { due = min(due, idleFrom + host.timeouts.idle) }
            if let drainLimit { due = min(due, drainLimit) }
        }
        host.worker.set(timer, to: max(due, host.worker.now + 1))
    }

    private var isIdle: Bool { exchangeCount == 0 && codec.streamCount == 0 }

    override func deadlineReached(now: Int64) {
        switch mode {
        case .lingering: return close(nil)
        case .closed: return
        case .open: break
        }
        borrowOutput()
        checkTimes(now)
        if mode != .open { return }
        exchangesDue = .max
        for exchange in allExchanges {
            if exchange.deadline <= now { exchange.deadlineReached(now) }
            exchangesDue = min(exchangesDue, exchange.deadline)
        }
        settle()
    }

    private func checkTimes(_ now: Int64) {
        if !codec.output.isEmpty && now >= progressAt + host.timeouts.send {
            guard socket.peerHasProgressed() else { return close(.sendTimeout, reset: true) }
            progressAt = now
        }
        // What is not read since the client takes nothing is not missing.
        if codec.isOver || isStalled { return }
        if let drainLimit, now >= drainLimit {
            self.drainLimit = nil
            codec.finishDrain()
        }
        let head = now - host.timeouts.head
        if min(frameSince ?? .max, blockSince ?? .max) <= head {
            end(.enhanceYourCalm, .headTimeout)
        } else if !codec.settingsAcknowledged && begunAt <= head {
            end(.settingsTimeout, codec.hasBegun ? .settingsTimeout : .headTimeout)
        } else if isIdle && now >= idleFrom + host.timeouts.idle {
            end(.noError, .idleTimeout)
        }
    }

    // MARK: Draining

    override func drain() {
        guard mode == .open else { return }
        borrowOutput()
        beginDrain()
        settle()
    }

    private func beginDrain() {
        codec.beginDrain()
        drainLimit = host.worker.now + HTTP2Connection.drainMilliseconds
    }

    override func cutOff() {
        guard mode == .open, exchangeCount > 0 else { return close(.draining, reset: true) }
        isCutOff = true
        for exchange in allExchanges { exchange.cutOff() }
        if mode == .open { settle() }
    }

    override var idleSince: Int64? {
        mode == .open && isIdle && codec.output.isEmpty ? idleFrom : nil
    }

    // MARK: Ending

    /// Ends the connection for a reason of ours that the client is told; what is under way is lost.
    func end(_ code: ErrorCode, _ reason: CloseReason) {
        borrowOutput()
        codec.end(code)
        fail(reason)
    }

    /// The codec has ended: nothing goes out any more but its last word.
    func fail(_ reason: CloseReason) {
        ending = reason
        for exchange in allExchanges { exchange.connectionLost(reason) }
    }

    /// Ends the connection where nothing is left to do.
    ///
    /// - Returns: whether it has ended, or waits for nothing but that the client takes what it was sent.
    private func endsNow() -> Bool {
        if codec.isOver {
            guard codec.output.isEmpty else { return false }
            closeGracefully(ending)
            return true
        }
        if isCutOff && exchangeCount == 0 {
            close(.draining, reset: true)
            return true
        }
        guard exchangeCount == 0, codec.output.isEmpty else { return false }
        if codec.isDrained {
            closeGracefully(host.isDraining ? .draining : nil)
            return true
        }
        guard readHasEnded else { return false }
        close(nil)
        return true
    }

    override func closeGracefully(_ reason: CloseReason?) {
        if readHasEnded { return close(reason) }
        noteEnd(reason)
        beginLingering()
        drainLingering()
    }

    override func close(_ reason: CloseReason?, reset: Bool = false) {
        guard mode != .closed else { return }
        if reason == .makingRoom && mode == .open {
            borrowOutput()
            codec.end(.noError)
            write()
            if mode == .closed { return }
        }
        noteEnd(reason)
        mode = .closed
        host.worker.cancel(timer)
        socket.close(reset: reset)
        host.connectionClosed(self, ending)
    }

    /// Lets go of what an open connection has; its exchanges end by themselves.
    private func noteEnd(_ reason: CloseReason?) {
        guard mode == .open else { return }
        // From now on what its exchanges still send goes nowhere.
        mode = .lingering
        ending = reason
        countFrames()
        codec.abandon()
        codec.output.clear()
        returnOutput()
        if let held {
            host.buffers.give(held)
            self.held = nil
        }
        for exchange in allExchanges { exchange.connectionLost(reason ?? .clientClosed) }
    }

    /// Adds what the codec has counted to the worker's figures.
    private func countFrames() {
        for kind in Flood.allCases {
            let count = codec.count(of: kind)
            if count > 0 { host.counters.add(frames: Int(kind.rawValue), Int(clamping: count)) }
        }
        host.counters.add(.http2Streams, Int(clamping: codec.figures.streamsOpened))
        host.counters.add(.http2StreamsRefused, Int(clamping: codec.figures.streamsRefused))
    }

    // MARK: Report

    override func report() -> ConnectionReport {
        let all = allExchanges
        let streams = all.prefix(HTTP2Connection.reportedStreamsMax).map { exchange in
            let request = exchange.transaction.reportText
            return StreamReport(
                id: exchange.stream.id, activity: exchange.activity, request: request,
                requestMilliseconds: request == nil ? nil : exchange.transaction.servedMilliseconds)
        }
        let activity: ConnectionReport.Activity =
            mode != .open || codec.isOver ? .closing : isIdle ? .idle : .serving
        return ConnectionReport(
            id: id, peer: peerText, listener: listener.text, version: "HTTP/2.0",
            ageMilliseconds: host.worker.now - acceptedAt, activity: activity,
            request: streams.first?.request, requestMilliseconds: streams.first?.requestMilliseconds,
            streamCount: codec.streamCount, streams: streams)
    }
}
