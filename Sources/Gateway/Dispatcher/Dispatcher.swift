internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore
internal import ChimeraTLS

/// Finds out for each request what is to be done with it: one for each worker, and of that worker alone.
///
/// ```
///  host ─▶ site ─▶ path ─▶ route ─▶ settings ─▶ closed? canonical? admitted? ─▶ 404 405 413 ─▶ target
///   400     421     400                          503      308     401 403
/// ```
/// It never waits. Nothing is allocated for a request that goes to a plain route, and no reference is counted
/// that another worker counts as well: of what workers share it reads flat memory only, and sites are
/// compiled for each worker when it first needs them.
final class Dispatcher {
    @exclusivity(unchecked) var snapshot: Snapshot
    @exclusivity(unchecked) var table: SiteTable
    /// By the site's number in the snapshot; nil until it is needed.
    @exclusivity(unchecked) var sites: ContiguousArray<CompiledSite?>
    @exclusivity(unchecked) var trust: ContiguousArray<CIDR>
    /// The machine's settings, for requests that reach no site.
    @exclusivity(unchecked) var machineSettings: CompiledSettings
    let parts: CompiledParts
    /// What `machineSettings` use; others take their place together with them.
    @exclusivity(unchecked) var machineParts: SiteParts
    /// What limits count in, shared by all workers.
    let limits: LimitTables
    /// Changes that were begun, and how far the first of them is.
    @exclusivity(unchecked) var pending: [Snapshot] = []
    @exclusivity(unchecked) var pendingIndex = 0
    @exclusivity(unchecked) var predecessors: [Int: Predecessor] = [:]
    /// Sites that are to be freed in pieces.
    @exclusivity(unchecked) var retired: [CompiledSite] = []
    /// Told when a request made something retire.
    @exclusivity(unchecked) var hasRetired: (() -> Void)?
    /// The port of the listener with TLS that leads to a site with these names of listeners; nil where there is none.
    @exclusivity(unchecked) var securePort: (([String]) -> UInt16?)?
    private let ids = RequestIDs()
    @exclusivity(unchecked) private var normaliser = PathNormaliser()
    let pages = BuiltInPages()
    /// Where templates are expanded.
    let scratch = ByteBuffer(capacity: 1024)
    /// Passwords that were right of late; nil where libcrypto has no SHA-256.
    @exclusivity(unchecked) var verified: VerifiedCredentials?
    /// Nanoseconds of a clock that never goes back.
    let clock: () -> UInt64

    /// - Parameters:
    ///   - limits: what limits count in.
    ///   - clock: nanoseconds of a clock that never goes back: how old a verified password is, how full a bucket.
    init(
        _ snapshot: Snapshot, targets: any TargetFactory, limits: LimitTables = LimitTables(),
        clock: @escaping () -> UInt64
    ) {
        self.limits = limits
        self.clock = clock
        var random = SystemRandomNumberGenerator()
        verified = VerifiedCredentials(random: &random)
        self.snapshot = snapshot
        parts = CompiledParts(targets, handler: snapshot.handler)
        table = snapshot.directory.table
        machineParts = SiteParts(parts)
        sites = ContiguousArray(repeating: nil, count: snapshot.places.count)
        trust = Dispatcher.copy(snapshot.configuration.trust)
        machineSettings = CompiledSettings(snapshot.configuration.settings, machineParts)
    }

    /// Lets go of all sites and of what they share, while the worker's own parts are still there.
    func close() {
        sites.removeAll()
        predecessors.removeAll()
        retired.removeAll()
        pending.removeAll()
    }

    /// The number of the listeners with that name, for `RequestContext.begin`. It is another after `update`.
    func listener(named name: String?) -> ListenerID { snapshot.directory.listener(named: name) }

    /// The site that has every host of a listener; nil where there is none.
    func defaultSite(on listener: ListenerID) -> Site? {
        table.defaultSite(on: listener).flatMap { snapshot.places[$0]?.site.site }
    }

