internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraSessions
internal import ChimeraTelemetry

/// Sessions of clients that speak no WebSocket: of `listen … session=`, and of `http=on`.
extension GatewayWorker {
    /// How a request that asks for no WebSocket is served by a program; nil where it is not.
    func plainForm(
        of transaction: Transaction, _ destination: SessionDestination
    ) throws(WebSocketRequest.Fault) -> PlainForm? {
        let (context, request) = (transaction.context, transaction.request)
        if context.isPlain { return .stream }
        // What is safe by its method must not start anything (RFC 9110 §9.2.1).
        guard destination.target.answersHTTP, request.method == .post else { return nil }
        guard destination.origins.allowsRequest(request, context) else { throw .foreignOrigin }
        return request.acceptedWeight(of: "text/event-stream") > .zero ? .events : .body
    }

    /// Begins what is sent to such a client.
    func begin(_ exchange: some GatewayExchange, _ destination: SessionDestination, _ form: PlainForm) {
        let response = exchange.transaction.response
        guard form != .stream else {
            let token = Array("session".utf8)
            response.reset(status: 101)
            exchange.acceptUpgrade(token.span)
            return counters.add(.tunnels)
        }
        let (context, request) = (exchange.transaction.context, exchange.transaction.request)
        response.reset(status: 200)
        response.body = .unknown
        if form == .events {
            response.add(.contentType, "text/event-stream")
        } else {
            let isText = destination.target.framing == .lines
            response.add(.contentType, isText ? "text/plain; charset=utf-8" : "application/octet-stream")
            // RFC 9110 §6.6.2.
            response.add(.trailer, "Exit-Status, Exit-Signal")
        }
        response.add(.cacheControl, "no-store")
        response.add(.xContentTypeOptions, "nosniff")
        if destination.origins.isForeign(request, context), let origin = request[.origin] {
            response.add(.accessControlAllowOrigin, origin)
            response.add(.vary, "Origin")
        }
        dispatcher.finishResponse(context, request, response)
        exchange.sendHead()
        exchange.flush()
    }
}
