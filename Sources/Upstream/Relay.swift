internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP1
internal import ChimeraHTTPCore
internal import ChimeraWebSocket

/// Moves one request to an upstream and its answer back, both ways at once; `DirectRelay` drives it.
///
/// ```
///             readBody                   send
///   client ─────────────▶ [ output ] ─────────────▶ upstream
///   client ◀───────────── (scratch) ◀───────────── upstream
///             send                       read
/// ```
/// A turn does whatever can be done in either direction and then waits for news of either side or for the one
/// deadline. A side that does not take what it gets is not given more, and the other side is not read meanwhile.
struct Relay: ~Copyable {
    enum Phase { case head, body, tunnel, farewell, over }

    let exchange: any Exchange
    private let client: any ProxyClient
    let scratch: ByteBuffer
    let worker: Worker
    private let response: ResponseHead
    let connection: UpstreamConnection
    private let timeouts: UpstreamTimeouts
    private let limits: Limits
    private var parser: ResponseParser
    private var decoder: BodyDecoder
    var phase = Phase.head
    private var requestFraming = WireFraming.none
    var requestEnded = false
    private var requestTouched = false
    /// The last look at the request's body found something, so there may be more.
    var passedRequest = false
    private var isReusable = false
    /// The upstream took only a part of the request.
    private var isCutShort = false
    private var isEventStream = false
    private var sawAnswerBytes = false
    var tunnelUpstreamEnded = false
    private var interimAnswers = 0
    private var startedAt: Int64
    /// When the request began to go out and its answer's head was there, in nanoseconds; 0 before.
    private let askedAt: Int64
    private var answeredAt: Int64 = 0
    private var progressAt: Int64
    /// When waiting ends; nil for never.
    private var limit: Int64?

    init(
        _ exchange: any Exchange, _ connection: UpstreamConnection, _ timeouts: UpstreamTimeouts,
        _ limits: Limits,
        _ scratch: ByteBuffer, _ client: any ProxyClient
    ) {
        self.exchange = exchange
        self.connection = connection
        self.timeouts = timeouts
        self.limits = limits
        self.scratch = scratch
        self.client = client
        worker = exchange.worker
        askedAt = exchange.worker.nanoseconds
        response = exchange.response
        parser = ResponseParser(limits: limits)
        decoder = BodyDecoder(.none, limits: limits)
        startedAt = worker.now
        progressAt = startedAt
    }

    // MARK: The whole way

    /// Sends the request, as far as that goes at once.
    mutating func start(_ head: RequestHead, target: Slice) -> ProxyOutcome? {
        requestFraming = HeadWriter.writeRequest(
            head, target: target, upgrade: head.upgrade, into: connection.output)
        requestEnded = !requestFraming.hasBody
        response.reset()
        // A body that has come already goes with the head in one write.
        if !requestEnded, let end = passRequest() { return end }
        return connection.flush() ? nil : upstreamLost()
    }

    /// Does what can be done now, but not more than a few windows: then the others of the worker have a turn.
    mutating func advance() -> ProxyOutcome? {
        for _ in 0..<4 {
            if let end = turn() { return end }
            if !hasWork { return nil }
        }
        return nil
    }

    /// Gives the connection back to its pool, or closes it.
    func release() {
        if isReusable && !isCutShort && phase == .over && requestEnded {
            connection.pool.giveBack(connection)
        } else {
            connection.close()
        }
    }

    /// Counts for the endpoint that it is over.
    func count(_ outcome: ProxyOutcome) {
        guard let meter = connection.pool.meter else { return }
        meter.asked(nanoseconds: answeredAt == 0 ? nil : answeredAt - askedAt)
        if case .failed(let error) = outcome { meter.failed(error) }
    }

    /// Notes for the log that it is over.
    func note(_ outcome: ProxyOutcome) {
        client.upstreamFigures.endedAt = worker.nanoseconds
        client.upstreamFigures.error = outcome.error
    }

    /// Whether the request may be sent once more: the upstream said nothing, no byte of a body is gone, and the method
    /// does no harm twice (RFC 9110 §9.2.2).
    func mayBeRepeated(_ outcome: ProxyOutcome) -> Bool {
        outcome == .failed(.connectionTerminated) && !sawAnswerBytes && !requestTouched
            && exchange.request.method.isIdempotent
    }

