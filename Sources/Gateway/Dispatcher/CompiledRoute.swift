internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraTelemetry

/// One route of a site in the form in which one worker uses it.
final class CompiledRoute {
    /// Its number in `Site.routes`.
    let index: Int
    /// `{route}`: the pattern as it was written.
    let text: [UInt8]
    let methods: MethodSet
    let matchers: [CompiledMatcherUse]
    let target: RouteTarget
    /// For `files`: how many leading segments of the path are taken off; see `RequestContext.filesPath`.
    let strippedSegments: Int
    /// For `files` with variables in the directory; see `CompiledTemplate.expand`.
    let directory: CompiledTemplate?
    /// For `proxy`: what is put before the path. `RequestContext.storeTarget` has it already.
    let prefix: CompiledTemplate?
    /// For `proxy`: as many as targets; for those whose name has variables, see `CompiledTemplate.expand`.
    let upstreamNames: [CompiledTemplate?]
    /// What the access log says of requests that the route serves.
    let labels: AccessLabels
    /// Where the route's requests are counted.
    let slot: RouteSlot
    /// Nil where it depends on the request which settings blocks apply.
    let settings: CompiledSettings?

    init(
        _ route: Route, index: Int, matchers: [CompiledMatcherUse], settings: CompiledSettings?,
        sourceExtensions: [String], labels: AccessLabels, slot: RouteSlot, _ parts: SiteParts
    ) {
        self.labels = labels
        self.slot = slot
        self.index = index
        self.matchers = matchers
        self.settings = settings
        text = Array(route.text.utf8)
        methods = MethodSet(route.methods)
        var strippedSegments = 0
        var directory: CompiledTemplate?
        var prefix: CompiledTemplate?
        var upstreamNames: [CompiledTemplate?] = []
        switch route.destination {
        case .files(let files):
            target = .files(parts.files(files, sourceExtensions: sourceExtensions))
            strippedSegments = files.strippedSegments
            if files.directory.literal == nil {
                directory = CompiledTemplate(files.directory, for: .directory)
            }
        case .proxy(let proxy):
            target = .proxy(parts.proxy(proxy))
            prefix = proxy.prefix.map { CompiledTemplate($0, for: .path) }
            upstreamNames = proxy.targets.map(CompiledRoute.nameTemplate)
        case .redirect(let location, let status): target = .redirect(RedirectTarget(location, status: status))
        case .respond(let status, let body): target = .respond(RespondTarget(status: status, body: body))
        case .welcome: target = .welcome
        case .session(let session): target = .session(SessionDestination(session, route.pattern))
        case .telemetry(let page): target = .telemetry(TelemetryTarget(page))
        case .handler:
            // Only a program that brings a handler makes such routes.
            target =
                parts.handler.map { .handler(HandlerTarget($0)) }
                ?? .respond(RespondTarget(status: 404, body: .none))
        }
        self.strippedSegments = strippedSegments
        self.directory = directory
        self.prefix = prefix
        self.upstreamNames = upstreamNames
    }

    private static func nameTemplate(_ target: UpstreamTarget) -> CompiledTemplate? {
        guard case .template(let name, port: _) = target.address else { return nil }
        return CompiledTemplate(name, for: .hostName)
    }
}
