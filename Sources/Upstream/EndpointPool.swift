package import ChimeraBytes
package import ChimeraEventLoop
internal import ChimeraHTTPCore

/// Bounds of the connections to one endpoint from one worker.
package struct UpstreamLimits: Equatable, Sendable {
    /// Connections kept that were not used for a second.
    package var idleMax = 32
    /// Connections kept in all.
    package var keptMax = 1024
    /// How long an unused connection is kept, in milliseconds.
    package var idleMilliseconds: Int64 = 30_000
    /// How long an endpoint that refused a connection is passed over where there are others, in milliseconds.
    package var avoidMilliseconds: Int64 = 1_000

    package init() {}
}

/// One endpoint as a worker sees it: its addresses, and the connections that are open and unused.
///
/// The connections lie in the order in which they went idle, and the newest is taken first, so that those which are
/// not needed grow old and go.
package final class EndpointPool: TimerTarget {
    let name: EndpointName
    let worker: Worker
    private let limits: UpstreamLimits
    private let resolver: Resolver
    /// Where connections may lead; nil: anywhere.
    private let reach: [CIDR]?
    /// Whether the name had addresses of late, and none that connections may lead to.
    @exclusivity(unchecked) private(set) var isOutOfReach = false
    let meter: (any EndpointMeter)?
    @exclusivity(unchecked) private var idle: [UpstreamConnection] = []
    @exclusivity(unchecked) private var timer: Timer?
    @exclusivity(unchecked) private var addresses: [SocketAddress] = []
    @exclusivity(unchecked) private var nextAddress = 0
    /// When the name is resolved again; never for an address.
    @exclusivity(unchecked) private var resolveAgainAt = Int64.max
    /// How long the addresses were good the last time, in milliseconds.
    @exclusivity(unchecked) private var lifetime = Resolver.lifetimeUnknown
    @exclusivity(unchecked) private var isAskingLifetime = false
    /// Counts how often an address ceased to be the name's: an older connection may lead to that one.
    @exclusivity(unchecked) private(set) var generation: UInt32 = 0
    @exclusivity(unchecked) private var isResolving = false
    /// How many look-ups have ended.
    @exclusivity(unchecked) private var lookUps = 0
    /// Those who wait for the end of the one under way.
    @exclusivity(unchecked) private var waiting: [Scope] = []
    /// Nobody leads here any more: what comes back is closed.
    @exclusivity(unchecked) private var isClosed = false
    /// Until when the endpoint is passed over.
    @exclusivity(unchecked) var avoidedUntil = Int64.min

    /// - Parameters:
    ///   - reach: where connections may lead, checked on each address; nil: anywhere.
    ///   - meter: counts what comes of the endpoint.
    package init(
        _ name: EndpointName, on worker: Worker, limits: UpstreamLimits, resolver: Resolver,
        reach: [CIDR]? = nil, meter: (any EndpointMeter)? = nil
    ) {
        self.reach = reach
        self.meter = meter
        self.name = name
        self.worker = worker
        self.limits = limits
        self.resolver = resolver
        if case .address(let address) = name { addresses = permitted([address]) }
    }

    /// The number of idle connections.
    package var idleCount: Int { idle.count }

    // MARK: Leasing

    /// An open connection that is not in use, or nil.
    func takeIdle() -> UpstreamConnection? {
        if worker.now >= resolveAgainAt { lookUp() }
        while let connection = idle.popLast() {
            if connection.isClean { return connection }
            connection.close()
        }
        return nil
    }

    /// Takes a connection back after an exchange that left it clean.
    func giveBack(_ connection: UpstreamConnection) {
        connection.endLease()
        guard connection.isClean, !isClosed, idle.count < limits.keptMax, leadsHere(connection) else {
            return connection.close()
        }
        connection.idleSince = worker.now
        idle.append(connection)
        if idle.count == 1 { sweepLater() }
    }

    /// Drops an idle connection that the upstream ended.
    func discard(_ connection: UpstreamConnection) {
        if let index = idle.lastIndex(where: { $0 === connection }) { idle.remove(at: index) }
        connection.close()
    }

    /// Closes the idle connections and stops the timer, before the pool goes.
    package func close() {
        guard !isClosed else { return }
        isClosed = true
        meter?.close()
        for connection in idle { connection.close() }
        idle = []
        if let timer { worker.cancel(timer) }
    }

    /// The endpoint refused a connection.
    func failed() { avoidedUntil = worker.now + limits.avoidMilliseconds }

    // MARK: Age

    private func sweepLater() {
        let timer = self.timer ?? Timer(target: self)
        self.timer = timer
        worker.set(timer, to: worker.now + 1_000)
    }

    package func deadlineReached(now: Int64) {
        var stale = 0
        while stale < idle.count {
            let age = now - idle[stale].idleSince
            guard age >= limits.idleMilliseconds || (idle.count - stale > limits.idleMax && age >= 1_000)
            else { break }
            idle[stale].close()
            stale += 1
        }
        idle.removeFirst(stale)
        if !idle.isEmpty { sweepLater() }
    }

    // MARK: Addresses

    /// The next address to connect to, in turn; nil when the name is not resolved yet.
    func nextKnownAddress() -> SocketAddress? {
        guard !addresses.isEmpty else { return nil }
        // The old addresses serve meanwhile.
        if worker.now >= resolveAgainAt { lookUp() }
        nextAddress = (nextAddress + 1) % addresses.count
        return addresses[nextAddress]
    }

    /// How many addresses are known.
    var addressCount: Int { addresses.count }

    /// What came of waiting for a name's address.
    enum Resolution {
        case address(SocketAddress)
        /// The name has none.
        case none
        /// The time was over.
        case timeout
        /// The client went away meanwhile.
        case lost(CloseReason)
    }

    /// Resolves the name and waits for that in the exchange's scope; all who need it share one look-up.
    ///
    /// - Parameter deadline: in milliseconds of the worker's clock; nil for none.
    func resolve(for exchange: any Exchange, deadline: Int64?) async -> Resolution {
        let before = lookUps
        lookUp()
        let scope = exchange.scope
        waiting.append(scope)
        defer { waiting.removeAll { $0 === scope } }
        while isResolving && lookUps == before {
            exchange.setDeadline(after: deadline.map { max(0, $0 - worker.now) })
            _ = await scope.wait()
            if lookUps != before { break }
            if let lost = exchange.lost { return .lost(lost) }
            if let deadline, worker.now >= deadline { return .timeout }
        }
        return nextKnownAddress().map(Resolution.address) ?? .none
    }

    /// Resolves the name while what is known serves; once at a time, however many ask.
    private func lookUp() {
        guard !isResolving, case .host(let host, let port) = name else { return }
        isResolving = true
        worker.start { [self] in
            let found = await resolver.resolve(host, port: port)
            take(found)
            let resolvedAt = worker.now
            resolveAgainAt = resolvedAt + lifetime
            isResolving = false
            lookUps += 1
            for scope in waiting { scope.wake(.done) }
            // Nobody waits for this.
            guard !found.isEmpty, !isClosed, !isAskingLifetime else { return }
            isAskingLifetime = true
            lifetime = await resolver.lifetime(of: found, for: host)
            resolveAgainAt = resolvedAt + lifetime
            isAskingLifetime = false
        }
    }

    private func take(_ found: [SocketAddress]) {
        // A name server that fails does not take the addresses away that were good.
        guard !found.isEmpty else { return }
        let found = permitted(found)
        let isAnyGone = addresses.contains { !found.contains($0) }
        addresses = found
        if isAnyGone { dropGone() }
    }

    private func permitted(_ found: [SocketAddress]) -> [SocketAddress] {
        guard let reach else { return found }
        let permitted = found.filter { address in
            guard case .ip(let ip, port: _) = address else { return true }
            return reach.contains { $0.contains(ip) }
        }
        isOutOfReach = permitted.isEmpty
        return permitted
    }

    /// Closes the idle connections to addresses that are the name's no longer.
    private func dropGone() {
        generation &+= 1
        let all = idle
        idle = []
        for connection in all {
            if leadsHere(connection) { idle.append(connection) } else { connection.close() }
        }
    }

    /// Whether the connection's address is still the name's.
    private func leadsHere(_ connection: UpstreamConnection) -> Bool {
        if connection.generation == generation { return true }
        guard addresses.contains(connection.address) else { return false }
        connection.generation = generation
        return true
    }
}

/// Counts what comes of one endpoint, on its worker.
package protocol EndpointMeter: AnyObject {
    /// A connection was made.
    func connected()
    /// A request was passed on and is over.
    ///
    /// - Parameter nanoseconds: from its first byte to the head of the answer; nil where none came.
    func asked(nanoseconds: Int64?)
    /// It cannot be connected to, or gave no answer.
    func failed(_ error: UpstreamError)
    /// The worker asks it no more.
    func close()
}

/// What an upstream is called.
package enum EndpointName: Hashable, Sendable {
    case address(SocketAddress)
    case host(String, port: UInt16)
}
