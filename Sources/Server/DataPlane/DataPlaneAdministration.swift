internal import CLinux
internal import Chimera
internal import ChimeraAdministration
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Glibc
internal import Synchronization

/// A tenant that an older version of its file serves, or none.
struct OutdatedTenant: Sendable {
    var tenant: String
    /// Since when the version that serves is there, in seconds since 1970; nil where none serves.
    var servedSince: Int64?
    /// What is wrong with the file that is there.
    var diagnostics: [Diagnostic]

    /// The tenants that a load left out, and why.
    static func left(out result: LoadResult) -> [OutdatedTenant] {
        result.refusedTenants.map { tenant in
            let errors = result.diagnostics.filter { diagnostic in
                diagnostic.severity == .error && stem(of: diagnostic.position.file) == tenant
            }
            return OutdatedTenant(tenant: tenant, servedSince: nil, diagnostics: errors)
        }
    }

    /// A tenant's id is its file's stem.
    private static func stem(of path: String) -> Substring {
        let name = path.split(separator: "/").last ?? ""
        return name.lastIndex(of: ".").map { name[..<$0] } ?? name
    }

    var json: JSON {
        .of([
            "tenant": .string(tenant), "served_since": servedSince.map { .integer($0) },
            "why": .array(diagnostics.map { .string("\($0.position): \($0.text)") }),
        ])
    }
}

/// Answers operators in the data plane, each on a thread of its own.
final class DataPlaneAdministration: Sendable {
    /// The lines of an answer; the last one says how it went.
    typealias Answer = @Sendable (JSON) -> [JSON]

    private let gateway: any RunningGateway
    private let outdated: @Sendable () -> [OutdatedTenant]
    private let generation: Int
    private let busy = Mutex(0)

    /// Requests that are answered at a time, and connections that are listed.
    static let requestsMax = 16
    static let connectionsMax = 10_000
    /// How long a reader of an answer may stand still, in seconds.
    private static let patience = 10

    init(
        _ gateway: any RunningGateway, generation: Int, outdated: @escaping @Sendable () -> [OutdatedTenant]
    ) {
        self.gateway = gateway
        self.generation = generation
        self.outdated = outdated
    }

    /// The commands, by name; `reload` is not among them, since it waits for its turn.
    private func command(_ name: String, context: JSON) -> Answer? {
        switch name {
        case "status": return { [self] _ in [status(context)] }
        case "connections": return { [self] body in connections(body) }
        case "end": return { [self] body in [endConnection(body)] }
        default: return nil
        }
    }

    /// Answers on the connection and closes it.
    func answer(_ connection: Int32, _ request: AdminRequest, context: JSON) {
        guard let command = command(request.name, context: context) else {
            return Self.reply([AdminRequest.failed("there is no command \"\(request.name)\"")], connection)
        }
        let isFree = busy.withLock { busy in
            guard busy < Self.requestsMax else { return false }
            busy += 1
            return true
        }
        guard isFree else {
            return Self.reply([AdminRequest.failed("too many requests are being answered")], connection)
        }
        let work: @Sendable () -> Void = { [self] in
            Self.reply(command(request.body), connection)
            busy.withLock { $0 -= 1 }
        }
        if !Thread.start(name: "chimera-admin", work) { work() }
    }

    /// Writes the lines and closes the connection; a reader that stands still loses the rest.
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
        let plane = JSON.of([
            "generation": .integer(Int64(generation)), "version": .string(Version.text),
            "workers": .array(status.workers.map { .of(["connections": .integer(Int64($0))]) }),
            "connections": .integer(Int64(status.workers.reduce(0, +))),
            "requests": .integer(Int64(clamping: status.requests)), "sites": .integer(Int64(status.sites)),
            "listening": .array(status.listening.map { .string($0) }),
            "uptime_ms": .integer(status.uptimeMilliseconds),
            "outdated_tenants": .array(outdated().map(\.json)),
        ])
        return AdminRequest.done(.of(["supervisor": context, "data_plane": plane]))
    }

    private func connections(_ body: JSON) -> [JSON] {
        let wanted = body["limit"]?.integer.flatMap { Int(exactly: $0) } ?? Self.connectionsMax
        let (reports, total) = gateway.connections(atMost: max(0, min(wanted, Self.connectionsMax)))
        let lines = reports.map { report in
            JSON.of([
                "id": .string("\(generation)-\(report.id)"), "peer": .string(report.peer),
                "listener": .string(report.listener), "age_ms": .integer(report.ageMilliseconds),
                "state": .string(report.activity.rawValue), "request": report.request.map { .string($0) },
                "request_ms": report.requestMilliseconds.map { .integer($0) },
            ])
        }
        return lines + [AdminRequest.done(.of(["total": .integer(Int64(total))]))]
    }

    private func endConnection(_ body: JSON) -> JSON {
        guard let id = body["id"]?.string else { return AdminRequest.failed("the request has no \"id\"") }
        let parts = id.split(separator: "-", maxSplits: 1)
        guard parts.count == 2, parts[0] == "\(generation)", gateway.endConnection(String(parts[1])) else {
            return AdminRequest.failed("there is no connection \(id)")
        }
        return AdminRequest.done()
    }
}
