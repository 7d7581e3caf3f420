/// The hosts that `hosts` lines of the machine's file give to tenants, whether these serve them yet or not.
struct GivenHosts {
    private var owners: [HostPattern: HostOwners.Owner] = [:]
    private var below: [String: HostsBelow] = [:]

    init(_ rails: GuardRails) {
        for (id, permits) in rails.own.sorted(by: { $0.key < $1.key }) {
            for given in permits.hosts where owners[given.host] == nil {
                let owner = HostOwners.Owner(id: id, position: given.position)
                owners[given.host] = owner
                given.host.visitNamesAbove { name, isDirect in
                    below[name, default: HostsBelow()].note(owner, isDirect: isDirect)
                }
            }
        }
    }

    /// Whose host this is; of several lines that cover it the closest one counts.
    func owner(of host: HostPattern) -> HostOwners.Owner? {
        if owners.isEmpty { return nil }
        if let owner = owners[host] { return owner }
        for pattern in host.patternsAbove {
            if let owner = owners[pattern] { return owner }
        }
        return owners[.any]
    }

    /// Another tenant to whom a host under a wildcard is given.
    func owner(below host: HostPattern, otherThan id: String) -> HostOwners.Owner? {
        guard host.isWildcard, let name = host.name else { return nil }
        return below[name]?.owner(isDeep: host.isDeep, otherThan: id)
    }
}

/// Who has hosts below a name that a wildcard may stand above.
struct HostsBelow {
    /// The first owner of a host one label below, and one of a host at any depth. A second tenant is kept, since the
    /// first may be who asks.
    private var direct: [HostOwners.Owner] = []
    private var deep: [HostOwners.Owner] = []

    mutating func note(_ owner: HostOwners.Owner, isDirect: Bool) {
        if isDirect { Self.note(owner, in: &direct) }
        Self.note(owner, in: &deep)
    }

    private static func note(_ owner: HostOwners.Owner, in owners: inout [HostOwners.Owner]) {
        if owners.count < 2, !owners.contains(where: { $0.id == owner.id }) { owners.append(owner) }
    }

    /// - Parameter isDeep: whether it is `**` that stands above.
    func owner(isDeep: Bool, otherThan id: String) -> HostOwners.Owner? {
        (isDeep ? deep : direct).first { $0.id != id }
    }
}

extension HostPattern {
    /// Without the stars; nil for `*`.
    var name: String? {
        switch self {
        case .exact(let name), .wildcard(let name), .deepWildcard(let name): name
        case .any: nil
        }
    }

    var isWildcard: Bool {
        switch self {
        case .wildcard, .deepWildcard: true
        case .exact, .any: false
        }
    }

    var isDeep: Bool { if case .deepWildcard = self { true } else { false } }

    /// The wildcards that cover this pattern, without itself and `*`, the closest one first.
    var patternsAbove: [HostPattern] {
        guard let name else { return [] }
        var above: [HostPattern] = isWildcard ? [.wildcard(name), .deepWildcard(name)] : []
        var rest = name[...]
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            above += [.wildcard(String(rest)), .deepWildcard(String(rest))]
        }
        return above.filter { $0 != self && $0.covers(self) }
    }

    /// Visits the names that a wildcard above this pattern may have, and whether `*` before such a name is enough.
    func visitNamesAbove(_ visit: (String, Bool) -> Void) {
        guard let name else { return }
        var depth = isWildcard ? 1 : 0
        if isWildcard { visit(name, !isDeep) }
        var rest = name[...]
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            depth += 1
            visit(String(rest), depth == 1 && !isDeep)
        }
    }
}
