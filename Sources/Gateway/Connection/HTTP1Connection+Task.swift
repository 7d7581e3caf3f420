internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP1
internal import ChimeraHTTPCore
internal import ChimeraTLS
internal import ChimeraUpstream

extension HTTP1Connection {
    /// How long a connection keeps its exchange and its buffers without a request.
    static let silence: Int64 = 1_000

    /// The task of a connection: serves what has to wait, then further requests that are there already.
    func run(_ start: TaskStart) async {
        guard let active else { return }
        let exchange: HTTP1Exchange
        var verdict: Verdict?
        switch start {
        case .head(let transaction):
            exchange = takeExchange(transaction, active)
        case .next(let transaction):
            parser.reset()
            exchange = takeExchange(transaction, active)
        case .request(let transaction, let first):
            exchange = takeExchange(transaction, active)
            exchange.begin()
            verdict = first
        case .file(let transaction, let file, let offset, let count):
            exchange = takeExchange(transaction, active)
            exchange.beginAnswered(length: count)
            guard await exchange.finishFile(file, offset, count) else { return }
        case .planned(let relayed):
            exchange = takeExchange(relayed.transaction, active)
            await host.passOn(exchange)
            guard await exchange.complete() else { return }
        case .relayed(let relayed, let outcome, let mayRepeat):
            exchange = takeExchange(relayed.transaction, active)
            await conclude(exchange, outcome, mayRepeat)
            guard await exchange.complete() else { return }
        case .handedBack(let served):
            exchange = served
            guard await exchange.complete() else { return }
        }
        var served = 0
        while true {
            if let current = verdict {
                await host.serve(exchange, current)
                if exchange.isHandedOver { return }
                if !exchange.completeAtOnce() { guard await exchange.complete() else { return } }
                served += 1
                // Others of this worker have their turn.
                if served % HTTP1Connection.requestsPerTurn == 0 { await host.worker.yield() }
            }
            verdict = await nextRequest(exchange, active)
            if verdict == nil { return }
        }
    }

    /// The exchange that a relay kept, which is the task's from now on, or a new one.
    private func takeExchange(_ transaction: Transaction, _ active: ActiveState) -> HTTP1Exchange {
        defer { warm = nil }
        active.transaction = transaction
        if let warm, warm.transaction === transaction { return warm }
        return HTTP1Exchange(self, active, transaction)
    }

    private func conclude(
        _ exchange: HTTP1Exchange, _ outcome: ProxyOutcome, _ mayRepeat: Bool
    ) async {
        guard mayRepeat else { return await host.conclude(exchange, outcome) }
        // RFC 9112 §9.3.1: a kept connection that turns out to be closed says nothing of this request.
        exchange.transaction.upstreamFigures.retries += 1
        await host.passOn(exchange)
    }

    /// Reads and answers requests until one has to wait; nil when the connection was parked or closed.
    private func nextRequest(_ exchange: HTTP1Exchange, _ active: ActiveState) async -> Verdict? {
        var headDeadline: Int64?
        while mode == .task {
            if exchange.isBlocked { guard await exchange.flushed() else { return nil } }
            if endsAfterOutput { return ended { closeGracefully(nil) } }
            switch parse(exchange.transaction, active.input) {
            case .refused where speaksHTTP2(active.input):
                return ended {
                    host.giveTransaction(exchange.transaction)
                    becomeHTTP2(active.input)
                }
            case .refused(let refusal):
                refuse(exchange.transaction, refusal, active.output)
                guard await exchange.flushed() else { return nil }
                return ended { closeGracefully(.refused) }
            case .complete:
                hasBegun = true
                headDeadline = nil
                let verdict = host.begin(exchange.transaction, client, tls)
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
            guard case .complete(let count) = try parser.parse(input.readable, into: transaction.request)
            else {
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
                closeFailed()
                return false
            }
        }
        if input.isEmpty && !(tls?.hasPartOfRecord ?? false) { return parked(exchange) }
        let now = host.worker.now
        let deadline = headDeadline ?? now + host.timeouts.head
        headDeadline = deadline
        exchange.setDeadline(after: max(0, deadline - now))
        let wake = await active.scope.wait()
        guard wake.contains(.deadline), !socket.isReadable else { return true }
        return await headTimedOut(exchange)
    }

    private func ended(_ reason: CloseReason) -> Bool {
        close(reason)
        return false
    }

    private func parked(_ exchange: HTTP1Exchange) -> Bool {
        exchange.transaction.reset()
        park(exchange)
        return false
    }

    private func headTimedOut(_ exchange: HTTP1Exchange) async -> Bool {
        guard let active else { return false }
        let input = active.input
        parser.giveUp(input.readable, exchange.transaction.request)
        refuse(exchange.transaction, .headTimeout, active.output)
        guard await exchange.flushed() else { return false }
        closeGracefully(.headTimeout)
        return false
    }
}
