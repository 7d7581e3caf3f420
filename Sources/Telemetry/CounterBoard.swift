internal import Synchronization

/// All workers' counters, and which site counts where.
///
/// A site that stays over a reload keeps its slot and its numbers. The slot of one that went is given to the
/// next new site, which begins at zero: what the slot held by then is remembered and taken off.
package final class CounterBoard: Sendable {
    private struct Slots {
        var bySite: [SiteKey: SiteSlot] = [:]
        var free: [Int] = []
        var used = 0
        /// By slot; what it held when its site came.
        var before: [SiteTotals] = []
        var routes = SlotTable<RouteName>(slotsMax: RouteSlot.slotsMax)
        var endpoints = SlotTable<String>(slotsMax: EndpointSlot.slotsMax)
    }

    /// A route of a site, as it was written; empty for the requests that no route of it serves.
    private struct RouteName: Hashable {
        var site: SiteKey
        var route: String
    }

    private let workers: [Counters]
    private let slots = Mutex(Slots())

    package init(workers: Int) {
        self.workers = (0..<workers).map { _ in Counters() }
    }

    /// The counters of one worker, which alone counts there.
    package func counters(ofWorker index: Int) -> Counters { workers[index] }

    /// Gives each site of a new configuration its place: the one that it had, a free one, or the shared one.
    ///
    /// - Returns: the places, in the order of `sites`.
    package func assign(_ sites: [SiteKey]) -> [SiteSlot] {
        slots.withLock { slots in
            let wanted = Set(sites)
            for (site, slot) in slots.bySite where !wanted.contains(site) {
                slots.bySite[site] = nil
                slots.free.append(slot.index)
            }
            slots.routes.removeAll { !wanted.contains($0.site) }
            return sites.map { place($0, &slots) }
        }
    }

    /// Gives the places of sites that leave to those that come, where only some of all sites change. A site that does
    /// both keeps its place and its numbers.
    ///
    /// - Returns: the places, in the order of `coming`.
    package func exchange(_ leaving: [SiteKey], for coming: [SiteKey]) -> [SiteSlot] {
        slots.withLock { slots in
            let gone = Set(leaving).subtracting(coming)
            for site in gone {
                guard let slot = slots.bySite.removeValue(forKey: site) else { continue }
                slots.free.append(slot.index)
            }
            if !gone.isEmpty { slots.routes.removeAll { gone.contains($0.site) } }
            return coming.map { place($0, &slots) }
        }
    }

    // MARK: Routes and endpoints

    /// The places of a site's routes, in the order of `routes`; equal texts share one. A site without counters of
    /// its own has none for its routes either.
    ///
    /// It is asked for when a worker first needs a site, so that sites nobody asks for take no place.
    package func routeSlots(of site: SiteKey, _ routes: [String]) -> [RouteSlot] {
        slots.withLock { slots in
            guard slots.bySite[site] != nil else { return routes.map { _ in .shared } }
            let wanted = Set(routes)
            slots.routes.removeAll { $0.site == site && !wanted.contains($0.route) }
            return routes.map { route in
                let index = slots.routes.place(RouteName(site: site, route: route)) {
                    sum(RouteSlot(index: $0))
                }
                return index.map(RouteSlot.init) ?? .shared
            }
        }
    }

    /// The place of an endpoint, for one more user of it.
    package func acquireEndpoint(_ name: String) -> EndpointSlot {
        slots.withLock { slots in
            slots.endpoints.acquire(name) { sum(EndpointSlot(index: $0)) }.map(EndpointSlot.init) ?? .shared
        }
    }

    /// A user of an endpoint goes. It keeps its place and its numbers until another endpoint needs the place.
    package func releaseEndpoint(_ name: String) {
        slots.withLock { $0.endpoints.release(name) }
    }

    // MARK: Reading

    /// What was counted for each site with counters of its own, and for the others together.
    package func sites() -> [SiteFigures] {
        // Only the names are copied under the lock, since workers take it.
        let (bySite, before) = slots.withLock { ($0.bySite, $0.before) }
        var all = bySite.map { SiteFigures(site: $0, totals: sum($1).since(before[$1.index])) }
        all.sort {
            ($0.site?.tenant ?? "", $0.site?.name ?? "") < ($1.site?.tenant ?? "", $1.site?.name ?? "")
        }
        return all + [SiteFigures(site: nil, totals: sum(.shared))]
    }

    /// What was counted for each route with counters of its own, and for the others together.
    package func routes() -> [RouteFigures] {
        let entries = slots.withLock { $0.routes.entries }
        var all = entries.map { entry in
            RouteFigures(
                site: entry.name.site, route: entry.name.route,
                cells: sum(RouteSlot(index: entry.index)).less(entry.before))
        }
        all.sort { $0.order < $1.order }
        return all + [RouteFigures(site: nil, route: "", cells: sum(RouteSlot.shared))]
    }

    /// What was counted for each endpoint with counters of its own, and for the others together.
    package func endpoints() -> [EndpointFigures] {
        let entries = slots.withLock { $0.endpoints.entries }
        var all = entries.map { entry in
            EndpointFigures(name: entry.name, cells: sum(EndpointSlot(index: entry.index)).less(entry.before))
        }
        all.sort { ($0.name ?? "") < ($1.name ?? "") }
        return all + [EndpointFigures(name: nil, cells: sum(EndpointSlot.shared))]
    }

    /// The sum over all workers.
    package func totals() -> CounterTotals {
        var totals = CounterTotals()
        for worker in workers { worker.add(to: &totals) }
        return totals
    }

    /// A site's sum over all workers; nil where it has no counters of its own.
    package func totals(of site: SiteKey) -> SiteTotals? {
        slots.withLock { slots in
            guard let slot = slots.bySite[site] else { return nil }
            return sum(slot).since(slots.before[slot.index])
        }
    }

    /// The sum of all sites without counters of their own.
    package func sharedTotals() -> SiteTotals { sum(.shared) }

    private func place(_ site: SiteKey, _ slots: inout Slots) -> SiteSlot {
        if let slot = slots.bySite[site] { return slot }
        let slot: SiteSlot
        if let index = slots.free.popLast() {
            slot = SiteSlot(index: index)
            slots.before[index] = sum(slot)
        } else if slots.used < SiteSlot.slotsMax {
            slot = SiteSlot(index: slots.used)
            slots.used += 1
            slots.before.append(SiteTotals())
        } else {
            return .shared
        }
        slots.bySite[site] = slot
        return slot
    }

    private func sum(_ slot: RouteSlot) -> [UInt64] {
        var sums = [UInt64](repeating: 0, count: Counters.Base.routeStride)
        for worker in workers { worker.add(slot, to: &sums) }
        return sums
    }

    private func sum(_ slot: EndpointSlot) -> [UInt64] {
        var sums = [UInt64](repeating: 0, count: Counters.Base.endpointStride)
        for worker in workers { worker.add(slot, to: &sums) }
        return sums
    }

    private func sum(_ slot: SiteSlot) -> SiteTotals {
        var totals = SiteTotals()
        for worker in workers { worker.add(slot, to: &totals) }
        return totals
    }
}