    /// What a handshake is for: `found` of the site that has the name, else of the one that has every host.
    ///
    /// - Parameters:
    ///   - name: in small letters; empty where the client names none.
    ///   - found: nil for a site without `tls`.
    /// - Returns: nil where the handshake is refused.
    func handshake<Found>(for name: Span<UInt8>, on listener: ListenerID, _ found: (Int) -> Found?) -> Found?
    {
        if let number = table.site(for: name, on: listener), let site = found(number) { return site }
        return table.defaultSite(on: listener).flatMap(found)
    }

    /// How many sites were compiled so far.
    var compiledSites: Int { sites.reduce(0) { $1 == nil ? $0 : $0 + 1 } }

    /// Decides what becomes of a request. It can be asked again for the same request.
    ///
    /// - Parameters:
    ///   - context: after `begin`; it is filled.
    ///   - response: is filled where the verdict is an answer.
    func dispatch(_ context: RequestContext, _ request: RequestHead, _ response: ResponseHead) -> Verdict {
        if context.ids == nil { context.ids = ids }
        context.forgetRouting()
        findClient(context, request)
        let site: CompiledSite
        do throws(Rejection) {
            site = try findSite(context, request)
            try checkTLS(of: site, context)
            context.site = site
            if request.form == .asterisk {
                if isClientMissing(at: site, context) { throw Rejection(.clientCertificateMissing) }
                context.settings = site.baseSettings
                return .answer(answerAsterisk(context, request, response))
            }
            try findPath(context, request)
            if Dispatcher.redirects(context, to: site) {
                context.settings = site.baseSettings
                return .answer(redirectToTLS(site, context, request, response))
            }
            if isClientMissing(at: site, context), !namesChallenge(site, context, request) {
                throw Rejection(.clientCertificateMissing)
            }
        } catch {
            context.refusal = error.refusal
            context.settings = context.site?.baseSettings ?? machineSettings
            return .answer(refuse(error.status, context, request, response))
        }
        return route(site, context, request, response)
    }

    // MARK: Site and path

    private func findSite(_ context: RequestContext, _ request: RequestHead) throws(Rejection) -> CompiledSite
    {
        // RFC 9110 §7.4: what is asked of an https origin has to come over TLS, or from a gateway that we trust.
        if request.targetsHTTPS && !context.isSecure && !(context.peer.map(isTrusted) ?? false) {
            throw Rejection(.schemeMismatched)
        }
        // Nor is what was asked of an http origin to be answered for the https one.
        if context.tls != nil && (request.form == .absolute || !request.scheme.isEmpty)
            && !request.targetsHTTPS
        {
            throw Rejection(.schemeMismatched)
        }
        try findHost(context, request)
        guard let number = table.site(for: context.canonicalHost, on: context.listener) else {
            throw Rejection(.hostUnknown)
        }
        if let site = sites[number] { return site }
        guard let site = compile(number) else { throw Rejection(.hostUnknown) }
        return site
    }

    /// A connection carries requests for the site that it was made for, and for those that ask for the same of their
    /// clients (RFC 9110 §7.4, RFC 9113 §9.1.2).
    private func checkTLS(of site: CompiledSite, _ context: RequestContext) throws(Rejection) {
        guard let tls = context.tls else { return }
        guard let security = site.security, security.demand == tls.site?.demand else {
            throw Rejection(.siteMismatched)
        }
    }

    /// Whether a request that came without TLS is sent to https.
    static func redirects(_ context: RequestContext, to site: CompiledSite) -> Bool {
        guard let security = site.security else { return false }
        return !context.isSecure && !context.isPlain && security.redirects && !context.isACMEChallenge
    }

    /// Whether the site wants a certificate of each client and no handshake of ours has asked for one; what a trusted peer
    /// has asked for, nobody knows.
    private func isClientMissing(at site: CompiledSite, _ context: RequestContext) -> Bool {
        !context.hasHandshake && site.security?.requiresClients ?? false
    }

    /// Whether the request is one of RFC 8555 that a route of the site names on purpose.
    private func namesChallenge(_ site: CompiledSite, _ context: RequestContext, _ request: RequestHead)
        -> Bool
    {
        guard !context.isSecure, context.isACMEChallenge,
            case .route(let route) = site.selectRoute(context, request)
        else { return false }
        return RequestContext.challengePrefix.withUTF8Buffer { route.text.starts(with: $0) }
    }

