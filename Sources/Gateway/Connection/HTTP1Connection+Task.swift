internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP1
internal import ChimeraHTTPCore

extension HTTP1Connection {
    /// How long a connection that was served by a task keeps it without a request.
    private static let silence: Int64 = 1_000

    /// The task of a connection: serves what has to wait, then further requests, until a second of silence.
    func run(_ start: TaskStart) async {
        guard let active else { return }
        let exchange: HTTP1Exchange
        var verdict: Verdict?
        switch start {
        case .head(let transaction), .next(let transaction):
            exchange = HTTP1Exchange(self, active, transaction)
        case .request(let transaction, let first):
            exchange = HTTP1Exchange(self, active, transaction)
            exchange.begin()
            verdict = first
        case .file(let transaction, let file, let offset, let count):
            exchange = HTTP1Exchange(self, active, transaction)
            exchange.beginAnswered(length: count)
            guard await exchange.finishFile(file, offset, count) else { return }
        }
        while true {
            if let current = verdict {
                await host.serve(exchange, current)
                if !exchange.completeAtOnce() { guard await exchange.complete() else { return } }
            }
            verdict = await nextRequest(exchange, active)
            if verdict == nil { return }
        }
    }

    /// Reads and answers requests until one has to wait; nil when the connection was parked or closed.
    private func nextRequest(_ exchange: HTTP1Exchange, _ active: ActiveState) async -> Verdict? {
        var headDeadline: Int64?
        while mode == .task {
            if exchange.isBlocked { guard await exchange.flushed() else { return nil } }
            if endsAfterOutput { return ended { closeGracefully(nil) } }
            switch parse(exchange.transaction, active.input) {
            case .refused(let refusal):
                refuse(exchange.transaction, refusal, active.output)
                guard await exchange.flushed() else { return nil }
                return ended { closeGracefully(.refused) }
            case .complete:
                headDeadline = nil
                let verdict = host.begin(exchange.transaction, peer: peer, listener: listener)
                exchange.begin()
                return verdict
            case .incomplete:
                guard await readMore(exchange, active, &headDeadline) else { return nil }
            }
        }
        return nil
    }

    private func ended(_ body: () -> Void) -> Verdict? {
        body()
        return nil
    }

    private enum Parsed { case complete, incomplete, refused(Refusal) }

    private func parse(_ transaction: Transaction, _ input: ByteBuffer) -> Parsed {
        if input.isEmpty { return .incomplete }
        do throws(Refusal) {
            guard case .complete(let count) = try parser.parse(input.readable, into: transaction.request) else {
                return .incomplete
            }
            input.consume(count)
            return .complete
        } catch {
            return .refused(error)
        }
    }

    /// Reads more of a head, or waits for it.
    ///
    /// - Returns: false when the connection was parked or closed instead.
    private func readMore(
        _ exchange: HTTP1Exchange, _ active: ActiveState, _ headDeadline: inout Int64?
    ) async -> Bool {
        let input = active.input
        if socket.isReadable {
            input.reserve(4096)
            switch socket.read(into: input.writable) {
            case .bytes(let count):
                input.commit(count)
                return true
            case .wouldBlock: break
            case .end:
                close(input.isEmpty ? nil : .clientClosed)
                return false
            case .failed:
                close(.clientFailed)
                return false
            }
        }
        let now = host.worker.now
        let hasBegun = !input.isEmpty
        if hasBegun && headDeadline == nil { headDeadline = now + host.timeouts.head }
        if !hasBegun && host.isDraining { return ended(.draining) }
        setDeadline(after: headDeadline.map { max(0, $0 - now) } ?? HTTP1Connection.silence)
        let wake = await active.scope.wait()
        guard wake.contains(.deadline), !socket.isReadable else { return true }
        return hasBegun ? await headTimedOut(exchange) : parked(exchange)
    }

    private func ended(_ reason: CloseReason) -> Bool {
        close(reason)
        return false
    }

    private func parked(_ exchange: HTTP1Exchange) -> Bool {
        host.giveTransaction(exchange.transaction)
        park()
        return false
    }

    private func headTimedOut(_ exchange: HTTP1Exchange) async -> Bool {
        guard let active else { return false }
        refuse(exchange.transaction, .headTimeout, active.output)
        guard await exchange.flushed() else { return false }
        closeGracefully(.headTimeout)
        return false
    }
}
