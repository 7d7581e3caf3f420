import ChimeraTestSupport
import Testing

@testable import ChimeraEventLoop

private final class Owner: TimerTarget {
    let number: Int
    var timer: Timer?
    /// When the model says that it is due; nil for never.
    var deadline: Int64?

    init(_ number: Int) {
        self.number = number
        timer = Timer(target: self)
    }

    func deadlineReached(now: Int64) {}
}

@Suite struct `Timers of a worker` {
    private func expired(_ timers: inout Timers, now: Int64) -> [Int] {
        var numbers: [Int] = []
        while let owner = timers.popExpired(now: now) as? Owner { numbers.append(owner.number) }
        return numbers
    }

    @Test func `without timers nothing is due`() {
        var timers = Timers()
        #expect(timers.earliest == .max)
        #expect(timers.popExpired(now: .max - 1) == nil)
    }

    @Test func `a timer is due at its deadline and once`() throws {
        var timers = Timers()
        let owner = Owner(1)
        timers.set(try #require(owner.timer), to: 100)
        #expect(timers.earliest == 100)
        #expect(expired(&timers, now: 99) == [])
        #expect(expired(&timers, now: 100) == [1])
        #expect(expired(&timers, now: 1_000) == [])
        #expect(owner.timer?.deadline == .max)
        #expect(timers.count == 0)
    }

    @Test func `moving a deadline later does not move the timer until its old time`() throws {
        var timers = Timers()
        let owner = Owner(1)
        let timer = try #require(owner.timer)
        timers.set(timer, to: 100)
        timers.set(timer, to: 500)
        #expect(timers.earliest == 100)
        #expect(timers.count == 1)
        #expect(expired(&timers, now: 100) == [])
        #expect(timers.earliest == 500)
        timers.checkInvariants()
        #expect(expired(&timers, now: 500) == [1])
    }

    @Test func `moving a deadline earlier counts at once`() throws {
        var timers = Timers()
        let owners = (0..<20).map(Owner.init)
        for owner in owners { timers.set(try #require(owner.timer), to: 1_000 + Int64(owner.number)) }
        timers.set(try #require(owners[19].timer), to: 5)
        timers.checkInvariants()
        #expect(timers.earliest == 5)
        #expect(expired(&timers, now: 5) == [19])
        for owner in owners { timers.cancel(try #require(owner.timer)) }
    }

    @Test func `a timer without a deadline goes when it is next looked at`() throws {
        var timers = Timers()
        let owner = Owner(1)
        let timer = try #require(owner.timer)
        timers.set(timer, to: 100)
        timers.set(timer, to: .max)
        #expect(expired(&timers, now: 1_000) == [])
        #expect(timers.count == 0)
        timers.set(timer, to: .max)
        #expect(timers.count == 0)
        timers.cancel(timer)
    }

    /// Random operations; the model is a deadline in each owner.
    @Test(arguments: 0..<20)
    func `timers do what a list of deadlines does`(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var timers = Timers()
        let owners = (0..<60).map(Owner.init)
        var now: Int64 = 0
        for step in 0..<600 {
            let owner = try #require(owners.randomElement(using: &generator))
            let timer = try #require(owner.timer)
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<6:
                let deadline = now + Int64.random(in: -20...400, using: &generator)
                timers.set(timer, to: deadline)
                owner.deadline = deadline
            case 6:
                timers.set(timer, to: .max)
                owner.deadline = nil
            case 7:
                timers.cancel(timer)
                owner.deadline = nil
            default:
                now += Int64.random(in: 0...60, using: &generator)
                let due = owners.filter { $0.deadline.map { $0 <= now } ?? false }
                #expect(
                    expired(&timers, now: now).sorted() == due.map(\.number), "seed \(seed), step \(step)")
                for owner in due { owner.deadline = nil }
            }
            timers.checkInvariants()
            let earliest = owners.compactMap(\.deadline).min() ?? .max
            #expect(timers.earliest <= earliest, "seed \(seed), step \(step)")
            #expect(timer.deadline == owner.deadline ?? .max)
        }
        for owner in owners { timers.cancel(try #require(owner.timer)) }
        #expect(timers.count == 0)
    }
}
