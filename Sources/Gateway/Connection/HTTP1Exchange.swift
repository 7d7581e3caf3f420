internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraFiles
internal import ChimeraHTTP1
internal import ChimeraHTTPCore
internal import ChimeraUpstream

/// An exchange on an HTTP/1 connection; one object serves the requests of one task, one after the other.
final class HTTP1Exchange: GatewayExchange, RelayOwner {
    let worker: Worker
    let scope: Scope
    let request: RequestHead
    let response: ResponseHead
    @exclusivity(unchecked) private(set) var hasSentHead = false
    @exclusivity(unchecked) private(set) var requestTrailers: FieldBlock?
    @exclusivity(unchecked) private var hasFinished = false

    /// Bytes of a file handed to the kernel at once.
    static let fileWindow = 512 * 1024
    /// Content up to this size is copied behind the head; more is written from where it lies.
    private static let copyMax = 8 * 1024

    let connection: HTTP1Connection
    private let host: GatewayWorker
    private let socket: Socket
    private let input: ByteBuffer
    private let output: ByteBuffer
    let active: HTTP1Connection.ActiveState
    let transaction: Transaction
    @exclusivity(unchecked) private var decoder: BodyDecoder
    @exclusivity(unchecked) private var framing = WireFraming.none
    @exclusivity(unchecked) private var keepsOpen = true
    @exclusivity(unchecked) private var owesContinue = false
    @exclusivity(unchecked) private var isTunnel = false
    @exclusivity(unchecked) private var tunnelReadEnded = false
    @exclusivity(unchecked) private var tunnelWriteEnded = false
    @exclusivity(unchecked) private var abortReason: CloseReason?
    /// It goes on without the task that served it.
    @exclusivity(unchecked) private(set) var isHandedOver = false
    private let relay: DirectRelay

    init(_ connection: HTTP1Connection, _ active: HTTP1Connection.ActiveState, _ transaction: Transaction) {
        self.connection = connection
        self.active = active
        host = connection.host
        socket = connection.socket
        input = active.input
        output = active.output
        self.transaction = transaction
        decoder = BodyDecoder(.none, limits: host.limits)
        worker = host.worker
        scope = active.scope
        relay = DirectRelay(worker: host.worker, scope: active.scope)
        request = transaction.request
        response = transaction.response
    }

    // MARK: From request to request

    /// Starts with the request whose head the transaction holds.
    func begin() {
        let wire: WireFraming
        switch request.body {
        case .none: wire = .none
        case .known(let count): wire = .length(count)
        case .unknown: wire = .chunked
        }
        decoder = BodyDecoder(wire, limits: host.limits)
        framing = .none
        keepsOpen = connection.keepsOpen
        owesContinue = request.expectsContinue
        isTunnel = false
        tunnelReadEnded = false
        tunnelWriteEnded = false
        abortReason = nil
        hasSentHead = false
        hasFinished = false
        isHandedOver = false
        requestTrailers = nil
    }

    /// Starts behind a head that went out already, with so many bytes to follow.
    func beginAnswered(length: Int) {
        begin()
        hasSentHead = true
        framing = .length(length)
    }

    /// Sends the rest of a file whose head went out, and ends the exchange.
    func finishFile(_ file: FileHandle, _ offset: Int64, _ count: Int) async -> Bool {
        let sender = FileSender(exchange: self, pool: host.pool, timeout: host.timeouts.send)
        let reason = await sender.send(file, offset: offset, count: count)
        if let reason { abort(reason) }
        hasFinished = true
        return await complete()
    }

    /// Ends the exchange: what is unsent goes out, what is unread of the request is dropped.
    ///
    /// - Returns: whether the connection can carry another request; it is closed otherwise.
    func complete() async -> Bool {
        if abortReason == nil && !hasFinished { abort(.upstreamBroken) }
        if let abortReason { return fail(abortReason) }
        guard await flushed() else { return false }
        if !bodyHasEnded { await discardBody() }
        host.finished(transaction)
        guard keepsOpen, bodyHasEnded, !isTunnel else {
            host.giveTransaction(transaction)
            connection.closeGracefully(isTunnel ? nil : connection.reasonForLast)
            return false
        }
        startOver()
        return true
    }

