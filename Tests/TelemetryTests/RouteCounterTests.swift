import ChimeraEventLoop
import ChimeraHTTPCore
import Testing

@testable import ChimeraTelemetry

@Suite struct RouteCounterTests {
    private let a = SiteKey(tenant: "t", name: "a")
    private let b = SiteKey(tenant: "t", name: "b")

    private func counts(_ board: CounterBoard) -> [String: UInt64] {
        var counts: [String: UInt64] = [:]
        for route in board.routes() {
            for index in 0...5 where route.histogram(statusClass: index).count > 0 {
                counts["\(route.site?.name ?? "-")\(route.route) \(index)"] =
                    route.histogram(statusClass: index).count
            }
        }
        return counts
    }

    @Test func `a route's requests are counted by class, over all workers`() {
        let board = CounterBoard(workers: 2)
        let site = board.assign([a])[0]
        let slots = board.routeSlots(of: a, ["/x", "/y", ""])
        #expect(Set(slots).count == 3)
        for (worker, slot, status) in [(0, 0, 200), (1, 0, 204), (1, 1, 404), (0, 2, 500), (0, 0, 503)] {
            board.counters(ofWorker: worker).exchangeEnded(
                site, route: slots[slot], status: status, bytesIn: 0, bytesOut: 0, nanoseconds: 1)
        }
        #expect(counts(board) == ["a/x 2": 2, "a/x 5": 1, "a/y 4": 1, "a 5": 1])
    }

    @Test func `routes with one text share a place, and are asked for again without another`() {
        let board = CounterBoard(workers: 1)
        _ = board.assign([a])
        let slots = board.routeSlots(of: a, ["/x", "/x", ""])
        #expect(slots[0] == slots[1])
        #expect(board.routeSlots(of: a, ["/x", "/x", ""]) == slots)
    }

    @Test func `a site without counters of its own has none for its routes`() {
        let board = CounterBoard(workers: 1)
        #expect(board.routeSlots(of: a, ["/x", ""]) == [.shared, .shared])
    }

    @Test func `what goes leaves its place to what comes, which begins at zero`() {
        let board = CounterBoard(workers: 1)
        let counters = board.counters(ofWorker: 0)
        let site = board.assign([a])[0]
        let old = board.routeSlots(of: a, ["/x"])[0]
        counters.exchangeEnded(site, route: old, status: 200, bytesIn: 0, bytesOut: 0, nanoseconds: 5)
        // The route goes, then its site.
        let fresh = board.routeSlots(of: a, ["/y"])[0]
        #expect(fresh == old)
        #expect(counts(board) == [:])
        counters.exchangeEnded(site, route: fresh, status: 200, bytesIn: 0, bytesOut: 0, nanoseconds: 5)
        #expect(counts(board) == ["a/y 2": 1])
        _ = board.assign([b])
        #expect(board.routeSlots(of: b, ["/z"])[0] == old)
        #expect(counts(board) == [:])
    }

    @Test func `routes past the bound are counted together`() {
        let board = CounterBoard(workers: 1)
        _ = board.assign([a])
        let texts = (0...RouteSlot.slotsMax).map { "/\($0)" }
        let slots = board.routeSlots(of: a, texts)
        #expect(slots.last == .shared)
        #expect(Set(slots).count == RouteSlot.slotsMax + 1)
        board.counters(ofWorker: 0).exchangeEnded(
            .shared, route: .shared, status: 200, bytesIn: 0, bytesOut: 0, nanoseconds: 5)
        #expect(counts(board) == ["- 2": 1])
    }

    @Test func `an endpoint is counted by what came of it`() throws {
        let board = CounterBoard(workers: 2)
        let slot = board.acquireEndpoint("127.0.0.1:1")
        #expect(board.acquireEndpoint("127.0.0.1:1") == slot)
        board.counters(ofWorker: 0).connected(to: slot)
        board.counters(ofWorker: 0).asked(slot, nanoseconds: 1_500_000)
        board.counters(ofWorker: 1).asked(slot, nanoseconds: nil)
        board.counters(ofWorker: 1).failed(slot, kind: 3)
        let figures = try #require(board.endpoints().first)
        #expect(figures.name == "127.0.0.1:1")
        #expect(figures.connections == 1 && figures.requests == 2 && figures.errors(kind: 3) == 1)
        #expect(figures.errors(kind: 2) == 0)
        #expect(figures.answers.count == 1 && figures.answers.sumNanoseconds == 1_500_000)
        #expect(board.totals()[.upstreamConnectionsOpened] == 1)
    }

    @Test func `an endpoint that nobody uses gives way to a new one, another does not`() {
        let board = CounterBoard(workers: 1)
        let kept = board.acquireEndpoint("kept")
        for number in 1..<EndpointSlot.slotsMax { _ = board.acquireEndpoint("\(number)") }
        #expect(board.acquireEndpoint("late") == .shared)
        board.releaseEndpoint("5")
        #expect(board.acquireEndpoint("later") != .shared)
        #expect(board.acquireEndpoint("kept") == kept)
        #expect(!board.endpoints().contains { $0.name == "5" })
    }
}

@Suite struct HistogramTests {
    @Test(
        arguments: [
            (0, 0), (-5, 0), (250_000, 0), (250_001, 1), (500_000, 1), (1_000_000, 2), (10_000_000_000, 13),
            (10_000_000_001, 14), (.max, 14),
        ] as [(Int64, Int)])
    func `a value is in the first bucket whose bound it does not pass`(value: Int64, bucket: Int) {
        #expect(HistogramScale.latency.bucket(of: value) == bucket)
    }

    @Test func `bounds grow`() {
        for scale in [HistogramScale.latency, .turns] {
            for index in 1..<HistogramScale.boundsCount {
                #expect(scale.bounds[index] > scale.bounds[index - 1])
            }
        }
    }
}
