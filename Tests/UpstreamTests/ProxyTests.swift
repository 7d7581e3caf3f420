import ChimeraBytes
import ChimeraEventLoop
import ChimeraHTTPCore
import ChimeraTestSupport
import Glibc
import Testing

@testable import ChimeraUpstream

private let loopback = IPAddress(v4: 0x7F00_0001)
private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

/// An address at which connections are refused, for as long as this lives: a bound socket that nobody listens on.
private final class RefusingPort: Sendable {
    let descriptor: Int32
    let port: UInt16

    init() throws {
        // Never listened on: a socket that stops to listen gives its port away.
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        // Who names the port may listen on it; a port that the kernel chooses is never this one.
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        self.descriptor = descriptor
        port = Sockets.localAddress(of: descriptor).port
        guard bound == 0 else { throw ScriptFailed("bind") }
    }

    deinit { close(descriptor) }

    var address: SocketAddress { .ip(loopback, port: port) }
}

/// An upstream whose answers say its name; `count` requests over one connection.
private func named(_ name: String, answers count: Int) throws -> ScriptedUpstream {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: \(name.utf8.count)\r\n\r\n\(name)"
    let exchange: [UpstreamStep] = [.expect(get), .send(answer)]
    return try ScriptedUpstream(count == 0 ? [] : [(0..<count).flatMap { _ in exchange }])
}

