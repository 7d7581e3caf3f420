internal import ChimeraBytes
package import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraFiles
internal import ChimeraHTTPCore

/// What becomes of a request, and why: for `chimera explain`.
///
/// The dispatcher that serves requests decides here as well; nothing is connected to, and no file is opened.
package struct Explanation {
    /// What it says, line by line.
    package let text: String

    /// - Parameter pause: called between sites.
    /// - Throws: `SystemError` where the system gives no descriptor.
    package init(
        _ asked: ExplainedRequest, in configuration: MachineConfiguration, pause: () -> Void = {}
    ) throws {
        var sequence = SnapshotSequence()
        let targets = InertTargets(try Worker(index: 0))
        let dispatcher = Dispatcher(sequence.next(configuration, pause: pause), targets: targets) { 1 }
        let (context, request, response) = (RequestContext(), RequestHead(), ResponseHead())
        request.fill(asked)
        let listener = ExplainedListener(asked, in: configuration)
        let listenerID = dispatcher.listener(named: asked.listener)
        dispatcher.securePort = configuration.securePort
        context.begin(
            peer: IPAddress(asked.client), peerPort: 0, listener: listenerID, port: listener.redirectPort,
            isSecure: listener.isSecure)
        var lines = ["\(asked.method) \(asked.scheme)://\(asked.authority)\(asked.target)"]
        lines.append(Explanation.line("listener", listener.text))
        if let mismatch = listener.mismatch {
            lines.append(Explanation.line("answer", mismatch))
        } else {
            let verdict = dispatcher.dispatch(context, request, response)
            var outcome: [String]?
            if listener.isSecure {
                let host = String(decoding: Array(copying: context.canonicalHost), as: UTF8.self)
                let handshake = ExplainedHandshake(host: host, on: listenerID, dispatcher)
                lines += Explanation.block("tls", handshake.lines)
                let refusal = handshake.refusal ?? context.site.flatMap(handshake.refusal(of:))
                outcome = refusal.map { [Explanation.line("answer", $0)] }
            }
            lines += Explanation.site(context)
            if let outcome {
                lines += outcome
            } else if Explanation.isSentToTLS(context, response) {
                // No route is asked.
                lines += Explanation.outcome(verdict, context, request, response)
            } else {
                lines += Explanation.route(context, request)
                lines += Explanation.settings(context, request)
                lines += Explanation.outcome(verdict, context, request, response)
            }
        }
        dispatcher.close()
        text = lines.map { $0 + "\n" }.joined()
    }

    private static func line(_ title: String, _ text: String) -> String {
        "  " + title + String(repeating: " ", count: max(1, 10 - title.utf8.count)) + text
    }

    /// Lines of which the first has the title.
    private static func block(_ title: String, _ texts: [String]) -> [String] {
        texts.enumerated().map { line($0 == 0 ? title : "", $1) }
    }

    // MARK: Site and route

    private static func site(_ context: RequestContext) -> [String] {
        guard let site = context.site?.source else { return [line("site", "none answers to this host")] }
        let owner = site.tenant.isEmpty ? "the machine's own" : "tenant \(site.tenant)"
        let hosts = site.hosts.map(\.description).joined(separator: " ")
        return [line("site", "\(site.name), \(owner) (\(site.position))"), line("", "answers to \(hosts)")]
    }

    private static func route(_ context: RequestContext, _ request: RequestHead) -> [String] {
        guard let site = context.site else { return [] }
        let candidates = site.candidates(context, request)
        var lines: [String] = []
        for candidate in candidates {
            let route = site.source.routes[candidate.index]
            let text = (route.methods.isEmpty ? "" : route.methods.joined(separator: ",") + " ") + route.text
            let place = "\(text) (\(route.position))"
            if candidate.index == context.route?.index {
                let why = lines.isEmpty ? "the most specific that matches" : "the next most specific"
                lines.append(line(lines.isEmpty ? "route" : "", "\(place): \(why)"))
            } else {
                lines.append(line(lines.isEmpty ? "route" : "", "\(place): \(candidate.reason)"))
            }
        }
        return lines.isEmpty ? [line("route", "none matches this path")] : lines
    }

    // MARK: Settings

    private static func settings(_ context: RequestContext, _ request: RequestHead) -> [String] {
        guard let site = context.site else { return [] }
        let settings = site.mergedSettings(for: context.route, context, request)
        var lines: [String] = []
        func add(_ text: String) { lines.append(line(lines.isEmpty ? "settings" : "", text)) }
        for number in site.appliedBlocks(context, request) {
            let block = site.source.settingsBlocks[number]
            add("block \(block.pattern.text) applies (\(block.position))")
        }
        for operation in settings.headerOperations {
            add("header \(shown(operation)) (\(operation.position))")
        }
        for operation in settings.requestHeaderOperations {
            add("request-header \(shown(operation)) (\(operation.position))")
        }
        if let strip = settings.strip { add("strip \(strip)") }
        if let rewrite = settings.rewrite { add("rewrite \(rewrite)") }
        if let auth = settings.auth {
            if case .basic(let file, _) = auth.kind { add("auth basic \(file.path) (\(auth.position))") }
        }
        for rule in settings.access.flatMap(\.rules) {
            add("\(rule.verdict.rawValue) \(shown(rule.subject)) (\(rule.position))")
        }
        if let closed = settings.closed { add("closed \(closed.status) (\(closed.position))") }
        for limit in settings.requestLimits {
            add("limit requests \(limit) (\(limit.position))")
        }
        for limit in settings.connectionLimits {
            add("limit connections \(limit) (\(limit.position))")
        }
        for limit in settings.sessionLimits { add("limit sessions \(limit) (\(limit.position))") }
        for limit in settings.sessionRates { add("limit starts \(limit) (\(limit.position))") }
        add("limit body \(Quantity.text(ofBytes: settings.limitBody ?? Settings.limitBodyDefault))")
        add("limit head \(Quantity.text(ofBytes: settings.limitHead ?? Settings.limitHeadDefault))")
        return lines
    }

    private static func shown(_ operation: HeaderOperation) -> String {
        switch operation.kind {
        case .set: "\(operation.name) \(operation.value)"
        case .add: "+\(operation.name) \(operation.value)"
        case .remove: "-\(operation.name)"
        case .setIfMissing: "?\(operation.name) \(operation.value)"
        }
    }

    private static func shown(_ subject: AccessRule.Subject) -> String {
        switch subject {
        case .all: "all"
        case .clients(let block): block.description
        case .matcher(let use): (use.isNegated ? "!@" : "@") + use.matcher.name
        }
    }

    // MARK: Outcome

    private static func outcome(
        _ verdict: Verdict, _ context: RequestContext, _ request: RequestHead, _ response: ResponseHead
    ) -> [String] {
        switch verdict {
        case .answer:
            let why = context.refusal.map { " (\($0.token))" } ?? ""
            var lines = [line("answer", "\(response.status)\(why)")]
            if let value = response[.location] {
                lines.append(line("", "Location: \(String(decoding: Array(copying: value), as: UTF8.self))"))
            }
            if isSentToTLS(context, response), let tls = context.site?.source.tls {
                lines.append(
                    line(
                        "",
                        "since the site has `tls`, which leads to https without `redirect=off` (\(tls.position))"
                    ))
            }
            return lines
        case .authenticate: return [line("answer", "401, or with the right password what the route leads to")]
        case .serve(let route):
            guard let source = context.site?.source else { return [] }
            return destination(source.routes[route.index].destination, route, context, request)
        }
    }

    private static func isSentToTLS(_ context: RequestContext, _ response: ResponseHead) -> Bool {
        guard response.status == 308, let site = context.site else { return false }
        return Dispatcher.redirects(context, to: site)
    }

    private static func destination(
        _ destination: Destination, _ route: CompiledRoute, _ context: RequestContext, _ request: RequestHead
    ) -> [String] {
        switch destination {
        case .files(let files):
            let path = context.filesPath(strippedSegments: route.strippedSegments)
            return [
                line("files", "\(files.directory)"),
                line("", "path below it: \(String(decoding: Array(copying: path), as: UTF8.self))"),
            ]
        case .proxy(let proxy):
            let head = RequestHead()
            let target = context.storeTarget(of: request, in: head)
            let path = String(decoding: Array(copying: head[target]), as: UTF8.self)
            let pools = proxy.pools.isEmpty ? "" : " (pool \(proxy.pools.joined(separator: ", ")))"
            return [line("upstream", proxy.targets.map(\.address.description).joined(separator: " ") + pools)]
                + [line("", "as \(path)")]
        case .session(let session):
            return [line("session", session.command.joined(separator: " "))]
                + session.explained.map { line("", $0) }
        case .welcome: return [line("answer", "the welcome page")]
        case .handler: return [line("answer", "the handler of the program that embeds the gateway")]
        case .telemetry(let page):
            return [line("answer", "what the gateway tells of itself: /\(page.rawValue)")]
        case .redirect, .respond: return []
        }
    }
}

extension RequestHead {
    fileprivate func fill(_ asked: ExplainedRequest) {
        methodBytes = store(Array(asked.method.utf8).span)
        method = Method(self[methodBytes])
        target = store(Array(asked.target.utf8).span)
        pathAndQuery = target
        authority = store(Array(asked.authority.utf8).span)
        for (name, value) in asked.fields { add(name: Array(name.utf8).span, value: Array(value.utf8).span) }
    }
}

/// Destinations that are named and never asked.
private final class InertTargets: TargetFactory {
    private let cache: FilesCache

    init(_ worker: Worker) {
        cache = FilesCache(worker: worker, pool: BlockingPool(threadsMax: 1))
    }

    func files(_ target: FilesTarget, sourceExtensions: [String]) -> DirectoryTarget {
        DirectoryTarget(target, sourceExtensions: sourceExtensions, cache: cache)
    }

    func proxy(_ target: ProxyTarget) -> UpstreamTargets {
        UpstreamTargets(target) { _ in preconditionFailure("an explanation connects nowhere") }
    }
}
