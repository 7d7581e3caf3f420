internal import ChimeraAdministration
internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraSessions

/// What another process has to know of a program that it takes over, as text: the supervisor keeps it and does not look
/// into it.
struct KeptFacts {
    var facts: KeptProgram.Facts
    var keepsErrors: Bool
    var errorOutput: ErrorOutput
    var replayBytes: Int
    var ending: EndingDelays
    /// Milliseconds for all of it; nil for no bound.
    var lifeMax: Int64?
    var startedAt: Int64
    /// The address of the client that the program was started for: `.some(nil)` for a Unix socket's, nil where nobody knows
    /// any more.
    var client: IPAddress??

    /// Positions of each process that has had a program begin that high, so that none is mistaken for another's.
    static let positionBits: Int64 = 42

    init(
        _ facts: KeptProgram.Facts, keepsErrors: Bool, _ options: SessionOptions, replayBytes: Int,
        startedAt: Int64, client: IPAddress?? = nil
    ) {
        self.facts = facts
        self.keepsErrors = keepsErrors
        errorOutput = options.errorOutput
        self.replayBytes = replayBytes
        ending = options.ending
        lifeMax = options.lifeMax
        self.startedAt = startedAt
        self.client = client
    }

    init?(_ text: String) {
        guard let json = JSON(Array(text.utf8)), let tenant = json["tenant"]?.string,
            let site = json["site"]?.string, let route = json["route"]?.string,
            let user = json["user"]?.string, let command = json["command"]?.string,
            let replay = json["replay"]?.integer, (1...(64 << 20)).contains(replay),
            let startedAt = json["started"]?.integer
        else { return nil }
        facts = KeptProgram.Facts(tenant: tenant, site: site, route: route, user: user, command: command)
        keepsErrors = json["errors"]?.bool ?? false
        errorOutput = json["stderr"]?.string.flatMap(ErrorOutput.init) ?? .log
        replayBytes = Int(replay)
        ending = EndingDelays()
        ending.terminate = json["end"]?.integer ?? ending.terminate
        ending.kill = json["kill"]?.integer ?? ending.kill
        lifeMax = json["life"]?.integer
        self.startedAt = startedAt
        if let client = json["client"]?.string { self.client = .some(IPAddress(client)) }
    }

    var text: String {
        JSON.of([
            "tenant": .string(facts.tenant), "site": .string(facts.site), "route": .string(facts.route),
            "user": .string(facts.user), "command": .string(facts.command), "errors": .bool(keepsErrors),
            "stderr": .string(errorOutput.rawValue), "replay": .integer(Int64(replayBytes)),
            "end": .integer(ending.terminate), "kill": .integer(ending.kill),
            "started": .integer(startedAt), "life": lifeMax.map { .integer($0) },
            "client": client.map { .string($0.map { "\($0)" } ?? "unix") },
        ]).text
    }
}
