import Glibc
import Testing

@testable import ChimeraServer

/// A plan that serves, and what it said on the way.
private func serving() -> ProcessPlan {
    var plan = ProcessPlan()
    _ = plan.begin()
    _ = plan.ready(1, now: 0)
    return plan
}

@Suite struct ProcessPlanTests {
    @Test func `the first data plane is announced when it is ready`() {
        var plan = ProcessPlan()
        #expect(plan.begin() == [.start(generation: 1, .current)])
        #expect(plan.serving == nil)
        #expect(plan.ready(1, now: 5) == [.adopt(generation: 1), .announce])
        #expect(plan.serving?.generation == 1)
        #expect(plan.ready(1, now: 6) == [])
    }

    @Test(arguments: [(1, 1), (3, 3), (2, 2), (0, 3)] as [(Int32, Int32)])
    func `a first data plane that does not come to serving ends the supervisor with its status`(
        status: Int32, end: Int32
    ) {
        var plan = ProcessPlan()
        _ = plan.begin()
        #expect(plan.ended(1, .exited(status), now: 5) == [.end(status: end)])
    }

    @Test func `a data plane that dies is replaced at once`() {
        var plan = serving()
        #expect(
            plan.ended(1, .signalled(SIGSEGV), now: 1000) == [
                .report(generation: 1, .signalled(SIGSEGV)), .start(generation: 2, .current),
            ])
        #expect(plan.ready(2, now: 1010) == [.adopt(generation: 2)])
    }

    @Test func `one that dies again and again is replaced later each time, and at once after a while`() {
        var plan = serving()
        var delays: [Int64] = []
        var generation = 1
        var now: Int64 = 0
        for _ in 0..<11 {
            let actions = plan.ended(generation, .exited(1), now: now)
            let delay = plan.restartAt.map { $0 - now } ?? 0
            delays.append(delay)
            if delay > 0 {
                #expect(!actions.contains(.start(generation: generation + 1, .current)))
                #expect(plan.expired(now: now + delay - 1) == [])
                #expect(plan.expired(now: now + delay) == [.start(generation: generation + 1, .current)])
            }
            generation += 1
            _ = plan.ready(generation, now: now + delay)
        }
        #expect(delays == [0, 0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000])
        now += ProcessPlan.memoryMilliseconds
        #expect(
            plan.ended(generation, .exited(1), now: now).last == .start(generation: generation + 1, .current))
    }

    @Test func `a reload while a replacement waits starts it`() {
        var plan = serving()
        for generation in 1...3 {
            _ = plan.ended(generation, .exited(1), now: 0)
            if generation < 3 { _ = plan.ready(generation + 1, now: 0) }
        }
        #expect(plan.restartAt == 100)
        #expect(plan.reload(now: 1) == [.start(generation: 4, .current)])
        #expect(plan.restartAt == nil)
        #expect(plan.reload(now: 1) == [.tell(generation: 4, .reload)])
    }

    @Test
    func `a reload is also for the data plane that starts, since it may have read what was there before`() {
        var plan = ProcessPlan()
        _ = plan.begin()
        #expect(plan.reload(now: 0) == [.tell(generation: 1, .reload)])
        _ = plan.ready(1, now: 1)
        _ = plan.upgrade(now: 2)
        #expect(plan.reload(now: 3) == [.tell(generation: 1, .reload), .tell(generation: 2, .reload)])
        _ = plan.ready(2, now: 4)
        #expect(plan.reload(now: 5) == [.tell(generation: 2, .reload)])
    }

    @Test func `an upgrade starts the new binary, and the old data plane drains when that is ready`() {
        var plan = serving()
        #expect(plan.upgrade(now: 10) == [.start(generation: 2, .replacement)])
        #expect(plan.serving?.generation == 1)
        #expect(
            plan.ready(2, now: 20) == [
                .adopt(generation: 2), .tell(generation: 1, .drain(isLast: false)), .upgraded(failure: nil),
            ])
        #expect(plan.ended(1, .exited(0), now: 30) == [])
        #expect(plan.planes.map(\.generation) == [2])
    }

    @Test(arguments: [.exited(1), .signalled(SIGILL)] as [ProcessEnd])
    func `an upgrade that does not get ready changes nothing`(end: ProcessEnd) {
        var plan = serving()
        _ = plan.upgrade(now: 10)
        let actions = plan.ended(2, end, now: 20)
        #expect(actions.first == .report(generation: 2, end))
        #expect(actions.last == .upgraded(failure: "the new data plane did not get ready: \(end.text)"))
        #expect(actions.count == 2)
        #expect(plan.serving?.generation == 1)
    }

    @Test func `an upgrade that takes too long is killed`() {
        var plan = serving()
        _ = plan.upgrade(now: 0)
        #expect(plan.deadline == ProcessPlan.upgradeMillisecondsMax)
        #expect(plan.expired(now: plan.deadline) == [.kill(generation: 2)])
        #expect(plan.deadline == .max)
    }

    @Test func `at most three live, and a further upgrade waits for the end of one`() {
        var plan = serving()
        for generation in 2...3 {
            _ = plan.upgrade(now: 0)
            _ = plan.ready(generation, now: 0)
        }
        #expect(plan.planes.count == 3)
        #expect(plan.upgrade(now: 1) == [])
        #expect(plan.upgrade(now: 2) == [])
        #expect(plan.upgradeWaits)
        #expect(plan.ended(2, .exited(0), now: 3) == [.start(generation: 4, .replacement)])
        #expect(!plan.upgradeWaits)
    }

    @Test func `a second upgrade waits for the first`() {
        var plan = serving()
        _ = plan.upgrade(now: 0)
        #expect(plan.upgrade(now: 1) == [])
        let actions = plan.ready(2, now: 2)
        #expect(actions.last == .start(generation: 3, .replacement))
    }

    @Test func `where the serving one dies during an upgrade, the new one takes over`() {
        var plan = serving()
        _ = plan.upgrade(now: 0)
        #expect(plan.ended(1, .signalled(SIGSEGV), now: 1) == [.report(generation: 1, .signalled(SIGSEGV))])
        #expect(plan.ready(2, now: 2) == [.adopt(generation: 2), .upgraded(failure: nil)])
    }

    @Test func `where both die, the binary that served is started again`() {
        var plan = serving()
        _ = plan.upgrade(now: 0)
        _ = plan.ended(1, .signalled(SIGSEGV), now: 1)
        #expect(plan.ended(2, .exited(1), now: 2).contains(.start(generation: 3, .current)))
    }

    @Test func `a draining one that takes longer than its drain is killed`() {
        var plan = serving()
        plan.drainMilliseconds = 1000
        _ = plan.upgrade(now: 0)
        _ = plan.ready(2, now: 100)
        #expect(plan.deadline == 100 + 1000 + ProcessPlan.graceMilliseconds)
        #expect(plan.expired(now: plan.deadline) == [.kill(generation: 1)])
    }

    @Test func `stopping drains, then ends at once, then kills`() {
        var plan = serving()
        #expect(plan.stop(now: 0) == [.tell(generation: 1, .drain(isLast: true)), .closeListeners])
        #expect(plan.stop(now: 1) == [.tell(generation: 1, .stopNow)])
        #expect(plan.stop(now: 2) == [.kill(generation: 1), .end(status: 0)])
    }

    @Test func `what stops is not replaced, upgraded or loaded again`() {
        var plan = serving()
        _ = plan.stop(now: 0)
        #expect(plan.upgrade(now: 1) == [.upgraded(failure: "the gateway is stopping")])
        #expect(plan.reload(now: 1) == [])
        #expect(plan.ended(1, .exited(0), now: 2) == [.end(status: 0)])
    }

    @Test func `stopping while nothing lives ends at once`() {
        var plan = serving()
        for generation in 1...3 {
            _ = plan.ended(generation, .exited(1), now: 0)
            if generation < 3 { _ = plan.ready(generation + 1, now: 0) }
        }
        #expect(plan.stop(now: 1) == [.closeListeners, .end(status: 0)])
    }

    @Test func `what is unknown is passed over`() {
        var plan = serving()
        #expect(plan.ended(7, .exited(0), now: 0) == [])
        #expect(plan.ready(7, now: 0) == [])
        #expect(plan.planes.count == 1)
    }

    /// Every order of a few hundred events keeps what is promised.
    @Test(arguments: 0..<50) func `whatever happens, at most three live and one serves`(seed: Int) {
        var random = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
        func next(_ bound: Int) -> Int {
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            return Int(random % UInt64(bound))
        }
        var plan = serving()
        var now: Int64 = 0
        var ends: [Int32] = []
        for _ in 0..<300 where ends.isEmpty {
            now += Int64(next(2000))
            let some = plan.planes.isEmpty ? 0 : plan.planes[next(plan.planes.count)].generation
            var actions = plan.expired(now: now)
            switch next(8) {
            case 0...2: actions += plan.ready(some, now: now)
            case 3...4: actions += plan.ended(some, next(2) == 0 ? .exited(0) : .signalled(SIGSEGV), now: now)
            case 5: actions += plan.upgrade(now: now)
            case 6: actions += plan.reload(now: now)
            default: if next(20) == 0 { actions += plan.stop(now: now) }
            }
            for case .end(let status) in actions { ends.append(status) }
            #expect(plan.planes.count <= ProcessPlan.planesMax, "seed \(seed)")
            #expect(plan.planes.count { $0.phase == .serving } <= 1, "seed \(seed)")
            #expect(plan.planes.count { $0.phase == .starting } <= 1, "seed \(seed)")
            // Somebody serves, or is about to.
            let isAlive = plan.planes.contains { $0.phase != .draining } || plan.restartAt != nil
            #expect(isAlive || plan.isStopping, "seed \(seed)")
        }
    }

    @Test(
        arguments: [
            (0, .exited(0)), (3 << 8, .exited(3)), (SIGSEGV, .signalled(SIGSEGV)),
            (SIGSEGV | 0x80, .signalled(SIGSEGV)),
        ] as [(Int32, ProcessEnd)])
    func `what waitpid says is read`(status: Int32, end: ProcessEnd) {
        #expect(ProcessEnd(waitStatus: status) == end)
    }
}
