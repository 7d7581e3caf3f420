/// Why a scope that waited goes on.
package struct Wake: OptionSet, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A socket of the scope became readable, writable or was closed by its peer; the sockets say which.
    package static let io = Wake(rawValue: 1)
    /// The scope's deadline has passed.
    package static let deadline = Wake(rawValue: 2)
    /// Somebody ended the scope: the client went away, the gateway drains.
    package static let abort = Wake(rawValue: 4)
    /// Work that was handed elsewhere (the blocking pool, another scope of this worker) is done.
    package static let done = Wake(rawValue: 8)
}

/// Is told of a scope's wakes instead of a task.
package protocol ScopeObserver: AnyObject {
    /// Something has happened. Runs on the worker's thread, outside of any call that the observer made.
    func woken(_ reason: Wake)
}

/// Where one task waits: the single waiting mechanism below the public API.
///
/// ```
///            wake(reason)                     wake(reason)
///   running ─────────────▶ latched ──wait()──▶ running
///   running ──wait()──▶ suspended ──────────▶ running
/// ```
/// Only its worker wakes a scope. A wake takes the continuation out first, so a second event finds nothing to
/// resume; what arrives while the task runs is latched and seen at the next wait. A wait returns reasons and
/// never throws. Refused: two tasks that wait in one scope.
package final class Scope {
    @exclusivity(unchecked)
    private var continuation: UnsafeContinuation<Void, Never>?
    @exclusivity(unchecked)
    private var latched: Wake = []
    @exclusivity(unchecked)
    private unowned(unsafe) var observer: (any ScopeObserver)?

    package init() {}

    /// Tells `observer` of wakes from now on, as long as it is set; no task waits meanwhile. Not kept alive here.
    package func observe(_ observer: (any ScopeObserver)?) {
        precondition(continuation == nil, "a task waits in a scope that is observed")
        self.observer = observer
        latched = []
    }

    /// Waits until something has happened since the last wait, and says what.
    package func wait() async -> Wake {
        if latched.isEmpty {
            await withUnsafeContinuation { continuation in
                precondition(self.continuation == nil, "two tasks wait in one scope")
                self.continuation = continuation
            }
        }
        defer { latched = [] }
        return latched
    }

    /// Tells the scope that something has happened.
    package func wake(_ reason: Wake) {
        if let observer { return observer.woken(reason) }
        latched.formUnion(reason)
        guard let waiting = continuation else { return }
        continuation = nil
        waiting.resume()
    }

    /// Forgets that a deadline has passed, for who sets another one: the next wait is not over because of the one before.
    package func forgetDeadline() { latched.remove(.deadline) }

    /// Whether a task is suspended here.
    package var isWaiting: Bool { continuation != nil }

    /// Forgets what was latched, before the scope is used for something new.
    package func reset() {
        precondition(continuation == nil)
        latched = []
    }
}
