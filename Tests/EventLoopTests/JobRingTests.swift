import ChimeraTestSupport
import Synchronization
import Testing

@testable import ChimeraEventLoop

/// Takes the jobs of tasks and runs none.
private final class Collector: TaskExecutor {
    private let taken = Mutex<[UnownedJob]>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        taken.withLock { $0.append(job) }
    }

    /// Jobs that append their number to `order` when they run.
    func jobs(_ count: Int, _ order: Order) -> [UnownedJob] {
        for number in 0..<count {
            Task(executorPreference: self) { order.append(number) }
        }
        return taken.withLock { $0 }
    }
}

private final class Order: Sendable {
    private let numbers = Mutex<[Int]>([])

    func append(_ number: Int) { numbers.withLock { $0.append(number) } }
    var all: [Int] { numbers.withLock { $0 } }
}

@Suite struct `Run queue` {
    @Test(arguments: [1, 63, 64, 65, 300])
    func `jobs run in the order in which they came`(_ count: Int) {
        let (collector, order) = (Collector(), Order())
        var ring = JobRing()
        let wasEmpty = ring.isEmpty
        for job in collector.jobs(count, order) { ring.append(job) }
        let number = ring.count
        #expect(wasEmpty)
        #expect(number == count)
        while !ring.isEmpty { ring.removeFirst().runSynchronously(on: collector.asUnownedTaskExecutor()) }
        #expect(order.all == Array(0..<count))
    }

    /// Appends and removals in turn, so that the ring wraps around, and grows while it does.
    @Test(arguments: 0..<10)
    func `jobs keep their order while the ring wraps around and grows`(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let (collector, order) = (Collector(), Order())
        var waiting = collector.jobs(1_000, order)[...]
        var ring = JobRing()
        while !waiting.isEmpty || !ring.isEmpty {
            for _ in 0..<Int.random(in: 0...90, using: &generator) {
                guard let job = waiting.popFirst() else { break }
                ring.append(job)
            }
            for _ in 0..<Int.random(in: 0...60, using: &generator) where !ring.isEmpty {
                ring.removeFirst().runSynchronously(on: collector.asUnownedTaskExecutor())
            }
        }
        #expect(order.all == Array(0..<1_000), "seed \(seed)")
    }
}