    /// Ends the exchange where that needs no wait, and the connection goes on.
    ///
    /// - Returns: false where `complete()` has to do it.
    func completeAtOnce() -> Bool {
        guard abortReason == nil, hasFinished, keepsOpen, !isTunnel, decoder.isDone, flush() else {
            return false
        }
        host.finished(transaction)
        startOver()
        return true
    }

    private func startOver() {
        transaction.reset()
        connection.parser.reset()
    }

    private func fail(_ reason: CloseReason) -> Bool {
        transaction.closeReason = reason
        // An answer that is not whole must not look whole: what is framed by the connection's end is reset.
        _ = flush()
        host.finished(transaction)
        host.giveTransaction(transaction)
        connection.close(reason, reset: framing.endsConnection || !output.isEmpty)
        return false
    }

    private func discardBody() async {
        guard !owesContinue else { return }
        var discarded = 0
        let end = worker.now + UnwantedBody.milliseconds
        while discarded <= UnwantedBody.bytesMax, lost == nil, worker.now < end {
            switch readBody(into: { discarded += $0.count }) {
            case .progressed: continue
            case .ended, .refused, .aborted: return
            case .pending:
                setDeadline(after: end - worker.now)
                _ = await scope.wait()
            }
        }
    }

    /// Waits until everything is out.
    ///
    /// - Returns: false when the client takes nothing or is gone; the connection is closed then.
    func flushed() async -> Bool {
        var unsent = Int.max
        var limit = Int64.max
        while !flush() {
            if let lost {
                _ = fail(lost)
                return false
            }
            // What the client takes gives it its time anew, and not what it sends.
            if unsentBytes < unsent || (worker.now >= limit && clientHasProgressed()) {
                unsent = unsentBytes
                limit = worker.now + host.timeouts.send
            } else if worker.now >= limit {
                _ = fail(.sendTimeout)
                return false
            }
            setDeadline(after: max(0, limit - worker.now))
            _ = await scope.wait()
        }
        return true
    }

    func closeAfterAnswer() { keepsOpen = false }

    func handOver() {
        isHandedOver = true
        input.trim()
        output.trim()
    }

    func takeBack() { connection.startTask(.handedBack(self)) }

    // MARK: Relays

    /// Passes the request on by the transaction's plan, without a task; false where no connection to an upstream is
    /// kept.
    func relayByPlan() -> Bool {
        guard let plan = transaction.plan else { return false }
        return plan.proxy.serveDirectly(
            self, head: plan.head, target: plan.target, timeouts: plan.settings.upstreamTimeouts,
            client: transaction, by: relay, for: self)
    }

    func relayEnded(_ outcome: ProxyOutcome, mayRepeat: Bool) {
        if case .answered = outcome, completeAtOnce() { return connection.relayFinished(self) }
        connection.startTask(.relayed(self, outcome, mayRepeat: mayRepeat))
    }

    // MARK: Request body

    var bodyHasEnded: Bool { isTunnel ? tunnelReadEnded : decoder.isDone }

    var mayHaveBody: Bool { !isTunnel || socket.isReadable || !input.isEmpty }

    var lost: CloseReason? {
        if let abortReason { return abortReason }
        if active.isCutOff { return .draining }
        return socket.isBroken ? breakReason : nil
    }

    /// Why the client's connection is gone. In a tunnel of which one direction has ended, a client that refuses what
    /// still comes has left: browsers do not wait for the answer to their last word.
    private var breakReason: CloseReason {
        tunnelReadEnded || tunnelWriteEnded ? .clientClosed : .clientFailed
    }

    var clientHasEnded: Bool { socket.isReadClosed }

