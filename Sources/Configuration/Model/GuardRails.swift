package import ChimeraBytes

/// What the machine's file lets the tenants' files do: its `tenants` block and its `tenant ID` blocks.
package struct GuardRails: Sendable, Equatable {
    /// Of every tenant. Nil: there is no `tenants` block, so the files are the operator's own and no verb, path or
    /// address is refused to them.
    package var common: Permits?
    /// What `tenant ID` adds, by id.
    package var own: [String: Permits] = [:]

    package init() {}

    /// What counts for one tenant; nil where nothing binds it.
    func permits(of id: String) -> Permits? {
        guard let own = own[id] else { return common }
        guard let common else {
            // Without a `tenants` block only what the tenant's own block bounds counts.
            guard own.hasLimits else { return nil }
            var bounds = own
            bounds.bindsVerbs = false
            return bounds
        }
        return common.adding(own)
    }
}

/// The content of a `tenants` or `tenant` block.
package struct Permits: Sendable, Equatable {
    package struct GivenHost: Sendable, Equatable {
        package var host: HostPattern
        package var position: SourcePosition
    }

    /// Of the block.
    package var position: SourcePosition
    /// Whether verbs, paths, addresses and the environment are bound; a `tenant` block alone bounds limits only.
    package var bindsVerbs = true
    /// The verbs that are permitted beyond `redirect` and `respond`.
    package var verbs: Set<String> = []
    /// `under=`: absolute paths.
    package var under: [String] = []
    /// `to=` with addresses: where connections may lead.
    package var addresses: [CIDR] = []
    /// `to=unix:/path`
    package var sockets: Set<String> = []
    /// `permit env NAME`
    package var environment: Set<String> = []
    /// `hosts` of a `tenant` block.
    package var hosts: [GivenHost] = []
    /// The most that a tenant may set, in bytes; nil: no bound.
    package var limitBody: Int64?
    package var limitHead: Int64?
    /// What counts over all sites of a tenant, beside what it sets for itself.
    package var requestLimits: [RequestLimit] = []
    package var connectionLimits: [ConnectionLimit] = []

    package init(position: SourcePosition) { self.position = position }

    /// Whether there is any bound on what requests take.
    var hasLimits: Bool {
        limitBody != nil || limitHead != nil || !requestLimits.isEmpty || !connectionLimits.isEmpty
    }

    /// Verbs that need no permit.
    static let free: Set<String> = ["redirect", "respond"]

    func adding(_ own: Permits) -> Permits {
        var sum = self
        sum.verbs.formUnion(own.verbs)
        sum.under += own.under
        sum.addresses += own.addresses
        sum.sockets.formUnion(own.sockets)
        sum.environment.formUnion(own.environment)
        sum.hosts = own.hosts
        sum.limitBody = own.limitBody ?? limitBody
        sum.limitHead = own.limitHead ?? limitHead
        if !own.requestLimits.isEmpty { sum.requestLimits = own.requestLimits }
        if !own.connectionLimits.isEmpty { sum.connectionLimits = own.connectionLimits }
        return sum
    }

    /// Where connections may lead; nil: to any address.
    var reach: [CIDR]? { bindsVerbs && !addresses.isEmpty ? addresses : nil }
}

extension HostPattern {
    /// Whether every host that fits `other` fits this pattern as well, by the form of the two.
    func covers(_ other: HostPattern) -> Bool {
        if self == other { return true }
        switch (self, other) {
        case (.any, _): return true
        case (.wildcard, .exact(let name)), (.deepWildcard, .exact(let name)): return matches(name)
        case (.deepWildcard(let suffix), .wildcard(let name)),
            (.deepWildcard(let suffix), .deepWildcard(let name)):
            return name == suffix || matches(name)
        default: return false
        }
    }
}
