/// Which site has which host: each once on the unnamed listeners, and once on each named one.
struct HostClaims {
    private struct Claim: Hashable {
        var listener: String?
        var host: HostPattern
    }

    private var owners: [Claim: SourcePosition] = [:]

    /// Claims a site's hosts.
    /// - Returns: the hosts that another site has already, each with that site's place.
    mutating func claim(_ site: Site) -> [(host: HostPattern, first: SourcePosition)] {
        let listeners: [String?] = site.on.isEmpty ? [nil] : site.on.map { $0 }
        var conflicts: [(host: HostPattern, first: SourcePosition)] = []
        for host in site.hosts {
            for listener in listeners {
                let claim = Claim(listener: listener, host: host)
                if let owner = owners[claim] {
                    conflicts.append((host, owner))
                    break
                }
                owners[claim] = site.position
            }
        }
        return conflicts
    }
}
