internal import Synchronization

/// How many of each key are under way, in bounded memory, shared by all workers. They count without a lock; a key that
/// has no place gets one under a lock, so that two workers never give one key two places.
///
/// A place is one word, 40 bits of its key and 24 of count, and free where the count is 0. Where a key's row is
/// taken by others, what comes is admitted uncounted: a limit that cannot count does not stop the service.
final class PlaceTable: Sendable {
    enum Outcome: Equatable {
        /// To be given back by `leave`.
        case entered(Int32)
        case full
        /// All places of the row are taken.
        case uncounted
    }

    private static let ways = 16
    private static let countMask: UInt64 = (1 << 24) - 1

    // Sound: atomics in memory that lives as long as self and is never moved; zero is all bits zero.
    private nonisolated(unsafe) let cells: UnsafeMutablePointer<Atomic<UInt64>>
    private let memory: ZeroedMemory
    private let rowMask: Int
    private let missed = Atomic<UInt64>(0)
    private let claiming = Mutex(())

    /// - Parameter rows: a power of two; each has 16 places of 8 bytes.
    init(rows: Int = 16 * 1024) {
        precondition(rows > 0 && rows & (rows - 1) == 0)
        rowMask = rows - 1
        let count = rows * Self.ways
        memory = ZeroedMemory(bytes: count * MemoryLayout<Atomic<UInt64>>.stride)
        cells = memory.base.bindMemory(to: Atomic<UInt64>.self, capacity: count)
    }

    /// How many were admitted uncounted.
    var uncounted: UInt64 { missed.load(ordering: .relaxed) }

    /// One more of the key, where there are fewer than `limit`.
    func enter(_ key: UInt64, limit: Int) -> Outcome {
        let name = key & ~Self.countMask
        let row = (Int(truncatingIfNeeded: key) & rowMask) * Self.ways
        while let place = place(of: name, in: row) {
            let seen = (cells + place).pointee.load(ordering: .relaxed)
            // Another key may have taken the place meanwhile.
            guard seen & ~Self.countMask == name else { continue }
            if let outcome = enter(at: place, seen, name, limit: limit) { return outcome }
        }
        return claiming.withLock { _ in claim(name, in: row, limit: limit) }
    }

    /// One more at a place that held `seen`; nil where it does no longer.
    private func enter(at place: Int, _ seen: UInt64, _ name: UInt64, limit: Int) -> Outcome? {
        let count = seen & Self.countMask
        if count >= min(UInt64(max(0, limit)), Self.countMask) { return .full }
        let (exchanged, _) = (cells + place).pointee.compareExchange(
            expected: seen, desired: name | (count + 1), ordering: .acquiring)
        return exchanged ? .entered(Int32(place)) : nil
    }

    /// One more of a key that had no place, in a free one, or in that which another worker gave it meanwhile.
    private func claim(_ name: UInt64, in row: Int, limit: Int) -> Outcome {
        while let place = place(of: name, in: row) ?? freePlace(in: row) {
            let seen = (cells + place).pointee.load(ordering: .relaxed)
            let isFree = seen & Self.countMask == 0
            guard isFree || seen & ~Self.countMask == name else { continue }
            if let outcome = enter(at: place, seen, name, limit: limit) { return outcome }
        }
        missed.wrappingAdd(1, ordering: .relaxed)
        return .uncounted
    }

    /// One less at a place that was entered.
    func leave(_ place: Int32) {
        // The name stays with a count of 0, and the place is free for whoever needs it.
        (cells + Int(place)).pointee.wrappingSubtract(1, ordering: .releasing)
    }

    /// How many are at a place; for tests.
    func count(at place: Int32) -> Int {
        Int((cells + Int(place)).pointee.load(ordering: .relaxed) & Self.countMask)
    }

    /// The key's own place.
    private func place(of name: UInt64, in row: Int) -> Int? {
        (row..<(row + Self.ways)).first { place in
            let seen = (cells + place).pointee.load(ordering: .relaxed)
            return seen & ~Self.countMask == name && seen != 0
        }
    }

    private func freePlace(in row: Int) -> Int? {
        (row..<(row + Self.ways)).first {
            (cells + $0).pointee.load(ordering: .relaxed) & Self.countMask == 0
        }
    }
}
