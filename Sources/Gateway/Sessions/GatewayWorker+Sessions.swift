internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraSessions
internal import ChimeraTelemetry
internal import ChimeraWebSocket

/// A session as its worker lists it.
struct RunningSession {
    let session: Session
    let destination: SessionDestination
    /// Of the site, the route and the client.
    let context: RequestContext
}

extension GatewayWorker {
    /// What is spoken beside plain messages.
    static let subprotocols = [TaggedStreams.subprotocol]
    /// How long a program may take to be started.
    private static let startMilliseconds: Int64 = 10_000

    /// Serves a WebSocket with a program of its own.
    func serveSession(_ exchange: some GatewayExchange, _ destination: SessionDestination) async {
        let transaction = exchange.transaction
        let handshake: WebSocketRequest
        do throws(WebSocketRequest.Fault) {
            handshake = try WebSocketRequest(
                transaction.request, transaction.context, destination, subprotocols: Self.subprotocols)
        } catch {
            return await refuse(exchange, error)
        }
        guard let site = transaction.context.site, let settings = transaction.context.settings else {
            return await refuse(exchange, status: 404)
        }
        let environment = ProgramEnvironment(
            transaction.request, transaction.context, destination, serverSoftware: "chimera")
        guard environment.isWhole else { return await refuse(exchange, status: 431) }
        let table = shared.limits.places
        let places: [Int32]
        let now = Int64(truncatingIfNeeded: dispatcher.clock())
        switch SessionLimits(settings).admit(transaction, site, shared.limits, now: now) {
        case .admitted(let entered): places = entered
        case .full:
            transaction.context.limitHit = .sessions
            return await refuse(exchange, status: 503)
        case .tooFast(let wait): return await refuse(exchange, startsAgainIn: wait)
        }
        func leave() { for place in places { table.leave(place) } }
        let launch = ProgramLaunch(
            destination.order(environment.variables), from: shared.programs, on: worker,
            scope: exchange.scope)
        guard let started = await awaitProgram(exchange, launch) else { return leave() }
        do throws(SystemError) {
            let program = try started.get()
            let connection = try ProgramConnection(program, launch, on: worker, gone: leave)
            await run(exchange, destination, handshake, program, connection)
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
        let worker = worker
        let log = shared.programLog
        let tenant = String(decoding: context.site?.tenant ?? [], as: UTF8.self)
        let wantsLines = destination.options.errorOutput == .log
        let errors = ProgramErrors(clock: { worker.now }) { line in
            if wantsLines { log.write(line, session: program.id, tenant: tenant, process: program.process) }
        }
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
        counters.add(.sessionsStarted)
        var options = destination.options
        options.sendMax = (context.settings ?? dispatcher.machineSettings).timeouts.send
        let session = Session(
            exchange, connection, options, deflate: handshake.deflate?.agreed,
            isTagged: handshake.subprotocol != nil, scratch: sessionScratch, errors: errors)
        let key = ObjectIdentifier(session)
        sessions[key] = RunningSession(session: session, destination: destination, context: context)
        transaction.settle()
        exchange.handOver()
        session.begin { [self] _ in
            counters.add(.sessionsEnded)
            sessions[key] = nil
            exchange.takeBack()
        }
    }

    /// RFC 9110 §10.2.3: Retry-After says in how many seconds it may go better.
    private func refuse(_ exchange: some GatewayExchange, startsAgainIn nanoseconds: Int64) async {
        let transaction = exchange.transaction
        transaction.context.limitHit = .sessionStarts
        let body = dispatcher.refuse(503, transaction.context, transaction.request, transaction.response)
        let text = Array("\(max(1, (nanoseconds + 999_999_999) / 1_000_000_000))".utf8)
        transaction.response.add(.retryAfter, text.span)
        await answer(exchange, body)
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
