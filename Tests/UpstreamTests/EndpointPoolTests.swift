import ChimeraBytes
import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Testing

@testable import ChimeraUpstream

private let anywhere = SocketAddress.ip(IPAddress(v4: 0x7F00_0001), port: 1)

/// A pool whose connections are pairs of sockets.
private final class TestPool {
    let pool: EndpointPool
    let worker: Worker
    private var peers: [ObjectIdentifier: Int32] = [:]

    init(_ worker: Worker, _ limits: UpstreamLimits = UpstreamLimits()) {
        self.worker = worker
        pool = EndpointPool(
            .address(anywhere), on: worker, limits: limits,
            resolver: Resolver(pool: BlockingPool(threadsMax: 1)))
    }

    func connect() throws -> UpstreamConnection {
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
            throw ScriptFailed("socketpair")
        }
        _ = fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK)
        let connection = UpstreamConnection(try Socket(ends[0], on: worker), to: anywhere, pool: pool)
        connection.lease(to: Scope())
        peers[ObjectIdentifier(connection)] = ends[1]
        return connection
    }

    /// The upstream does something on a connection.
    func peer(of connection: UpstreamConnection) -> Int32 { peers[ObjectIdentifier(connection)] ?? -1 }

    func end() {
        pool.close()
        for peer in peers.values { Glibc.close(peer) }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Pool of an endpoint` {
    @Test func `the connection that was given back last is taken first`() async throws {
        let (isOrdered, isEmpty) = try await onWorker { worker in
            let pool = TestPool(worker)
            let connections = try (0..<5).map { _ in try pool.connect() }
            for connection in connections { pool.pool.giveBack(connection) }
            var taken: [UpstreamConnection] = []
            while let connection = pool.pool.takeIdle() { taken.append(connection) }
            let isOrdered = zip(taken, connections.reversed()).allSatisfy { $0 === $1 } && taken.count == 5
            for connection in taken { connection.close() }
            pool.end()
            return (isOrdered, pool.pool.idleCount == 0)
        }
        #expect(isOrdered)
        #expect(isEmpty)
    }

    @Test func `a connection on which the upstream said something while idle is dropped`() async throws {
        let (before, after, isOpen) = try await onWorker { worker in
            let pool = TestPool(worker)
            let (talks, ends, stays) = (try pool.connect(), try pool.connect(), try pool.connect())
            for connection in [talks, ends, stays] { pool.pool.giveBack(connection) }
            let before = pool.pool.idleCount
            _ = send(pool.peer(of: talks), "x", 1, 0)
            shutdown(pool.peer(of: ends), Int32(SHUT_WR))
            for _ in 0..<3 { await worker.yield() }
            let after = pool.pool.idleCount
            let isOpen = [talks, ends, stays].map(\.socket.isOpen)
            pool.end()
            return (before, after, isOpen)
        }
        #expect(before == 3)
        #expect(after == 1)
        #expect(isOpen == [false, false, true])
    }

    @Test func `a connection that is not clean is not kept`() async throws {
        let kept = try await onWorker { worker in
            let pool = TestPool(worker)
            let (withInput, withOutput, readable) = (
                try pool.connect(), try pool.connect(), try pool.connect()
            )
            withInput.input.append("x")
            withOutput.output.append("x")
            _ = send(pool.peer(of: readable), "x", 1, 0)
            for _ in 0..<3 { await worker.yield() }
            for connection in [withInput, withOutput, readable] { pool.pool.giveBack(connection) }
            let kept = pool.pool.idleCount
            pool.end()
            return kept
        }
        #expect(kept == 0)
    }

    @Test(arguments: [0, 1, 3])
    func `no more than keptMax connections are kept`(_ keptMax: Int) async throws {
        let (kept, open) = try await onWorker { worker in
            var limits = UpstreamLimits()
            limits.keptMax = keptMax
            let pool = TestPool(worker, limits)
            let connections = try (0..<keptMax + 2).map { _ in try pool.connect() }
            for connection in connections { pool.pool.giveBack(connection) }
            let kept = pool.pool.idleCount
            let open = connections.filter(\.socket.isOpen).count
            pool.end()
            return (kept, open)
        }
        #expect(kept == keptMax)
        #expect(open == keptMax)
    }

    @Test func `a closed pool keeps nothing that comes back`() async throws {
        let (kept, isOpen) = try await onWorker { worker in
            let pool = TestPool(worker)
            let connection = try pool.connect()
            pool.pool.close()
            pool.pool.giveBack(connection)
            let result = (pool.pool.idleCount, connection.socket.isOpen)
            pool.end()
            return result
        }
        #expect(kept == 0)
        #expect(!isOpen)
    }

    @Test func `a connection grows old by itself`() async throws {
        let hasEnded = try await onWorker { worker in
            var limits = UpstreamLimits()
            limits.idleMilliseconds = 1
            let pool = TestPool(worker, limits)
            let connection = try pool.connect()
            pool.pool.giveBack(connection)
            // The upstream's end is readable once ours is closed; that is the signal.
            let end = Readable()
            let watch = try worker.watch(pool.peer(of: connection), end)
            _ = await end.scope.wait()
            worker.release(pool.peer(of: connection), watch)
            let hasEnded = !connection.socket.isOpen && pool.pool.idleCount == 0
            pool.end()
            return hasEnded
        }
        #expect(hasEnded)
    }

    /// Who stays is told by an independent rule: of connections sorted by age, those past the age go, and of the rest the
    /// newest `idleMax` stay with all that were used within a second.
    @Test(arguments: 0..<40)
    func `old and spare connections go, the others stay`(_ seed: UInt64) async throws {
        let (open, expected) = try await onWorker { worker in
            var generator = SeededGenerator(seed: seed)
            var limits = UpstreamLimits()
            limits.idleMax = Int.random(in: 0...6, using: &generator)
            limits.idleMilliseconds = Int64.random(in: 500...20_000, using: &generator)
            let pool = TestPool(worker, limits)
            let ages = (0..<Int.random(in: 0...20, using: &generator))
                .map { _ in Int64.random(in: 0...25_000, using: &generator) }.sorted(by: >)
            let connections = try ages.map { _ in try pool.connect() }
            let now = worker.now + 100_000
            for (connection, age) in zip(connections, ages) {
                pool.pool.giveBack(connection)
                connection.idleSince = now - age
            }
            pool.pool.deadlineReached(now: now)
            let open = connections.map(\.socket.isOpen)
            let expected = ages.enumerated().map { index, age in
                if age >= limits.idleMilliseconds { return false }
                let newer = ages.count - 1 - index
                return age < 1_000 || newer < limits.idleMax
            }
            let isCounted = pool.pool.idleCount == open.filter { $0 }.count
            pool.end()
            return (isCounted ? open : [], expected)
        }
        #expect(open == expected, "seed \(seed)")
    }

    private final class Readable: EventTarget {
        let scope = Scope()

        func ready(_ events: Readiness) { scope.wake(.io) }
    }
}
