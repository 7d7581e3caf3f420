internal import Glibc

/// Something that happens once and that threads wait for.
package final class Latch: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    // Touched with the mutex held.
    private var isOpen = false
    /// A time that never comes, whose nanoseconds are a number yet.
    private static let millisecondsMax = Int64.max / 2_000_000

    package init() {
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(condition)
        mutex.deallocate()
        condition.deallocate()
    }

    /// It has happened.
    package func open() {
        pthread_mutex_lock(mutex)
        isOpen = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Blocks until it has happened, or so many milliseconds have passed; nil for no bound.
    ///
    /// - Returns: whether it has happened.
    @discardableResult
    package func wait(milliseconds: Int64? = nil) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard let milliseconds else {
            while !isOpen { pthread_cond_wait(condition, mutex) }
            return true
        }
        let bounded = max(0, min(milliseconds, Self.millisecondsMax))
        let end = Clock.monotonicNanoseconds() + bounded * 1_000_000
        var time = timespec(tv_sec: Int(end / 1_000_000_000), tv_nsec: Int(end % 1_000_000_000))
        while !isOpen {
            if pthread_cond_timedwait(condition, mutex, &time) == 0 { continue }
            if Clock.monotonicNanoseconds() >= end { break }
            // It ended before its time, as it does where a library gives this process other clocks.
            pthread_mutex_unlock(mutex)
            usleep(1_000)
            pthread_mutex_lock(mutex)
        }
        return isOpen
    }
}
