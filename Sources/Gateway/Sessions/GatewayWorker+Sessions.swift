internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraSessions
internal import ChimeraTelemetry
internal import ChimeraWebSocket

/// A session as its worker lists it.
struct RunningSession {
    let session: any LiveSession
    let id: String
    let tenant: String
    let site: String
    let route: String
    let program: String
    let client: String
    /// In seconds since 1970.
    let startedAt: Int64
}

extension GatewayWorker {
    /// What is spoken beside plain messages.
    static let subprotocols = [TaggedStreams.subprotocol]
    /// How long a program may take to be started.
    private static let startMilliseconds: Int64 = 10_000

    /// Serves a client with a program of its own: a WebSocket, or what else may have one.
    func serveSession(_ exchange: some GatewayExchange, _ destination: SessionDestination) async {
        let transaction = exchange.transaction
        if let form = plainForm(of: transaction, destination) {
            return await servePlain(exchange, destination, form)
        }
        let handshake: WebSocketRequest
        do throws(WebSocketRequest.Fault) {
            handshake = try WebSocketRequest(
                transaction.request, transaction.context, destination, subprotocols: Self.subprotocols)
        } catch {
            return await refuse(exchange, error)
        }
        await withProgram(exchange, destination) { program, connection in
            await run(exchange, destination, handshake, program, connection)
        }
    }

    /// Starts a program for a client, within its limits, and answers where there is none.
    ///
    /// - Parameter body: has the client's program, which is its own business from then on.
    func withProgram(
        _ exchange: some GatewayExchange, _ destination: SessionDestination,
        body: (StartedProgram, ProgramConnection) async -> Void
    ) async {
        let transaction = exchange.transaction
        guard let site = transaction.context.site, let settings = transaction.context.settings else {
            return await refuse(exchange, status: 404)
        }
        let environment = ProgramEnvironment(
            transaction.request, transaction.context, destination, serverSoftware: "chimera")
        guard environment.isWhole else { return await refuse(exchange, status: 431) }
        let table = shared.limits.places
        guard let places = SessionLimits(settings.sessionLimits).enter(transaction, site, table) else {
            transaction.context.limitHit = .sessions
            return await refuse(exchange, status: 503)
        }
        func leave() { for place in places { table.leave(place) } }
        let launch = ProgramLaunch(
            destination.order(environment.variables), from: shared.programs, on: worker,
            scope: exchange.scope)
        guard let started = await awaitProgram(exchange, launch) else { return leave() }
        do throws(SystemError) {
            let program = try started.get()
            let connection = try ProgramConnection(program, launch, on: worker, gone: leave)
            await body(program, connection)
        } catch {
            leave()
            launch.tell(nil)
            counters.add(.programsFailed)
            let tenant = String(decoding: site.tenant, as: UTF8.self)
            shared.programLog.cannotStart(destination.target.program, error, tenant: tenant)
            await refuse(exchange, status: error.isExhaustion ? 503 : 502)
        }
    }

    /// Waits for the program.
    ///
    /// - Returns: nil where the exchange is over, and the program not wanted any more.
    private func awaitProgram(
        _ exchange: some GatewayExchange, _ launch: ProgramLaunch
    ) async -> Result<StartedProgram, SystemError>? {
        let limit = worker.now + Self.startMilliseconds
        while true {
            if let result = launch.result { return result }
            if let lost = exchange.lost {
                launch.abandon()
                exchange.abort(lost)
                return nil
            }
            guard worker.now < limit else {
                launch.abandon()
                await refuse(exchange, status: 504)
                return nil
            }
            exchange.setDeadline(after: limit - worker.now)
            _ = await exchange.scope.wait()
        }
    }

    private func run(
        _ exchange: some GatewayExchange, _ destination: SessionDestination, _ handshake: WebSocketRequest,
        _ program: StartedProgram, _ connection: ProgramConnection
    ) async {
        let transaction = exchange.transaction
        let (context, request, response) = (transaction.context, transaction.request, transaction.response)
        let errors = errors(of: destination, program, context)
        // A protocol that proves in another way that it was understood takes the proof of this one out.
        guard handshake.agree(request, response, subprotocols: Self.subprotocols),
            exchange.agrees(to: response)
        else {
            connection.leave(
                on: worker, scratch: sessionScratch, ending: destination.options.ending, errors: errors)
            return await refuse(exchange, status: 500)
        }
        dispatcher.finishResponse(context, request, response)
        let token = Array("websocket".utf8)
        exchange.acceptUpgrade(token.span)
        exchange.flush()
        counters.add(.tunnels)
        let session = Session(
            exchange, connection, options(of: destination, context), deflate: handshake.deflate?.agreed,
            isTagged: handshake.subprotocol != nil, scratch: sessionScratch, errors: errors)
        await run(session, program, destination, context)
    }

    /// Runs a session among those that are listed and counted.
    func run(
        _ session: some LiveSession, _ program: StartedProgram, _ destination: SessionDestination,
        _ context: RequestContext
    ) async {
        counters.add(.sessionsStarted)
        sessions[ObjectIdentifier(session)] = RunningSession(session, program, destination, context, worker)
        _ = await session.run()
        counters.add(.sessionsEnded)
        sessions[ObjectIdentifier(session)] = nil
    }

    func options(of destination: SessionDestination, _ context: RequestContext) -> SessionOptions {
        var options = destination.options
        options.sendMax = (context.settings ?? dispatcher.machineSettings).timeouts.send
        return options
    }

    /// Where a program's standard error goes that no client gets.
    func errors(
        of destination: SessionDestination, _ program: StartedProgram, _ context: RequestContext
    ) -> ProgramErrors {
        let (worker, log) = (worker, shared.programLog)
        let tenant = String(decoding: context.site?.tenant ?? [], as: UTF8.self)
        let wantsLines = destination.options.errorOutput == .log
        return ProgramErrors(clock: { worker.now }) { line in
            if wantsLines { log.write(line, session: program.id, tenant: tenant, process: program.process) }
        }
    }

    private func refuse(_ exchange: some GatewayExchange, _ fault: WebSocketRequest.Fault) async {
        let transaction = exchange.transaction
        let status =
            switch fault {
            case .upgradeRequired: 426
            case .malformed: 400
            case .foreignOrigin: 403
            }
        let body = dispatcher.refuse(status, transaction.context, transaction.request, transaction.response)
        if fault == .upgradeRequired {
            // RFC 9110 §15.5.22; RFC 6455 §4.4: and which version it would have to be.
            transaction.response.add(.upgrade, "websocket")
            transaction.response.add(.connection, "Upgrade")
            transaction.response.add(.secWebsocketVersion, OpeningHandshake.version)
        }
        await answer(exchange, body)
    }
}

extension RunningSession {
    fileprivate init(
        _ session: some LiveSession, _ program: StartedProgram, _ destination: SessionDestination,
        _ context: RequestContext, _ worker: Worker
    ) {
        self.session = session
        id = program.id
        tenant = String(decoding: context.site?.tenant ?? [], as: UTF8.self)
        site = String(decoding: context.site?.name ?? [], as: UTF8.self)
        route = String(decoding: context.route?.text ?? [], as: UTF8.self)
        self.program = destination.target.command.joined(separator: " ")
        let text = ByteBuffer(capacity: 48)
        if let client = context.client { text.append(client) } else { text.append("unix") }
        client = String(decoding: Array(copying: text.readable), as: UTF8.self)
        startedAt = worker.wallSeconds
    }
}
