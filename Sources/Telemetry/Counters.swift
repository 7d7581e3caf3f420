internal import CLinux
internal import ChimeraEventLoop
package import ChimeraHTTPCore
package import ChimeraTLS

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
    /// Sessions whose program was started and whose client was told so.
    case sessionsStarted
    /// Those that ended; what was started less these have a client.
    case sessionsEnded
    /// Programs that could not be started.
    case programsFailed
    /// Connections that were passed to another worker, which serves them.
    case connectionsHandedOver
    /// No sum but a level: connections on which something is under way; the others are idle.
    case connectionsBusy
    /// TLS handshakes with a certificate.
    case tlsFull
    /// TLS handshakes that went on with the session of an earlier connection.
    case tlsResumed
    /// Connections that spoke HTTP/2, whether they are open or not.
    case http2Connections
    /// Streams of closed connections of HTTP/2.
    case http2Streams
    /// Streams beyond those that a connection of HTTP/2 may have at once.
    case http2StreamsRefused
}

/// What is counted of HTTP/2 by numbers that its codec gives.
package enum HTTP2Kinds {
    /// Kinds of violations that have counters.
    package static let violationsMax = 64
    /// Kinds of frames of which there may be so many in a time only.
    package static let framesMax = 8
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
    /// `limit requests`
    case requestRate
    /// `limit connections` of the machine, for one client.
    case clientConnections
    /// `limit connections` of a site or a route.
    case requestsUnderWay
    /// `limit sessions`
    case sessions
    /// `limit starts`
    case sessionStarts
    /// A program for all clients does not read what they have said already.
    case programInput
    /// A program for all clients ended soon after its start, and the next start waits.
    case programBackOff
    /// The machine has no room for another program.
    case programResources
    /// More clients than a table of limits has places for; the one that is nearest to a full bucket was forgotten.
    case limitTable

    /// The token in logs and metrics.
    package var token: StaticString {
        switch self {
        case .connections: "connections"
        case .descriptors: "descriptors"
        case .blockingWork: "blocking-work"
        case .upstreamConnections: "upstream-connections"
        case .requestRate: "requests"
        case .clientConnections: "client-connections"
        case .requestsUnderWay: "requests-under-way"
        case .sessions: "sessions"
        case .sessionStarts: "session-starts"
        case .programInput: "program-input"
        case .programBackOff: "program-back-off"
        case .programResources: "program-resources"
        case .limitTable: "limit-table"
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

/// Where a route's requests are counted, by status class and time.
package struct RouteSlot: Hashable, Sendable {
    let index: Int

    /// For routes past the bound, and for requests that found no site.
    package static let shared = RouteSlot(index: RouteSlot.slotsMax)
    /// Routes with counters of their own, on sites with counters of their own.
    package static let slotsMax = 4096
}

/// Where an endpoint of upstreams is counted.
package struct EndpointSlot: Hashable, Sendable {
    let index: Int

    /// For endpoints past the bound.
    package static let shared = EndpointSlot(index: EndpointSlot.slotsMax)
    /// Endpoints with counters of their own.
    package static let slotsMax = 1024
    /// Kinds of errors that have counters.
    package static let errorsMax = 14
}

/// One worker's counters: plain memory that it alone writes and that anyone may read.
///
/// Readers on other threads see each number as it was a moment ago, and numbers that belong together may differ
/// by one event.
package final class Counters: Sendable {
    enum Base {
        static let classes = Counter.allCases.count
        static let refusals = classes + CounterTotals.classesCount
        static let closes = refusals + Refusal.allCases.count
        static let limits = closes + CloseReason.allCases.count
        static let violations = limits + LimitHit.allCases.count
        static let frames = violations + HTTP2Kinds.violationsMax
        static let handshakes = frames + HTTP2Kinds.framesMax
        static let sites = (handshakes + HandshakeFailure.allCases.count + 7) / 8 * 8
        /// A site has a line of the processor's cache, so that sites that are not asked stay out of it.
        static let siteStride = 8
        static let routes = sites + (SiteSlot.slotsMax + 1) * siteStride
        /// A histogram for each class of statuses.
        static let routeStride = CounterTotals.classesCount * HistogramScale.cells
        static let endpoints = routes + (RouteSlot.slotsMax + 1) * routeStride
        /// Connections made, requests, errors by kind, and a histogram of the time to an answer's head.
        static let endpointStride = 2 + EndpointSlot.errorsMax + HistogramScale.cells
        static let count = endpoints + (EndpointSlot.slotsMax + 1) * endpointStride
    }

    private let cells: CounterCells
    // Sound: the memory of `cells`, in which this worker's thread alone counts.
    private nonisolated(unsafe) let base: UnsafeMutablePointer<UInt64>
    private let scale = HistogramScale.latency

    package init() {
        cells = CounterCells(count: Base.count)
        base = cells.base
    }

    // MARK: Counting, on the worker's thread only

    package func add(_ counter: Counter, _ amount: Int = 1) { add(at: counter.rawValue, amount) }

    package func add(_ reason: CloseReason) { add(at: Base.closes + Int(reason.rawValue), 1) }

    package func add(_ refusal: Refusal) { add(at: Base.refusals + Int(refusal.rawValue), 1) }

    package func add(_ limit: LimitHit) { add(at: Base.limits + limit.rawValue, 1) }

    package func add(_ failure: HandshakeFailure) { add(at: Base.handshakes + failure.rawValue, 1) }

    /// Counts a rule of HTTP/2 that a client broke.
    ///
    /// - Parameter violation: its number, below `HTTP2Kinds.violationsMax`.
    package func add(violation: Int) {
        guard violation < HTTP2Kinds.violationsMax else { return }
        add(at: Base.violations + violation, 1)
    }

    /// Counts frames of HTTP/2 of which there may be so many in a time only.
    ///
    /// - Parameter kind: their number, below `HTTP2Kinds.framesMax`.
    package func add(frames kind: Int, _ amount: Int) {
        guard kind < HTTP2Kinds.framesMax else { return }
        add(at: Base.frames + kind, amount)
    }

    /// Counts an exchange that ended: in the requests, by its status, in the bytes, all of that for its site,
    /// and its time for its route.
    ///
    /// - Parameters:
    ///   - status: Of the final head; 0 where none was sent.
    ///   - nanoseconds: From the whole head to the end of the answer.
    package func exchangeEnded(
        _ site: SiteSlot, route: RouteSlot = .shared, status: Int, bytesIn: Int, bytesOut: Int,
        nanoseconds: Int64 = 0
    ) {
        let statusClass = CounterTotals.classIndex(of: status)
        add(.requests)
        add(at: Base.classes + statusClass, 1)
        if bytesIn != 0 { add(.bytesIn, bytesIn) }
        if bytesOut != 0 { add(.bytesOut, bytesOut) }
        let start = Base.sites + site.index * Base.siteStride
        add(at: start, 1)
        if statusClass == 4 { add(at: start + 1, 1) }
        if statusClass == 5 { add(at: start + 2, 1) }
        if bytesIn != 0 { add(at: start + 3, bytesIn) }
        if bytesOut != 0 { add(at: start + 4, bytesOut) }
        let row = Base.routes + route.index * Base.routeStride
        count(nanoseconds, at: row + statusClass * HistogramScale.cells)
    }

    /// Counts a connection that was made to an endpoint.
    package func connected(to endpoint: EndpointSlot) {
        add(.upstreamConnectionsOpened)
        add(at: Base.endpoints + endpoint.index * Base.endpointStride, 1)
    }

    /// Counts a request that an endpoint had, whatever came of it.
    ///
    /// - Parameter nanoseconds: until the head of its answer; nil where none came.
    package func asked(_ endpoint: EndpointSlot, nanoseconds: Int64?) {
        let start = Base.endpoints + endpoint.index * Base.endpointStride
        add(at: start + 1, 1)
        guard let nanoseconds else { return }
        count(nanoseconds, at: start + 2 + EndpointSlot.errorsMax)
    }

    /// Counts what went wrong with an endpoint.
    ///
    /// - Parameter kind: the error's number, below `EndpointSlot.errorsMax`.
    package func failed(_ endpoint: EndpointSlot, kind: Int) {
        guard kind < EndpointSlot.errorsMax else { return }
        add(at: Base.endpoints + endpoint.index * Base.endpointStride + 2 + kind, 1)
    }

    @inline(__always)
    private func add(at index: Int, _ amount: Int) { chimera_count(base + index, Int64(amount)) }

    @inline(__always)
    private func count(_ nanoseconds: Int64, at index: Int) {
        add(at: index + scale.bucket(of: nanoseconds), 1)
        add(at: index + HistogramScale.sumOffset, Int(nanoseconds))
    }

    // MARK: Reading, on any thread

    func add(to totals: inout CounterTotals) {
        cells.add(from: 0, to: &totals.counters)
        cells.add(from: Base.classes, to: &totals.classes)
        cells.add(from: Base.refusals, to: &totals.refusals)
        cells.add(from: Base.closes, to: &totals.closes)
        cells.add(from: Base.limits, to: &totals.limits)
        cells.add(from: Base.handshakes, to: &totals.handshakeFailures)
        cells.add(from: Base.violations, to: &totals.violations)
        cells.add(from: Base.frames, to: &totals.frames)
    }

    func add(_ slot: SiteSlot, to totals: inout SiteTotals) {
        let base = Base.sites + slot.index * Base.siteStride
        totals.requests &+= cells.value(at: base)
        totals.clientErrors &+= cells.value(at: base + 1)
        totals.serverErrors &+= cells.value(at: base + 2)
        totals.bytesIn &+= cells.value(at: base + 3)
        totals.bytesOut &+= cells.value(at: base + 4)
    }

    func add(_ slot: RouteSlot, to sums: inout [UInt64]) {
        cells.add(from: Base.routes + slot.index * Base.routeStride, to: &sums)
    }

    func add(_ slot: EndpointSlot, to sums: inout [UInt64]) {
        cells.add(from: Base.endpoints + slot.index * Base.endpointStride, to: &sums)
    }
}
