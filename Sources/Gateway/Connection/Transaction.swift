internal import ChimeraBytes
internal import ChimeraHTTPCore
internal import ChimeraTelemetry
internal import ChimeraUpstream

/// One request and what becomes of it: heads, routing and the figures for the log. Pooled by the worker, so that
/// a request in steady state allocates nothing.
final class Transaction: ProxyClient {
    let request = RequestHead()
    let response = ResponseHead()
    let context = RequestContext()
    let host: GatewayWorker
    /// When the head was complete, in nanoseconds of the worker's clock.
    @exclusivity(unchecked) var startedAt: Int64 = 0
    /// When the first byte of the answer was handed to the kernel.
    @exclusivity(unchecked) var answeredAt: Int64 = 0
    /// Content bytes of the request.
    @exclusivity(unchecked) var bytesIn = 0
    /// Content bytes of the response.
    @exclusivity(unchecked) var bytesOut = 0
    @exclusivity(unchecked) var refusal: Refusal?
    @exclusivity(unchecked) var closeReason: CloseReason?
    @exclusivity(unchecked) var upstreamFigures = UpstreamFigures()
    /// What an upstream gets, once the request is for one.
    @exclusivity(unchecked) var plan: ProxyPlan?
    /// What became of a session that the request has begun.
    @exclusivity(unchecked) var session: LoggedSession?
    /// A final head went out.
    @exclusivity(unchecked) var hasAnswer = false

    init(host: GatewayWorker) {
        self.host = host
    }

    /// Empties it for the next request.
    func reset() {
        request.reset()
        response.reset()
        if !context.places.isEmpty { host.dispatcher.leavePlaces(context) }
        context.end()
        context.tls = nil
        plan = nil
        startedAt = 0
        answeredAt = 0
        bytesIn = 0
        bytesOut = 0
        refusal = nil
        closeReason = nil
        session = nil
        hasAnswer = false
        if upstreamFigures.startedAt != 0 { upstreamFigures = UpstreamFigures() }
    }

    /// Gives back what a request that goes on for long has no use for, once its answer's head went out: the fields of that,
    /// and room for more than there is.
    func settle() {
        response.removeAll()
        response.trim()
        request.trim()
        context.trim()
    }

    func upstreamAnswered() {
        host.dispatcher.finishResponse(context, request, response)
    }
}

/// An exchange as the gateway serves it, on any protocol: with its transaction.
protocol GatewayExchange: Exchange {
    var transaction: Transaction { get }

    /// Lets the connection carry no further request, or closes the stream for good.
    func closeAfterAnswer()

    /// Sent bytes that wait for the client.
    var unsentBytes: Int { get }

    /// Sends what is behind the head and ends the exchange, all by itself.
    ///
    /// - Returns: false where whoever serves the exchange has to do so.
    func sendsAlone(_ file: FileHandle, offset: Int64, count: Int) -> Bool

    /// Whoever serves the exchange goes on with it without the task that it is served by, which may end.
    func handOver()

    /// Whoever it was handed over to is done; another task ends the exchange.
    func takeBack()

    /// The task of an embedded handler while it runs, to be cancelled where the gateway ends the exchange.
    var handlerTask: UnsafeCurrentTask? { get set }
}

extension GatewayExchange {
    func sendsAlone(_ file: FileHandle, offset: Int64, count: Int) -> Bool { false }
}
