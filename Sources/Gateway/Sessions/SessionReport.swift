internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraSessions

/// One session, for who asks what is going on.
package struct SessionReport: Sendable {
    /// The value of `CHIMERA_SESSION`.
    package var id: String
    package var tenant: String
    package var site: String
    package var route: String
    /// The command.
    package var program: String
    package var process: Int32
    /// The client's address; `unix` for a Unix socket, `-` for a program that has none now.
    package var client: String
    package var ageMilliseconds: Int64
    /// Octets from the client to the program and back.
    package var octetsIn: Int
    package var octetsOut: Int
    package var ownership: Ownership

    package enum Ownership: String, Sendable {
        case ownProgram = "own"
        /// It may come back to its program.
        case resumable
        case shared
    }
}

extension GatewayWorker {
    func sessionReports() -> [SessionReport] {
        sessions.values.map { $0.report(now: worker.now) }
    }

    func endSession(_ id: String) -> Bool {
        guard let running = sessions.values.first(where: { $0.session.program.id == id }) else {
            return false
        }
        running.session.endByOperator()
        return true
    }
}

extension RunningSession {
    fileprivate func report(now: Int64) -> SessionReport {
        let key = destination.key(context)
        let text = ByteBuffer(capacity: 48)
        if let client = context.client { text.append(client) } else { text.append("unix") }
        return SessionReport(
            id: session.program.id, tenant: key.tenant, site: key.site, route: key.route,
            program: key.target.command.joined(separator: " "), process: session.program.process,
            client: String(copying: text.readable), ageMilliseconds: now - session.startedAt,
            octetsIn: session.octetsIn, octetsOut: session.octetsOut,
            ownership: .init(session.program.keptProgram))
    }
}

extension Gateway {
    /// The sessions whose clients are there, the oldest first, and how many there are in all.
    ///
    /// - Parameter limit: at most so many are reported.
    package func sessions(atMost limit: Int) -> (reports: [SessionReport], total: Int) {
        let now = Clock.monotonicMilliseconds()
        let all =
            ask { $0.sessionReports() }.flatMap { $0 }
            + kept.unattended.map { SessionReport(of: $0, now: now) }
        let oldest = all.sorted { $0.ageMilliseconds > $1.ageMilliseconds }
        return (Array(oldest.prefix(limit)), all.count)
    }

    /// Ends a session: the client is told with 1001, and the program ends as ever.
    ///
    /// - Returns: false where there is none with this id.
    package func endSession(_ id: String) -> Bool {
        if let program = kept.program(withID: id) {
            program.end(.operatorAsked)
            return true
        }
        return ask { $0.endSession(id) }.contains(true)
    }
}

extension SessionReport {
    /// A program without a client.
    init(of kept: KeptProgram, now: Int64) {
        let octets = kept.octets
        self.init(
            id: kept.id, tenant: kept.facts.tenant, site: kept.facts.site, route: kept.facts.route,
            program: kept.facts.command, process: kept.process, client: "-",
            ageMilliseconds: now - kept.startedAt, octetsIn: octets.in, octetsOut: octets.out,
            ownership: Ownership(kept))
    }
}

extension SessionReport.Ownership {
    init(_ kept: KeptProgram?) {
        guard let kept else {
            self = .ownProgram
            return
        }
        self = kept.isShared ? .shared : .resumable
    }
}
