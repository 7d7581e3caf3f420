package import ChimeraHTTPCore
internal import Synchronization

/// What is counted without further division.
package enum Counter: Int, CaseIterable, Sendable {
    /// Exchanges that ended, refused ones included.
    case requests
    /// Bytes of request bodies, without framing.
    case bytesIn
    /// Bytes of response bodies, without framing.
    case bytesOut
    case connectionsAccepted
    /// Those that ended; what was accepted less these are open.
    case connectionsClosed
    /// Requests that were sent to an upstream a second time.
    case upstreamRetries
    case upstreamConnectionsOpened
    /// Exchanges that became tunnels.
    case tunnels
}

/// Bounds of the gateway itself that a request or a connection ran into; what is wrong with a message is a
/// `Refusal`.
package enum LimitHit: Int, CaseIterable, Sendable {
    /// Accepting paused, since there are as many connections as there may be.
    case connections
    /// The kernel gave no descriptor.
    case descriptors
    /// The queue of blocking work was full.
    case blockingWork
    /// An upstream had as many connections as it may have.
    case upstreamConnections

    /// The token in logs and metrics.
    package var token: StaticString {
        switch self {
        case .connections: "connections"
        case .descriptors: "descriptors"
        case .blockingWork: "blocking-work"
        case .upstreamConnections: "upstream-connections"
        }
    }
}

/// Where a site's counters are: one of `slotsMax`, or the one that all other sites share.
package struct SiteSlot: Hashable, Sendable {
    let index: Int

    /// For sites past the bound, and for requests that found no site.
    package static let shared = SiteSlot(index: SiteSlot.slotsMax)
    /// Sites with counters of their own.
    package static let slotsMax = 1000
}

/// One worker's counters: plain memory that it alone writes and that anyone may read.
///
/// A count is a relaxed load and a relaxed store, which is what an ordinary `+=` costs; no lock, no bus
/// cycle. Readers on other threads see each number as it was a moment ago, and numbers that belong together
/// may differ by one event.
package final class Counters: Sendable {
    private enum Base {
        static let classes = Counter.allCases.count
        static let refusals = classes + CounterTotals.classesCount
        static let closes = refusals + Refusal.allCases.count
        static let limits = closes + CloseReason.allCases.count
        static let sites = (limits + LimitHit.allCases.count + 7) / 8 * 8
        static let count = sites + (SiteSlot.slotsMax + 1) * siteStride
        /// A site has a line of the processor's cache, so that sites that are not asked stay out of it.
        static let siteStride = 8
    }

    // Sound: atomics in memory that lives as long as self and is never moved.
    private nonisolated(unsafe) let cells: UnsafeMutablePointer<Atomic<UInt64>>

    package init() {
        // The cells of two workers never share a line.
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: (Base.count + 7) / 8 * 64, alignment: 64)
        cells = memory.bindMemory(to: Atomic<UInt64>.self, capacity: Base.count)
        for index in 0..<Base.count { (cells + index).initialize(to: Atomic(0)) }
    }

    deinit {
        cells.deinitialize(count: Base.count)
        UnsafeMutableRawPointer(cells).deallocate()
    }

    // MARK: Counting, on the worker's thread only

    package func add(_ counter: Counter, _ amount: Int = 1) { add(at: counter.rawValue, amount) }

    package func add(_ reason: CloseReason) { add(at: Base.closes + Int(reason.rawValue), 1) }

    package func add(_ refusal: Refusal) { add(at: Base.refusals + Int(refusal.rawValue), 1) }

    package func add(_ limit: LimitHit) { add(at: Base.limits + limit.rawValue, 1) }

    /// Counts an exchange that ended: in the requests, by its status, in the bytes, and all of that for its
    /// site.
    ///
    /// - Parameter status: Of the final head; 0 where none was sent.
    package func exchangeEnded(_ site: SiteSlot, status: Int, bytesIn: Int, bytesOut: Int) {
        let statusClass = CounterTotals.classIndex(of: status)
        add(.requests)
        add(at: Base.classes + statusClass, 1)
        if bytesIn != 0 { add(.bytesIn, bytesIn) }
        if bytesOut != 0 { add(.bytesOut, bytesOut) }
        let base = Base.sites + site.index * Base.siteStride
        add(at: base, 1)
        if statusClass == 4 { add(at: base + 1, 1) }
        if statusClass == 5 { add(at: base + 2, 1) }
        if bytesIn != 0 { add(at: base + 3, bytesIn) }
        if bytesOut != 0 { add(at: base + 4, bytesOut) }
    }

    @inline(__always)
    private func add(at index: Int, _ amount: Int) {
        let cell = cells + index
        let next = cell.pointee.load(ordering: .relaxed) &+ UInt64(truncatingIfNeeded: amount)
        cell.pointee.store(next, ordering: .relaxed)
    }

    // MARK: Reading, on any thread

    func add(to totals: inout CounterTotals) {
        add(from: 0, to: &totals.counters)
        add(from: Base.classes, to: &totals.classes)
        add(from: Base.refusals, to: &totals.refusals)
        add(from: Base.closes, to: &totals.closes)
        add(from: Base.limits, to: &totals.limits)
    }

    func add(_ slot: SiteSlot, to totals: inout SiteTotals) {
        let base = Base.sites + slot.index * Base.siteStride
        totals.requests &+= value(at: base)
        totals.clientErrors &+= value(at: base + 1)
        totals.serverErrors &+= value(at: base + 2)
        totals.bytesIn &+= value(at: base + 3)
        totals.bytesOut &+= value(at: base + 4)
    }

    private func add(from base: Int, to sums: inout [UInt64]) {
        for index in sums.indices { sums[index] &+= value(at: base + index) }
    }

    private func value(at index: Int) -> UInt64 { cells[index].load(ordering: .relaxed) }
}