    private func findHost(_ context: RequestContext, _ request: RequestHead) throws(Rejection) {
        let text = request[request.authority]
        // Without a host only `site *` answers.
        if text.isEmpty || context.recallHost(of: text) { return }
        do throws(Authority.Refusal) {
            let authority = try Authority(text)
            if authority.kind == .ipv6 {
                storeLiteral(text.extracting(authority.host), context)
            } else {
                let start = context.text.count
                for index in authority.host { context.text.append(text[index].lowercased) }
                context.host = Slice(start: start, count: authority.host.count)
            }
            context.rememberHost(of: text)
        } catch {
            throw Rejection(.hostMalformed)
        }
    }

    /// RFC 5952: an IPv6 address has many spellings, of which one is looked up.
    private func storeLiteral(_ text: Span<UInt8>, _ context: RequestContext) {
        guard let address = IPAddress(parsing: text.extracting(1..<(text.count - 1))) else { return }
        let start = context.text.count
        context.text.append("[")
        context.text.append(address)
        context.text.append("]")
        context.host = Slice(start: start, count: context.text.count - start)
    }

    private func findPath(_ context: RequestContext, _ request: RequestHead) throws(Rejection) {
        // RFC 9110 §9.3.6: CONNECT is for proxies that a client chose.
        if request.form == .authority { throw Rejection(status: 501) }
        let target = request[request.pathAndQuery]
        guard let path = normaliser.store(target, in: context) else { throw Rejection(.pathMalformed) }
        context.sent = path.sent
        context.matched = path.matched
        context.isSentRewritten = path.normalised.sentIsRewritten
        if let query = path.normalised.query(inTargetOf: target.count) {
            context.hasQuery = true
            context.query = Slice(
                start: Int(request.pathAndQuery.start) + query.lowerBound, count: query.count)
        }
    }

    /// Normalises a path that was made for the destination.
    ///
    /// - Returns: false where it is refused.
    func storeDestination(_ path: Span<UInt8>, _ context: RequestContext) -> Bool {
        guard let stored = normaliser.store(path, in: context), stored.normalised.targetEnd == path.count
        else {
            return false
        }
        context.destinationSent = stored.sent
        context.destinationMatched = stored.matched
        context.isDestinationRewritten = true
        return true
    }

    // MARK: Client

    private func findClient(_ context: RequestContext, _ request: RequestHead) {
        context.client = context.peer
        guard !trust.isEmpty, let peer = context.peer, isTrusted(peer) else { return }
        if let scheme = request[.xForwardedProto], scheme.equalsIgnoringCase("https") {
            context.cameOverTLS()
        }
        guard let first = request.index(of: .xForwardedFor) else { return }
        var walk = ForwardedFor()
        for index in first..<request.lineCount {
            let line = request.line(at: index)
            guard line.isPresent, line.name == .xForwardedFor else { continue }
            walk.add(request[line.value], line: index) { text in
                IPAddress(parsing: text).map(isTrusted)
            }
        }
        guard let place = walk.client else { return }
        let value = request[request.line(at: place.line).value]
        if let client = IPAddress(parsing: value.extracting(place.range)) { context.client = client }
    }

    func isTrusted(_ address: IPAddress) -> Bool {
        for block in trust where block.contains(address) { return true }
        return false
    }

    /// Element by element, so that no two workers count references of one array.
    static func copy(_ blocks: [CIDR]) -> ContiguousArray<CIDR> {
        var copied: ContiguousArray<CIDR> = []
        for block in blocks { copied.append(block) }
        return copied
    }
}

extension PathNormaliser {
    /// Normalises the path that `target` begins with and stores both of its forms.
    ///
    /// - Returns: nil where the path is refused.
    fileprivate mutating func store(
        _ target: Span<UInt8>, in context: RequestContext
    ) -> (normalised: NormalisedPath, sent: Slice, matched: Slice)? {
        guard case .path(let path) = normalise(target) else { return nil }
        let sent = context.store(self.sent(path, of: target))
        guard path.matchedIsRewritten else { return (path, sent, sent) }
        return (path, sent, context.store(matched(path, of: target)))
    }
}