    /// Does what can be done in both directions.
    private mutating func turn() -> ProxyOutcome? {
        passedRequest = false
        if phase == .farewell { return farewellTurn() }
        let unsent = connection.output.count
        if !connection.flush() { return upstreamLost() }
        if connection.output.count < unsent { progressAt = worker.now }
        if exchange.isBlocked && exchange.flush() { progressAt = worker.now }
        if phase != .over && !exchange.isBlocked && connection.socket.isReadable {
            if let end = passAnswer() { return end }
        }
        if !requestEnded && connection.output.isEmpty && connection.socket.isWritable && phase != .over {
            if let end = passRequest() { return end }
            if !connection.flush() { return upstreamLost() }
        }
        if let end = tunnelEnd() { return end }
        if phase == .over { return .answered }
        if let lost = exchange.lost { return clientLost(lost) }
        exchange.flush()
        return nil
    }

    /// Whether a turn now would do something. Mutating, like all that a turn asks: for another the compiler copies the
    /// relay first.
    var hasWork: Bool {
        mutating get {
            if phase == .farewell { return hasFarewellWork }
            if passedRequest && connection.output.isEmpty { return true }
            if connection.socket.isReadable && !exchange.isBlocked && !tunnelUpstreamEnded { return true }
            if !connection.output.isEmpty { return connection.socket.isWritable }
            return false
        }
    }

    // MARK: Waiting

    /// Sets the deadline of what is waited for.
    mutating func armDeadline() {
        limit = waitLimit()
        exchange.setDeadline(after: limit.map { max(0, $0 - worker.now) })
    }

    /// Something has happened while nothing could be done.
    mutating func woken(_ wake: Wake) -> ProxyOutcome? {
        if phase == .farewell { return nil }
        if let lost = exchange.lost { return clientLost(lost) }
        if isEventStream && exchange.clientHasEnded { return clientLost(.clientClosed) }
        guard wake.contains(.deadline), let limit, worker.now >= limit, !takerHasProgressed() else {
            return nil
        }
        return timedOut()
    }

    /// When waiting ends, by what is waited for; nil for never.
    private mutating func waitLimit() -> Int64? {
        if phase == .farewell { return connection.webSocket?.endsAt }
        let whole = timeouts.response.map { startedAt + $0 }
        guard let step = stepTimeout() else { return whole }
        return min(progressAt + step, whole ?? .max)
    }

    private mutating func stepTimeout() -> Int64? {
        if phase == .tunnel || isEventStream { return exchange.isBlocked ? timeouts.send : timeouts.quiet }
        if exchange.isBlocked { return timeouts.send }
        if !connection.output.isEmpty { return timeouts.read }
        if !requestEnded && phase == .head { return timeouts.body }
        return phase == .head ? timeouts.answer : timeouts.read
    }

    /// A side that takes its time is no reason to end while it takes something.
    private mutating func takerHasProgressed() -> Bool {
        if let response = timeouts.response, worker.now >= startedAt + response { return false }
        let hasProgressed =
            exchange.isBlocked
            ? exchange.clientHasProgressed()
            : !connection.output.isEmpty && connection.socket.peerHasProgressed()
        if hasProgressed { progressAt = worker.now }
        return hasProgressed
    }

    private mutating func timedOut() -> ProxyOutcome {
        if let response = timeouts.response, worker.now >= startedAt + response {
            return exchange.hasSentHead ? abort(.responseTimeout) : .failed(.answerTimeout)
        }
        if phase == .tunnel { return abort(.quietTimeout) }
        if exchange.isBlocked {
            return exchange.hasSentHead ? abort(.sendTimeout) : .clientLost(.sendTimeout)
        }
        if exchange.hasSentHead { return abort(isEventStream ? .quietTimeout : .upstreamTimeout) }
        if !connection.output.isEmpty { return .failed(.writeTimeout) }
        return requestEnded ? .failed(.answerTimeout) : .refused(.bodyTimeout)
    }

    func abort(_ reason: CloseReason) -> ProxyOutcome {
        exchange.abort(reason)
        return .answered
    }

    private mutating func clientLost(_ reason: CloseReason) -> ProxyOutcome? {
        if reason == .draining && beginsFarewell() { return nil }
        return exchange.hasSentHead ? abort(reason) : .clientLost(reason)
    }

