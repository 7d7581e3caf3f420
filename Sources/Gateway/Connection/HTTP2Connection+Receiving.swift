internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP2
internal import ChimeraHTTPCore
internal import ChimeraTelemetry

extension HTTP2Connection {
    /// Requests of one turn, so that a client with many does not keep the others of the worker waiting.
    private static let requestsPerTurn = 128
    /// Octets of output past which it is written before more is read, and nothing is read while they stay.
    static let outputMax = 64 * 1024
    /// Octets of one read.
    private static let readMax = 64 * 1024

    /// The client does not take what it is sent, so that nothing more is read from it.
    var isStalled: Bool { codec.output.count >= HTTP2Connection.outputMax }

    // MARK: Reading

    /// Reads once, and takes what came. What a turn did not come to is taken before more is read, so that no client has
    /// more in here than one read and a frame.
    func receive() {
        if isStalled { return hasMore = held != nil || socket.isReadable }
        let wasCut = isCut
        isCut = false
        let input = host.scratchFrames
        input.clear()
        if let held {
            input.append(held.readable)
            host.buffers.give(held)
            self.held = nil
        }
        let kept = input.count
        if !wasCut && socket.isReadable && !readHasEnded { guard read(into: input) else { return } }
        let before = input.count
        if before > kept { hasServed = true }
        if before > 0 { take(input) }
        guard mode == .open else { return }
        noteUnread(input, hasTaken: input.count < before)
        hasMore = isCut || (socket.isReadable && !readHasEnded)
    }

    /// - Returns: false where the connection is gone.
    private func read(into input: ByteBuffer) -> Bool {
        input.reserve(16 * 1024)
        let room = UnsafeMutableRawBufferPointer(rebasing: input.writable.prefix(HTTP2Connection.readMax))
        switch socket.read(into: room) {
        case .bytes(let count): input.commit(count)
        case .wouldBlock: break
        case .end:
            readHasEnded = true
            for exchange in exchanges { exchange?.clientEnded() }
        case .failed:
            close(.clientFailed)
            return false
        }
        return true
    }

    /// Keeps what is left for the next turn, and notes since when something is not whole.
    private func noteUnread(_ input: ByteBuffer, hasTaken: Bool) {
        if !input.isEmpty {
            let kept = host.buffers.take()
            kept.append(input.readable)
            held = kept
        }
        if input.isEmpty || isCut {
            frameSince = nil
        } else if hasTaken || frameSince == nil {
            frameSince = host.worker.now
        }
        if codec.hasPartialBlock {
            if blockSince == nil { blockSince = host.worker.now }
        } else {
            blockSince = nil
        }
    }

    /// Takes the frames that came, as long as their answers find room.
    private func take(_ input: ByteBuffer) {
        var requests = 0
        defer { if requests > 0 { idleFrom = host.worker.now } }
        while mode == .open {
            let transaction = current ?? host.takeTransaction()
            current = transaction
            let readable = input.readable
            let received = codec.receive(readable, into: transaction.request, at: host.worker.now)
            guard let event = received.event else { return input.consume(received.consumed) }
            switch event {
            case .head(let stream, let endStream):
                requests += 1
                serve(stream, transaction, endStream: endStream)
            case .data(let stream, let range, let endStream):
                exchange(of: stream)?.contentCame(readable.extracting(range), endStream: endStream)
                    ?? codec.consume(stream, range.count)
            default: take(event, transaction)
            }
            input.consume(received.consumed)
            if mode != .open || codec.isOver { return input.clear() }
            if codec.output.count >= HTTP2Connection.outputMax {
                write()
                if mode != .open { return }
                if isStalled { return isCut = true }
            }
            if requests == HTTP2Connection.requestsPerTurn { return isCut = true }
        }
    }

    /// Takes what comes less often.
    private func take(_ event: Event, _ transaction: Transaction) {
        switch event {
        case .head, .data: break
        case .headRefused(let stream, let refusal, let endStream):
            let body = host.refuse(transaction, refusal, client, tls)
            answer(stream, transaction, body, endStream: endStream)
        case .end(let stream): exchange(of: stream)?.requestEnds(trailers: nil)
        case .trailers(let stream): exchange(of: stream)?.requestEnds(trailers: codec.trailers)
        case .reset(let stream, _): exchange(of: stream)?.streamLost(.clientReset)
        case .streamFailed(let stream, let violation):
            host.counters.add(violation: Int(violation.rawValue))
            exchange(of: stream)?.streamLost(.protocolViolated)
        case .requestFailed(_, let violation): host.counters.add(violation: Int(violation.rawValue))
        // RFC 9113 §6.8: what is under way goes on; the client closes the connection when it is done.
        case .goAway: break
        case .failed(let violation):
            host.counters.add(violation: Int(violation.rawValue))
            fail(violation.code == .enhanceYourCalm ? .flooded : .protocolViolated)
        }
    }

    // MARK: Requests

    /// Decides what becomes of a request, and answers it where that needs no wait.
    private func serve(_ stream: StreamHandle, _ transaction: Transaction, endStream: Bool) {
        let request = transaction.request
        if !request.upgrade.isEmpty { ExtendedConnect.normalise(request) }
        let verdict = host.begin(transaction, client, tls)
        if client.isExcess { codec.finishDrain() }
        if listener.isSecure && !request.scheme.isEmpty && !request.targetsHTTPS {
            // RFC 9110 §7.4: what was asked of an http origin is not to be answered for the https one.
            let (context, response) = (transaction.context, transaction.response)
            let body = host.dispatcher.refuse(421, context, request, response)
            return answer(stream, transaction, body, endStream: endStream)
        }
        if case .answer(let body) = verdict {
            return answer(stream, transaction, body, endStream: endStream)
        }
        let exchange = host.takeExchange()
        exchange.begin(self, stream, &current, endStream: endStream)
        if case .serve(let route) = verdict, case .proxy(let target) = route.target,
            host.planProxy(transaction, target, route)
        {
            return exchange.passOn()
        }
        exchange.start(verdict)
    }

    /// Sends an answer whose head is filled.
    private func answer(
        _ stream: StreamHandle, _ transaction: Transaction, _ body: AnswerBody, endStream: Bool
    ) {
        if ExtendedConnect.mustRefuse(transaction.request, status: transaction.response.status) {
            // RFC 9220 §3: any other answer of 2xx would agree to the protocol.
            let refusal = host.dispatcher.refuse(
                501, transaction.context, transaction.request, transaction.response)
            return answer(stream, transaction, refusal, endStream: endStream)
        }
        transaction.hasAnswer = true
        let hasContent = codec.sendHead(
            stream, transaction.response, answering: transaction.request.method, date: host.date)
        if hasContent {
            switch body {
            case .none: codec.finish(stream)
            case .bytes(let blob) where codec.hasRoom(stream, for: blob.count):
                codec.send(stream, blob.span, endStream: true)
            case .bytes, .file:
                let exchange = host.takeExchange()
                exchange.begin(self, stream, &current, endStream: endStream)
                return exchange.pull(body)
            }
            transaction.bytesOut = body.count
        }
        host.finished(transaction)
        transaction.reset()
        guard !endStream, codec.isLive(stream) else { return }
        let exchange = host.takeExchange()
        exchange.begin(self, stream, endStream: false)
        exchange.discard()
    }
}
