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
    let destination: SessionDestination
    /// Of the site, the route and the client.
    let context: RequestContext
}

extension GatewayWorker {
    /// What is spoken beside plain messages.
    static let subprotocols = [TaggedStreams.subprotocol]
    /// How long a program may take to be started.
    static let startMilliseconds: Int64 = 10_000

    /// Serves a WebSocket, or what else may have one, with a program.
    func serveSession(_ exchange: some GatewayExchange, _ destination: SessionDestination) async {
        let transaction = exchange.transaction
        let door: SessionDoor
        do throws(WebSocketRequest.Fault) {
            door = try self.door(transaction, destination)
        } catch {
            return await refuse(exchange, error)
        }
        guard let site = transaction.context.site, let settings = transaction.context.settings else {
            return await refuse(exchange, status: 404)
        }
        let environment = ProgramEnvironment(
            transaction.request, transaction.context, destination, serverSoftware: "chimera")
        guard environment.isWhole else { return await refuse(exchange, status: 431) }
        let visit = SessionVisit(
            destination: destination, door: door, key: destination.key(transaction.context),
            environment: environment, site: site, settings: settings)
        if let handshake = door.handshake, let claim = handshake.claim {
            return await serveReturning(exchange, visit, handshake, claim)
        }
        if visit.key.target.sharing != nil { return await serveShared(exchange, visit) }
        await serveOwn(exchange, visit)
    }

    private func door(
        _ transaction: Transaction, _ destination: SessionDestination
    ) throws(WebSocketRequest.Fault) -> SessionDoor {
        if let form = try plainForm(of: transaction, destination) { return .plain(form) }
        return .webSocket(
            try WebSocketRequest(
                transaction.request, transaction.context, destination, subprotocols: Self.subprotocols))
    }

    /// Serves a client that gets a program of its own.
    private func serveOwn(_ exchange: some GatewayExchange, _ visit: SessionVisit) async {
        guard let leave = await enter(exchange, visit) else { return }
        let launch = launch(visit, exchange.scope)
        guard let started = await awaitProgram(exchange, launch, leave) else { return }
        do throws(SystemError) {
            let program = try started.get()
            let connection = try ProgramConnection(program, launch, on: worker, gone: leave)
            tellRequest(visit, connection)
            // Without a handshake nobody has got a token to come back with.
            if visit.key.target.resumeMilliseconds != nil, visit.door.handshake != nil {
                return await serveResumable(exchange, visit, program, connection)
            }
            await run(exchange, visit, connection)
        } catch {
            leave()
            launch.tell(nil)
            counters.add(.programsFailed)
            shared.programLog.cannotStart(
                visit.destination.target.program, error, tenant: visit.key.tenant)
            if error.isShortage { exchange.transaction.context.limitHit = .programResources }
            await refuse(exchange, status: error.isShortage ? 503 : 502)
        }
    }

    /// A program that has waited for this client, or else one that is started for it.
    private func launch(_ visit: SessionVisit, _ scope: Scope) -> ProgramLaunch {
        if let warm = shared.kept.takeWarm(visit.key) {
            return ProgramLaunch(warm, from: shared.programs, on: worker, scope: scope)
        }
        // What waits knows nothing of a request, and one that is like it does not either.
        let order =
            visit.key.target.poolCount > 0
            ? visit.key.order : visit.destination.order(visit.environment.variables)
        return ProgramLaunch(order, from: shared.programs, on: worker, scope: scope)
    }

    private func tellRequest(_ visit: SessionVisit, _ connection: ProgramConnection) {
        guard visit.key.target.tellsRequest else { return }
        let message = RequestFacts.message(visit.environment.request, visit.destination.options.framing)
        let bytes = ByteBuffer(capacity: message.count)
        bytes.append(message.span)
        connection.write(bytes)
    }

    /// Waits for the program.
    ///
    /// - Parameter leave: gives the place back; where the program is not wanted any more, once it has ended.
    /// - Returns: nil where the exchange is over, and the program not wanted any more.
    private func awaitProgram(
        _ exchange: some GatewayExchange, _ launch: ProgramLaunch, _ leave: @escaping () -> Void
    ) async -> Result<StartedProgram, SystemError>? {
        let limit = worker.now + Self.startMilliseconds
        while true {
            if let result = launch.result { return result }
            if let lost = exchange.lost {
                launch.abandon(leave)
                exchange.abort(lost)
                return nil
            }
            guard worker.now < limit else {
                launch.abandon(leave)
                counters.add(.programsFailed)
                await refuse(exchange, status: 504)
                return nil
            }
            exchange.setDeadline(after: limit - worker.now)
            _ = await exchange.scope.wait()
        }
    }

    /// What a program writes to standard error, on its way to the log.
    func programErrors(_ id: String, _ process: Int32, tenant: String, isWanted: Bool) -> ProgramErrors {
        let (worker, log) = (worker, shared.programLog)
        return ProgramErrors(clock: { worker.now }) { line in
            if isWanted { log.write(line, session: id, tenant: tenant, process: process) }
        }
    }

