internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraSessions
internal import ChimeraTelemetry
internal import ChimeraWebSocket
internal import Glibc

/// How a client speaks with a program.
enum SessionDoor {
    case webSocket(WebSocketRequest)
    case plain(PlainForm)

    var handshake: WebSocketRequest? {
        if case .webSocket(let handshake) = self { handshake } else { nil }
    }
}

/// A request for a session, once it is known what it wants.
struct SessionVisit {
    let destination: SessionDestination
    let door: SessionDoor
    let key: RouteKey
    /// As a program of its own would have them.
    let environment: ProgramEnvironment
    let site: CompiledSite
    let settings: CompiledSettings

    var isTagged: Bool { door.handshake?.subprotocol != nil }
    /// The client can tell standard error apart, or gets it as it is.
    var getsErrors: Bool { isTagged || destination.options.errorOutput == .inline }
    /// To the client a line is a message, which has no rest without its beginning.
    var wantsWholeLines: Bool { !isTagged && destination.options.framing == .lines }
}

/// Sessions whose programs do not belong to one connection.
extension GatewayWorker {
    // MARK: Coming back

    /// Serves a client that has a token.
    func serveReturning(
        _ exchange: some GatewayExchange, _ visit: SessionVisit, _ handshake: WebSocketRequest,
        _ claim: ResumeClaim
    ) async {
        let facts = visit.key.facts(user: user(of: exchange.transaction))
        guard visit.key.target.resumeMilliseconds != nil,
            let kept = await find(claim.token, exchange), kept.facts.isOf(facts),
            let client = try? kept.seat(
                claim, getsErrors: visit.getsErrors, wholeLines: visit.wantsWholeLines, request: [],
                on: worker)
        else {
            // It may be on its way to the process that serves next.
            if shared.kept.isDraining {
                return await turnAway(exchange, handshake, .serviceRestart, "")
            }
            shared.kept.figures.unknownTokens.add(1)
            return await turnAway(exchange, handshake, .noSuchSession, "no such session")
        }
        shared.kept.figures.resumed.add(1)
        await run(exchange, visit, client)
    }

    func user(of transaction: Transaction) -> String {
        let context = transaction.context
        return String(decoding: Array(copying: context[context.user]), as: UTF8.self)
    }

    /// The program with a token, here or at another process that lets it go.
    private func find(_ token: String, _ exchange: some GatewayExchange) async -> KeptProgram? {
        if let kept = shared.kept.program(token), !kept.isOver { return kept }
        let answer = LateAnswer(exchange.scope)
        let address = Confined(answer, to: worker)
        shared.kept.programs.find(token) { address.mail { $0.arrive() } }
        let limit = worker.now + Self.findMilliseconds
        while !answer.hasCome, exchange.lost == nil, worker.now < limit {
            exchange.setDeadline(after: limit - worker.now)
            _ = await exchange.scope.wait()
        }
        answer.forget()
        exchange.setDeadline(after: nil)
        return shared.kept.program(token)
    }

    /// How long another process has to let go of a program.
    private static let findMilliseconds: Int64 = 5_000

    /// Tells a client, in the only way that a browser's program can see, that its token is worth nothing.
    private func turnAway(
        _ exchange: some GatewayExchange, _ handshake: WebSocketRequest, _ status: CloseStatus,
        _ reason: String
    ) async {
        guard agree(exchange, handshake, nil) else { return await refuse(exchange, status: 500) }
        let farewell = ByteBuffer(capacity: 64)
        CloseFrame.append(status, reason: reason, maskingKey: nil, to: farewell)
        exchange.send(farewell.readable)
        exchange.flush()
        exchange.finishTunnel()
        let limit = worker.now + Self.farewellMilliseconds
        while exchange.lost == nil, worker.now < limit {
            switch exchange.readBody(into: { _ in }) {
            case .progressed: continue
            case .pending:
                exchange.flush()
                exchange.setDeadline(after: limit - worker.now)
                _ = await exchange.scope.wait()
                continue
            case .ended, .refused, .aborted: break
            }
            break
        }
        exchange.setDeadline(after: nil)
        exchange.finish(trailers: nil)
    }

