internal import ChimeraBytes
internal import ChimeraConfiguration

/// The listeners that share a `name=`, as a small number; those without a name share number 0.
struct ListenerID: Equatable, Hashable, Sendable {
    let rawValue: UInt32

    /// The listeners without a name, on which sites without `on` answer.
    static let unnamed = ListenerID(rawValue: 0)
}

/// Which site answers to which host: immutable, made once for each configuration and shared by all workers.
///
/// Workers read `table`, a plain value of pointers, so that no lookup counts references of an object that
/// other cores count as well. Whoever keeps the table keeps the directory.
final class SiteDirectory: Sendable {
    let table: SiteTable
    private let listeners: [String: ListenerID]
    /// The sites to which `listen … session=` leads, by their numbers.
    let sessions: [SessionAddress: Int]

    /// - Parameters:
    ///   - sites: by number; of a host that two of them claim on one listener, the first has it.
    ///   - sessions: the sites to which `listen … session=` leads.
    ///   - seed: what the places in the table depend on, so that nobody can choose hosts that share one.
    ///   - pause: called between sites.
    init(
        _ sites: [SharedSite?], sessions: [SessionAddress: Int] = [:],
        seed: UInt64 = .random(in: 0 ... .max), pause: () -> Void = {}
    ) {
        self.sessions = sessions
        var listeners: [String: ListenerID] = [:]
        for site in sites {
            for name in site?.site.on ?? [] where listeners[name] == nil {
                listeners[name] = ListenerID(rawValue: UInt32(listeners.count + 1))
            }
        }
        for session in sessions.keys {
            listeners[Self.name(ofSession: session)] = ListenerID(rawValue: UInt32(listeners.count + 1))
        }
        self.listeners = listeners
        var builder = SiteTable.Builder(listeners: listeners.count + 1, seed: seed)
        for (index, shared) in sites.enumerated() {
            pause()
            guard let site = shared?.site else { continue }
            let places = site.on.isEmpty ? [ListenerID.unnamed] : site.on.compactMap { listeners[$0] }
            for listener in places {
                for host in site.hosts { builder.add(host, on: listener, site: index) }
            }
        }
        for (session, site) in sessions {
            guard let listener = listeners[Self.name(ofSession: session)] else { continue }
            builder.add(.any, on: listener, site: site)
        }
        table = builder.finish(pause: pause)
    }

    /// The name of the listeners of a session, which no `name=` can say.
    static func name(ofSession session: SessionAddress) -> String { "session=" + session.text }

    deinit { table.deallocate() }

    /// The number of the listeners with that name. A name on which no site answers has a number of its own,
    /// which finds no site.
    func listener(named name: String?) -> ListenerID {
        guard let name else { return .unnamed }
        return listeners[name] ?? ListenerID(rawValue: .max)
    }
}

/// A flat hash table from host patterns to sites.
///
/// ```
/// slots  [hash | key | site | listener | kind] …   open addressing, at most a quarter full
/// keys   shop.examplewww.shop.example…             the names, without the stars of wildcards
/// ```
/// A lookup hashes the host once from its last byte to its first, so that the hash of each suffix is a step
/// on the way.
struct SiteTable: @unchecked Sendable {
    fileprivate enum Kind: UInt8 { case exact, wildcard, deepWildcard }

    fileprivate struct Slot {
        /// 0: the slot is free.
        var hash: UInt64 = 0
        var key = Slice.empty
        var site: UInt32 = 0
        var listener: UInt32 = 0
        var kind = Kind.exact
    }

    fileprivate let slots: UnsafeMutablePointer<Slot>
    fileprivate let mask: Int
    private let keys: UnsafeMutablePointer<UInt8>
    /// By listener: the site that has `*`, or -1.
    private let defaults: UnsafeMutablePointer<Int32>
    private let listenerCount: Int
    private let seed: UInt64
    /// The longest name behind a star; -1 where there is none.
    private let wildcardBytesMax: Int

    fileprivate init(
        slots: UnsafeMutablePointer<Slot>, mask: Int, keys: UnsafeMutablePointer<UInt8>,
        defaults: UnsafeMutablePointer<Int32>, listenerCount: Int, seed: UInt64, wildcardBytesMax: Int
    ) {
        self.slots = slots
        self.mask = mask
        self.keys = keys
        self.defaults = defaults
        self.listenerCount = listenerCount
        self.seed = seed
        self.wildcardBytesMax = wildcardBytesMax
    }

    fileprivate func deallocate() {
        slots.deallocate()
        keys.deallocate()
        defaults.deallocate()
    }

    /// The number of the site for `host`: the one that names it, else that with the longest wildcard, else
    /// that with `*`; nil where there is none.
    ///
    /// - Parameter host: in small letters, without port and trailing dot; empty where the request names none.
    func site(for host: Span<UInt8>, on listener: ListenerID) -> Int? {
        guard listener.rawValue < listenerCount else { return nil }
        var state = SiteHash(seed, listener)
        for index in stride(from: host.count &- 1, through: 0, by: -1) { state.take(host[index]) }
        if let site = find(state, .exact, host, listener) { return site }
        if wildcardBytesMax >= 0, let site = wildcard(for: host, on: listener) { return site }
        let site = defaults[Int(listener.rawValue)]
        return site < 0 ? nil : Int(site)
    }

    /// The number of the site that has `*`.
    func defaultSite(on listener: ListenerID) -> Int? {
        guard listener.rawValue < listenerCount else { return nil }
        let site = defaults[Int(listener.rawValue)]
        return site < 0 ? nil : Int(site)
    }

