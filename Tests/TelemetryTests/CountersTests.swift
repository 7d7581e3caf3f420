import ChimeraHTTPCore
import Testing

@testable import ChimeraTelemetry

@Suite struct CountersTests {
    @Test func `what two workers count is added up`() {
        let board = CounterBoard(workers: 2)
        let (one, two) = (board.counters(ofWorker: 0), board.counters(ofWorker: 1))
        one.add(.connectionsAccepted, 3)
        two.add(.connectionsClosed)
        one.add(Refusal.hostMissing)
        two.add(Refusal.hostMissing)
        two.add(CloseReason.idleTimeout)
        one.add(LimitHit.descriptors)
        let totals = board.totals()
        #expect(totals.connectionsOpen == 2)
        #expect(totals[Refusal.hostMissing] == 2)
        #expect(totals[Refusal.hostMalformed] == 0)
        #expect(totals[CloseReason.idleTimeout] == 1)
        #expect(totals[LimitHit.descriptors] == 1)
        #expect(totals[.requests] == 0)
    }

    @Test func `every counter, refusal, reason and limit has a place of its own`() {
        let board = CounterBoard(workers: 1)
        let counters = board.counters(ofWorker: 0)
        for counter in Counter.allCases { counters.add(counter, counter.rawValue + 1) }
        for refusal in Refusal.allCases { for _ in 0...refusal.rawValue { counters.add(refusal) } }
        for reason in CloseReason.allCases { for _ in 0...reason.rawValue { counters.add(reason) } }
        for limit in LimitHit.allCases { for _ in 0...limit.rawValue { counters.add(limit) } }
        let totals = board.totals()
        for counter in Counter.allCases { #expect(totals[counter] == UInt64(counter.rawValue + 1)) }
        for refusal in Refusal.allCases { #expect(totals[refusal] == UInt64(refusal.rawValue) + 1) }
        for reason in CloseReason.allCases { #expect(totals[reason] == UInt64(reason.rawValue) + 1) }
        for limit in LimitHit.allCases { #expect(totals[limit] == UInt64(limit.rawValue) + 1) }
    }

    @Test(arguments: [
        (0, 0), (101, 1), (200, 2), (299, 2), (304, 3), (404, 4), (499, 4), (503, 5), (600, 0), (999, 0),
        (-1, 0),
    ])
    func `a response is counted by the first digit of its status`(status: Int, digit: Int) {
        let board = CounterBoard(workers: 1)
        board.counters(ofWorker: 0).exchangeEnded(.shared, status: status, bytesIn: 2, bytesOut: 3)
        let totals = board.totals()
        for each in 0...5 { #expect(totals.responses(statusClass: each) == (each == digit ? 1 : 0)) }
        #expect(totals[.requests] == 1)
        #expect(totals[.bytesIn] == 2)
        #expect(totals[.bytesOut] == 3)
        #expect(board.sharedTotals().requests == 1)
    }

    @Test func `a site's requests are counted for it and for nobody else`() throws {
        let board = CounterBoard(workers: 2)
        let (a, b) = (SiteKey(tenant: "t", name: "a"), SiteKey(tenant: "t", name: "b"))
        let slots = board.assign([a, b])
        board.counters(ofWorker: 0).exchangeEnded(slots[0], status: 200, bytesIn: 1, bytesOut: 10)
        board.counters(ofWorker: 1).exchangeEnded(slots[0], status: 404, bytesIn: 1, bytesOut: 10)
        board.counters(ofWorker: 1).exchangeEnded(slots[1], status: 500, bytesIn: 0, bytesOut: 0)
        let totals = try #require(board.totals(of: a))
        #expect(totals.requests == 2)
        #expect(totals.clientErrors == 1)
        #expect(totals.serverErrors == 0)
        #expect(totals.bytesIn == 2)
        #expect(totals.bytesOut == 20)
        #expect(board.totals(of: b)?.serverErrors == 1)
        #expect(board.totals(of: SiteKey(tenant: "u", name: "a")) == nil)
    }

    @Test func `a site keeps its counters over a reload, and a new one begins at zero`() {
        let board = CounterBoard(workers: 1)
        let (a, b, c) = (
            SiteKey(tenant: "", name: "a"), SiteKey(tenant: "", name: "b"), SiteKey(tenant: "", name: "c")
        )
        let first = board.assign([a, b])
        for slot in first {
            board.counters(ofWorker: 0).exchangeEnded(slot, status: 200, bytesIn: 0, bytesOut: 1)
        }
        let second = board.assign([c, b])
        #expect(second[1] == first[1])
        #expect(second[0] == first[0])
        #expect(board.totals(of: a) == nil)
        #expect(board.totals(of: b)?.requests == 1)
        #expect(board.totals(of: c) == SiteTotals())
    }

    @Test func `sites past the bound share their counters`() {
        let board = CounterBoard(workers: 1)
        let keys = (0...SiteSlot.slotsMax).map { SiteKey(tenant: "t", name: "\($0)") }
        let slots = board.assign(keys)
        #expect(Set(slots.prefix(SiteSlot.slotsMax)).count == SiteSlot.slotsMax)
        #expect(!slots.prefix(SiteSlot.slotsMax).contains(.shared))
        #expect(slots.last == .shared)
        board.counters(ofWorker: 0).exchangeEnded(.shared, status: 200, bytesIn: 0, bytesOut: 0)
        #expect(board.totals(of: keys[SiteSlot.slotsMax]) == nil)
        #expect(board.totals(of: keys[SiteSlot.slotsMax - 1])?.requests == 0)
        #expect(board.sharedTotals().requests == 1)
    }
}
