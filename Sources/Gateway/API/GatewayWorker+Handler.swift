internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import HTTPTypes

extension GatewayWorker {
    /// Has an embedded handler serve the exchange, in the connection's own task.
    func serveHandler(_ exchange: some GatewayExchange, _ handler: any Handler) async {
        let served = ServedExchange(exchange, self)
        let transaction = exchange.transaction
        let length: Int? =
            switch transaction.request.body {
            case .none: 0
            case .known(let count): count
            case .unknown: nil
            }
        exchange.handlerTask = withUnsafeCurrentTask { $0 }
        do {
            try await handler.handle(
                HTTPRequest(transaction, dispatcher), context: served.context,
                body: RequestBody(served, length: length), response: ResponseSender(served))
        } catch {
            // Whoever embeds the gateway has heard of it; what the client sees is the same as without an
            // error.
        }
        worker.onThread()
        exchange.handlerTask = nil
        await served.end()
        await conclude(exchange, served)
    }

    /// What becomes of the exchange when its handler has returned.
    private func conclude(_ exchange: some GatewayExchange, _ served: ServedExchange) async {
        if exchange.hasSentHead {
            if let loss = served.loss { return exchange.abort(loss) }
            if !served.hasFinished { exchange.abort(.handlerFailed) }
            return
        }
        if let refusal = served.refusal {
            exchange.transaction.refusal = refusal
            exchange.closeAfterAnswer()
            return await refuse(exchange, status: refusal.status)
        }
        switch served.loss ?? exchange.lost {
        case nil: await refuse(exchange, status: 500)
        case .responseTimeout: await refuse(exchange, status: 503)
        case .some(let loss): exchange.abort(loss)
        }
    }
}

extension ServedExchange {
    /// What the handler is told of the exchange.
    fileprivate var context: ExchangeContext {
        let left = timeouts.response.map { Duration.milliseconds($0) }
        let request = exchange.request
        let asksForOther = !request.upgrade.isEmpty && !ExtendedConnect.lacksKey(request)
        return ExchangeContext(
            exchange.transaction.context, self,
            upgrade: asksForOther ? String(copying: request[request.upgrade]) : nil,
            deadline: left.map { ContinuousClock.now.advanced(by: $0) })
    }
}
