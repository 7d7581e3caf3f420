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
            return sites.map { place($0, &slots) }
        }
    }

    /// Gives the places of sites that leave to those that come, where only some of all sites change. A site that does
    /// both keeps its place and its numbers.
    ///
    /// - Returns: the places, in the order of `coming`.
    package func exchange(_ leaving: [SiteKey], for coming: [SiteKey]) -> [SiteSlot] {
        slots.withLock { slots in
            let wanted = Set(coming)
            for site in leaving where !wanted.contains(site) {
                guard let slot = slots.bySite.removeValue(forKey: site) else { continue }
                slots.free.append(slot.index)
            }
            return coming.map { place($0, &slots) }
        }
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

    private func sum(_ slot: SiteSlot) -> SiteTotals {
        var totals = SiteTotals()
        for worker in workers { worker.add(slot, to: &totals) }
        return totals
    }
}
