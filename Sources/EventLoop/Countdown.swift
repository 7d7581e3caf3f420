internal import Synchronization

/// Tells somebody when a number of things have happened, on the thread of the last.
package final class Countdown: Sendable {
    private let left: Mutex<Int>
    private let done: @Sendable () -> Void

    /// - Parameter count: at least 1.
    package init(_ count: Int, done: @escaping @Sendable () -> Void) {
        precondition(count > 0, "nothing is waited for")
        left = Mutex(count)
        self.done = done
    }

    /// One of them has happened.
    package func countDown() {
        let isLast = left.withLock { left in
            left -= 1
            return left == 0
        }
        if isLast { done() }
    }
}