    private static let farewellMilliseconds: Int64 = 2_000

    // MARK: A program of its own that outlives it

    /// Serves a client whose program was started, and which may come back to it.
    func serveResumable(
        _ exchange: some GatewayExchange, _ visit: SessionVisit, _ program: StartedProgram,
        _ connection: ProgramConnection
    ) async {
        let target = visit.key.target
        let record = KeptFacts(
            visit.key.facts(user: user(of: exchange.transaction)), keepsErrors: visit.getsErrors,
            visit.destination.options, replayBytes: Int(target.replayBytes), startedAt: worker.now,
            client: .some(exchange.transaction.context.client))
        let token = ResumeClaim.makeToken()
        let milliseconds = target.resumeMilliseconds ?? 0
        let kept = KeptProgram(
            program, .resumed(token: token, milliseconds: milliseconds), record.facts,
            keepsErrors: visit.getsErrors, KeptRemains(OutputLog(capacity: record.replayBytes)),
            startedAt: worker.now, lifeMax: record.lifeMax, now: worker.now)
        let client = try? kept.seat(nil, getsErrors: visit.getsErrors, request: [], on: worker)
        shared.kept.add(kept)
        shared.kept.programs.keep(
            program, KeptRecord(token: token, facts: record.text, milliseconds: milliseconds))
        own(kept, connection, record)
        guard let client else { return await refuse(exchange, status: 503) }
        await run(exchange, visit, client)
    }

    // MARK: A program for all

    /// Serves one of the clients of a program that has several.
    func serveShared(_ exchange: some GatewayExchange, _ visit: SessionVisit) async {
        guard let leave = await enter(exchange, visit) else { return }
        let place = shared.kept.shared(visit.key)
        do throws(SharedRefusal) {
            let client = try await join(place, exchange, visit)
            await run(exchange, visit, client, whenOver: leave)
        } catch {
            leave()
            if let lost = exchange.lost { return exchange.abort(lost) }
            exchange.transaction.context.limitHit = error.limit
            await refuse(exchange, status: error.status)
        }
    }

    /// Waits for a seat.
    private func join(
        _ place: SharedPlace, _ exchange: some GatewayExchange, _ visit: SessionVisit
    ) async throws(SharedRefusal) -> KeptClient {
        let limit = worker.now + Self.startMilliseconds
        defer { exchange.setDeadline(after: nil) }
        while exchange.lost == nil, worker.now < limit {
            let answer = LateAnswer(exchange.scope)
            let address = Confined(answer, to: worker)
            switch place.join({ address.mail { $0.arrive() } }) {
            case .refused(let error): throw error.map(SharedRefusal.failed) ?? .backsOff
            case .running(let kept):
                do throws(KeptProgram.Refusal) {
                    return try kept.seat(
                        nil, getsErrors: visit.getsErrors, request: visit.environment.request, on: worker)
                } catch {
                    // Between the question and the seat it may have ended.
                    if error == .congested { throw .congested }
                    await worker.yield()
                }
            case .wait:
                while !answer.hasCome, exchange.lost == nil, worker.now < limit {
                    exchange.setDeadline(after: limit - worker.now)
                    _ = await exchange.scope.wait()
                }
                answer.forget()
            }
        }
        throw .late
    }

    /// Starts the program of a route for all clients.
    func startShared(_ place: SharedPlace) {
        guard let sharing = place.key.target.sharing else { return }
        let scope = Scope()
        let launch = ProgramLaunch(place.key.order, from: shared.programs, on: worker, scope: scope)
        worker.start { [self] in
            let timer = ScopeTimer(scope)
            let limit = worker.now + Self.startMilliseconds
            while launch.result == nil, worker.now < limit {
                worker.set(timer.timer, to: limit)
                _ = await scope.wait()
            }
            worker.cancel(timer.timer)
            do throws(SystemError) {
                guard let result = launch.result else {
                    launch.abandon()
                    throw SystemError("execve", ETIMEDOUT)
                }
                let program = try result.get()
                let connection = try ProgramConnection(program, launch, on: worker) {}
                begin(place, sharing, program, connection)
            } catch {
                counters.add(.programsFailed)
                place.failed(error)
            }
        }
    }

