/// Who has which host.
extension LiveConfiguration {
    /// Refuses versions that claim hosts of others, until nobody does.
    func settleHosts(_ round: inout Round) {
        guard !claimsAreAsBefore(round) else { return }
        // Each time somebody goes back to an older version or to none, so this ends.
        for _ in 0...(2 * round.order.count) {
            var owners = HostOwners(rails: round.machine.rails)
            _ = owners.claim(round.machine.sites, of: "")
            keepRemembered(round, &owners)
            let isSettled = refuseConflicts(&round, &owners)
            if isSettled {
                round.remembered = [:]
                for (claim, owner) in owners.owners where !owner.id.isEmpty {
                    pause()
                    round.remembered[claim] = owner.id
                }
                return
            }
        }
    }

    /// Gives every tenant what it had before: where it serves, as far as it still names it; where it does not, all of
    /// it, since nobody has said that it is given up.
    private func keepRemembered(_ round: Round, _ owners: inout HostOwners) {
        let remembered = round.remembered
        var absent: [String: [HostOwners.Claim]] = [:]
        for id in round.order where round.wanted[id] == nil { absent[id] = [] }
        if !absent.isEmpty {
            for (claim, id) in remembered { absent[id]?.append(claim) }
        }
        for id in round.order {
            pause()
            if let version = round.wanted[id] {
                owners.take(version.sites.map(\.site), of: id) { remembered[$0] == id }
            } else if let claims = absent[id], let file = round.tenants[id]?.file.name {
                owners.keep(claims, of: id, file: file)
            }
        }
    }

    /// Whether nothing has changed that decides who has which host.
    private func claimsAreAsBefore(_ round: Round) -> Bool {
        guard world.configuration != nil, round.machine.rails == world.rails, round.order == world.order,
            round.machine.sites == world.machineSites.map(\.site)
        else { return false }
        return round.order.allSatisfy { id in
            pause()
            guard let old = world.tenants[id], old.conflicts.isEmpty else { return false }
            return old.served?.claims == round.wanted[id]?.claims
        }
    }

    private func refuseConflicts(_ round: inout Round, _ owners: inout HostOwners) -> Bool {
        let remembered = round.remembered
        var isSettled = true
        for id in round.order {
            pause()
            guard let version = round.wanted[id], var tenant = round.tenants[id] else { continue }
            let sites = version.sites.map(\.site)
            let conflicts = owners.conflicts(of: sites, id: id) { remembered[$0] == id }
            if conflicts.isEmpty {
                owners.take(sites, of: id) { _ in true }
                continue
            }
            isSettled = false
            let isCandidate = version === tenant.candidate
            let text = isCandidate ? version.bundle.source : []
            tenant.conflicts += conflicts.map { Self.diagnostic($0, text) }
            let older = isCandidate ? fallback(&tenant, round) : nil
            round.wanted[id] = older === version ? nil : older
            round.tenants[id] = tenant
        }
        return isSettled
    }

    private static func diagnostic(_ conflict: HostOwners.Conflict, _ text: [UInt8]) -> Diagnostic {
        let source = SourceFile(name: conflict.position.file, directory: "/", bytes: text)
        return Diagnostic(
            .error, at: conflict.position, conflict.message, other: conflict.other,
            sourceLine: text.isEmpty ? nil : source.line(conflict.position.line), length: 4)
    }
}
