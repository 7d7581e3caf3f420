internal import ChimeraEventLoop
internal import Synchronization

/// Passes connections from the worker that accepted them to another.
final class Handover: Sendable {
    private let workers = Mutex<[WorkerThread]>([])

    func set(_ workers: [WorkerThread]) { self.workers.withLock { $0 = workers } }

    /// Every other worker closes connections that were idle for long.
    func makeRoom(except worker: Int) {
        for (index, thread) in workers.withLock({ $0 }).enumerated() where index != worker {
            thread.closeIdle()
        }
    }

    func pass(_ descriptor: Int32, _ peer: PeerAddress, from listener: String, to worker: Int) {
        guard let chosen = workers.withLock({ $0.indices.contains(worker) ? $0[worker] : nil }) else {
            return FileDescriptors.close(descriptor)
        }
        chosen.take(descriptor, peer, from: listener)
    }
}

/// How many connections each worker has, for those who have more than others: each worker writes its own number and
/// reads the rest, each on a cache line of its own.
final class WorkerLoads: Sendable {
    private nonisolated(unsafe) let cells: UnsafeMutablePointer<Atomic<Int>>
    /// Of the workers.
    let count: Int
    private static let stride = 8

    init(workers: Int) {
        count = workers
        let memory = UnsafeMutableRawPointer.allocate(byteCount: workers * 64, alignment: 64)
        cells = memory.bindMemory(to: Atomic<Int>.self, capacity: workers * Self.stride)
        for index in 0..<(workers * Self.stride) { (cells + index).initialize(to: Atomic(0)) }
    }

    deinit { UnsafeMutableRawPointer(cells).deallocate() }

    /// Notes a worker's number of connections; on its own thread.
    func note(_ connections: Int, of worker: Int) {
        cells[worker * Self.stride].store(connections, ordering: .relaxed)
    }

    /// The worker that should take a new connection which `worker` accepted: itself, unless another has notably
    /// fewer, since moving a connection costs a wake-up.
    func chooser(for worker: Int, having connections: Int) -> Int {
        var best = worker
        var least = connections - 16 - connections / 8
        for other in 0..<count where other != worker {
            let load = cells[other * Self.stride].load(ordering: .relaxed)
            if load < least {
                least = load
                best = other
            }
        }
        return best
    }

    /// A worker's number of connections, as it was a moment ago.
    func connections(of worker: Int) -> Int { cells[worker * Self.stride].load(ordering: .relaxed) }

    /// The sum over all workers.
    var total: Int {
        (0..<count).reduce(0) { $0 + cells[$1 * Self.stride].load(ordering: .relaxed) }
    }
}
