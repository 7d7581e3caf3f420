internal import ChimeraBytes
internal import ChimeraHTTPCore
internal import Glibc

/// Entries by owner and path: open addressing with linear probes, so that a look-up reads one line of memory
/// and allocates nothing. The seed keeps clients from choosing paths that meet.
struct EntryTable {
    private struct Slot {
        var hash: UInt64 = 0
        var entry: FileEntry?
    }

    private var slots = [Slot](repeating: Slot(), count: 16)
    private(set) var count = 0
    private let seed = UInt64.random(in: 0 ... .max)

    func hash(owner: UInt32, path: Span<UInt8>) -> UInt64 {
        var state = seed ^ UInt64(owner) &* 0x9E37_79B9_7F4A_7C15
        path.withUnsafeBytes { bytes in
            var offset = 0
            while offset + 8 <= bytes.count {
                state = EntryTable.mix(state ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                offset += 8
            }
            var rest = UInt64(bytes.count) << 56
            while offset < bytes.count {
                rest = rest << 8 ^ UInt64(bytes[offset])
                offset += 1
            }
            state = EntryTable.mix(state ^ rest)
        }
        return state
    }

    func find(owner: UInt32, path: Span<UInt8>, hash: UInt64) -> FileEntry? {
        var index = home(of: hash)
        while let entry = slots[index].entry {
            if slots[index].hash == hash && entry.owner == owner && EntryTable.same(entry.path, path) {
                return entry
            }
            index = after(index)
        }
        return nil
    }

    /// Adds an entry whose path the table does not have.
    mutating func insert(_ entry: FileEntry) {
        if (count + 1) * 2 > slots.count { grow() }
        place(Slot(hash: entry.hash, entry: entry))
        count += 1
    }

    mutating func remove(_ entry: FileEntry) {
        var hole = home(of: entry.hash)
        while slots[hole].entry !== entry {
            precondition(slots[hole].entry != nil, "an entry was removed that is not there")
            hole = after(hole)
        }
        slots[hole].entry = nil
        count -= 1
        closeGap(hole)
    }

    /// All entries of `owner`, or of everybody.
    func entries(of owner: UInt32? = nil) -> [FileEntry] {
        slots.compactMap { slot in owner == nil || slot.entry?.owner == owner ? slot.entry : nil }
    }

    /// Moves back what had to give way to the slot that is free now, so that no probe ends too early.
    private mutating func closeGap(_ start: Int) {
        var hole = start
        var index = after(start)
        while slots[index].entry != nil {
            let wanted = home(of: slots[index].hash)
            let mask = slots.count - 1
            if (index - wanted) & mask >= (index - hole) & mask {
                slots.swapAt(hole, index)
                hole = index
            }
            index = after(index)
        }
    }

    private mutating func place(_ slot: Slot) {
        var index = home(of: slot.hash)
        while slots[index].entry != nil { index = after(index) }
        slots[index] = slot
    }

    private mutating func grow() {
        let old = slots
        slots = [Slot](repeating: Slot(), count: old.count * 2)
        for slot in old where slot.entry != nil { place(slot) }
    }

    private func home(of hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & (slots.count - 1) }

    private func after(_ index: Int) -> Int { (index + 1) & (slots.count - 1) }

    private static func mix(_ value: UInt64) -> UInt64 {
        let (high, low) = value.multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
        return high ^ low
    }

    private static func same(_ path: Blob, _ other: Span<UInt8>) -> Bool {
        guard path.count == other.count else { return false }
        return path.span.withUnsafeBufferPointer { left in
            other.withUnsafeBufferPointer { right in
                guard let left = left.baseAddress, let right = right.baseAddress else { return true }
                return memcmp(left, right, other.count) == 0
            }
        }
    }
}
