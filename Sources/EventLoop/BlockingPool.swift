internal import Glibc
internal import Synchronization

/// A bounded pool of threads for what may block: opening files, name resolution, password hashes.
///
/// Threads start when work waits and none is free, up to `threadsMax`, and stay. The queue is bounded; past that
/// work is refused, and the caller answers 503 rather than letting memory grow.
package final class BlockingPool: @unchecked Sendable {
    private let threadsMax: Int
    private let queueMax: Int
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    // All of these are touched with the mutex held.
    private var queue: [@Sendable () -> Void] = []
    private var next = 0
    private var threads = 0
    private var idle = 0
    private var stopped = false

    package init(threadsMax: Int = 8, queueMax: Int = 10_000) {
        self.threadsMax = threadsMax
        self.queueMax = queueMax
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(condition)
        mutex.deallocate()
        condition.deallocate()
    }

    /// Runs `work` on a thread of the pool.
    ///
    /// - Returns: false when the queue is full, the pool stopped or the system gives no thread; the work is not run
    ///   then.
    package func submit(_ work: @escaping @Sendable () -> Void) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard !stopped, queue.count - next < queueMax else { return false }
        queue.append(work)
        // A thread that was signalled counts as idle until it runs, so it is the work that waits which is counted.
        if queue.count - next > idle && threads < threadsMax { startThread() }
        guard threads > 0 else {
            queue.removeLast()
            return false
        }
        pthread_cond_signal(condition)
        return true
    }

    /// How much the pool has to do now; from any thread.
    package var load: BlockingLoad {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return BlockingLoad(waiting: queue.count - next, threads: threads, idleThreads: idle)
    }

    /// Lets the threads end when the queue is empty.
    package func stop() {
        pthread_mutex_lock(mutex)
        stopped = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Runs `work` on the pool and gives its result to the waiting task, which goes on where it was.
    ///
    /// - Returns: nil when the pool has no room.
    package func run<Result: Sendable>(_ work: @escaping @Sendable () -> Result) async -> Result? {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Result?, Never>) in
            if !submit({ continuation.resume(returning: work()) }) { continuation.resume(returning: nil) }
        }
    }

    /// What was taken goes in bulk: at once when nothing waits, and now and then while something always does.
    private func forgetTaken() {
        if next == queue.count {
            queue.removeAll(keepingCapacity: queue.capacity < 1024)
            next = 0
        } else if next >= 1024 && next >= queue.count / 2 {
            queue.removeFirst(next)
            next = 0
        }
    }

    private func startThread() {
        let started = Thread.start(name: "chimera-block") { [self] in work() }
        if started { threads += 1 }
    }

    private func work() {
        pthread_mutex_lock(mutex)
        while true {
            if next < queue.count {
                let work = queue[next]
                next += 1
                forgetTaken()
                pthread_mutex_unlock(mutex)
                work()
                pthread_mutex_lock(mutex)
            } else if stopped {
                break
            } else {
                idle += 1
                pthread_cond_wait(condition, mutex)
                idle -= 1
            }
        }
        threads -= 1
        pthread_mutex_unlock(mutex)
    }
}

/// How much a blocking pool has to do.
package struct BlockingLoad: Sendable {
    /// Work that no thread has begun.
    package var waiting: Int
    package var threads: Int
    package var idleThreads: Int
}
