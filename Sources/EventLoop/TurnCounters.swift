internal import CLinux

/// How a worker spends its time: what its turns took, and how long it waited between them.
package final class TurnCounters: Sendable {
    private enum Base {
        static let busy = 0
        static let waiting = 1
        static let turns = 8
        static let reloads = turns + HistogramScale.cells
        static let count = reloads + HistogramScale.cells
    }

    private let cells = CounterCells(count: Base.count)
    private let scale = HistogramScale.turns

    init() {}

    /// Counts a turn, on the worker's thread.
    ///
    /// - Parameter isReload: a change of configuration was part of it.
    @inline(__always)
    func turnEnded(nanoseconds: Int64, isReload: Bool) {
        chimera_count(cells.base + Base.busy, nanoseconds)
        count(nanoseconds, at: Base.turns)
        if isReload { count(nanoseconds, at: Base.reloads) }
    }

    /// Counts the wait before a turn, on the worker's thread.
    @inline(__always)
    func waited(nanoseconds: Int64) { chimera_count(cells.base + Base.waiting, nanoseconds) }

    @inline(__always)
    private func count(_ nanoseconds: Int64, at index: Int) {
        chimera_count(cells.base + index + scale.bucket(of: nanoseconds), 1)
        chimera_count(cells.base + index + HistogramScale.sumOffset, nanoseconds)
    }

    /// Nanoseconds that the worker spent in its turns.
    package var busyNanoseconds: UInt64 { cells.value(at: Base.busy) }

    /// Nanoseconds that it waited for events.
    package var waitingNanoseconds: UInt64 { cells.value(at: Base.waiting) }

    /// Adds the histogram of all turns, in the cells of `HistogramScale`.
    package func addTurns(to sums: inout [UInt64]) { cells.add(from: Base.turns, to: &sums) }

    /// Adds the histogram of those turns that a change of configuration was part of.
    package func addReloads(to sums: inout [UInt64]) { cells.add(from: Base.reloads, to: &sums) }
}
