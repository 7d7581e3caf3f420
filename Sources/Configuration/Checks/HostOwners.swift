/// Which hosts belong to whom.
///
/// Claims are made one file after the other; the first owner keeps a host. On each listener by itself:
/// - a host twice is a conflict, whoever claims it;
/// - a host under another tenant's wildcard is one, and so is a wildcard above another tenant's host;
/// - where a `tenants` block binds, `site *` of a tenant is one too.
///
/// A `hosts` line of the machine's file goes before all of that. The machine's own sites are not bound by wildcards.
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
    private(set) var owners: [Claim: Owner] = [:]
    /// For each name that wildcards may stand above, whose hosts are below it and how deep: what a new wildcard meets.
    private var below: [Suffix: Below] = [:]

    private struct Suffix: Hashable {
        var listener: String?
        var name: String
    }

    private struct Below {
        /// The first owner of a host one label below, and one of a host at any depth. A second tenant is kept, since
        /// the first may be who asks.
        var direct: [Owner] = []
        var deep: [Owner] = []

        static func note(_ owner: Owner, in owners: inout [Owner]) {
            if owners.count < 2, !owners.contains(where: { $0.id == owner.id }) { owners.append(owner) }
        }
    }

    init(rails: GuardRails) { self.rails = rails }

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
            let owner = Owner(id: id, position: site.position)
            for claim in Self.claims(of: site) where owners[claim] == nil && isWanted(claim) {
                owners[claim] = owner
                if !id.isEmpty { note(claim, owner) }
            }
        }
    }

    private mutating func note(_ claim: Claim, _ owner: Owner) {
        guard let name = claim.host.name else { return }
        var depth = claim.host.isWildcard ? 1 : 0
        var rest = name[...]
        if claim.host.isWildcard { noteBelow(rest, claim, owner, depth: depth) }
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            depth += 1
            noteBelow(rest, claim, owner, depth: depth)
        }
    }

    private mutating func noteBelow(_ name: Substring, _ claim: Claim, _ owner: Owner, depth: Int) {
        let suffix = Suffix(listener: claim.listener, name: String(name))
        if depth == 1, !claim.host.isDeep { Below.note(owner, in: &below[suffix, default: Below()].direct) }
        Below.note(owner, in: &below[suffix, default: Below()].deep)
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
        if let given = rails.owner(of: claim.host) {
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
        guard let name = claim.host.name else { return nil }
        var above: [HostPattern] = claim.host.isWildcard ? [.deepWildcard(name), .wildcard(name)] : []
        var rest = name[...]
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            above += [.wildcard(String(rest)), .deepWildcard(String(rest))]
        }
        for pattern in above where pattern != claim.host && pattern.covers(claim.host) {
            guard let owner = owners[Claim(listener: claim.listener, host: pattern)], owner.id != id,
                !owner.id.isEmpty
            else { continue }
            return Conflict(
                message: "the host \"\(claim.host)\" is under \"\(pattern)\" of the tenant \"\(owner.id)\"",
                position: position, other: owner.position, owner: owner.id)
        }
        return nil
    }

    /// Another tenant's host below.
    private func conflictBelow(_ claim: Claim, id: String, at position: SourcePosition) -> Conflict? {
        guard claim.host.isWildcard, let name = claim.host.name,
            let below = below[Suffix(listener: claim.listener, name: name)]
        else { return nil }
        guard let owner = (claim.host.isDeep ? below.deep : below.direct).first(where: { $0.id != id }) else {
            return nil
        }
        return Conflict(
            message: "\"\(claim.host)\" is above a host of the tenant \"\(owner.id)\"", position: position,
            other: owner.position, owner: owner.id)
    }
}

extension HostPattern {
    /// Without the stars; nil for `*`.
    fileprivate var name: String? {
        switch self {
        case .exact(let name), .wildcard(let name), .deepWildcard(let name): name
        case .any: nil
        }
    }

    fileprivate var isWildcard: Bool {
        switch self {
        case .wildcard, .deepWildcard: true
        case .exact, .any: false
        }
    }

    fileprivate var isDeep: Bool { if case .deepWildcard = self { true } else { false } }
}