    /// Sends the head that agrees.
    ///
    /// - Parameter program: what the client joins; nil for nothing.
    /// - Returns: false where it cannot be made; nothing is sent then.
    func agree(
        _ exchange: some GatewayExchange, _ handshake: WebSocketRequest, _ program: (any SessionProgram)?
    ) -> Bool {
        let transaction = exchange.transaction
        let (context, request, response) = (transaction.context, transaction.request, transaction.response)
        // A protocol that proves in another way that it was understood takes the proof of this one out.
        guard handshake.agree(request, response, subprotocols: Self.subprotocols),
            exchange.agrees(to: response)
        else { return false }
        if let resumption = program?.resumption {
            response.add(
                name: Array(ResumeClaim.fieldName.utf8).span, value: Array(resumption.token.utf8).span)
        }
        if let loss = program?.initialLoss {
            let text = loss.octets.map(String.init) ?? "unknown"
            response.add(name: Array("Chimera-Lost".utf8).span, value: Array(text.utf8).span)
        }
        dispatcher.finishResponse(context, request, response)
        let token = Array("websocket".utf8)
        exchange.acceptUpgrade(token.span)
        exchange.flush()
        counters.add(.tunnels)
        return true
    }

    /// Joins the client and the program until one of them has gone, which goes on behind the return.
    func run(
        _ exchange: some GatewayExchange, _ visit: SessionVisit, _ program: some SessionProgram,
        whenOver: @escaping () -> Void = {}
    ) async {
        let context = exchange.transaction.context
        let errors = programErrors(
            program.id, program.process, tenant: visit.key.tenant,
            isWanted: visit.destination.options.errorOutput == .log)
        var options = visit.destination.options
        options.sendMax = (context.settings ?? dispatcher.machineSettings).timeouts.send
        let tag = program.tag
        switch visit.door {
        case .webSocket(let handshake):
            guard agree(exchange, handshake, program) else {
                program.leave(.lost, LeavingParts(worker, sessionScratch, options.ending, errors))
                whenOver()
                return await refuse(exchange, status: 500)
            }
            let session = Session(
                exchange, program, options, deflate: handshake.deflate?.agreed, isTagged: visit.isTagged,
                scratch: sessionScratch, errors: errors, tag: tag)
            let key = enter(session, visit, context)
            exchange.transaction.settle()
            exchange.handOver()
            session.begin { [self] end in
                leave(key, end, program, exchange.transaction)
                whenOver()
                exchange.takeBack()
            }
        case .plain(let form):
            begin(exchange, visit.destination, form)
            let session = PlainSession(
                exchange, program, options, form, scratch: sessionScratch, errors: errors, tag: tag,
                // What is no file of the machine any page may reach.
                isGuarded: form == .stream && context.peer != nil)
            let key = enter(session, visit, context)
            leave(key, await session.run(), program, exchange.transaction)
            whenOver()
        }
    }

    private func enter(
        _ session: some LiveSession, _ visit: SessionVisit, _ context: RequestContext
    ) -> ObjectIdentifier {
        counters.add(.sessionsStarted)
        let key = ObjectIdentifier(session)
        sessions[key] = RunningSession(session: session, destination: visit.destination, context: context)
        return key
    }

    private func leave(
        _ key: ObjectIdentifier, _ end: SessionEnd, _ program: some SessionProgram, _ transaction: Transaction
    ) {
        sessions[key] = nil
        counters.add(.sessionsEnded)
        transaction.session = LoggedSession(program.id, end)
        let figures = shared.kept.figures
        figures.add(end)
        if end == .takenOver { figures.takenOver.add(1) }
        if end == .tooSlow { figures.tooSlow.add(1) }
        figures.lostOctets.add(program.octetsLost)
    }

    /// Takes a place for a session, and a start, or refuses the client.
    ///
    /// - Returns: what gives the place back; nil for who is refused.
    func enter(_ exchange: some GatewayExchange, _ visit: SessionVisit) async -> (() -> Void)? {
        let table = shared.limits.places
        let admission = SessionLimits(visit.settings).admit(
            exchange.transaction, visit.site, shared.limits,
            now: Int64(truncatingIfNeeded: dispatcher.clock()))
        switch admission {
        case .admitted(let places): return { for place in places { table.leave(place) } }
        case .full:
            exchange.transaction.context.limitHit = .sessions
            await refuse(exchange, status: 503)
        case .tooFast(let wait): await refuse(exchange, startsAgainIn: wait)
        }
        return nil
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
        switch fault {
        case .upgradeRequired: break
        case .malformed: transaction.context.refusal = .handshakeMalformed
        case .foreignOrigin: transaction.context.refusal = .originForeign
        }
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

extension LoggedSession {
    fileprivate init(_ id: String, _ end: SessionEnd) {
        self.init(id: id, end: end.token)
        switch end {
        case .program(.exited(let status)): exitStatus = status
        case .program(.signalled(let number)): signal = number
        default: break
        }
    }
}
