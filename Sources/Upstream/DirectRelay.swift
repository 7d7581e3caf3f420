internal import ChimeraBytes
package import ChimeraEventLoop
internal import ChimeraHTTPCore

/// Is told how a request that was passed on without a task ended.
package protocol RelayOwner: AnyObject {
    /// - Parameter mayRepeat: the upstream's connection turned out to be closed, and the request may be sent once more.
    func relayEnded(_ outcome: ProxyOutcome, mayRepeat: Bool)
}

/// Drives a relay by the wakes of its exchange's scope instead of by a task.
///
/// It is for the common case: a kept connection to the upstream, so that nothing has to be awaited before the request
/// goes out. A task that waits twice for each request costs about a microsecond, as much as all else that the gateway
/// adds to a proxied request. What goes another way (connecting, sending again, errors) is served by a task, which waits
/// for the end of a relay once and not at each of its turns: a tunnel may have any number of these.
package final class DirectRelay: ScopeObserver, TurnTarget {
    /// Where the relay lies while there is one: used in place, since copying it would count every reference in it.
    private var relay: UnsafeMutablePointer<Relay> {
        if let place { return place }
        let made = UnsafeMutablePointer<Relay>.allocate(capacity: 1)
        place = made
        return made
    }
    /// Nil before the first: not every exchange has one.
    @exclusivity(unchecked) private var place: UnsafeMutablePointer<Relay>?
    @exclusivity(unchecked) private var isActive = false
    @exclusivity(unchecked) private unowned(unsafe) var owner: (any RelayOwner)?
    private let worker: Worker
    let scope: Scope

    package init(worker: Worker, scope: Scope) {
        self.worker = worker
        self.scope = scope
    }

    deinit {
        precondition(!isActive, "a relay was freed before its end")
        place?.deallocate()
    }

    /// Starts; the owner may be told of the end before this returns.
    func start(_ fresh: consuming Relay, _ head: RequestHead, target: Slice, owner: any RelayOwner) {
        precondition(!isActive, "a relay drives one request at a time")
        self.owner = owner
        scope.observe(self)
        relay.initialize(to: fresh)
        isActive = true
        if let end = relay.pointee.start(head, target: target) { return self.end(end) }
        advance()
    }

    /// How a relay ended, for a task that waits for that.
    struct End {
        var outcome: ProxyOutcome
        /// As `RelayOwner` is told; it was not counted for the endpoint then.
        var mayRepeat: Bool
    }

    /// Who waits for the end of one relay.
    private final class Waiter: RelayOwner {
        @exclusivity(unchecked) var continuation: UnsafeContinuation<End, Never>?

        func relayEnded(_ outcome: ProxyOutcome, mayRepeat: Bool) {
            continuation?.resume(returning: End(outcome: outcome, mayRepeat: mayRepeat))
            continuation = nil
        }
    }

    /// Drives a relay for a task, which waits once and not at each of its turns.
    func run(_ fresh: consuming Relay, _ head: RequestHead, target: Slice) async -> End {
        let waiter = Waiter()
        var relay: Relay? = fresh
        // The relay's owner is not kept by it, nor is this by the scope.
        defer { withExtendedLifetime((self, waiter)) {} }
        return await withUnsafeContinuation { continuation in
            waiter.continuation = continuation
            guard let relay = relay.take() else { return }
            start(relay, head, target: target, owner: waiter)
        }
    }

    package func woken(_ reason: Wake) {
        guard isActive else { return }
        if let end = relay.pointee.woken(reason) { return self.end(end) }
        advance()
    }

    package func takeTurn() {
        if isActive { advance() }
    }

    private func advance() {
        if let end = relay.pointee.advance() { return self.end(end) }
        if relay.pointee.hasWork { worker.postpone(self) } else { relay.pointee.armDeadline() }
    }

    private func end(_ outcome: ProxyOutcome) {
        let mayRepeat = relay.pointee.mayBeRepeated(outcome)
        relay.pointee.release()
        relay.pointee.note(outcome)
        if !mayRepeat { relay.pointee.count(outcome) }
        relay.deinitialize(count: 1)
        isActive = false
        scope.observe(nil)
        let owner = self.owner
        self.owner = nil
        owner?.relayEnded(outcome, mayRepeat: mayRepeat)
    }
}
