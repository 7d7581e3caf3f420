internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import HTTPTypes

/// One exchange as an embedded handler uses it, from wherever the handler runs.
///
/// ```
///  handler's task ──▶ read · write · …  ──▶ [ on the worker's thread ] ──▶ exchange
///                                                     │ nothing can be done now
///                                                     ▼
///            first who waits: in the exchange's scope ──news──▶ looks again, wakes the others
///            the others: behind it                    ──────▶ look again
/// ```
/// Every call is a `@concurrent` function, which runs on the executor that the task prefers: its worker,
/// whatever actor the handler is isolated to. Only a task that somebody started elsewhere has to be brought
/// here. That, and the check in `onThread`, is what makes the class safe to share: its state is touched on
/// the worker's thread alone.
///
/// A body may be read while the response is written, by child tasks. The scope takes one of them; see `news`.
final class ServedExchange: @unchecked Sendable {
    let worker: Worker
    let exchange: any GatewayExchange
    let host: GatewayWorker
    let timeouts: ResolvedTimeouts
    /// When the whole response has to be out, in milliseconds of the worker's clock.
    let responseLimit: Int64

    /// Why the exchange is over for the handler.
    @exclusivity(unchecked) private(set) var loss: CloseReason?
    /// Why the body cannot be read.
    @exclusivity(unchecked) private(set) var refusal: Refusal?
    @exclusivity(unchecked) var hasFinished = false
    /// The handler has returned.
    @exclusivity(unchecked) private(set) var hasEnded = false
    /// Bytes that the response's head promised and that were not sent; nil where it promised none.
    @exclusivity(unchecked) var promised: Int?
    /// The client's bytes are of another protocol.
    @exclusivity(unchecked) var isTunnel = false
    /// Bytes moved since the task last gave way.
    @exclusivity(unchecked) private var moved = 0

    @exclusivity(unchecked) private var isAwaitingNews = false
    @exclusivity(unchecked) private var followers: [UnsafeContinuation<Void, Never>] = []
    /// Until when each of those who wait does so.
    @exclusivity(unchecked) private var limits: [Int64] = []

    /// Bytes that one exchange moves before the worker's others have a turn.
    private static let bytesPerTurn = 256 * 1024

    init(_ exchange: some GatewayExchange, _ host: GatewayWorker) {
        self.exchange = exchange
        self.host = host
        worker = host.worker
        timeouts = (exchange.transaction.context.settings ?? host.dispatcher.machineSettings).timeouts
        responseLimit = timeouts.response.map { host.worker.now + $0 } ?? .max
    }

    // MARK: Where it runs

    /// Brings a task that does not prefer the worker's executor to it.
    func elsewhere<Value: Sendable>(
        _ body: @concurrent @Sendable () async throws -> Value
    ) async throws -> Value {
        try await withTaskExecutorPreference(worker, operation: body)
    }

    // MARK: State

    /// Throws where nothing can be done with the exchange any more.
    func check() throws {
        worker.onThread()
        if hasEnded { throw ExchangeError.exchangeOver }
        if loss == nil {
            loss = exchange.lost ?? (worker.now >= responseLimit ? .responseTimeout : nil)
        }
        if let loss { throw ExchangeError.aborted(AbortReason(loss)) }
    }

    /// Gives the exchange up.
    func abort(_ reason: CloseReason) -> ExchangeError {
        if loss == nil { loss = reason }
        return .aborted(AbortReason(loss ?? reason))
    }

    func refuse(_ refusal: Refusal) -> ExchangeError {
        self.refusal = refusal
        return .bodyRefused(status: refusal.status, reason: refusal.token)
    }

    /// The handler has returned. Whoever still waits, which is a task that it left behind, is told so, and
    /// the scope is free again.
    func end() async {
        hasEnded = true
        while isAwaitingNews {
            exchange.scope.wake(.done)
            await worker.yield()
        }
        exchange.setDeadline(after: nil)
        exchange.scope.reset()
    }

    // MARK: Waiting

    /// Waits until something has happened on the connection or `limit` has passed, in milliseconds of the
    /// worker's clock.
    ///
    /// - Throws: `CancellationError`
    func news(until limit: Int64) async throws {
        try Task.checkCancellation()
        moved = 0
        let limit = min(limit, responseLimit)
        limits.append(limit)
        await withTaskCancellationHandler {
            await nextNews()
        } onCancel: {
            // The canceller's thread may be any.
            worker.submit { [self] _ in if !hasEnded { exchange.scope.wake(.done) } }
        }
        if let place = limits.firstIndex(of: limit) { limits.remove(at: place) }
        try Task.checkCancellation()
    }

    /// One waits in the scope and the others behind it; all look again when it is woken, and whoever then
    /// comes first waits in the scope.
    private func nextNews() async {
        let earliest = limits.min() ?? .max
        exchange.setDeadline(after: earliest == .max ? nil : max(0, earliest - worker.now))
        guard !isAwaitingNews else { return await withUnsafeContinuation { followers.append($0) } }
        isAwaitingNews = true
        _ = await exchange.scope.wait()
        isAwaitingNews = false
        let due = followers
        followers = []
        for follower in due { follower.resume() }
    }

    /// Lets the worker's others have a turn, now and then.
    func giveWay(after count: Int) async {
        moved += count
        guard moved >= ServedExchange.bytesPerTurn else { return }
        moved = 0
        await worker.yield()
    }

    @concurrent
    func interruption() async throws -> AbortReason {
        guard worker.isOnThread else { return try await elsewhere { try await self.interruptionHere() } }
        return try await interruptionHere()
    }

    private func interruptionHere() async throws -> AbortReason {
        while true {
            do { try check() } catch ExchangeError.aborted(let reason) { return reason }
            if host.isDraining { return .draining }
            if exchange.clientHasEnded && exchange.bodyHasEnded { return .clientClosed }
            try await news(until: .max)
        }
    }
}
