/// Which hosts belong to whom.
///
/// Claims are made one file after the other; the first owner keeps a host. On each listener by itself:
/// - a host twice is a conflict, whoever claims it;
/// - a host under another tenant's wildcard is one, and so is a wildcard above another tenant's host;
/// - where a `tenants` block binds, `site *` of a tenant is one too.
///
/// A `hosts` line of the machine's file goes before all of that: what it gives is that tenant's, whoever names it first,
/// and so is the right to what is under a wildcard that another one claims. The machine's own sites are not bound by wildcards.
struct HostOwners {
    /// A host on one listener.
    struct Claim: Hashable, Sendable {
        /// Nil: the listeners without a name.
        var listener: String?
        var host: HostPattern
    }

    struct Owner: Equatable, Sendable {
        /// Empty for the machine.
        var id: String
        var position: SourcePosition
    }

    /// Why a site's claim is refused.
    struct Conflict {
        var message: String
        var position: SourcePosition
        var other: SourcePosition
        /// Whom the host belongs to.
        var owner: String
    }

    private let rails: GuardRails
    private let given: GivenHosts
    private(set) var owners: [Claim: Owner] = [:]
    /// For each name that wildcards may stand above, whose hosts are below it and how deep: what a new wildcard meets.
    private var below: [Suffix: HostsBelow] = [:]

    private struct Suffix: Hashable {
        var listener: String?
        var name: String
    }

    init(rails: GuardRails) {
        self.rails = rails
        given = GivenHosts(rails)
    }

    /// What a site claims.
    static func claims(of site: Site) -> [Claim] {
        let listeners: [String?] = site.on.isEmpty ? [nil] : site.on.map { $0 }
        return site.hosts.flatMap { host in listeners.map { Claim(listener: $0, host: host) } }
    }

    /// The conflicts of what a tenant's sites claim with what others have, without claiming anything.
    /// - Parameter wasOwned: whether the tenant had a host before: then no wildcard of another takes it away.
    func conflicts(
        of sites: [Site], id: String, wasOwned: (Claim) -> Bool = { _ in false }
    ) -> [Conflict] {
        var own: [Claim: SourcePosition] = [:]
        var found: [Conflict] = []
        for site in sites {
            for claim in Self.claims(of: site) {
                if let first = own[claim] {
                    found.append(
                        Conflict(
                            message: "the host \"\(claim.host)\" belongs to another site",
                            position: site.position,
                            other: first, owner: id))
                } else {
                    own[claim] = site.position
                    if let conflict = conflict(
                        of: claim, id: id, at: site.position, wasOwned: wasOwned(claim))
                    {
                        found.append(conflict)
                    }
                }
            }
        }
        return found
    }

    /// Claims the hosts that are free, and returns the conflicts of the others.
    mutating func claim(_ sites: [Site], of id: String) -> [Conflict] {
        let conflicts = conflicts(of: sites, id: id)
        take(sites, of: id) { _ in true }
        return conflicts
    }

    /// Notes the hosts that nobody has yet as this owner's.
    mutating func take(_ sites: [Site], of id: String, where isWanted: (Claim) -> Bool) {
        for site in sites {
            take(Self.claims(of: site), of: Owner(id: id, position: site.position), where: isWanted)
        }
    }

    /// The same for hosts of a tenant without any site: they are kept for it.
    mutating func keep(_ claims: [Claim], of id: String, file: String) {
        take(claims, of: Owner(id: id, position: .whole(file))) { _ in true }
    }

    private mutating func take(_ claims: [Claim], of owner: Owner, where isWanted: (Claim) -> Bool) {
        for claim in claims where owners[claim] == nil && isWanted(claim) {
            guard owner.id.isEmpty || (given.owner(of: claim.host).map { $0.id == owner.id } ?? true) else {
                continue
            }
            owners[claim] = owner
            if !owner.id.isEmpty { note(claim, owner) }
        }
    }

    private mutating func note(_ claim: Claim, _ owner: Owner) {
        claim.host.visitNamesAbove { name, isDirect in
            let suffix = Suffix(listener: claim.listener, name: name)
            below[suffix, default: HostsBelow()].note(owner, isDirect: isDirect)
        }
    }

    // MARK: - Conflicts

    private func conflict(
        of claim: Claim, id: String, at position: SourcePosition, wasOwned: Bool
    ) -> Conflict? {
        if let owner = owners[claim], owner.id != id {
            return Conflict(
                message: "the host \"\(claim.host)\" belongs to another site", position: position,
                other: owner.position, owner: owner.id)
        }
        guard !id.isEmpty else { return nil }
        if let given = given.owner(of: claim.host) {
            if given.id == id { return nil }
            return Conflict(
                message: "the host \"\(claim.host)\" is given to the tenant \"\(given.id)\"",
                position: position,
                other: given.position, owner: given.id)
        }
        if claim.host == .any {
            guard let block = rails.common?.position else { return nil }
            return Conflict(
                message: "\"*\" is no tenant's unless the machine's file gives it: tenant \(id) { hosts * }",
                position: position, other: block, owner: "")
        }
        if wasOwned { return nil }
        return conflictAbove(claim, id: id, at: position) ?? conflictBelow(claim, id: id, at: position)
    }

    /// Another tenant's wildcard above.
    private func conflictAbove(_ claim: Claim, id: String, at position: SourcePosition) -> Conflict? {
        for pattern in claim.host.patternsAbove {
            guard let owner = owners[Claim(listener: claim.listener, host: pattern)], owner.id != id,
                !owner.id.isEmpty
            else { continue }
            return Conflict(
                message: "the host \"\(claim.host)\" is under \"\(pattern)\" of the tenant \"\(owner.id)\"",
                position: position, other: owner.position, owner: owner.id)
        }
        return nil
    }

    /// Another tenant's host below, or one that is given to another.
    private func conflictBelow(_ claim: Claim, id: String, at position: SourcePosition) -> Conflict? {
        guard claim.host.isWildcard, let name = claim.host.name else { return nil }
        let below = below[Suffix(listener: claim.listener, name: name)]
        if let owner = below?.owner(isDeep: claim.host.isDeep, otherThan: id) {
            return Conflict(
                message: "\"\(claim.host)\" is above a host of the tenant \"\(owner.id)\"",
                position: position,
                other: owner.position, owner: owner.id)
        }
        guard let owner = given.owner(below: claim.host, otherThan: id) else { return nil }
        return Conflict(
            message: "\"\(claim.host)\" is above a host that is given to the tenant \"\(owner.id)\"",
            position: position, other: owner.position, owner: owner.id)
    }
}
