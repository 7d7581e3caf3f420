internal import ChimeraHTTPCore

/// The dynamic table of one direction (RFC 7541 §2.3.2 and §4): entries first in, first out, within a size in octets.
///
/// ```
/// octets   … evicted │ name value │ name value │ … │ free
/// entries                 oldest       …    newest = index 62
/// ```
/// Octets lie in one run, so that an entry is read in place; where the run reaches its end, what lives is moved to
/// the front. Memory comes with the first entry.
struct DynamicTable: ~Copyable {
    struct Entry {
        var name: WireName
        /// Name and value may stand in a message; what is malformed is kept all the same, since indices count it.
        var isNameValid: Bool
        var isValueValid: Bool
        /// Where name and value begin in the octets, counted from the first octet ever stored.
        var start: Int
        /// Octets of the name that are stored: none for a name that is in a table.
        var nameCount: Int
        var valueCount: Int
        /// What counts against the table's size: all octets, and 32 (RFC 7541 §4.1).
        var size: Int
        /// Of name and value, for an encoder.
        var hash: UInt32
    }

    /// The most that entries may count together, in octets.
    private(set) var sizeMax: Int
    /// What the entries count together.
    private(set) var size = 0
    /// How many entries there are.
    private(set) var count = 0
    /// How many were ever inserted.
    private(set) var inserted = 0

    private var entries: UnsafeMutablePointer<Entry>?
    private var entryCapacity = 0
    private var oldest = 0
    private var octets: UnsafeMutablePointer<UInt8>?
    private var octetCapacity = 0
    /// The number of the octet at the start of the memory.
    private var origin = 0
    /// The number of the first free octet.
    private var end = 0

    init(sizeMax: Int) {
        precondition(sizeMax >= 0 && sizeMax <= 1 << 24)
        self.sizeMax = sizeMax
    }

    deinit {
        entries?.deallocate()
        octets?.deallocate()
    }

    /// The entry that is `age` entries older than the newest, or nil where there is none.
    func entry(age: Int) -> Entry? {
        guard age >= 0, age < count, let entries else { return nil }
        return entries[(oldest + count - 1 - age) & (entryCapacity - 1)]
    }

    /// The octets of an entry's name, as far as they are stored, and behind them its value. They stay until the next
    /// insertion.
    func octets(of entry: Entry) -> UnsafeBufferPointer<UInt8> {
        guard let octets else { return UnsafeBufferPointer(start: nil, count: 0) }
        precondition(entry.start >= origin && entry.start + entry.nameCount + entry.valueCount <= end)
        return UnsafeBufferPointer(
            start: octets + (entry.start - origin), count: entry.nameCount + entry.valueCount)
    }

    /// RFC 7541 §4.3: another size, for which older entries go.
    mutating func resize(to newMax: Int) {
        precondition(newMax >= 0 && newMax <= 1 << 24)
        sizeMax = newMax
        evict(room: 0)
    }

    /// RFC 7541 §4.4: inserts an entry, for which older ones go; one that is larger than the table empties it.
    ///
    /// - Parameters:
    ///   - name: octets of a name that is in no table; they may not lie in this table.
    ///   - nameCount: octets of the name, stored or not.
    mutating func insert(
        _ wireName: WireName, name: UnsafeBufferPointer<UInt8>, nameCount: Int,
        value: UnsafeBufferPointer<UInt8>, isNameValid: Bool = true, isValueValid: Bool = true,
        hash: UInt32 = 0
    ) {
        let needed = nameCount + value.count + 32
        evict(room: needed)
        guard needed <= sizeMax else { return }
        let start = store(name, value)
        if count == entryCapacity { growEntries() }
        entries?[(oldest + count) & (entryCapacity - 1)] = Entry(
            name: wireName, isNameValid: isNameValid, isValueValid: isValueValid, start: start,
            nameCount: name.count, valueCount: value.count, size: needed, hash: hash)
        count += 1
        inserted += 1
        size += needed
    }

    private mutating func evict(room: Int) {
        while count > 0, size + room > sizeMax, let entries {
            size -= entries[oldest].size
            oldest = (oldest + 1) & (entryCapacity - 1)
            count -= 1
        }
    }

    private mutating func store(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>)
        -> Int
    {
        let needed = name.count + value.count
        if end - origin + needed > octetCapacity { makeRoom(needed) }
        guard let octets else { return end }
        // Sound: the room behind the last octet was made above.
        let to = octets + (end - origin)
        if let from = name.baseAddress { to.update(from: from, count: name.count) }
        if let from = value.baseAddress { (to + name.count).update(from: from, count: value.count) }
        defer { end += needed }
        return end
    }

    /// Moves what lives to the front, into more memory where it fills more than half.
    private mutating func makeRoom(_ needed: Int) {
        let start = entry(age: count - 1)?.start ?? end
        let live = end - start
        if let octets, (live + needed) * 2 <= octetCapacity {
            octets.update(from: octets + (start - origin), count: live)
        } else {
            let capacity = max(512, octetCapacity * 2, (live + needed) * 2)
            let fresh = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
            if let octets { fresh.update(from: octets + (start - origin), count: live) }
            octets?.deallocate()
            octets = fresh
            octetCapacity = capacity
        }
        origin = start
    }

    private mutating func growEntries() {
        let capacity = max(8, entryCapacity * 2)
        let fresh = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
        for index in 0..<count {
            if let entries { (fresh + index).initialize(to: entries[(oldest + index) & (entryCapacity - 1)]) }
        }
        entries?.deallocate()
        entries = fresh
        entryCapacity = capacity
        oldest = 0
    }
}
