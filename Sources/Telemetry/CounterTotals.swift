package import ChimeraHTTPCore
package import ChimeraTLS

/// The counters of all workers, added up at one moment.
package struct CounterTotals: Sendable, Equatable {
    var counters = [UInt64](repeating: 0, count: Counter.allCases.count)
    var classes = [UInt64](repeating: 0, count: CounterTotals.classesCount)
    var refusals = [UInt64](repeating: 0, count: Refusal.allCases.count)
    var closes = [UInt64](repeating: 0, count: CloseReason.allCases.count)
    var limits = [UInt64](repeating: 0, count: LimitHit.allCases.count)

    var handshakeFailures = [UInt64](repeating: 0, count: HandshakeFailure.allCases.count)
    /// By the numbers that the codec of HTTP/2 gives.
    package internal(set) var violations = [UInt64](repeating: 0, count: HTTP2Kinds.violationsMax)
    package internal(set) var frames = [UInt64](repeating: 0, count: HTTP2Kinds.framesMax)

    static let classesCount = 6

    package subscript(_ counter: Counter) -> UInt64 { counters[counter.rawValue] }

    package subscript(_ refusal: Refusal) -> UInt64 { refusals[Int(refusal.rawValue)] }

    package subscript(_ reason: CloseReason) -> UInt64 { closes[Int(reason.rawValue)] }

    package subscript(_ limit: LimitHit) -> UInt64 { limits[limit.rawValue] }

    package subscript(_ failure: HandshakeFailure) -> UInt64 { handshakeFailures[failure.rawValue] }

    /// Responses whose status begins with that digit, 1 to 5; 0 for exchanges without a response, or with a
    /// status past 599.
    package func responses(statusClass: Int) -> UInt64 {
        classes.indices.contains(statusClass) ? classes[statusClass] : 0
    }

    /// Connections that were accepted and have not ended. The two are read one after the other while workers go on
    /// counting, so that more may seem to have ended than were accepted: that is none.
    package var connectionsOpen: UInt64 {
        let closed = self[.connectionsClosed]
        let accepted = self[.connectionsAccepted]
        return accepted > closed ? accepted - closed : 0
    }

    /// Open connections, by whether something is under way on them.
    package var connectionsByState: (busy: UInt64, idle: UInt64) {
        let open = connectionsOpen
        let busy = min(open, UInt64(max(0, Int64(bitPattern: self[.connectionsBusy]))))
        return (busy, open - busy)
    }

    @inline(__always)
    static func classIndex(of status: Int) -> Int {
        switch status {
        case 200..<300: 2
        case 300..<400: 3
        case 400..<500: 4
        case 500..<600: 5
        case 100..<200: 1
        default: 0
        }
    }
}

/// One site's counters of all workers, added up at one moment.
package struct SiteTotals: Sendable, Equatable {
    package var requests: UInt64 = 0
    /// Answers with 400 to 499.
    package var clientErrors: UInt64 = 0
    /// Answers with 500 to 599.
    package var serverErrors: UInt64 = 0
    package var bytesIn: UInt64 = 0
    package var bytesOut: UInt64 = 0

    package init() {}

    func since(_ earlier: SiteTotals) -> SiteTotals {
        var difference = self
        difference.requests &-= earlier.requests
        difference.clientErrors &-= earlier.clientErrors
        difference.serverErrors &-= earlier.serverErrors
        difference.bytesIn &-= earlier.bytesIn
        difference.bytesOut &-= earlier.bytesOut
        return difference
    }
}

/// What a site is called across reloads.
package struct SiteKey: Hashable, Sendable {
    /// Empty for a site of the machine's own file.
    package var tenant: String
    package var name: String

    package init(tenant: String, name: String) {
        self.tenant = tenant
        self.name = name
    }
}
