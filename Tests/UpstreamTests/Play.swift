import ChimeraBytes
import ChimeraEventLoop
import ChimeraHTTPCore
import ChimeraTestSupport
import ChimeraUpstream
import Testing

/// One request passed on: what client and upstream do.
struct Play: Sendable {
    /// Who drives the relay: a task, or the wakes of its scope, which needs a kept connection.
    enum Driver: Sendable, CaseIterable { case task, wakes }

    var request = ["GET /path?query HTTP/1.1", "Host: a"]
    var body: [ClientStep] = []
    /// A script for each connection.
    var upstream: [[UpstreamStep]]
    var driver = Driver.task
    /// A request before this one leaves a kept connection.
    var isWarm = false
    /// The upstream sends one byte at a time.
    var isBytewise = false
    var timeouts = Play.patient
    var limits = Limits()

    /// Longer than any test takes, so that what hangs fails by itself.
    static var patient: UpstreamTimeouts {
        var timeouts = UpstreamTimeouts()
        timeouts.connect = 8_000
        timeouts.answer = 8_000
        timeouts.read = 8_000
        timeouts.quiet = 8_000
        timeouts.body = 8_000
        timeouts.send = 8_000
        return timeouts
    }

    /// Performs it on a worker of its own.
    func perform() async throws -> Performance {
        let stage = Stage()
        let isWarm = isWarm || driver == .wakes
        var scripts = upstream
        if isWarm {
            let warmUp: [UpstreamStep] = [
                .expect("GET /warm HTTP/1.1\r\nHost: a\r\n\r\n"), .send("HTTP/1.1 204 No Content\r\n\r\n"),
            ]
            scripts[0] = warmUp + scripts[0]
        }
        let upstream = try ScriptedUpstream(scripts, bytewise: isBytewise) { step in
            stage.feed(step)
        }
        var performance = try await onWorker { [self] worker in
            let pool = EndpointPool(
                .address(upstream.address), on: worker, limits: UpstreamLimits(),
                resolver: Resolver(pool: BlockingPool(threadsMax: 1)))
            defer { pool.close() }
            let proxy = Proxy([pool], on: worker, scratch: ByteBuffer(capacity: 64 * 1024), limits: limits)
            if isWarm { try await warmUp(proxy, pool, worker) }
            let exchange = try ScriptedExchange(worker, request: request, body: body)
            defer { exchange.close() }
            stage.set(worker, exchange)
            defer { stage.set(worker, nil) }
            let outcome = await serve(exchange, proxy)
            return Performance(
                outcome: outcome, seen: exchange.seen, kept: pool.idleCount,
                retries: exchange.upstreamFigures.retries,
                error: exchange.upstreamFigures.error)
        }
        upstream.stop()
        performance.failures = upstream.finish()
        performance.connections = upstream.connections
        return performance
    }

    private func warmUp(_ proxy: Proxy, _ pool: EndpointPool, _ worker: Worker) async throws {
        let exchange = try ScriptedExchange(worker, request: ["GET /warm HTTP/1.1", "Host: a"], body: [])
        defer { exchange.close() }
        let outcome = await proxy.serve(
            exchange, head: exchange.request, target: exchange.request.pathAndQuery, timeouts: timeouts,
            client: exchange)
        guard outcome == .answered, pool.idleCount == 1 else { throw ScriptFailed("no connection is kept") }
    }

    private func serve(_ exchange: ScriptedExchange, _ proxy: Proxy) async -> ProxyOutcome {
        let target = exchange.request.pathAndQuery
        guard driver == .wakes else {
            return await proxy.serve(
                exchange, head: exchange.request, target: target, timeouts: timeouts, client: exchange)
        }
        let relay = DirectRelay(worker: exchange.worker, scope: exchange.scope)
        let isServed = proxy.serveDirectly(
            exchange, head: exchange.request, target: target, timeouts: timeouts, client: exchange, by: relay,
            for: exchange)
        guard isServed else { return .failed(.overloaded) }
        let end = await exchange.waitForEnd()
        guard withExtendedLifetime(relay, { end.mayRepeat }) else { return end.outcome }
        // As whoever drives it does: what may be repeated goes a way that waits.
        exchange.upstreamFigures.retries += 1
        return await proxy.serve(
            exchange, head: exchange.request, target: target, timeouts: timeouts, client: exchange)
    }
}

/// What came of a play.
struct Performance: Sendable {
    var outcome: ProxyOutcome
    /// What the client saw.
    var seen: [String]
    /// Connections that are kept when it is over.
    var kept: Int
    var retries: Int
    var error: UpstreamError?
    var connections = 0
    /// Where the upstream saw something else than its script says.
    var failures: [String] = []
}

/// Where the upstream's thread finds the client, on the worker's thread alone.
private final class Stage: @unchecked Sendable {
    private let worker = Shared<Worker?>(nil)
    private var exchange: ScriptedExchange?

    func set(_ worker: Worker, _ exchange: ScriptedExchange?) {
        worker.onThread()
        self.exchange = exchange
        self.worker.change { $0 = worker }
    }

    func feed(_ step: ClientStep) {
        worker.value?.submit { [self] _ in exchange?.feed(step) }
    }
}
