internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraSessions
internal import ChimeraTelemetry

/// Sessions of clients that speak no WebSocket: of `listen … session=`, and of `http=on`.
extension GatewayWorker {
    /// How a request that asks for no WebSocket is served by a program; nil where it is not.
    func plainForm(of transaction: Transaction, _ destination: SessionDestination) -> PlainForm? {
        if transaction.context.isPlain { return .stream }
        // What is safe by its method must not start anything (RFC 9110 §9.2.1).
        guard destination.target.answersHTTP, transaction.request.method == .post else { return nil }
        return transaction.request.acceptsEvents ? .events : .body
    }

    /// Serves a client with a program of its own, without a WebSocket.
    func servePlain(
        _ exchange: some GatewayExchange, _ destination: SessionDestination, _ form: PlainForm
    ) async {
        let transaction = exchange.transaction
        let (context, request) = (transaction.context, transaction.request)
        if form != .stream, !destination.origins.allowsRequest(request, context) {
            exchange.closeAfterAnswer()
            return await refuse(exchange, status: 403)
        }
        await withProgram(exchange, destination) { program, connection in
            if form == .stream {
                begin(stream: exchange)
            } else {
                begin(exchange, destination, form)
            }
            let session = PlainSession(
                exchange, connection, options(of: destination, context), form, scratch: sessionScratch,
                errors: errors(of: destination, program, context))
            await run(session, program, destination, context)
        }
    }

    private func begin(stream exchange: some GatewayExchange) {
        let token = Array("session".utf8)
        exchange.transaction.response.reset(status: 101)
        exchange.acceptUpgrade(token.span)
        counters.add(.tunnels)
    }

    private func begin(
        _ exchange: some GatewayExchange, _ destination: SessionDestination, _ form: PlainForm
    ) {
        let transaction = exchange.transaction
        let (context, request, response) = (transaction.context, transaction.request, transaction.response)
        response.reset(status: 200)
        response.body = .unknown
        switch form {
        case .events: response.add(.contentType, "text/event-stream")
        case .stream, .body:
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

extension RequestHead {
    /// The client names event streams among what it takes.
    fileprivate var acceptsEvents: Bool {
        guard let first = index(of: .accept) else { return false }
        for index in first..<lineCount {
            let line = line(at: index)
            guard line.isPresent, line.name == .accept else { continue }
            let value = self[line.value]
            var elements = ListElements(value)
            while let range = elements.next() {
                let element = value.extracting(range)
                let end = element.firstIndex(of: UInt8(ascii: ";")) ?? element.count
                let type = element.extracting(0..<end).trimmingWhitespace()
                if type.equalsIgnoringCase("text/event-stream") { return true }
            }
        }
        return false
    }
}