@Suite(.timeLimit(.minutes(1))) struct `Choosing an endpoint` {
    /// Serves `count` requests one after the other and tells each body, or error.
    private static func serve(
        _ count: Int, _ names: [EndpointName], on worker: Worker, limits: UpstreamLimits = UpstreamLimits(),
        timeouts: UpstreamTimeouts = Play.patient, blocking: BlockingPool = BlockingPool(threadsMax: 1)
    ) async throws -> [String] {
        let resolver = Resolver(pool: blocking)
        let pools = names.map { EndpointPool($0, on: worker, limits: limits, resolver: resolver) }
        defer { for pool in pools { pool.close() } }
        let proxy = Proxy(pools, on: worker, scratch: ByteBuffer(capacity: 64 * 1024), limits: Limits())
        var results: [String] = []
        for _ in 0..<count {
            let exchange = try ScriptedExchange(worker, request: ["GET / HTTP/1.1", "Host: a"], body: [])
            defer { exchange.close() }
            let outcome = await proxy.serve(
                exchange, head: exchange.request, target: exchange.request.pathAndQuery, timeouts: timeouts,
                client: exchange)
            let body = exchange.seen.first { $0.hasPrefix("body ") }.map { String($0.dropFirst(5)) }
            results.append(body ?? "\(outcome)")
        }
        return results
    }

    @Test func `endpoints take turns, each over its own kept connection`() async throws {
        let upstreams = [try named("a", answers: 3), try named("b", answers: 3), try named("c", answers: 3)]
        let names = upstreams.map { EndpointName.address($0.address) }
        let served = try await onWorker { try await Self.serve(9, names, on: $0) }
        #expect(upstreams.map { $0.finish() } == [[], [], []])
        #expect(Set(served[..<3]) == ["a", "b", "c"])
        #expect(Array(served[3..<6]) == Array(served[..<3]))
        #expect(Array(served[6...]) == Array(served[..<3]))
        #expect(upstreams.map(\.connections) == [1, 1, 1])
    }

    @Test func `where one refuses, another serves, and it is passed over for a while`() async throws {
        let refusing = try RefusingPort()
        let upstream = try named("good", answers: 6)
        let names: [EndpointName] = [.address(refusing.address), .address(upstream.address)]
        let served = try await onWorker { try await Self.serve(6, names, on: $0) }
        #expect(upstream.finish() == [])
        #expect(served == Array(repeating: "good", count: 6))
        #expect(upstream.connections == 1)
    }

    @Test(arguments: [1, 2, 3])
    func `where all refuse, the request fails, and the next one tries again`(_ count: Int) async throws {
        let refusing = try (0..<count).map { _ in try RefusingPort() }
        let names = refusing.map { EndpointName.address($0.address) }
        let served = try await onWorker { try await Self.serve(2, names, on: $0) }
        #expect(served == Array(repeating: "\(ProxyOutcome.failed(.connectionRefused))", count: 2))
    }

    @Test func `an endpoint that comes back is served from again`() async throws {
        let refusing = try RefusingPort()
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback"
        let served = try await onWorker { worker in
            var limits = UpstreamLimits()
            limits.avoidMilliseconds = 0
            let address = refusing.address
            let before = try await Self.serve(1, [.address(address)], on: worker, limits: limits)
            let upstream = try ScriptedUpstream([[.expect(get), .send(answer)]], port: refusing.port)
            return before + (try await Self.serve(1, [.address(address)], on: worker, limits: limits))
                + upstream.finish()
        }
        #expect(served == ["\(ProxyOutcome.failed(.connectionRefused))", "back"])
    }

    @Test func `a Unix socket is an endpoint, and one that does not exist refuses`() async throws {
        let served = try await onWorker {
            try await Self.serve(1, [.address(.unix(path: "/nonexistent/socket"))], on: $0)
        }
        #expect(served == ["\(ProxyOutcome.failed(.connectionRefused))"])
    }

    /// A listener whose queue is full leaves a connection attempt without an answer.
    @Test func `a connection that is not made in time fails`() async throws {
        let listener = try Sockets.listen(.ip(loopback, port: 0), backlog: 0)
        defer { close(listener) }
        let address = SocketAddress.ip(loopback, port: Sockets.localAddress(of: listener).port)
        let fillers = try (0..<4).map { _ in try Sockets.connect(address).descriptor }
        defer { for filler in fillers { close(filler) } }
        var timeouts = Play.patient
        timeouts.connect = 50
        let served = try await onWorker { [timeouts] in
            try await Self.serve(1, [.address(address)], on: $0, timeouts: timeouts)
        }
        #expect(served == ["\(ProxyOutcome.failed(.connectionTimeout))"])
        #expect(UpstreamError.connectionTimeout.status == 504)
    }

    /// Nobody is at fault, so the endpoint is not passed over.
    @Test func `a client that leaves while we connect is lost, and the endpoint is not blamed`() async throws
    {
        let listener = try Sockets.listen(.ip(loopback, port: 0), backlog: 0)
        defer { close(listener) }
        let address = SocketAddress.ip(loopback, port: Sockets.localAddress(of: listener).port)
        let fillers = try (0..<4).map { _ in try Sockets.connect(address).descriptor }
        defer { for filler in fillers { close(filler) } }
        let (outcome, isBlamed) = try await onWorker { worker in
            let pool = EndpointPool(
                .address(address), on: worker, limits: UpstreamLimits(),
                resolver: Resolver(pool: BlockingPool(threadsMax: 1)))
            defer { pool.close() }
            let proxy = Proxy([pool], on: worker, scratch: ByteBuffer(capacity: 64 * 1024), limits: Limits())
            let exchange = try ScriptedExchange(worker, request: ["GET / HTTP/1.1", "Host: a"], body: [])
            defer { exchange.close() }
            worker.start { exchange.feed(.lose(.clientFailed)) }
            let outcome = await proxy.serve(
                exchange, head: exchange.request, target: exchange.request.pathAndQuery,
                timeouts: Play.patient,
                client: exchange)
            return (outcome, pool.avoidedUntil > worker.now)
        }
        #expect(outcome == .clientLost(.clientFailed))
        #expect(!isBlamed)
    }

    // MARK: Names

    @Test func `a name is resolved and its address used`() async throws {
        let upstream = try named("local", answers: 2)
        let name = EndpointName.host("127.0.0.1", port: upstream.port)
        let served = try await onWorker { try await Self.serve(2, [name], on: $0) }
        #expect(upstream.finish() == [])
        #expect(served == ["local", "local"])
    }

    /// The label is too long for any name server to be asked.
    @Test func `a name without an address fails, and another endpoint serves`() async throws {
        let nobody = EndpointName.host(String(repeating: "x", count: 70), port: 80)
        let alone = try await onWorker { try await Self.serve(1, [nobody], on: $0) }
        #expect(alone == ["\(ProxyOutcome.failed(.nameNotResolved))"])
        let upstream = try named("good", answers: 2)
        let address = upstream.address
        let served = try await onWorker { try await Self.serve(2, [nobody, .address(address)], on: $0) }
        #expect(upstream.finish() == [])
        #expect(served == ["good", "good"])
    }

    @Test func `a resolver without room gives no address`() async throws {
        let full = BlockingPool(threadsMax: 1, queueMax: 0)
        let served = try await onWorker {
            try await Self.serve(1, [.host("127.0.0.1", port: 1)], on: $0, blocking: full)
        }
        #expect(served == ["\(ProxyOutcome.failed(.nameNotResolved))"])
    }

    /// A pool of one thread, which is busy until the latch is open.
    private static func busyPool(until latch: Latch, queueMax: Int = 10) -> BlockingPool {
        let pool = BlockingPool(threadsMax: 1, queueMax: queueMax)
        let isBusy = Latch()
        _ = pool.submit {
            isBusy.open()
            latch.wait()
        }
        isBusy.wait()
        return pool
    }

    @Test func `a name that is not resolved in time fails`() async throws {
        let over = Latch()
        let pool = Self.busyPool(until: over)
        var timeouts = Play.patient
        timeouts.connect = 20
        let served = try await onWorker { [timeouts] worker in
            // The look-up is awaited by none of the requests, but has to end before its worker does.
            defer { over.open() }
            return try await Self.serve(
                2, [.host("127.0.0.1", port: 1)], on: worker, timeouts: timeouts, blocking: pool)
        }
        #expect(served == Array(repeating: "\(ProxyOutcome.failed(.nameTimeout))", count: 2))
    }

    @Test func `a client that leaves while a name is resolved is lost`() async throws {
        let over = Latch()
        let resolver = Resolver(pool: Self.busyPool(until: over))
        let (outcome, isBlamed) = try await onWorker { worker in
            defer { over.open() }
            let pool = EndpointPool(
                .host("127.0.0.1", port: 1), on: worker, limits: UpstreamLimits(), resolver: resolver)
            defer { pool.close() }
            let proxy = Proxy([pool], on: worker, scratch: ByteBuffer(capacity: 64 * 1024), limits: Limits())
            let exchange = try ScriptedExchange(worker, request: ["GET / HTTP/1.1", "Host: a"], body: [])
            defer { exchange.close() }
            worker.start { exchange.feed(.lose(.clientFailed)) }
            let outcome = await proxy.serve(
                exchange, head: exchange.request, target: exchange.request.pathAndQuery,
                timeouts: Play.patient, client: exchange)
            return (outcome, pool.avoidedUntil > worker.now)
        }
        #expect(outcome == .clientLost(.clientFailed))
        #expect(!isBlamed)
    }

    /// There is room for one look-up, and requests beyond the first would be refused another.
    @Test func `requests for one name share one look-up`() async throws {
        let over = Latch()
        let resolver = Resolver(pool: Self.busyPool(until: over, queueMax: 1))
        let upstream = try ScriptedUpstream(
            (0..<3).map { _ in
                [.expect(get), .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")]
            })
        let port = upstream.port
        let outcomes = try await onWorker { worker in
            let pool = EndpointPool(
                .host("127.0.0.1", port: port), on: worker, limits: UpstreamLimits(), resolver: resolver)
            defer { pool.close() }
            let proxy = Proxy([pool], on: worker, scratch: ByteBuffer(capacity: 64 * 1024), limits: Limits())
            var outcomes: [ProxyOutcome] = []
            let ended = Scope()
            for _ in 0..<3 {
                let exchange = try ScriptedExchange(
                    worker, request: ["GET / HTTP/1.1", "Host: a"], body: [])
                worker.start {
                    let outcome = await proxy.serve(
                        exchange, head: exchange.request, target: exchange.request.pathAndQuery,
                        timeouts: Play.patient, client: exchange)
                    exchange.close()
                    outcomes.append(outcome)
                    ended.wake(.done)
                }
            }
            // All three have asked by now.
            await worker.yield()
            over.open()
            while outcomes.count < 3 { _ = await ended.wait() }
            return outcomes
        }
        #expect(upstream.finish() == [])
        #expect(outcomes == [.answered, .answered, .answered])
    }

    @Test func `a name with a number as address is resolved without a server`() async {
        let resolver = Resolver(pool: BlockingPool(threadsMax: 1))
        #expect(await resolver.resolve("127.0.0.1", port: 81) == [.ip(loopback, port: 81)])
        #expect(await resolver.resolve("::1", port: 82) == [.ip(IPAddress(high: 0, low: 1), port: 82)])
        #expect(await resolver.resolve(String(repeating: "x", count: 70), port: 80) == [])
    }
}

@Suite struct `Errors of upstreams` {
    /// RFC 9209 §2.3.
    @Test func `every error has a status and a token of its own kind`() {
        for error in UpstreamError.allCases {
            #expect([502, 503, 504].contains(error.status))
            #expect(error.proxyStatus.description.allSatisfy { $0.isLowercase || $0 == "_" })
            // The log's token is that of Proxy-Status.
            let words = error.proxyStatus.description.split(separator: "_")
            #expect(error.token.description == words.joined(separator: "-"))
        }
        let timeouts: [UpstreamError] = [
            .nameTimeout, .connectionTimeout, .answerTimeout, .readTimeout, .writeTimeout,
        ]
        #expect(UpstreamError.allCases.filter { $0.status == 504 } == timeouts)
        #expect(UpstreamError.allCases.filter { $0.status == 503 } == [.overloaded])
        #expect(
            Set(UpstreamError.allCases.map(\.proxyStatus.description)).count == UpstreamError.allCases.count)
    }
}
