internal import CLinux
internal import Chimera
internal import ChimeraAdministration
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Glibc
internal import Synchronization

/// Answers operators in the data plane, each on a thread of its own.
final class DataPlaneAdministration: Sendable {
    /// The lines of an answer; the last one says how it went.
    typealias Answer = @Sendable (JSON) -> [JSON]

    private let gateway: any RunningGateway
    private let reloader: Reloader
    private let generation: Int
    private let machineFile: String
    private let busy = Mutex(0)
    private let reloads = Mutex(0)

    /// Requests that are answered at a time, and those that wait for a reload.
    static let requestsMax = 16
    static let reloadsMax = 16
    /// How long a reader of an answer may stand still, in seconds.
    private static let patience = 10

    init(_ gateway: any RunningGateway, _ reloader: Reloader, generation: Int, machineFile: String) {
        self.machineFile = machineFile
        self.gateway = gateway
        self.reloader = reloader
        self.generation = generation
    }

    /// The commands, by name; `reload` is not among them, since it waits for its turn.
    private func command(_ name: String, context: JSON) -> Answer? {
        switch name {
        case "status": return { [self] _ in [status(context)] }
        case "connections": return { [self] body in connections(body) }
        case "end": return { [self] body in [endConnection(body)] }
        case "sessions": return { [self] body in sessions(body) }
        case "end-session": return { [self] body in [endSession(body)] }
        case "explain": return { [self] body in [explanation(body)] }
        case "diff": return { [self] _ in differences() }
        default: return nil
        }
    }

    /// Answers on the connection and closes it.
    func answer(_ connection: Int32, _ request: AdminRequest, context: JSON) {
        guard let command = command(request.name, context: context) else {
            return AdminDesk.answer(
                connection, AdminRequest.failed("there is no command \"\(request.name)\""))
        }
        guard Self.enter(busy, atMost: Self.requestsMax) else {
            return AdminDesk.answer(
                connection, AdminRequest.failed("too many requests are being answered"))
        }
        let hasStarted = Thread.start(name: "chimera-admin") { [self] in
            // Whoever asks about ten thousand tenants waits for those who are served.
            if Self.heavyCommands.contains(request.name) { Thread.yieldToOthers() }
            Self.reply(command(request.body), connection)
            busy.withLock { $0 -= 1 }
        }
        if !hasStarted {
            busy.withLock { $0 -= 1 }
            AdminDesk.answer(connection, AdminRequest.failed("the system gives no thread"))
        }
    }

    private static let heavyCommands: Set<String> = ["explain", "diff"]

    /// Loads the configuration, and answers what came of it.
    func reload(for connection: Int32) {
        guard Self.enter(reloads, atMost: Self.reloadsMax) else {
            return AdminDesk.answer(connection, AdminRequest.failed("too many wait for a reload"))
        }
        reloader.reload(.command) { [self] outcome in
            // A reader that stands still keeps no reload waiting.
            let hasStarted = Thread.start(name: "chimera-admin") { [self] in
                Self.reply([outcome.json], connection)
                reloads.withLock { $0 -= 1 }
            }
            if !hasStarted {
                AdminDesk.answer(connection, outcome.json)
                reloads.withLock { $0 -= 1 }
            }
        }
    }

    private static func enter(_ count: borrowing Mutex<Int>, atMost most: Int) -> Bool {
        count.withLock { count in
            guard count < most else { return false }
            count += 1
            return true
        }
    }