    // MARK: The request

    /// Passes on what has come of the request's body.
    private mutating func passRequest() -> ProxyOutcome? {
        let connection = self.connection
        let framing = phase == .tunnel ? WireFraming.untilClose : requestFraming
        let webSocket = phase == .tunnel ? connection.webSocket : nil
        var passed = 0
        let progress = exchange.readBody { bytes in
            passed += bytes.count
            webSocket?.fromClient.follow(bytes)
            connection.send(bytes, framing: framing)
        }
        if passed > 0 {
            requestTouched = true
            progressAt = worker.now
        }
        switch progress {
        case .progressed:
            passedRequest = exchange.mayHaveBody
            return nil
        case .pending: return nil
        case .ended:
            endRequest()
            return nil
        case .refused(let refusal):
            return exchange.hasSentHead ? abort(.refused) : .refused(refusal)
        case .aborted(let reason): return clientLost(reason)
        }
    }

    private mutating func endRequest() {
        requestEnded = true
        progressAt = worker.now
        if phase == .tunnel {
            if connection.flush() && connection.output.isEmpty { connection.socket.shutdownWrite() }
            return
        }
        guard requestFraming.isChunked else { return }
        connection.output.append("0\r\n")
        if let trailers = exchange.requestTrailers {
            TrailerRules.removeForbidden(from: trailers)
            HeadWriter.writeFields(trailers, into: connection.output)
        }
        connection.output.append("\r\n")
    }

    // MARK: The answer

    /// Reads from the upstream once and passes on what that gives.
    private mutating func passAnswer() -> ProxyOutcome? {
        let input = scratch
        input.clear()
        let kept = connection.input
        if !kept.isEmpty {
            input.append(kept.readable)
            kept.clear()
        }
        // What is kept of a long head may fill the buffer, and a read without room would look like the upstream's end.
        input.reserve(4096)
        switch connection.socket.read(into: input.writable) {
        case .bytes(let count):
            input.commit(count)
            // The time for a head is for all of it: each byte does not extend it.
            if phase != .head { progressAt = worker.now }
            sawAnswerBytes = true
        case .wouldBlock:
            connection.input.append(input.readable)
            return nil
        case .end: return upstreamEnded()
        case .failed: return upstreamLost()
        }
        let end = digest(input)
        if end == nil && !input.isEmpty { connection.input.append(input.readable) }
        return end
    }

    private mutating func digest(_ input: ByteBuffer) -> ProxyOutcome? {
        while true {
            switch phase {
            case .head:
                do throws(Refusal) {
                    guard
                        case .complete(let count) = try parser.parse(
                            input.readable, into: response, answering: exchange.request.method)
                    else { return nil }
                    input.consume(count)
                } catch {
                    return .failed(.answerMalformed)
                }
                if let end = headReceived() { return end }
            case .body:
                return passBody(input)
            case .tunnel:
                let readable = input.readable
                connection.webSocket?.fromUpstream.follow(readable)
                exchange.send(readable)
                input.clear()
                return nil
            case .farewell, .over:
                // RFC 9112 §6.3: what follows a response that is over belongs to none.
                if !input.isEmpty { isReusable = false }
                return nil
            }
        }
    }

    private mutating func headReceived() -> ProxyOutcome? {
        if response.status == 101 { return switchProtocols() }
        if response.status < 200 {
            // RFC 9110 §15.2: interim answers are passed on; 100 was ours to give.
            HopByHop.remove(from: response)
            response.remove(.contentLength)
            if response.status != 100 { exchange.sendInformational(status: response.status, response) }
            response.reset()
            parser.reset()
            progressAt = worker.now
            interimAnswers += 1
            return interimAnswers > limits.interimAnswersMax ? .failed(.answerMalformed) : nil
        }
        answeredAt = worker.nanoseconds
        client.upstreamFigures.answeredAt = answeredAt
        progressAt = worker.now
        isReusable = parser.persistence.keepAlive && !parser.framing.endsConnection
        isEventStream = response[.contentType]?.startsIgnoringCase(with: "text/event-stream") ?? false
        decoder = BodyDecoder(parser.framing, limits: limits)
        let wanted = response.status == 426 ? response.index(of: .upgrade).map { response.line(at: $0) } : nil
        HopByHop.remove(from: response, namesFields: parser.namesFields)
        response.remove(.contentLength)
        response.remove(.trailer)
        if let wanted {
            // RFC 9110 §15.5.22: a 426 names the protocols; §7.8: with the option for them.
            response.add(FieldLine(name: .upgrade, nameBytes: .empty, value: wanted.value))
            response.add(.connection, "Upgrade")
        }
        client.upstreamAnswered()
        exchange.sendHead()
        phase = .body
        return nil
    }