    private func wildcard(for host: Span<UInt8>, on listener: ListenerID) -> Int? {
        var state = SiteHash(seed, listener)
        var best: Int?
        var firstLabel: (end: Int, state: SiteHash)?
        var index = host.count - 1
        while index > 0 {
            if host[index] == UInt8(ascii: ".") {
                let start = index + 1
                if host.count - start > wildcardBytesMax { return best }
                // What stands further left is longer, so it replaces what was found.
                if let site = find(state, .deepWildcard, host.extracting(start..<host.count), listener) {
                    best = site
                }
                firstLabel = (start, state)
            }
            state.take(host[index])
            index -= 1
        }
        guard let firstLabel else { return nil }
        let suffix = host.extracting(firstLabel.end..<host.count)
        return find(firstLabel.state, .wildcard, suffix, listener) ?? best
    }

    fileprivate func find(_ state: SiteHash, _ kind: Kind, _ key: Span<UInt8>, _ listener: ListenerID) -> Int?
    {
        let hash = state.finish(kind.rawValue)
        var place = Int(truncatingIfNeeded: hash >> 1) & mask
        while slots[place].hash != 0 {
            if slots[place].hash == hash, slots[place].kind == kind,
                slots[place].listener == listener.rawValue,
                equals(slots[place].key, key)
            {
                return Int(slots[place].site)
            }
            place = (place + 1) & mask
        }
        return nil
    }

    private func equals(_ key: Slice, _ bytes: Span<UInt8>) -> Bool {
        guard Int(key.count) == bytes.count else { return false }
        // Sound: the key lies within the table's memory, and the index stays below its length.
        let stored = keys + Int(key.start)
        for index in 0..<bytes.count where stored[index] != bytes[index] { return false }
        return true
    }

    /// How many slots a lookup visits at most until it finds a free one.
    var longestProbe: Int {
        var longest = 0
        var run = 0
        for place in 0...(mask * 2) {
            run = slots[place & mask].hash == 0 ? 0 : run + 1
            longest = max(longest, run)
            if run > mask { break }
        }
        return longest + 1
    }
}

/// The hash of a name, taken from its last byte to its first.
fileprivate struct SiteHash {
    private var state: UInt64

    init(_ seed: UInt64, _ listener: ListenerID) {
        state = seed ^ (UInt64(listener.rawValue) &* 0x9E37_79B9_7F4A_7C15)
    }

    mutating func take(_ byte: UInt8) {
        state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
    }

    /// Never 0, which marks a free slot.
    func finish(_ kind: UInt8) -> UInt64 {
        var value = state &+ UInt64(kind) &* 0x9E37_79B9_7F4A_7C15
        value = (value ^ (value >> 32)) &* 0xD6E8_FEB8_6659_FD93
        value = (value ^ (value >> 32)) &* 0xD6E8_FEB8_6659_FD93
        return (value ^ (value >> 32)) | 1
    }
}

extension SiteTable {
    fileprivate struct Builder {
        /// A host of a site; its name stands in `keys`.
        private struct Claim {
            var listener: UInt32
            var kind: Kind
            var key: Slice
            var site: UInt32
        }

        private let seed: UInt64
        private var claims: [Claim] = []
        private var keys: [UInt8] = []
        private var defaults: [Int32]
        private var longest = -1

        init(listeners: Int, seed: UInt64) {
            self.seed = seed
            defaults = Array(repeating: -1, count: listeners)
        }

        mutating func add(_ host: HostPattern, on listener: ListenerID, site: Int) {
            switch host {
            case .exact(let name): claim(.exact, name, listener, site)
            case .wildcard(let name): claim(.wildcard, name, listener, site)
            case .deepWildcard(let name): claim(.deepWildcard, name, listener, site)
            case .any:
                if defaults[Int(listener.rawValue)] < 0 { defaults[Int(listener.rawValue)] = Int32(site) }
            }
        }

        private mutating func claim(_ kind: Kind, _ name: String, _ listener: ListenerID, _ site: Int) {
            let start = keys.count
            keys += name.utf8
            let key = Slice(start: start, count: keys.count - start)
            claims.append(Claim(listener: listener.rawValue, kind: kind, key: key, site: UInt32(site)))
            if kind != .exact { longest = max(longest, keys.count - start) }
        }

        func finish(pause: () -> Void) -> SiteTable {
            var capacity = 16
            while capacity < claims.count * 4 { capacity *= 2 }
            let slots = UnsafeMutablePointer<Slot>.allocate(capacity: capacity)
            slots.initialize(repeating: Slot(), count: capacity)
            let names = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, keys.count))
            names.initialize(from: keys, count: keys.count)
            let defaultSites = UnsafeMutablePointer<Int32>.allocate(capacity: defaults.count)
            defaultSites.initialize(from: defaults, count: defaults.count)
            let table = SiteTable(
                slots: slots, mask: capacity - 1, keys: names, defaults: defaultSites,
                listenerCount: defaults.count, seed: seed, wildcardBytesMax: longest)
            for claim in claims {
                pause()
                insert(claim, table)
            }
            return table
        }

        /// Puts a claim into its place; of two equal ones the first stays.
        private func insert(_ claim: Claim, _ table: SiteTable) {
            let start = Int(claim.key.start)
            let name = keys.span.extracting(start..<(start + Int(claim.key.count)))
            var state = SiteHash(seed, ListenerID(rawValue: claim.listener))
            for index in stride(from: name.count - 1, through: 0, by: -1) { state.take(name[index]) }
            guard table.find(state, claim.kind, name, ListenerID(rawValue: claim.listener)) == nil else {
                return
            }
            let hash = state.finish(claim.kind.rawValue)
            var place = Int(truncatingIfNeeded: hash >> 1) & table.mask
            while table.slots[place].hash != 0 { place = (place + 1) & table.mask }
            table.slots[place] = Slot(
                hash: hash, key: claim.key, site: claim.site, listener: claim.listener, kind: claim.kind)
        }
    }
}