    private func begin(
        _ place: SharedPlace, _ sharing: SessionTarget.Sharing, _ program: StartedProgram,
        _ connection: ProgramConnection
    ) {
        let target = place.key.target
        let options = SessionOptions(target)
        let record = KeptFacts(
            place.key.facts(), keepsErrors: options.errorOutput == .inline, options,
            replayBytes: Int(target.replayBytes), startedAt: worker.now)
        let linger = sharing.start == .load ? Int64.max : sharing.lingerMilliseconds
        let kept = KeptProgram(
            program, .shared(ClientTag.Manner(sharing.tag), milliseconds: linger), record.facts,
            keepsErrors: record.keepsErrors, KeptRemains(OutputLog(capacity: record.replayBytes)),
            startedAt: worker.now, now: worker.now)
        own(kept, connection, record) { place.ended($0) }
        place.started(kept)
    }

    // MARK: Owning

    /// Takes over a program that another process has left.
    ///
    /// - Parameter gone: told when the program has ended here, or somebody else has it.
    func own(
        _ kept: KeptProgram, _ running: RunningProgram, _ record: KeptFacts, gone: @escaping () -> Void
    ) {
        let launch = ProgramLaunch(running, from: shared.programs, on: worker, scope: Scope())
        guard let connection = try? ProgramConnection(running.program, launch, on: worker, gone: gone) else {
            gone()
            shared.kept.remove(kept)
            return kept.end(.operatorAsked)
        }
        own(kept, connection, record)
    }

    /// Moves the octets of a program that is kept, on this worker, until it has ended.
    private func own(
        _ kept: KeptProgram, _ connection: ProgramConnection, _ record: KeptFacts,
        ended: @escaping (ProgramEnd?) -> Void = { _ in }
    ) {
        let errors = programErrors(
            kept.id, kept.process, tenant: kept.facts.tenant, isWanted: record.errorOutput == .log)
        let runner = KeptRunner(
            kept, connection, LeavingParts(worker, sessionScratch, record.ending, errors))
        let house = shared.kept
        runner.start {
            house.programs.endInput(kept.id)
        } done: { outcome in
            var end: ProgramEnd?
            switch outcome {
            case .ended(let how): end = how
            case .left: break
            case .handedOver(let remains): house.programs.release(kept.id, log: remains.encoded)
            }
            house.remove(kept)
            ended(end)
        }
    }
}

/// Why a client of a program for all gets none.
private enum SharedRefusal: Error {
    /// It could not be started.
    case failed(SystemError)
    /// It ended soon after its start, and the next start waits.
    case backsOff
    /// It does not read what its clients have said.
    case congested
    /// It did not start in time.
    case late

    var status: Int {
        switch self {
        case .failed(let error): error.isShortage ? 503 : 502
        case .backsOff, .congested: 503
        case .late: 504
        }
    }

    /// The bound behind a status 503.
    var limit: LimitHit? {
        switch self {
        case .failed(let error): error.isShortage ? .programResources : nil
        case .backsOff: .programBackOff
        case .congested: .programInput
        case .late: nil
        }
    }
}

/// Something that is waited for and may come too late.
private final class LateAnswer {
    private var scope: Scope?
    private(set) var hasCome = false

    init(_ scope: Scope) { self.scope = scope }

    func arrive() {
        hasCome = true
        scope?.wake(.done)
    }

    func forget() { scope = nil }
}

extension ClientTag.Manner {
    fileprivate init(_ tag: SessionTarget.Tag) {
        switch tag {
        case .prefix: self = .prefix
        case .json: self = .json
        case .off: self = .off
        }
    }
}