    func continueBody() {
        guard owesContinue else { return }
        owesContinue = false
        if !hasSentHead { HeadWriter.writeInformational(status: 100, nil, into: output) }
        flush()
    }

    func readBody(into sink: (Span<UInt8>) -> Void) -> BodyProgress {
        if isTunnel { return readTunnel(into: sink) }
        if decoder.isDone { return .ended }
        if owesContinue && input.isEmpty { continueBody() }
        if !input.isEmpty {
            let progress = decode(input, into: sink)
            if progress != .pending { return progress }
        }
        guard socket.isReadable else { return .pending }
        return readAndDecode(into: sink)
    }

    /// Reads into the worker's buffer and keeps only what the decoder could not use yet.
    private func readAndDecode(into sink: (Span<UInt8>) -> Void) -> BodyProgress {
        let kept = input
        let scratch = host.scratchInput
        scratch.clear()
        if !kept.isEmpty {
            scratch.append(kept.readable)
            kept.clear()
        }
        scratch.reserve(4096)
        switch socket.read(into: scratch.writable) {
        case .bytes(let count): scratch.commit(count)
        case .wouldBlock:
            kept.append(scratch.readable)
            return .pending
        case .end: return .aborted(.clientClosed)
        case .failed: return .aborted(.clientFailed)
        }
        let progress = decode(scratch, into: sink)
        kept.append(scratch.readable)
        return progress == .pending ? .progressed : progress
    }

    private func decode(_ input: ByteBuffer, into sink: (Span<UInt8>) -> Void) -> BodyProgress {
        var progress = BodyProgress.pending
        while true {
            do throws(Refusal) {
                switch try decoder.next(input.readable) {
                case .content(let range):
                    transaction.bytesIn += range.count
                    guard transaction.bytesIn <= host.bodyLimit(transaction) else {
                        return .refused(.bodyTooLarge)
                    }
                    let readable = input.readable
                    sink(readable.extracting(range))
                    input.consume(range.upperBound)
                    progress = .progressed
                case .incomplete(let consumed):
                    input.consume(consumed)
                    return progress
                case .end(let consumed):
                    input.consume(consumed)
                    requestTrailers = decoder.trailers
                    return .ended
                }
            } catch {
                return .refused(error)
            }
        }
    }

    private func readTunnel(into sink: (Span<UInt8>) -> Void) -> BodyProgress {
        if tunnelReadEnded { return .ended }
        let kept = input
        if !kept.isEmpty {
            transaction.bytesIn += kept.count
            sink(kept.readable)
            kept.clear()
            return .progressed
        }
        guard socket.isReadable else { return .pending }
        let scratch = host.scratchInput
        scratch.clear()
        switch socket.read(into: scratch.writable) {
        case .bytes(let count):
            scratch.commit(count)
            transaction.bytesIn += count
            sink(scratch.readable)
            return .progressed
        case .wouldBlock: return .pending
        case .end:
            tunnelReadEnded = true
            return .ended
        case .failed: return .aborted(breakReason)
        }
    }

    // MARK: Response

    func sendInformational(status: Int, _ fields: FieldBlock) {
        // RFC 9110 §15.2: never to HTTP/1.0.
        guard !connection.parser.persistence.isHTTP10, !hasSentHead else { return }
        if status == 100 { owesContinue = false }
        HeadWriter.writeInformational(status: status, fields, into: output)
    }

    func sendHead() {
        precondition(!hasSentHead, "a second final response")
        hasSentHead = true
        transaction.hasAnswer = true
        if connection.isPlain {
            // Whoever speaks no HTTP finds the connection closed.
            keepsOpen = false
            return
        }
        // RFC 9112 §9.3: a client that still waits for 100 may or may not send its body, so nobody can tell what the
        // next bytes are.
        if owesContinue && !bodyHasEnded { keepsOpen = false }
        if host.isDraining { keepsOpen = false }
        let context = HeadWriter.ResponseContext(
            method: request.method, keepAlive: keepsOpen, isHTTP10: connection.parser.persistence.isHTTP10,
            date: host.date)
        framing = HeadWriter.writeResponse(response, context, into: output)
        if framing.endsConnection { keepsOpen = false }
    }

