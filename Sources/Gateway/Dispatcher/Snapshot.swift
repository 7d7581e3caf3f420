internal import ChimeraConfiguration
internal import ChimeraTelemetry

/// A configuration as all workers share it: nothing in it changes, and no request counts references of it.
///
/// A site has a number for as long as it is in service, also when another version of it takes its place: workers keep
/// what they made of it under that number, and are told which numbers hold something else now.
final class Snapshot: Sendable {
    /// What stands under a number.
    struct Place: Sendable {
        let site: SharedSite
        /// Where the site's requests are counted.
        let slot: SiteSlot
    }

    let configuration: MachineConfiguration
    let directory: SiteDirectory
    /// Where routes to an embedded handler lead; the same in every snapshot of a gateway.
    let handler: (any Handler)?
    /// By number; nil: the number is free.
    let places: ContiguousArray<Place?>
    /// The numbers that held another site in the snapshot before, or none.
    let changed: [Int]

    init(
        _ configuration: MachineConfiguration, directory: SiteDirectory, handler: (any Handler)?,
        places: ContiguousArray<Place?>, changed: [Int]
    ) {
        self.configuration = configuration
        self.directory = directory
        self.handler = handler
        self.places = places
        self.changed = changed
    }
}

/// Makes one snapshot after the other, off the workers.
struct SnapshotSequence {
    private let handler: (any Handler)?
    private let counters: CounterBoard?
    private(set) var latest: Snapshot?
    private var numbers: [ObjectIdentifier: Int] = [:]
    private var free: [Int] = []
    /// Numbers that are free as soon as every worker has let go of what was there.
    private var leaving: [Int] = []

    init(handler: (any Handler)? = nil, counters: CounterBoard? = nil) {
        self.handler = handler
        self.counters = counters
    }

    /// What a version of a site is known by to the next one.
    private struct Name: Hashable {
        let tenant: String
        let name: String
        let on: [String]

        init(_ site: Site) {
            tenant = site.tenant
            name = site.name
            on = site.on
        }
    }

    /// Every worker is done with the change to the latest snapshot.
    mutating func workersAreDone() {
        free += leaving
        leaving = []
    }

    /// The next snapshot. What is the same in it, by identity or by content, keeps its number and is no change.
    ///
    /// - Parameter pause: called between sites.
    mutating func next(_ configuration: MachineConfiguration, pause: () -> Void = {}) -> Snapshot {
        var configuration = configuration
        let old = latest?.places ?? []
        var isKept = [Bool](repeating: false, count: old.count)
        var fresh: [Int] = []
        for (index, site) in configuration.sites.enumerated() {
            pause()
            if let number = numbers[ObjectIdentifier(site)], !isKept[number] {
                isKept[number] = true
            } else {
                fresh.append(index)
            }
        }
        var gone: [Name: [Int]] = [:]
        for number in old.indices.reversed() where !isKept[number] {
            if let place = old[number] { gone[Name(place.site.site), default: []].append(number) }
        }
        var places = old
        var changed: [Int] = []
        var coming: [(number: Int, index: Int)] = []
        for index in fresh {
            pause()
            let site = configuration.sites[index]
            if let number = gone[Name(site.site)]?.popLast(), let place = old[number] {
                if place.site == site {
                    configuration.sites[index] = place.site
                    continue
                }
                replace(number, by: site, slot: place.slot, &places)
                changed.append(number)
            } else {
                coming.append((take(&places), index))
            }
        }
        let removed = gone.values.flatMap(\.self).sorted()
        let slots = assign(removed.compactMap { old[$0]?.site }, coming.map { configuration.sites[$0.index] })
        for number in removed { release(number, &places) }
        for ((number, index), slot) in zip(coming, slots) {
            pause()
            replace(number, by: configuration.sites[index], slot: slot, &places)
        }
        changed += removed + coming.map(\.number)
        let snapshot = Snapshot(
            configuration,
            directory: directory(places, sessions(configuration.listeners, places), changed, pause),
            handler: handler, places: places,
            changed: changed.sorted())
        latest = snapshot
        return snapshot
    }

    private mutating func take(_ places: inout ContiguousArray<Snapshot.Place?>) -> Int {
        if let number = free.popLast() { return number }
        places.append(nil)
        return places.count - 1
    }

    private mutating func release(_ number: Int, _ places: inout ContiguousArray<Snapshot.Place?>) {
        if let place = places[number] { numbers[ObjectIdentifier(place.site)] = nil }
        places[number] = nil
        leaving.append(number)
    }

    private mutating func replace(
        _ number: Int, by site: SharedSite, slot: SiteSlot, _ places: inout ContiguousArray<Snapshot.Place?>
    ) {
        if let before = places[number] { numbers[ObjectIdentifier(before.site)] = nil }
        places[number] = Snapshot.Place(site: site, slot: slot)
        numbers[ObjectIdentifier(site)] = number
    }

    private func assign(_ leaving: [SharedSite], _ coming: [SharedSite]) -> [SiteSlot] {
        guard let counters else { return coming.map { _ in .shared } }
        func key(_ site: SharedSite) -> SiteKey { SiteKey(tenant: site.site.tenant, name: site.site.name) }
        return counters.exchange(leaving.map(key), for: coming.map(key))
    }

    /// Where `listen … session=` leads.
    private func sessions(
        _ listeners: [Listener], _ places: ContiguousArray<Snapshot.Place?>
    ) -> [SessionAddress: Int] {
        var found: [SessionAddress: Int] = [:]
        for case let session? in listeners.map(\.session) where found[session] == nil {
            found[session] = places.firstIndex { $0.map { session.leads(to: $0.site.site) } ?? false }
        }
        return found
    }

    /// The same table as before where every host leads to the same number.
    private func directory(
        _ places: ContiguousArray<Snapshot.Place?>, _ sessions: [SessionAddress: Int], _ changed: [Int],
        _ pause: () -> Void
    ) -> SiteDirectory {
        if let latest, latest.directory.sessions == sessions {
            let isSame = changed.allSatisfy { number in
                let before = latest.places.indices.contains(number) ? latest.places[number]?.site.site : nil
                let after = places[number]?.site.site
                return before?.hosts == after?.hosts && before?.on == after?.on
            }
            if isSame { return latest.directory }
        }
        return SiteDirectory(places.map { $0?.site }, sessions: sessions, pause: pause)
    }
}