    private mutating func passBody(_ input: ByteBuffer) -> ProxyOutcome? {
        while true {
            do throws(Refusal) {
                switch try decoder.next(input.readable) {
                case .content(let range):
                    let readable = input.readable
                    exchange.send(readable.extracting(range))
                    input.consume(range.upperBound)
                case .incomplete(let consumed):
                    input.consume(consumed)
                    return nil
                case .end(let consumed):
                    input.consume(consumed)
                    answerEnded()
                    if !input.isEmpty { isReusable = false }
                    return nil
                }
            } catch {
                return abort(.upstreamBroken)
            }
        }
    }

    private mutating func answerEnded() {
        phase = .over
        if let trailers = decoder.trailers { TrailerRules.removeForbidden(from: trailers) }
        exchange.finish(trailers: decoder.trailers)
    }

    /// The upstream ended its side.
    private mutating func upstreamEnded() -> ProxyOutcome? {
        isReusable = false
        switch phase {
        case .head:
            return .failed(sawAnswerBytes ? .answerIncomplete : .connectionTerminated)
        case .body:
            guard decoder.connectionEnded() else { return abort(.upstreamBroken) }
            answerEnded()
            return nil
        case .tunnel:
            tunnelUpstreamEnded = true
            return nil
        case .farewell, .over:
            return nil
        }
    }

    private mutating func upstreamLost() -> ProxyOutcome? {
        isReusable = false
        // An upstream that refuses the rest of a request may have answered before: that answer counts.
        // What it sent can be read behind the failure, whether epoll has told so yet or not.
        if phase != .tunnel && !connection.output.isEmpty {
            connection.output.clear()
            requestEnded = true
            isCutShort = true
            return exchange.isBlocked ? nil : passAnswer()
        }
        if phase == .tunnel { return abort(.upstreamBroken) }
        return exchange.hasSentHead ? abort(.upstreamBroken) : .failed(.connectionTerminated)
    }

    // MARK: Tunnels

    private mutating func switchProtocols() -> ProxyOutcome? {
        // RFC 9110 §15.2.2: only for a request that asked for it; §7.8: and that was sent in full, since the rest of its
        // body would be taken for the other protocol.
        guard requestEnded, !exchange.request.upgrade.isEmpty, let upgrade = response.index(of: .upgrade)
        else {
            return .failed(.upgradeUnexpected)
        }
        let token = response.line(at: upgrade).value
        guard offers(response[token]), exchange.agrees(to: response) else {
            return .failed(.upgradeUnexpected)
        }
        HopByHop.remove(from: response)
        response.remove(.contentLength)
        answeredAt = worker.nanoseconds
        client.upstreamFigures.answeredAt = answeredAt
        client.upstreamAnswered()
        exchange.acceptUpgrade(response[token])
        connection.socket.enableKeepAlive(afterSeconds: 60)
        if response[token].equalsIgnoringCase("websocket") { connection.webSocket = WebSocketTunnel() }
        phase = .tunnel
        requestEnded = false
        return nil
    }

    /// Whether the client offered that protocol, its version included.
    private func offers(_ token: Span<UInt8>) -> Bool {
        let request = exchange.request
        let offered = request[request.upgrade]
        var elements = ListElements(offered)
        while let element = elements.next() {
            if offered.extracting(element).equalsIgnoringCase(token) { return true }
        }
        return false
    }

    /// Ends a tunnel when both sides have ended theirs, and passes one side's end on to the other.
    private mutating func tunnelEnd() -> ProxyOutcome? {
        guard phase == .tunnel, tunnelUpstreamEnded, !exchange.isBlocked else { return nil }
        exchange.finishTunnel()
        guard requestEnded else { return nil }
        exchange.finish(trailers: nil)
        phase = .over
        return .answered
    }
}
