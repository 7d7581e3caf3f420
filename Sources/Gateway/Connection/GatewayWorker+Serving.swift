internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraFiles
internal import ChimeraHTTPCore
internal import ChimeraTLS
internal import ChimeraTelemetry
internal import ChimeraUpstream

extension GatewayWorker {
    /// How long pages that were found in memory count as being there, in milliseconds.
    private static let residency: Int64 = 1_000

    /// Decides what becomes of a request, and answers it where that needs no wait.
    ///
    /// - Parameter tls: nil where the connection is without.
    func begin(_ transaction: Transaction, _ client: AcceptedClient, _ tls: TLSConnection?) -> Verdict {
        transaction.startedAt = worker.nanoseconds
        transaction.context.begin(client, tls)
        if client.isExcess {
            return dispatcher.refuseConnection(
                transaction.context, transaction.request, transaction.response)
        }
        return decide(transaction)
    }

    private func decide(_ transaction: Transaction) -> Verdict {
        let (context, request, response) = (transaction.context, transaction.request, transaction.response)
        let verdict = dispatcher.dispatch(context, request, response)
        guard case .serve(let route) = verdict else { return verdict }
        if case .proxy = route.target { return verdict }
        switch route.target {
        case .files(let target): return answerFile(target, route, transaction) ?? verdict
        case .welcome: return .answer(answerWelcome(transaction))
        case .telemetry(let target): return answerTelemetry(target.page, transaction) ?? verdict
        case .proxy, .redirect, .respond, .handler, .session: return verdict
        }
    }

    /// Answers a request that cannot be understood.
    func refuse(
        _ transaction: Transaction, _ refusal: Refusal, _ client: AcceptedClient, _ tls: TLSConnection?
    ) -> AnswerBody {
        if transaction.startedAt == 0 {
            transaction.startedAt = worker.nanoseconds
            transaction.context.begin(client, tls)
        }
        transaction.refusal = refusal
        return dispatcher.refuse(
            refusal.status, transaction.context, transaction.request, transaction.response)
    }

    /// The answer to a request for what is not served to it.
    func refuse(_ transaction: Transaction, status: Int) -> AnswerBody {
        dispatcher.refuse(status, transaction.context, transaction.request, transaction.response)
    }

    /// Serves what has to wait, from its verdict to the end of its response.
    func serve(_ exchange: some GatewayExchange, _ first: Verdict) async {
        var verdict = first
        while true {
            switch verdict {
            case .answer(let body):
                return await answer(exchange, .body(body))
            case .authenticate(let question):
                guard let isValid = await shared.passwordPool.run({ question.answer() }) else {
                    counters.add(.blockingWork)
                    return await refuse(exchange, status: 503)
                }
                dispatcher.passwordAnswered(exchange.transaction.context, question, isRight: isValid)
                verdict = decide(exchange.transaction)
            case .serve(let route):
                switch route.target {
                case .files(let target): return await serveFile(exchange, target, route)
                case .proxy(let target): return await serveProxy(exchange, target, route)
                case .handler(let target): return await serveHandler(exchange, target.handler)
                case .session(let target): return await serveSession(exchange, target)
                case .telemetry(let target): return await serveTelemetry(exchange, target.page)
                case .respond(let target): return await serveResponse(exchange, target)
                case .welcome, .redirect:
                    preconditionFailure("the dispatcher answers these at once")
                }
            }
        }
    }

    /// Sends an answer that is known whole, whose head is filled.
    private func answer(_ exchange: some GatewayExchange, _ answer: FilesAnswer) async {
        if exchange.request.method == .head {
            exchange.sendHead()
            return exchange.finish(trailers: nil)
        }
        if case .body(.bytes(let blob)) = answer {
            exchange.sendHead()
            exchange.send(blob.span)
            return exchange.finish(trailers: nil)
        }
        if case .body(.file(let file, let offset, let count)) = answer,
            exchange.sendsAlone(file, offset: offset, count: count)
        {
            return
        }
        if let reason = await FileSender.send(answer, on: exchange, pool: pool, sendTimeout: timeouts.send) {
            exchange.abort(reason)
        }
    }

