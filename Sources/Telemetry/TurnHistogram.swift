internal import Synchronization

/// How long turns of the workers took, in fixed buckets: written by any thread, read by any other.
///
/// Meant for what happens seldom, such as the turns that a reload causes; on the hot path workers would share its
/// lines of the cache.
package final class TurnHistogram: Sendable {
    /// Upper bounds of the buckets in microseconds, inclusive; past the last there is one bucket more.
    package static let bounds: [Int64] = [10, 25, 50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000, 50_000]

    /// The numbers of one moment.
    package struct Totals: Sendable, Equatable {
        /// One for each of `bounds`, and one for what is longer; not cumulative.
        package var counts: [UInt64]
        package var sumNanoseconds: UInt64
        package var longestNanoseconds: UInt64

        package var count: UInt64 { counts.reduce(0, +) }
    }

    // Sound: atomics in memory that lives as long as self and is never moved.
    private nonisolated(unsafe) let cells: UnsafeMutablePointer<Atomic<UInt64>>
    private let sum = Atomic<UInt64>(0)
    private let longest = Atomic<UInt64>(0)

    package init() {
        cells = .allocate(capacity: Self.bounds.count + 1)
        for index in 0...Self.bounds.count { (cells + index).initialize(to: Atomic(0)) }
    }

    deinit {
        cells.deinitialize(count: Self.bounds.count + 1)
        cells.deallocate()
    }

    /// Counts a turn that took so long; less than nothing counts as nothing.
    package func add(nanoseconds: Int64) {
        let value = max(0, nanoseconds)
        let bucket = Self.bounds.firstIndex { value <= $0 * 1_000 } ?? Self.bounds.count
        cells[bucket].wrappingAdd(1, ordering: .relaxed)
        sum.wrappingAdd(UInt64(value), ordering: .relaxed)
        longest.max(UInt64(value), ordering: .relaxed)
    }

    package func totals() -> Totals {
        Totals(
            counts: (0...Self.bounds.count).map { cells[$0].load(ordering: .relaxed) },
            sumNanoseconds: sum.load(ordering: .relaxed),
            longestNanoseconds: longest.load(ordering: .relaxed))
    }
}
