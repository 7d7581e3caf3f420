internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP1
internal import ChimeraHTTPCore
internal import ChimeraTLS

extension HTTP1Connection {
    /// Requests answered in one turn, so that a client with a long pipeline does not keep the others waiting.
    static let requestsPerTurn = 32

    /// Reads what came on a parked connection and answers it, in the worker's own buffers.
    func serveParked() {
        let input = host.scratchInput
        input.clear()
        switch socket.read(into: input.writable) {
        case .bytes(let count):
            hasServed = true
            input.commit(count)
            let output = host.scratchOutput
            output.clear()
            answerAll(input, output)
        case .wouldBlock:
            // Part of a record is part of a head, which has its own time to come.
            if tls?.hasPartOfRecord ?? false { continueAsTask() }
        case .end:
            close(nil)
        case .failed:
            closeFailed()
        }
    }

    /// Goes on in a task with nothing that is unread or unsent.
    private func continueAsTask() {
        let input = host.scratchInput
        input.clear()
        becomeTask(.next(takeTransaction()), input: input, output: input)
    }

    private func answerAll(_ input: ByteBuffer, _ output: ByteBuffer) {
        var answered = 0
        while !input.isEmpty {
            let transaction = takeTransaction()
            if answered == HTTP1Connection.requestsPerTurn {
                return becomeTask(.next(transaction), input: input, output: output)
            }
            switch answerOne(transaction, input, output) {
            case .answered: answered += 1
            case .handedOver: return
            case .last: return finishParked(transaction, output, closing: true)
            }
            giveTransaction(transaction)
        }
        finishParked(nil, output, closing: false)
    }

    private enum Outcome { case answered, handedOver, last }

    private func answerOne(_ transaction: Transaction, _ input: ByteBuffer, _ output: ByteBuffer) -> Outcome {
        parser.reset()
        do throws(Refusal) {
            guard case .complete(let count) = try parser.parse(input.readable, into: transaction.request)
            else {
                becomeTask(.head(transaction), input: input, output: output)
                return .handedOver
            }
            input.consume(count)
        } catch {
            if speaksHTTP2(input) {
                giveTransaction(transaction)
                becomeHTTP2(input)
                return .handedOver
            }
            refuse(transaction, error, output)
            return .last
        }
        hasBegun = true
        let verdict = host.begin(transaction, client, tls)
        // A request with a body is served by a task even where the answer is known: somebody has to drop the body.
        if case .serve(let route) = verdict, case .proxy(let target) = route.target,
            transaction.request.upgrade.isEmpty,
            passOn(transaction, target, route, input: input, output: output)
        {
            return .handedOver
        }
        guard case .answer(let body) = verdict, transaction.request.body == .none else {
            becomeTask(.request(transaction, verdict), input: input, output: output)
            return .handedOver
        }
        return sendAnswer(transaction, body, input, output)
    }

    /// Whether what came, which is no request of HTTP/1, is how HTTP/2 begins by prior knowledge (RFC 9113 §3.3). Over TLS
    /// it is ALPN that says so (§3.2).
    func speaksHTTP2(_ input: ByteBuffer) -> Bool {
        !hasBegun && tls == nil && input.readable.starts(with: "PRI * HTTP/2.0\r\n")
    }

    private func sendAnswer(
        _ transaction: Transaction, _ body: AnswerBody, _ input: ByteBuffer, _ output: ByteBuffer
    ) -> Outcome {
        let isOpen = writeHead(transaction, output)
        guard transaction.request.method != .head else {
            host.finished(transaction)
            return isOpen ? .answered : .last
        }
        transaction.bytesOut = body.count
        switch body {
        case .none: break
        case .bytes(let blob): output.append(blob.span)
        case .file(let file, let offset, let count):
            let sent = startFile(file, offset, count, output)
            if sent < count {
                let rest = TaskStart.file(
                    transaction, file, offset: offset + Int64(sent), count: count - sent)
                becomeTask(rest, input: input, output: output)
                return .handedOver
            }
        }
        host.finished(transaction)
        return isOpen ? .answered : .last
    }

    /// Sends the head and as much of a file as goes at once.
    private func startFile(_ file: FileHandle, _ offset: Int64, _ count: Int, _ output: ByteBuffer) -> Int {
        guard case .bytes(let written) = socket.write(output.pending) else { return 0 }
        output.consume(written)
        guard output.isEmpty else { return 0 }
        guard
            case .bytes(let sent) = socket.sendFile(
                file.descriptor, offset: offset, count: min(count, HTTP1Exchange.fileWindow))
        else { return 0 }
        return sent
    }

    /// Writes the final head of a sync answer; says whether the connection stays open after it.
    func writeHead(_ transaction: Transaction, _ output: ByteBuffer) -> Bool {
        transaction.hasAnswer = true
        let context = HeadWriter.ResponseContext(
            method: transaction.request.method, keepAlive: keepsOpen,
            isHTTP10: parser.persistence.isHTTP10, date: host.date)
        let framing = HeadWriter.writeResponse(transaction.response, context, into: output)
        return keepsOpen && !framing.endsConnection
    }

    /// Both sides want the connection to carry another request.
    var keepsOpen: Bool { parser.persistence.keepAlive && !host.isDraining && !client.isExcess }

    /// Why the connection ends behind an answer, where that is not as the client asked.
    var reasonForLast: CloseReason? { parser.persistence.keepAlive && host.isDraining ? .draining : nil }

    /// Answers a request that cannot be understood, after which the connection ends.
    func refuse(_ transaction: Transaction, _ refusal: Refusal, _ output: ByteBuffer) {
        let body = host.refuse(transaction, refusal, client, tls)
        let context = HeadWriter.ResponseContext(
            method: transaction.request.method, keepAlive: false, isHTTP10: false, date: host.date)
        _ = HeadWriter.writeResponse(transaction.response, context, into: output)
        if case .bytes(let blob) = body, transaction.request.method != .head { output.append(blob.span) }
        transaction.closeReason = .refused
        transaction.hasAnswer = true
        ending = refusal == .headTimeout ? .headTimeout : .refused
        host.finished(transaction)
    }

    private func finishParked(_ transaction: Transaction?, _ output: ByteBuffer, closing: Bool) {
        if let transaction { giveTransaction(transaction) }
        if !output.isEmpty {
            switch socket.write(output.pending) {
            case .bytes(let count): output.consume(count)
            case .wouldBlock: break
            case .end, .failed: return close(.clientFailed)
            }
        }
        guard output.isEmpty else {
            let input = host.scratchInput
            input.clear()
            endsAfterOutput = closing
            // The task knows nothing of this request any more.
            if closing && ending == nil { ending = reasonForLast }
            return becomeTask(.next(takeTransaction()), input: input, output: output)
        }
        if closing { return closeGracefully(reasonForLast) }
        // No news will come of what is there already: what a full read left, or the end behind the last request.
        if socket.isReadable { return continueAsTask() }
        if socket.isReadClosed { return close(nil) }
        waitParked()
    }
}