    func answer(_ exchange: some GatewayExchange, _ body: AnswerBody) async {
        await answer(exchange, FilesAnswer.body(body))
    }

    /// Sends an error of the gateway's own.
    func refuse(_ exchange: some GatewayExchange, status: Int) async {
        let transaction = exchange.transaction
        let body = dispatcher.refuse(status, transaction.context, transaction.request, transaction.response)
        await answer(exchange, .body(body))
    }

    /// Sends a fixed answer once the request's body has turned out to be no larger than it may be.
    private func serveResponse(_ exchange: some GatewayExchange, _ target: RespondTarget) async {
        let transaction = exchange.transaction
        if let refusal = await bodyFault(of: exchange) {
            transaction.refusal = refusal
            exchange.closeAfterAnswer()
            return await refuse(exchange, status: refusal.status)
        }
        if let lost = exchange.lost { return exchange.abort(lost) }
        await answer(
            exchange,
            dispatcher.respond(target, transaction.context, transaction.request, transaction.response))
    }

    /// Reads a body that nobody wants to its end.
    ///
    /// - Returns: why it is refused; nil also where the client is gone.
    private func bodyFault(of exchange: some GatewayExchange) async -> Refusal? {
        let timeout = (exchange.transaction.context.settings ?? dispatcher.machineSettings).timeouts.body
        var limit = timeout.map { worker.now + $0 } ?? .max
        while exchange.lost == nil {
            switch exchange.readBody(into: { _ in }) {
            case .ended: return nil
            case .refused(let refusal): return refusal
            case .aborted(let reason):
                exchange.abort(reason)
                return nil
            case .progressed: limit = timeout.map { worker.now + $0 } ?? .max
            case .pending:
                if worker.now >= limit { return .bodyTimeout }
                exchange.setDeadline(after: limit == .max ? nil : limit - worker.now)
                _ = await exchange.scope.wait()
            }
        }
        return nil
    }

    // MARK: Files

    /// The answer from memory, if there is one.
    private func answerFile(_ target: DirectoryTarget, _ route: CompiledRoute, _ transaction: Transaction)
        -> Verdict?
    {
        let (context, request, response) = (transaction.context, transaction.request, transaction.response)
        guard let files = target.destination(route, context, request) else {
            return .answer(dispatcher.refuse(404, context, request, response))
        }
        response.reset()
        let path = context.filesPath(strippedSegments: route.strippedSegments)
        let prefix = filesPrefix(context, path)
        let answer =
            context.hasQuery
            ? files.answer(
                path: path, prefix: prefix, query: request[context.query], request: request,
                response: response)
            : files.answer(path: path, prefix: prefix, query: nil, request: request, response: response)
        guard case .body(let body) = answer, isQuick(body) else {
            response.reset()
            return nil
        }
        return .answer(finishFile(body, transaction))
    }

    /// Whether the body can be sent without a look at the disk.
    private func isQuick(_ body: AnswerBody) -> Bool {
        guard case .file(let handle, let offset, let count) = body else { return true }
        if handle.residentUntil > worker.now { return true }
        guard FileWindow.isResident(handle, offset: offset, count: min(count, FileWindow.bytes)) else {
            return false
        }
        handle.residentUntil = worker.now + GatewayWorker.residency
        return true
    }

    /// What was taken off the path before `path`: what a redirect to a directory has to put back.
    @_lifetime(borrow context)
    private func filesPrefix(_ context: RequestContext, _ path: Span<UInt8>) -> Span<UInt8> {
        let whole = context.matchedPath
        if context.isDestinationRewritten { return whole.extracting(0..<0) }
        return whole.extracting(0..<max(0, whole.count - path.count))
    }

