/// Merged settings by route and applied blocks. It has a fixed number of places, so that no request can make
/// it grow.
final class SettingsMemo {
    private struct Entry {
        let route: Int
        let blocks: [Int]
        let settings: CompiledSettings
    }

    /// An entry stands in one of so many places that follow each other.
    private static let ways = 4

    private var entries: ContiguousArray<Entry?>
    /// Which of its places the next entry takes where all are taken.
    @exclusivity(unchecked) private var victim = 0

    /// - Parameter capacity: a power of two, at least `ways`; or 0 where nothing will be stored.
    init(capacity: Int) {
        entries = ContiguousArray(repeating: nil, count: capacity)
    }

    func settings(_ route: Int, _ blocks: UnsafeBufferPointer<Int>) -> CompiledSettings? {
        let first = place(route, blocks)
        for way in 0..<SettingsMemo.ways {
            guard let entry = entries[(first + way) & (entries.count - 1)] else { return nil }
            if entry.route == route, entry.blocks.count == blocks.count,
                blocks.indices.allSatisfy({ entry.blocks[$0] == blocks[$0] })
            {
                return entry.settings
            }
        }
        return nil
    }

    func store(_ settings: CompiledSettings, _ route: Int, _ blocks: UnsafeBufferPointer<Int>) {
        let first = place(route, blocks)
        let places = (0..<SettingsMemo.ways).map { (first + $0) & (entries.count - 1) }
        victim = (victim + 1) % SettingsMemo.ways
        let place = places.first { entries[$0] == nil } ?? places[victim]
        entries[place] = Entry(route: route, blocks: Array(blocks), settings: settings)
    }

    private func place(_ route: Int, _ blocks: UnsafeBufferPointer<Int>) -> Int {
        var hash = UInt64(truncatingIfNeeded: route &+ 2) &* 0x9E37_79B9_7F4A_7C15
        for block in blocks { hash = (hash ^ UInt64(block + 1)) &* 0xD6E8_FEB8_6659_FD93 }
        return Int(truncatingIfNeeded: hash >> 32) & (entries.count - 1)
    }
}
