/// Which name counts in which of a bounded number of places.
///
/// A place that its name has left is given to the next new one, which begins at zero: what the place held by then is
/// remembered, to be taken off.
struct SlotTable<Name: Hashable & Sendable>: Sendable {
    struct Entry: Sendable {
        let name: Name
        let index: Int
        /// What the place held when the name came; empty: nothing.
        let before: [UInt64]
        var users = 0
    }

    private let slotsMax: Int
    private var byName: [Name: Entry] = [:]
    private var free: [Int] = []
    private var used = 0

    init(slotsMax: Int) { self.slotsMax = slotsMax }

    /// All names that have a place.
    var entries: [Entry] { Array(byName.values) }

    /// The place of a name: the one that it has, a free one, or none.
    ///
    /// - Parameter held: what a place holds that somebody had before.
    mutating func place(_ name: Name, held: (Int) -> [UInt64]) -> Int? {
        if let entry = byName[name] { return entry.index }
        let entry: Entry
        if let index = free.popLast() {
            entry = Entry(name: name, index: index, before: held(index))
        } else if used < slotsMax {
            entry = Entry(name: name, index: used, before: [])
            used += 1
        } else {
            return nil
        }
        byName[name] = entry
        return entry.index
    }

    /// The place of a name for one more user. Where all places are taken, one that nobody uses any more is given away.
    mutating func acquire(_ name: Name, held: (Int) -> [UInt64]) -> Int? {
        if byName[name] == nil, free.isEmpty, used == slotsMax,
            let unused = byName.first(where: { $0.value.users == 0 })
        {
            removeAll { $0 == unused.key }
        }
        guard let index = place(name, held: held) else { return nil }
        byName[name]?.users += 1
        return index
    }

    /// A user of a name goes; the name keeps its place for now.
    mutating func release(_ name: Name) {
        if let users = byName[name]?.users, users > 0 { byName[name]?.users = users - 1 }
    }

    /// Frees the places of names.
    mutating func removeAll(where isGone: (Name) -> Bool) {
        for (name, entry) in byName where isGone(name) {
            byName[name] = nil
            free.append(entry.index)
        }
    }
}

extension [UInt64] {
    /// What has come since `earlier`, which may be empty.
    func less(_ earlier: [UInt64]) -> [UInt64] {
        guard !earlier.isEmpty else { return self }
        return zip(self, earlier).map { $0 &- $1 }
    }
}
