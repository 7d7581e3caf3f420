internal import ChimeraEventLoop

/// A histogram as it was at one moment.
package struct HistogramFigures: Sendable, Equatable {
    /// By bucket, the one without a bound last; each value in one bucket alone.
    package var buckets: [UInt64]
    package var sumNanoseconds: UInt64

    /// - Parameter cells: those of one histogram; see `HistogramScale`.
    package init(_ cells: some Collection<UInt64>) {
        buckets = Array(cells.prefix(HistogramScale.boundsCount + 1))
        sumNanoseconds = cells.dropFirst(HistogramScale.boundsCount + 1).first ?? 0
    }

    /// How many values were counted.
    package var count: UInt64 { buckets.reduce(0, &+) }
}

/// What was counted for one site; nil for all sites that have no counters of their own, and requests without a site.
package struct SiteFigures: Sendable {
    package var site: SiteKey?
    package var totals: SiteTotals
}

/// What was counted for one route.
package struct RouteFigures: Sendable {
    /// Nil for all routes without counters of their own.
    package var site: SiteKey?
    /// As it was written; empty for the requests that no route serves.
    package var route: String
    let cells: [UInt64]

    var order: (String, String, String) { (site?.tenant ?? "", site?.name ?? "", route) }

    /// The times of the answers whose status begins with that digit; 0 for exchanges without an answer.
    package func histogram(statusClass: Int) -> HistogramFigures {
        let start = statusClass * HistogramScale.cells
        return HistogramFigures(cells[start..<(start + HistogramScale.cells)])
    }
}

/// What was counted for one endpoint of upstreams.
package struct EndpointFigures: Sendable {
    /// Nil for all endpoints without counters of their own.
    package var name: String?
    let cells: [UInt64]

    /// Connections that were made.
    package var connections: UInt64 { cells[0] }
    /// Requests that it had.
    package var requests: UInt64 { cells[1] }

    /// How often this went wrong; see `Counters.failed`.
    package func errors(kind: Int) -> UInt64 {
        kind < EndpointSlot.errorsMax ? cells[2 + kind] : 0
    }

    /// The times until an answer's head.
    package var answers: HistogramFigures { HistogramFigures(cells[(2 + EndpointSlot.errorsMax)...]) }
}
