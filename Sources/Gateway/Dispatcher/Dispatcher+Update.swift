internal import ChimeraConfiguration

/// A change of configuration, in pieces that are each as small as one site.
///
/// ```
/// begin ── the table and the machine's settings, at once
/// step  ── one changed site: what was made of it makes way
///          one old site: a part of it is freed
/// ```
/// A site that was replaced stays until the next one is compiled at the first request, or for half a minute, which is
/// how long its unused connections live anyway.
extension Dispatcher {
    /// Another configuration counts from now on. Requests under way keep the site that they have. Listeners have to ask
    /// for their number again, and `step` has to be called until it is done.
    func begin(_ new: Snapshot) {
        let old = snapshot
        snapshot = new
        table = new.directory.table
        if old.configuration.trust != new.configuration.trust {
            trust = Dispatcher.copy(new.configuration.trust)
        }
        if old.configuration.settings != new.configuration.settings {
            let next = SiteParts(parts)
            machineSettings = CompiledSettings(new.configuration.settings, next)
            machineParts = next
        }
        if sites.count < new.places.count {
            sites.append(contentsOf: repeatElement(nil, count: new.places.count - sites.count))
        }
        pending.append(new)
    }

    /// Whether a change waits to be carried on.
    var hasPendingSteps: Bool { !pending.isEmpty || !retired.isEmpty }

    /// Takes one small step of a change.
    func step() {
        if let change = pending.first {
            if pendingIndex < change.changed.count {
                replace(change.changed[pendingIndex])
                pendingIndex += 1
            } else {
                pending.removeFirst()
                pendingIndex = 0
            }
        } else if var site = retired.popLast() {
            // Where a request still has it, that one frees it.
            if isKnownUniquelyReferenced(&site), !site.dismantle() { retired.append(site) }
        }
    }

    /// The whole of a change at once.
    func update(to new: Snapshot) {
        begin(new)
        while hasPendingSteps { step() }
    }

    /// Lets go of sites that were replaced before that time and that nobody has asked for since.
    /// - Returns: whether there are some left.
    func forgetPredecessors(before time: UInt64) -> Bool {
        for (number, predecessor) in predecessors where predecessor.since < time {
            predecessors[number] = nil
            retired.append(predecessor.site)
        }
        return !predecessors.isEmpty
    }

    private func replace(_ number: Int) {
        guard let site = sites[number] else { return }
        sites[number] = nil
        guard let place = snapshot.places[number], place.site.site.tenant == site.source.tenant else {
            if let older = predecessors.removeValue(forKey: number) { retired.append(older.site) }
            return retired.append(site)
        }
        if let older = predecessors.updateValue(Predecessor(site: site, since: clock()), forKey: number) {
            retired.append(older.site)
        }
    }

    /// What a worker makes of a site when it first needs it.
    func compile(_ number: Int) -> CompiledSite? {
        guard let place = snapshot.places[number] else { return nil }
        let site = CompiledSite(place.site.site, slot: place.slot, parts)
        sites[number] = site
        if let older = predecessors.removeValue(forKey: number) {
            retired.append(older.site)
            hasRetired?()
        }
        return site
    }
}

/// A site whose successor was not asked for yet.
struct Predecessor {
    let site: CompiledSite
    /// In the dispatcher's clock.
    let since: UInt64
}
