internal import CLinux
internal import Glibc

/// A run of numbers that one thread counts in and that any thread may read.
///
/// A count is a relaxed load and a relaxed store, which is what an ordinary `+=` costs: no lock, no bus cycle. Whoever
/// reads sees each number as it was a moment ago. The memory comes zeroed from the kernel page by page as it is
/// touched, so a large table of which little is used costs little.
package final class CounterCells: Sendable {
    /// The numbers, for who counts on a hot path: by `chimera_count`, on the one thread that writes.
    // Sound: memory that lives as long as self, is never moved, and is read and written by atomic operations alone.
    package nonisolated(unsafe) let base: UnsafeMutablePointer<UInt64>
    private let bytes: Int

    /// - Parameter count: how many numbers there are, all 0.
    package init(count: Int) {
        bytes = max(1, count) * MemoryLayout<UInt64>.stride
        let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != UnsafeMutableRawPointer(bitPattern: -1) else {
            preconditionFailure("no memory for counters")
        }
        base = memory.bindMemory(to: UInt64.self, capacity: max(1, count))
    }

    deinit { munmap(base, bytes) }

    /// The number as it was a moment ago, on any thread.
    package func value(at index: Int) -> UInt64 { chimera_counted(base + index) }

    /// Adds a run of numbers to `sums`.
    package func add(from index: Int, to sums: inout [UInt64]) {
        for offset in sums.indices { sums[offset] &+= value(at: index + offset) }
    }
}

/// The bounds of a histogram's buckets in nanoseconds, and where in a run of cells a value is counted.
///
/// ```
///  cells   ≤ bound 0 │ ≤ bound 1 │ … │ ≤ bound 13 │ more │ sum in nanoseconds
/// ```
@usableFromInline
package struct HistogramScale: Sendable {
    /// Buckets with a bound.
    @inlinable @inline(__always)
    package static var boundsCount: Int { 14 }
    /// Cells of one histogram: the buckets, the one without a bound, and the sum.
    @inlinable @inline(__always)
    package static var cells: Int { boundsCount + 2 }
    /// Where in its cells the sum is.
    @inlinable @inline(__always)
    package static var sumOffset: Int { boundsCount + 1 }

    /// Nanoseconds; each is the greatest value of its bucket.
    @usableFromInline package let bounds: InlineArray<14, Int64>

    private init(microseconds: InlineArray<14, Int64>) {
        var bounds = microseconds
        for index in bounds.indices { bounds[index] *= 1_000 }
        self.bounds = bounds
    }

    /// For the time that a request takes.
    package static let latency = HistogramScale(microseconds: [
        250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
        2_500_000, 10_000_000,
    ])

    /// For the time that a worker's turn takes.
    package static let turns = HistogramScale(microseconds: [
        10, 25, 50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000, 25_000, 100_000, 500_000, 1_000_000,
    ])

    /// The number of the bucket that a value belongs to.
    @inlinable @inline(__always)
    package func bucket(of nanoseconds: Int64) -> Int {
        var index = 0
        while index < 14, nanoseconds > bounds[index] { index += 1 }
        return index
    }

}
