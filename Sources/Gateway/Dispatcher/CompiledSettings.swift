internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore
internal import ChimeraUpstream

/// The settings that count for a request, merged, with their defaults, in the form in which one worker uses
/// them.
final class CompiledSettings {
    /// On the answer, in order.
    let headerOperations: ContiguousArray<CompiledHeaderOperation>
    /// On the request to an upstream, in order.
    let requestHeaderOperations: ContiguousArray<CompiledHeaderOperation>
    /// `strip`: how many segments, and which.
    let strip: StrippedPrefix?
    let rewrite: CompiledTemplate?
    let access: CompiledAccess
    let auth: CompiledAuth?
    let closed: CompiledClosure?
    /// Bytes; 413 past it.
    let limitBody: Int64
    /// Bytes; 431 past it.
    let limitHead: Int64
    /// `limit requests`, all of which count.
    let requestLimits: ContiguousArray<CompiledRequestLimit>
    /// `limit connections` that counts requests under way.
    let connectionLimits: ContiguousArray<CompiledConnectionLimit>
    /// As they were written; see `SessionLimits`.
    let sessionLimits: ContiguousArray<ConnectionLimit>
    let sessionRates: ContiguousArray<RequestLimit>
    /// `limit connections` that counts connections: the machine's.
    let machineConnections: MachineConnectionLimits
    /// There is a limit to be asked.
    let hasLimits: Bool
    let timeouts: ResolvedTimeouts
    /// Those of `timeouts` that concern upstreams.
    let upstreamTimeouts: UpstreamTimeouts
    let errorPages: ContiguousArray<CompiledErrorPage>
    let logAccess: Bool
    /// The host that all others of the site are redirected to.
    let canonical: [UInt8]?
    /// A header operation makes the answer markup, in which the values of `respond` are escaped.
    let makesMarkup: Bool

    /// - Parameter site: whose settings they are; nil for the machine's own.
    init(_ settings: Settings, of site: Site? = nil, _ parts: SiteParts) {
        headerOperations = ContiguousArray(settings.headerOperations.compactMap(CompiledHeaderOperation.init))
        requestHeaderOperations = ContiguousArray(
            settings.requestHeaderOperations.compactMap(CompiledHeaderOperation.init))
        rewrite = settings.rewrite.map { CompiledTemplate($0, for: .path) }
        strip = settings.rewrite == nil ? settings.strip.map(StrippedPrefix.init) : nil
        access = CompiledAccess(settings, parts.matcherUse)
        auth = CompiledAuth(settings.auth, parts)
        closed = settings.closed.map { CompiledClosure($0, parts) }
        limitBody = settings.limitBody ?? Settings.limitBodyDefault
        limitHead = settings.limitHead ?? Settings.limitHeadDefault
        let identities = parts.limits ?? LimitIdentities(settings)
        requestLimits = ContiguousArray(
            settings.requestLimits.map { CompiledRequestLimit($0, of: site, identities) })
        connectionLimits = ContiguousArray(
            settings.connectionLimits.filter(\.countsRequests).map {
                CompiledConnectionLimit($0, of: site, identities)
            })
        machineConnections =
            site == nil
            ? MachineConnectionLimits(settings.connectionLimits, identities) : MachineConnectionLimits()
        sessionLimits = settings.sessionLimits.isEmpty ? [] : ContiguousArray(settings.sessionLimits)
        sessionRates = settings.sessionRates.isEmpty ? [] : ContiguousArray(settings.sessionRates)
        hasLimits = !requestLimits.isEmpty || !connectionLimits.isEmpty
        timeouts = ResolvedTimeouts(settings.timeouts)
        upstreamTimeouts = UpstreamTimeouts(timeouts)
        errorPages = ContiguousArray(settings.errorPages.map { CompiledErrorPage($0, parts) })
        logAccess = settings.logAccess ?? true
        canonical = settings.canonical.map { Array($0.utf8) }
        makesMarkup = headerOperations.contains(where: \.makesMarkup)
    }

    /// The page for a status of our own making; nil: the built-in one.
    func errorPage(for status: Int) -> CompiledPage? {
        for page in errorPages where page.statuses.contains(status) { return page.page }
        return nil
    }
}

extension UpstreamTimeouts {
    init(_ timeouts: ResolvedTimeouts) {
        self.init()
        connect = timeouts.connect
        answer = timeouts.answer
        read = timeouts.read
        quiet = timeouts.quiet
        body = timeouts.body
        send = timeouts.send
        response = timeouts.response
    }
}

/// `strip /api`, segment by segment.
struct StrippedPrefix {
    let pattern: CompiledPattern
    let segments: Int

    init(_ prefix: String) {
        let names = prefix.utf8.split(separator: UInt8(ascii: "/")).map { Array($0) }
        segments = names.count
        pattern = CompiledPattern(
            PathPattern(segments: names.map(PathPattern.Segment.literal) + [.rest], text: prefix + "/*"))
    }
}

/// `auth basic FILE`.
struct CompiledAuth {
    let gate: PasswordGate
    /// The value of `WWW-Authenticate` (RFC 7617 §2).
    let challenge: [UInt8]

    init?(_ setting: AuthSetting?, _ parts: SiteParts) {
        guard case .basic(let file, let realm) = setting?.kind else { return nil }
        gate = parts.passwords(file)
        challenge = Array(BasicCredentials.challenge(realm: realm).utf8)
    }
}

/// A whole answer from a file of the configuration.
struct CompiledPage {
    let content: Blob
    let contentType: StaticString
}

/// `error 502 503 FILE`.
struct CompiledErrorPage {
    let statuses: [Int]
    let page: CompiledPage

    init(_ page: ErrorPage, _ parts: SiteParts) {
        statuses = page.statuses.map { $0 }
        self.page = parts.page(page.file)
    }
}

/// `closed 503 FILE`.
struct CompiledClosure {
    let status: Int
    let page: CompiledPage?

    init(_ rule: ClosedRule, _ parts: SiteParts) {
        status = rule.status
        page = rule.page.map(parts.page)
    }
}

/// Bounds on time in milliseconds, the defaults filled in; nil means no bound.
struct ResolvedTimeouts: Equatable {
    let head: Int64?
    let body: Int64?
    let idle: Int64?
    let send: Int64?
    let response: Int64?
    let connect: Int64?
    let answer: Int64?
    let read: Int64?
    let quiet: Int64?

    init(_ timeouts: Timeouts) {
        let resolved = Timeouts.defaults.merging(timeouts)
        head = Self.milliseconds(resolved.head)
        body = Self.milliseconds(resolved.body)
        idle = Self.milliseconds(resolved.idle)
        send = Self.milliseconds(resolved.send)
        response = Self.milliseconds(resolved.response)
        connect = Self.milliseconds(resolved.connect)
        answer = Self.milliseconds(resolved.answer)
        read = Self.milliseconds(resolved.read)
        quiet = Self.milliseconds(resolved.quiet)
    }

    private static func milliseconds(_ limit: TimeLimit?) -> Int64? {
        guard case .milliseconds(let value) = limit else { return nil }
        return value
    }
}
