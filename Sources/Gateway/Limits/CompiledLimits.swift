internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore

/// What all workers count limits in.
final class LimitTables: Sendable {
    let rates = RateTable()
    let places = PlaceTable()
}

/// By what a limit counts, in the form in which one worker asks.
struct CompiledLimitKey {
    private enum Source {
        case everything
        case client
        case user
        case site
        case header([UInt8])
    }

    private let source: Source
    /// Tells the limit from all others; the same on every worker of the process, and unknown outside of it.
    private let seed: Int

    /// - Parameters:
    ///   - site: whose limit it is; nil for one that counts over all sites.
    ///   - ofTenant: it counts over all sites of the site's tenant.
    ///   - identity: what tells it from the others of the site, or of all sites.
    init(_ key: LimitKey, of site: Site?, ofTenant: Bool, _ identity: LimitIdentities.Identity?) {
        switch key {
        case .everything: source = .everything
        case .client: source = .client
        case .user: source = .user
        case .site: source = .site
        case .header(let name): source = .header(Array(name.utf8))
        }
        seed = Self.seed(key, tenant: site?.tenant, site: ofTenant ? nil : site?.name, identity)
    }

    /// By what `limit sessions` counts: all routes of the site together.
    init(_ key: LimitKey, sessionsOf site: Site) {
        self.init(key, of: site, ofTenant: false, nil)
    }

    private static func seed(
        _ key: LimitKey, tenant: String?, site: String?, _ identity: LimitIdentities.Identity?
    ) -> Int {
        var hasher = Hasher()
        // What counts by clients counts in another place than what counts by users, also for who is neither.
        hasher.combine(key)
        hasher.combine(tenant)
        hasher.combine(site)
        hasher.combine(identity)
        return hasher.finalize()
    }

    /// The numbers by which a session is counted whose request is gone: that of its site, and those of its client and its
    /// user, as far as they are known.
    ///
    /// - Parameters:
    ///   - client: nil where nobody knows any more; `.some(nil)` for a Unix socket's.
    ///   - user: empty for nobody.
    static func numbers(
        ofSessionOf site: String, of tenant: String, client: IPAddress??, user: String
    ) -> [UInt64] {
        func number(_ key: LimitKey, _ combine: (inout Hasher) -> Void) -> UInt64 {
            Self.number(seed(key, tenant: tenant, site: site, nil), combine)
        }
        var found = [number(.everything) { _ in }]
        if let client { found.append(number(.client) { combine(client, into: &$0) }) }
        if !user.isEmpty {
            let bytes = Array(user.utf8)
            found.append(number(.user) { hasher in bytes.withUnsafeBytes { hasher.combine(bytes: $0) } })
        }
        return found
    }

    private static func number(_ seed: Int, _ combine: (inout Hasher) -> Void) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(seed)
        combine(&hasher)
        return UInt64(bitPattern: Int64(hasher.finalize())) | 1 << 63
    }

    /// The number that stands for what the request is counted by; never 0.
    func number(_ context: RequestContext, _ request: RequestHead) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(seed)
        switch source {
        case .everything: break
        case .client: CompiledLimitKey.combine(context.client, into: &hasher)
        case .user: context[context.user].withUnsafeBytes { hasher.combine(bytes: $0) }
        case .site:
            if let site = context.site {
                for byte in site.tenant { hasher.combine(byte) }
                hasher.combine(UInt8(0))
                for byte in site.name { hasher.combine(byte) }
            }
        case .header(let name):
            if let index = request.index(ofName: name.span) {
                request[request.line(at: index).value].withUnsafeBytes { hasher.combine(bytes: $0) }
            }
        }
        return UInt64(bitPattern: Int64(hasher.finalize())) | 1 << 63
    }

    /// The number that stands for a peer.
    func number(ofPeer peer: IPAddress) -> UInt64 {
        CompiledLimitKey.number(seed) { CompiledLimitKey.combine(peer, into: &$0) }
    }

    /// Of an IPv6 address the first half, since a client has the other half to itself.
    private static func combine(_ client: IPAddress?, into hasher: inout Hasher) {
        guard let client else { return hasher.combine(UInt8(0)) }
        if let v4 = client.v4 { hasher.combine(v4) } else { hasher.combine(client.high) }
    }
}

/// `limit requests` in the form in which one worker asks.
struct CompiledRequestLimit {
    let rate: TokenRate
    let key: CompiledLimitKey

    init(_ limit: RequestLimit, of site: Site?, _ identities: LimitIdentities) {
        rate = TokenRate(limit.rate, burst: limit.burst)
        key = CompiledLimitKey(
            limit.key, of: limit.isOfMachine ? nil : site, ofTenant: limit.isOfTenant,
            identities[limit])
    }
}

/// `limit connections` in the form in which one worker asks.
struct CompiledConnectionLimit {
    let count: Int
    let key: CompiledLimitKey

    init(_ limit: ConnectionLimit, of site: Site?, _ identities: LimitIdentities) {
        count = limit.count
        key = CompiledLimitKey(
            limit.key, of: limit.isOfMachine ? nil : site, ofTenant: limit.isOfTenant,
            identities[limit])
    }
}

/// What `limit connections` of the machine's file says of connections themselves.
struct MachineConnectionLimits {
    /// Connections at once; nil: only descriptors bound them.
    let connectionsMax: Int?
    /// For each client's address.
    let perClient: ContiguousArray<CompiledConnectionLimit>

    /// None.
    init() {
        connectionsMax = nil
        perClient = []
    }

    init(_ limits: [ConnectionLimit], _ identities: LimitIdentities) {
        let own = limits.filter { !$0.countsRequests }
        connectionsMax = own.filter { $0.key == .everything }.map(\.count).min()
        perClient = ContiguousArray(
            own.filter { $0.key == .client }.map { CompiledConnectionLimit($0, of: nil, identities) })
    }
}
