internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraTelemetry

extension GatewayWorker {
    /// `/ready`, which is answered at once; nil for the pages that take a while.
    func answerTelemetry(_ page: TelemetryPage, _ transaction: Transaction) -> Verdict? {
        guard page == .ready else { return nil }
        let response = transaction.response
        let reason = shared.metrics.state.unreadiness
        response.reset(status: reason == nil ? 200 : 503)
        let text = reason ?? "ready\n"
        let bytes = Span(_unsafeStart: text.utf8Start, count: text.utf8CodeUnitCount)
        return .answer(finishTelemetry(Blob(bytes), MediaTypes.text, transaction))
    }

    /// Answers with `/metrics` or `/status`.
    func serveTelemetry(_ exchange: some GatewayExchange, _ page: TelemetryPage) async {
        let (source, transaction) = (shared.metrics, exchange.transaction)
        let format = ExpositionFormat(accepting: exchange.request)
        let content = await pool.run { page == .status ? source.status() : source.exposition(format) }
        guard let content else {
            counters.add(.blockingWork)
            return await refuse(exchange, status: 503)
        }
        transaction.response.reset()
        let type: StaticString = page == .status ? "application/json" : format.contentType
        await answer(exchange, finishTelemetry(Blob(content.span), type, transaction))
    }

    private func finishTelemetry(_ blob: Blob, _ type: StaticString, _ transaction: Transaction) -> AnswerBody
    {
        let response = transaction.response
        response.add(.contentType, type)
        response.add(.cacheControl, "no-store")
        response.body = .known(blob.count)
        return .bytes(blob)
    }
}

extension ExpositionFormat {
    /// OpenMetrics for who names it in Accept (RFC 9110 §12.5.1) with a weight above zero, else Prometheus' own.
    init(accepting request: RequestHead) {
        self =
            request.acceptedWeight(of: "application/openmetrics-text") > .zero ? .openMetrics : .prometheus
    }
}
