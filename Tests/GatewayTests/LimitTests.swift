import ChimeraConfiguration
import Synchronization
import Testing

@testable import Chimera

/// The clock of these tests: seconds as nanoseconds.
private func at(_ seconds: Double) -> Int64 { 1_000_000_000_000 + Int64(seconds * 1_000_000_000) }

@Suite struct TokenRateTests {
    private func rate(_ count: Int, per milliseconds: Int64 = 1_000, burst: Int) -> TokenRate {
        TokenRate(Rate(count: count, milliseconds: milliseconds), burst: burst)
    }

    @Test func `a fresh bucket gives its burst at once and then the rate`() {
        let table = RateTable(rows: 1)
        let rate = rate(10, burst: 3)
        for _ in 0..<3 { #expect(table.take(7, rate, now: at(0)) == .admitted) }
        #expect(table.take(7, rate, now: at(0)) == .refused(wait: 100_000_000))
        #expect(table.take(7, rate, now: at(0.08)) == .refused(wait: 20_000_000))
        #expect(table.take(7, rate, now: at(0.1)) == .admitted)
        #expect(table.take(7, rate, now: at(0.1)) == .refused(wait: 100_000_000))
    }

    @Test func `a clock that is a moment behind refuses nothing, and gives nothing more`() {
        let table = RateTable(rows: 1)
        let rate = rate(2, per: 3_600_000, burst: 2)
        #expect(table.take(7, rate, now: at(0.001)) == .admitted)
        #expect(table.take(7, rate, now: at(0)) == .admitted)
        #expect(table.take(7, rate, now: at(0.002)) != .admitted)
    }

    @Test func `a bucket fills up to its burst and no further`() {
        let table = RateTable(rows: 1)
        let rate = rate(10, burst: 2)
        for _ in 0..<2 { #expect(table.take(7, rate, now: at(0)) == .admitted) }
        for _ in 0..<2 { #expect(table.take(7, rate, now: at(3600)) == .admitted) }
        #expect(table.take(7, rate, now: at(3600)) != .admitted)
    }

    @Test func `over a long time no more come than rate and burst allow`() {
        let table = RateTable(rows: 1)
        let rate = rate(50, burst: 5)
        var admitted = 0
        // Far more than may come, at uneven times.
        for step in 0..<20_000 where table.take(1, rate, now: at(Double(step) * 0.0005)) == .admitted {
            admitted += 1
        }
        #expect(admitted == 50 * 10 + 5 - 1 || admitted == 50 * 10 + 5)
    }

    @Test(arguments: [(1, 86_400_000), (1_000_000_000, 1_000), (5, 60_000)] as [(Int, Int64)])
    func `the greatest and the least of rates and bursts do not overflow`(count: Int, milliseconds: Int64) {
        let table = RateTable(rows: 1)
        let rate = rate(count, per: milliseconds, burst: 1_000_000_000)
        #expect(rate.interval > 0 && rate.tolerance >= 0)
        for second in 0..<100 { #expect(table.take(9, rate, now: at(Double(second))) == .admitted) }
    }

    @Test func `to look takes nothing`() {
        let table = RateTable(rows: 1)
        let rate = rate(1, burst: 1)
        for _ in 0..<5 { #expect(table.peek(3, rate, now: at(0)) == .admitted) }
        #expect(table.take(3, rate, now: at(0)) == .admitted)
        #expect(table.peek(3, rate, now: at(0.25)) == .refused(wait: 750_000_000))
        #expect(table.peek(4, rate, now: at(0)) == .admitted)
    }

    @Test func `keys past a row's places push out what is nearest to full, and that is counted`() {
        let table = RateTable(rows: 1)
        let rate = rate(1, burst: 2)
        // Eight keys, the first of which is soonest full again.
        for key in 1...8 { #expect(table.take(UInt64(key), rate, now: at(Double(key))) == .admitted) }
        #expect(table.forgottenBuckets == 0)
        // All but the last two are full again by now: one of them is forgotten, and nothing is lost by it.
        #expect(table.take(100, rate, now: at(8)) == .admitted)
        #expect(table.forgottenBuckets == 0)
        for key in 101...120 { #expect(table.take(UInt64(key), rate, now: at(8)) == .admitted) }
        #expect(table.forgottenBuckets > 0)
    }

    @Test func `workers that share a table share its tokens`() async {
        let table = RateTable(rows: 1)
        let rate = rate(1, burst: 1_000)
        let admitted = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    (0..<1_000).count { _ in table.take(5, rate, now: at(0)) == .admitted }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(admitted == 1_000)
    }

    @Test func `a key that workers meet first at the same moment has one bucket`() async {
        let table = RateTable()
        let rate = rate(1, burst: 3)
        let admitted = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    // Each key is new to all of them at about the same time.
                    (1...20_000).count { key in table.take(UInt64(key) << 8, rate, now: at(0)) == .admitted }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(table.forgottenBuckets == 0)
        #expect(admitted == 60_000)
    }
}

@Suite struct PlaceTableTests {
    private func place(_ outcome: PlaceTable.Outcome) -> Int32? {
        if case .entered(let place) = outcome { place } else { nil }
    }

    private let key: UInt64 = 0x1234_5678_9ABC_DEF0

    @Test(arguments: [1, 2, 5])
    func `as many enter as may be, and one for each that leaves`(limit: Int) throws {
        let table = PlaceTable(rows: 1)
        var places: [Int32] = []
        for _ in 0..<limit { places.append(try #require(place(table.enter(key, limit: limit)))) }
        #expect(table.enter(key, limit: limit) == .full)
        table.leave(places.removeLast())
        #expect(place(table.enter(key, limit: limit)) != nil)
        #expect(table.enter(key, limit: limit) == .full)
    }

    @Test func `nobody enters where none may`() {
        #expect(PlaceTable(rows: 1).enter(key, limit: 0) == .full)
    }

    @Test func `keys have counts of their own, and a place that all have left is free`() throws {
        let table = PlaceTable(rows: 1)
        var places: [Int32] = []
        for number in 1...16 {
            places.append(try #require(place(table.enter(UInt64(number) << 40, limit: 1))))
        }
        #expect(Set(places).count == 16)
        #expect(table.enter(17 << 40, limit: 1) == .uncounted)
        #expect(table.uncounted == 1)
        table.leave(places[3])
        #expect(place(table.enter(17 << 40, limit: 1)) == places[3])
        #expect(table.count(at: places[3]) == 1)
    }

    @Test func `workers that share a table never let in too many`() async {
        let table = PlaceTable(rows: 1)
        let key = key
        let most = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var most = 0
                    for _ in 0..<2_000 {
                        guard case .entered(let place) = table.enter(key, limit: 2) else { continue }
                        most = max(most, table.count(at: place))
                        table.leave(place)
                    }
                    return most
                }
            }
            return await group.reduce(0, max)
        }
        #expect((1...2).contains(most))
        #expect(table.enter(key, limit: 1) != .full)
    }
}

extension PlaceTableTests {
    /// Places of the row become free and taken again all the time, so that keys meet without one.
    @Test func `a key that workers meet at the same moment has one place`() async {
        let table = PlaceTable(rows: 1)
        let inside = (0..<20).map { _ in Counted() }
        let most = await withTaskGroup(of: Int.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    var most = 0
                    for step in 0..<20_000 {
                        let number = (step &* 7 &+ worker / 2) % inside.count
                        let key = UInt64(number + 1) << 40
                        guard case .entered(let place) = table.enter(key, limit: 1) else { continue }
                        most = max(most, inside[number].value.wrappingAdd(1, ordering: .relaxed).newValue)
                        inside[number].value.wrappingSubtract(1, ordering: .relaxed)
                        table.leave(place)
                    }
                    return most
                }
            }
            return await group.reduce(0, max)
        }
        #expect(most == 1)
    }

    private final class Counted: Sendable {
        let value = Atomic(0)
    }
}

@Suite struct ConnectionsMaxTests {
    @Test(arguments: [
        (256, 192), (1_024, 768), (65_536, 64_512), (1 << 20, (1 << 20) - 1_024), (20, 8), (0, 8),
    ])
    func `a reserve of descriptors is kept for upstreams and files`(descriptors: Int, connections: Int) {
        #expect(GatewayWorker.connectionsMax(descriptors: descriptors) == connections)
    }
}
