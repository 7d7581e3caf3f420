internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import HTTPTypes
public import Logging

extension Gateway {
    /// Makes a gateway that serves what a configuration file says, as `chimera run --config` does.
    ///
    /// - Parameters:
    ///   - path: the machine's file; the files that it imports are read with it.
    ///   - logger: for diagnostics.
    /// - Throws: `ConfigurationError`, also where one of several tenants' files has errors; an error where
    ///   the access log cannot be opened.
    public convenience init(configurationFile path: String, logger: Logger = Logger(label: "chimera")) throws
    {
        let configuration = try EmbeddedConfiguration.checked(ConfigurationLoader().load(machineFile: path))
        try self.init(configuration: configuration, logger: logger)
    }

    /// Makes a gateway that serves what a configuration says.
    ///
    /// - Parameters:
    ///   - configuration: the text of the machine's file. Relative paths in it are relative to the working
    ///     directory.
    ///   - logger: for diagnostics.
    /// - Throws: as `init(configurationFile:logger:)`.
    public convenience init(configuration: String, logger: Logger = Logger(label: "chimera")) throws {
        try self.init(configuration: EmbeddedConfiguration.load(configuration), logger: logger)
    }

    /// Makes a gateway in which one handler serves every path of every host.
    ///
    /// What the gateway does before a handler has its turn, it does here as well: it refuses what is
    /// malformed (RFC 9112) or too large, answers `OPTIONS *`, keeps the deadlines of the connections, and
    /// writes the access log.
    ///
    /// - Parameters:
    ///   - addresses: where to listen, each as `listen` takes it: `127.0.0.1:8080`, `[::1]:8080`,
    ///     `unix:/run/x.sock`, or a port alone for all addresses of the machine; with TLS, `443 tls`. Port 0 takes a
    ///     free one; see `listeningAddresses`.
    ///   - tls: the handler's certificates, as `tls` takes them in a site: `chain.pem key.pem`, or `internal`, and what
    ///     may stand behind that (`redirect=off`, a block). Each client gets HTTP/2 or HTTP/1.1 as it asks for. Requests
    ///     that come without TLS are sent to https unless `redirect=off` stands there. Nil: the handler is not served
    ///     over TLS.
    ///   - directives: lines of the machine's file: `log access json`, `workers 2`, `limit body 20MB`,
    ///     `timeout body=10s`, `header Server my-app`, `trust 10.0.0.0/8`. Sites that stand here serve their
    ///     own hosts, and the handler all others. Nothing is written to an access log unless `log access`
    ///     stands here.
    ///   - logger: for diagnostics, and for the errors that the handler throws.
    ///   - handler: serves the requests, of all workers at a time.
    /// - Throws: `ConfigurationError` where an address or a directive is none; an error where the access log
    ///   cannot be opened.
    public convenience init(
        listening addresses: [String], tls: String? = nil, directives: String = "",
        logger: Logger = Logger(label: "chimera"), handler: any Handler
    ) throws {
        let text = "\(directives)\n" + addresses.map { "listen \($0)\n" }.joined()
        var configuration = try EmbeddedConfiguration.load(text)
        if configuration.accessLog == nil { configuration.accessLog = AccessLog(format: .off) }
        var site = try Gateway.site(over: configuration)
        if let tls { site.tls = try Gateway.security(tls, behind: text) }
        configuration.sites.append(SharedSite(site))
        try self.init(
            configuration: configuration, logger: logger, handler: ReportingHandler(handler, logger: logger))
    }

    /// The site of every host that no other site names, with the one route to the handler.
    private static func site(over configuration: MachineConfiguration) throws -> Site {
        let position = SourcePosition(file: EmbeddedConfiguration.name, line: 1, column: 1)
        if let other = handlerPlace(in: configuration) {
            throw ConfigurationError([
                Diagnostic(.error, at: other.position, "the host \"*\" is the embedded handler's")
            ])
        }
        let route = Route(pattern: .everything, destination: .handler, position: position)
        return Site(
            tenant: "", name: "*", hosts: [.any], settings: configuration.settings, routes: [route],
            position: position)
    }

    /// What `tls` means in a site behind these directives.
    private static func security(_ tls: String, behind directives: String) throws -> SiteTLS? {
        let configuration = try EmbeddedConfiguration.load(
            "\(directives)site * {\n    tls \(tls)\n    respond 200\n}\n")
        return handlerPlace(in: configuration)?.tls
    }

    /// The site of all hosts on the listeners that `listening` names; those with a name of their own, as that of
    /// `metrics`, are others'.
    private static func handlerPlace(in configuration: MachineConfiguration) -> Site? {
        configuration.sites.lazy.map(\.site).first { $0.isDefault && $0.on.isEmpty }
    }

    // MARK: Running

    /// Starts, serves until the task is cancelled, drains and stops.
    ///
    /// - Parameter drainMilliseconds: how long requests that are under way have to finish after the
    ///   cancellation.
    /// - Throws: what `start()` throws. A cancellation is the usual end and no error.
    public func run(drainMilliseconds: Int64 = 30_000) async throws {
        try start()
        await withTaskCancellationHandler {
            await untilStopped()
        } onCancel: {
            drain(deadlineMilliseconds: drainMilliseconds)
        }
    }

    /// Waits on a thread of its own, since a task must not block one of the pool's.
    private func untilStopped() async {
        await withCheckedContinuation { continuation in
            let wait: @Sendable () -> Void = { [self] in
                waitUntilStopped()
                continuation.resume()
            }
            if !Thread.start(name: "chimera-wait", wait) { wait() }
        }
    }
}

/// Tells the logger of what a handler throws, which the client does not see.
private struct ReportingHandler: Handler {
    private let handler: any Handler
    private let logger: Logger

    init(_ handler: any Handler, logger: Logger) {
        self.handler = handler
        self.logger = logger
    }

    func handle(
        _ request: HTTPRequest, context: ExchangeContext, body: consuming sending RequestBody,
        response: consuming sending ResponseSender
    ) async throws {
        do {
            try await handler.handle(request, context: context, body: body, response: response)
        } catch let error as ExchangeError {
            if case .aborted = error { throw error }
            if case .bodyRefused = error { throw error }
            report(error, request, context)
            throw error
        } catch {
            report(error, request, context)
            throw error
        }
    }

    private func report(_ error: any Error, _ request: HTTPRequest, _ context: ExchangeContext) {
        logger.error(
            "the handler failed: \(error)",
            metadata: [
                "request": "\(context.id)", "method": "\(request.method)", "path": "\(request.path ?? "")",
            ])
    }
}