    /// Writes the lines and closes the connection; a reader that stands still loses the rest. It may wait for that one,
    /// so it is for a thread that has nothing else to do.
    static func reply(_ lines: [JSON], _ connection: Int32) {
        defer { FileDescriptors.close(connection) }
        let text = lines.lazy.map { $0.text + "\n" }
        for line in text {
            let bytes = Array(line.utf8)
            var done = 0
            while done < bytes.count {
                let count = bytes[done...].withUnsafeBytes {
                    send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                if count > 0 {
                    done += count
                    continue
                }
                guard errno == EAGAIN || errno == EINTR else { return }
                var ready = pollfd(fd: connection, events: Int16(POLLOUT), revents: 0)
                guard poll(&ready, 1, Int32(patience * 1000)) == 1 else { return }
            }
        }
    }

    // MARK: Commands

    private func status(_ context: JSON) -> JSON {
        let status = gateway.status()
        let reload = reloader.status
        let plane = JSON.of([
            "generation": .integer(Int64(generation)), "version": .string(Version.text),
            "workers": .array(status.workers.map { .of(["connections": .integer(Int64($0))]) }),
            "connections": .integer(Int64(status.workers.reduce(0, +))),
            "requests": .integer(Int64(clamping: status.requests)), "sites": .integer(Int64(status.sites)),
            "listening": .array(status.listening.map { .string($0) }),
            "uptime_ms": .integer(status.uptimeMilliseconds),
            "last_reload": .of([
                "cause": .string(reload.cause.rawValue), "outcome": .string(reload.outcome.rawValue),
                "at": .integer(reload.finishedAt / 1_000), "ms": .integer(reload.durationMilliseconds),
                "changed": .integer(Int64(reload.changedSites)),
                "why": .array(reload.machineErrors.map { .string("\($0.position): \($0.text)") }),
            ]),
            "outdated_tenants": reload.outdatedJSON, "refused_files": reload.refusedJSON,
            "store": .array(reload.store.prefix(1_000).map { .string($0.description) }),
        ])
        return AdminRequest.done(.of(["supervisor": context, "data_plane": plane]))
    }

    private func connections(_ body: JSON) -> [JSON] {
        let wanted: Int
        switch ListBound.of(body) {
        case .success(let count): wanted = count
        case .failure(let wrong): return [AdminRequest.failed(wrong.reason)]
        }
        let (reports, total) = gateway.connections(atMost: wanted)
        let lines = reports.map { report in
            JSON.of([
                "id": .string("\(generation)-\(report.id)"), "peer": .string(report.peer),
                "listener": .string(report.listener), "protocol": .string(report.version),
                "age_ms": .integer(report.ageMilliseconds),
                "state": .string(report.activity.rawValue), "request": report.request.map { .string($0) },
                "request_ms": report.requestMilliseconds.map { .integer($0) },
                "stream_count": report.streamCount.map { .integer(Int64($0)) },
                "streams": report.streams.isEmpty ? nil : .array(report.streams.map(Self.stream)),
            ])
        }
        return lines + [AdminRequest.done(.of(["total": .integer(Int64(total))]))]
    }

    private static func stream(_ report: StreamReport) -> JSON {
        JSON.of([
            "id": .integer(Int64(report.id)), "state": .string(report.activity.rawValue),
            "request": report.request.map { .string($0) },
            "request_ms": report.requestMilliseconds.map { .integer($0) },
        ])
    }

    private func endConnection(_ body: JSON) -> JSON {
        guard let id = body["id"]?.string else { return AdminRequest.failed("the request has no \"id\"") }
        let parts = id.split(separator: "-", maxSplits: 1)
        guard parts.count == 2, parts[0] == "\(generation)", gateway.endConnection(String(parts[1])) else {
            return AdminRequest.failed("there is no connection \(id)")
        }
        return AdminRequest.done()
    }

    private func sessions(_ body: JSON) -> [JSON] {
        let wanted: Int
        switch ListBound.of(body) {
        case .success(let count): wanted = count
        case .failure(let wrong): return [AdminRequest.failed(wrong.reason)]
        }
        let (reports, total) = gateway.sessions(atMost: wanted)
        let lines = reports.map { report in
            JSON.of([
                "id": .string(report.id), "tenant": .string(report.tenant),
                "site": .string(report.site), "route": .string(report.route),
                "program": .string(report.program), "process": .integer(Int64(report.process)),
                "client": .string(report.client), "age_ms": .integer(report.ageMilliseconds),
                "octets_in": .integer(Int64(report.octetsIn)),
                "octets_out": .integer(Int64(report.octetsOut)),
                "ownership": .string(report.ownership.rawValue),
            ])
        }
        return lines + [AdminRequest.done(.of(["total": .integer(Int64(total))]))]
    }

    private func endSession(_ body: JSON) -> JSON {
        guard let id = body["id"]?.string else { return AdminRequest.failed("the request has no \"id\"") }
        guard gateway.endSession(id) else { return AdminRequest.failed("there is no session \(id)") }
        return AdminRequest.done()
    }

    private func explanation(_ body: JSON) -> JSON {
        guard let asked = ExplainedRequest(body) else {
            return AdminRequest.failed(
                "the request has no \"url\" such as http://shop.example/cart, or its method, its client or a field is none"
            )
        }
        do {
            let text = try Explanation(asked, in: gateway.configuration, pause: Pace().step).text
            return AdminRequest.done(.of(["text": .string(text)]))
        } catch {
            return AdminRequest.failed("\(error)")
        }
    }

    /// A line for each tenant whose file says something else than what serves.
    private func differences() -> [JSON] {
        let pace = Pace()
        let running = reloader.runningSources()
        guard
            let disk = ConfigurationLoader().tenantSources(
                machineFile: machineFile, running: running, pause: pace.step)
        else {
            return [AdminRequest.failed("the machine's file cannot be read, or has errors")]
        }
        let differences = TenantDifference.between(running: running, disk: disk, pause: pace.step)
        return differences.map { difference in
            .of([
                "tenant": .string(difference.id), "file": .string(difference.file),
                "kind": .string(difference.kind.rawValue), "text": .string(difference.text),
            ])
        } + [AdminRequest.done()]
    }
}