    /// Applies the settings to an answer of `files`, and gives errors their page.
    private func finishFile(_ body: AnswerBody, _ transaction: Transaction) -> AnswerBody {
        let (context, request, response) = (transaction.context, transaction.request, transaction.response)
        if response.status >= 400 { return dispatcher.finishRefusal(context, request, response) }
        dispatcher.finishResponse(context, request, response)
        return body
    }

    private func serveFile(
        _ exchange: some GatewayExchange, _ target: DirectoryTarget, _ route: CompiledRoute
    ) async {
        let transaction = exchange.transaction
        let (context, request, response) = (transaction.context, transaction.request, transaction.response)
        guard let files = target.destination(route, context, request) else {
            return await refuse(exchange, status: 404)
        }
        let path = context.filesPath(strippedSegments: route.strippedSegments)
        let file = RequestedFile(
            path: Array(copying: path), prefix: Array(copying: filesPrefix(context, path)),
            query: context.hasQuery ? Array(copying: request[context.query]) : nil)
        response.reset()
        switch await files.prepare(file, request: request, response: response) {
        case .body(let body):
            await answer(exchange, .body(finishFile(body, transaction)))
        case .parts(let parts):
            dispatcher.finishResponse(context, request, response)
            await answer(exchange, .parts(parts))
        }
    }

    // MARK: Proxy

    private func serveProxy(
        _ exchange: some GatewayExchange, _ target: UpstreamTargets, _ route: CompiledRoute
    ) async {
        guard planProxy(exchange.transaction, target, route) else {
            return await refuse(exchange, status: 404)
        }
        await passOn(exchange)
    }

    /// Makes what an upstream gets of a request, the transaction's plan.
    ///
    /// - Returns: false where a variable's value cannot be part of the upstream's name.
    func planProxy(_ transaction: Transaction, _ target: UpstreamTargets, _ route: CompiledRoute) -> Bool {
        let context = transaction.context
        guard let settings = context.settings,
            let proxy = target.proxy(route, context, transaction.request)
        else { return false }
        let head = ProxyPreparation(transaction, dispatcher).prepare(settings)
        let path = context.storeTarget(of: transaction.request, in: head)
        transaction.plan = ProxyPlan(proxy: proxy, head: head, target: path, settings: settings)
        return true
    }

    /// Passes a request on by the transaction's plan, and answers for an upstream that does not.
    func passOn(_ exchange: some GatewayExchange) async {
        guard let plan = exchange.transaction.plan else { return exchange.abort(.upstreamBroken) }
        let outcome = await plan.proxy.serve(
            exchange, head: plan.head, target: plan.target, timeouts: plan.settings.upstreamTimeouts,
            client: exchange.transaction)
        await conclude(exchange, outcome)
    }

    /// Answers where nothing was sent to the client.
    func conclude(_ exchange: some GatewayExchange, _ outcome: ProxyOutcome) async {
        switch outcome {
        case .answered: break
        case .clientLost(let reason): exchange.abort(reason)
        case .refused(let refusal):
            exchange.transaction.refusal = refusal
            exchange.closeAfterAnswer()
            await refuse(exchange, status: refusal.status)
        case .failed(let error):
            await refuse(exchange, error)
        }
    }

    /// Answers for an upstream that gave no answer (RFC 9209).
    private func refuse(_ exchange: some GatewayExchange, _ error: UpstreamError) async {
        let transaction = exchange.transaction
        let body = dispatcher.refuse(
            error.status, transaction.context, transaction.request, transaction.response)
        let text = "chimera; error=\(error.proxyStatus)"
        transaction.response.add(.proxyStatus, Array(text.utf8).span)
        await answer(exchange, .body(body))
    }

    /// Bytes that the request's body may have.
    func bodyLimit(_ transaction: Transaction) -> Int {
        Int(clamping: (transaction.context.settings ?? dispatcher.machineSettings).limitBody)
    }
}

/// What is passed on to an upstream, and which.
struct ProxyPlan {
    let proxy: Proxy
    let head: RequestHead
    /// Path and query, of the head's bytes.
    let target: Slice
    let settings: CompiledSettings
}