    func acceptUpgrade(_ token: Span<UInt8>) {
        precondition(!hasSentHead, "a second final response")
        hasSentHead = true
        transaction.hasAnswer = true
        isTunnel = true
        keepsOpen = false
        if !connection.isPlain { HeadWriter.writeSwitch(response, upgrade: token, into: output) }
        socket.enableKeepAlive(afterSeconds: 60)
    }

    func send(_ bytes: Span<UInt8>) {
        guard bytes.count > 0, isTunnel || framing.hasBody else { return }
        transaction.bytesOut += bytes.count
        guard framing.isChunked else { return sendRaw(bytes) }
        output.append(hexadecimal: bytes.count)
        output.append("\r\n")
        sendRaw(bytes)
        output.append("\r\n")
    }

    /// Copies a little, and writes much from where it lies, keeping what the kernel does not take.
    private func sendRaw(_ bytes: Span<UInt8>) {
        // Of a tunnel nothing more is to come that could go with it.
        guard bytes.count > HTTP1Exchange.copyMax || isTunnel, socket.isWritable, !socket.isBroken else {
            return output.append(bytes)
        }
        bytes.withUnsafeBytes { raw in
            let queued = output.count
            guard case .bytes(let written) = socket.write(output.pending, raw) else {
                return output.append(raw)
            }
            stampFirstByte()
            output.consume(min(queued, written))
            if written < queued + raw.count {
                output.append(UnsafeRawBufferPointer(rebasing: raw[max(0, written - queued)...]))
            }
        }
    }

    func sendFile(_ file: FileHandle, offset: Int64, count: Int) -> Int? {
        if !output.isEmpty {
            guard case .bytes(let written) = socket.write(output.pending) else { return 0 }
            stampFirstByte()
            output.consume(written)
            guard output.isEmpty else { return 0 }
        }
        switch socket.sendFile(file.descriptor, offset: offset, count: min(count, HTTP1Exchange.fileWindow)) {
        case .bytes(let sent):
            transaction.bytesOut += sent
            return sent
        case .wouldBlock: return 0
        // Where the connection is gone, `lost` says so; else it is the file that cannot be read.
        case .failed: return socket.isBroken ? 0 : nil
        case .end: return nil
        }
    }

    func finish(trailers: FieldBlock?) {
        guard !hasFinished else { return }
        hasFinished = true
        guard framing.isChunked, !isTunnel else { return }
        output.append("0\r\n")
        if let trailers { HeadWriter.writeFields(trailers, into: output) }
        output.append("\r\n")
    }

    func finishTunnel() {
        guard flush() else { return }
        tunnelWriteEnded = true
        socket.shutdownWrite()
    }

    var isBlocked: Bool { !output.isEmpty }

    func clientHasProgressed() -> Bool { socket.peerHasProgressed() }

    var unsentBytes: Int { output.count }

    var handlerTask: UnsafeCurrentTask? {
        get { active.handlerTask }
        set { active.handlerTask = newValue }
    }

    @discardableResult
    func flush() -> Bool {
        if output.isEmpty { return true }
        guard socket.isWritable else { return false }
        if case .bytes(let written) = socket.write(output.pending) {
            stampFirstByte()
            output.consume(written)
        }
        if isTunnel && output.isEmpty && output.capacity > HTTP1Exchange.copyMax { output.trim() }
        return output.isEmpty
    }

    private func stampFirstByte() {
        if transaction.answeredAt == 0 && hasSentHead { transaction.answeredAt = host.worker.nanoseconds }
    }

    func abort(_ reason: CloseReason) {
        if abortReason == nil { abortReason = reason }
    }

    func setDeadline(after milliseconds: Int64?) {
        scope.forgetDeadline()
        connection.setDeadline(after: milliseconds)
    }
}
