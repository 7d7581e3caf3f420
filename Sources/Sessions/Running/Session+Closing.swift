internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraWebSocket

/// How a session ends, and why.
extension Session {
    /// Ends the WebSocket with a word to the client.
    func close(_ status: CloseStatus, _ reason: String, _ why: SessionEnd, _ frames: ByteBuffer) {
        guard closing.maySend else { return }
        if end == nil { end = why }
        perform(closing.close(status), reason, frames)
    }

    func perform(
        _ step: ClosingHandshake.Step, _ reason: String, _ frames: ByteBuffer
    ) {
        if step.sendsClose {
            // §5.4: control frames may stand between the fragments of a message.
            CloseFrame.append(step.status, reason: reason, maskingKey: nil, to: frames)
        }
        switch step.transport {
        case .asItIs: break
        case .endSending, .awaitEnd: endsSending = true
        case .release: isReleased = true
        }
        switch closing.deadline {
        case .answer: closingEndsAt = min(closingEndsAt, worker.now + Self.answerMilliseconds)
        case .transport: closingEndsAt = worker.now + Self.transportMilliseconds
        case nil: closingEndsAt = .max
        }
    }

    func perform(_ step: ClosingHandshake.Step, _ frames: ByteBuffer) { perform(step, "", frames) }

    /// How long a program has to answer what a client said before it broke the protocol.
    private static let lastWordMilliseconds: Int64 = 500

    /// What the client said before it broke the protocol is answered first, where the program is quick about it.
    func fail(_ failure: ConnectionFailure, _ frames: ByteBuffer) {
        self.failure = failure
        let mayAnswer = messagesIn > 0 && program.isOpen(.stdout) && closing.maySend
        if mayAnswer, !program.hasTerminal, program.keptProgram == nil, program.endInput() {
            failsAt = worker.now + Self.lastWordMilliseconds
        } else {
            failsAt = worker.now
            tellFailure(frames)
        }
    }

    func tellFailure(_ frames: ByteBuffer) {
        guard let failure, failsAt != .max, worker.now >= failsAt || !program.isOpen(.stdout) else { return }
        failsAt = .max
        if end == nil { end = .failure(failure) }
        perform(closing.failed(failure), frames)
    }

    /// §7.1.1: a server ends its side first, once all is sent.
    func endSending() {
        guard endsSending, !hasEndedSending, exchange.flush() else { return }
        hasEndedSending = true
        exchange.finishTunnel()
        mayReadMore = true
    }

    func transportEnded() {
        if end == nil { end = .lost }
        if closing.transportEnded().transport == .release { isReleased = true }
        mayReadMore = false
    }

    func clientLost(_ reason: CloseReason, _ frames: ByteBuffer) {
        guard reason == .draining else { return transportEnded() }
        guard closingEndsAt > worker.now + Self.farewellMilliseconds else { return }
        close(.serviceRestart, "", .draining, frames)
        closingEndsAt = worker.now + Self.farewellMilliseconds
    }

    func conclude(_ end: SessionEnd) {
        exchange.setDeadline(after: nil)
        switch end {
        case .program, .client, .idle, .life, .operatorAsked, .takenOver, .tooSlow:
            if closing.isClean { return exchange.finish(trailers: nil) }
            exchange.abort(exchange.lost ?? .clientClosed)
        case .failure: exchange.abort(.protocolViolated)
        case .lost: exchange.abort(exchange.lost ?? .clientClosed)
        case .unanswered: exchange.abort(.quietTimeout)
        case .sendTimeout: exchange.abort(.sendTimeout)
        case .draining, .handedOver: exchange.abort(.draining)
        }
    }

    /// What a client of the subprotocol can be told; another one has to go where it is fatal.
    func tellLoss(_ frames: ByteBuffer) {
        guard closing.maySend, let loss = program.takeLoss() else { return }
        if tagged != nil {
            tagged?.lost(loss, &encoder, to: frames)
        } else if loss.isFatal {
            close(.tooSlow, "too slow for what the program says", .tooSlow, frames)
        }
    }

    func dismiss(_ dismissal: Dismissal, _ frames: ByteBuffer) {
        switch dismissal {
        case .takenOver: close(.takenOver, "another client took over", .takenOver, frames)
        case .operatorAsked: close(.goingAway, "ended by the operator", .operatorAsked, frames)
        case .handedOver: close(.serviceRestart, "", .handedOver, frames)
        }
    }
}
