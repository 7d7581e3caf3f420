import ChimeraBytes
import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Testing

@testable import ChimeraUpstream

/// A message of a name server (RFC 1035 §4.1).
private struct Answer {
    var flags: [UInt8] = [0x81, 0x80]
    var questions = 1
    var records: [[UInt8]] = []

    /// `api.test`, as labels.
    static let name: [UInt8] = [3] + Array("api".utf8) + [4] + Array("test".utf8) + [0]
    /// A pointer to the question's name.
    static let pointer: [UInt8] = [0xC0, 12]

    static func record(
        _ type: UInt8, _ time: UInt32, name: [UInt8] = pointer, kind: UInt8 = 1, data: [UInt8]? = nil
    ) -> [UInt8] {
        let time = (0..<4).map { UInt8(truncatingIfNeeded: time >> (24 - 8 * $0)) }
        let data = data ?? [UInt8](repeating: 7, count: type == 28 ? 16 : 4)
        return name + [0, type, 0, kind] + time + [UInt8(data.count >> 8), UInt8(data.count & 0xFF)] + data
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = [0x12, 0x34] + flags
        bytes += [0, UInt8(questions), 0, UInt8(records.count), 0, 0, 0, 0]
        for _ in 0..<questions { bytes += Answer.name + [0, 1, 0, 1] }
        return bytes + records.joined()
    }

    var seconds: UInt32? { timeToLive(bytes) }
}

private func timeToLive(_ bytes: [UInt8]) -> UInt32? { TimeToLive.seconds(in: bytes.span) }

@Suite struct `Time to live of a name` {
    @Test(
        arguments: [
            ([Answer.record(1, 60)], 60),
            ([Answer.record(28, 61)], 61),
            ([Answer.record(1, 300, name: Answer.name)], 300),
            ([Answer.record(1, 300, name: [1, 0x61] + Answer.pointer)], 300),
            ([Answer.record(1, 300), Answer.record(1, 20), Answer.record(1, 400)], 20),
            ([Answer.record(5, 5, data: Answer.name), Answer.record(1, 300)], 5),
            ([Answer.record(1, 0)], 0),
            // RFC 2181 §8.
            ([Answer.record(1, 0x8000_0000)], 0), ([Answer.record(1, 0x7FFF_FFFF)], 0x7FFF_FFFF),
            // A record of another type or class says nothing.
            ([Answer.record(1, 60), Answer.record(16, 1)], 60),
            ([Answer.record(1, 60), Answer.record(1, 1, kind: 3)], 60),
        ] as [([[UInt8]], UInt32)])
    func `is the least of the records that lead to an address`(records: [[UInt8]], seconds: UInt32) {
        #expect(Answer(records: records).seconds == seconds)
    }

    @Test func `is unknown where there is no address`() {
        #expect(Answer().seconds == nil)
        #expect(Answer(records: [Answer.record(5, 60, data: Answer.name)]).seconds == nil)
        #expect(Answer(records: [Answer.record(16, 60)]).seconds == nil)
        #expect(Answer(flags: [0x81, 0x83], records: [Answer.record(1, 60)]).seconds == nil, "no such name")
        #expect(Answer(flags: [0x01, 0x80], records: [Answer.record(1, 60)]).seconds == nil, "a question")
        #expect(timeToLive([]) == nil)
    }

    @Test(arguments: [0, 1, 3])
    func `is found behind any number of questions`(questions: Int) {
        let answer = Answer(questions: questions, records: [Answer.record(1, 60, name: Answer.name)])
        #expect(answer.seconds == 60)
    }

    @Test func `is unknown where the message is cut short, wherever that is`() {
        let whole = Answer(records: [Answer.record(5, 9, data: Answer.name), Answer.record(1, 60)]).bytes
        #expect(timeToLive(whole) == 9)
        for count in 0..<whole.count {
            #expect(timeToLive(Array(whole.prefix(count))) == nil)
        }
    }

    @Test(arguments: 0..<200)
    func `is read from whatever bytes without harm`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var bytes = Answer(records: [Answer.record(5, 9, data: Answer.name), Answer.record(1, 60)]).bytes
        for _ in 0..<Int.random(in: 1...8, using: &generator) {
            bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(
                in: 0...255, using: &generator)
        }
        #expect((timeToLive(bytes) ?? 0) < 0x8000_0000)
    }
}

/// Says what it is told to say, and counts how often it is asked.
private final class ScriptedNames: NameService {
    struct State: Sendable {
        var addresses: [IPAddress] = []
        var seconds: [Bool: UInt32] = [:]
        var lookups = 0
        var asked: [Bool] = []
    }
    let state: Shared<State>
    /// Opened when look-ups may end.
    let gate = Latch()

    init(_ addresses: [String], v4 seconds: UInt32? = nil, v6 seconds6: UInt32? = nil, isOpen: Bool = true) {
        if isOpen { gate.open() }
        var times: [Bool: UInt32] = [:]
        times[false] = seconds
        times[true] = seconds6
        state = Shared(State(addresses: addresses.compactMap { IPAddress($0) }, seconds: times))
    }

    func addresses(of host: String) -> [IPAddress] {
        gate.wait(milliseconds: 10_000)
        return state.change { state in
            state.lookups += 1
            return state.addresses
        }
    }

    func secondsToLive(of host: String, withV6: Bool) -> UInt32? {
        state.change { state in
            state.asked.append(withV6)
            return state.seconds[withV6]
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Resolver of names` {
    @Test(
        arguments: [
            (["10.0.0.1"], 60, nil, 60_000), (["::2"], nil, 60, 60_000),
            (["::2", "10.0.0.1"], 60, 50, 50_000),
            // Bounds, at each and past it.
            (["10.0.0.1"], 0, nil, 1_000), (["10.0.0.1"], 1, nil, 1_000), (["10.0.0.1"], 2, nil, 2_000),
            (["10.0.0.1"], 300, nil, 300_000), (["10.0.0.1"], 301, nil, 300_000),
            (["10.0.0.1"], .max, nil, 300_000),
            // No name server knows it, or knows only the other kind of address.
            (["10.0.0.1"], nil, nil, 30_000), (["10.0.0.1"], nil, 5, 30_000),
        ] as [([String], UInt32?, UInt32?, Int64)])
    func `addresses are used for as long as the name server says, within bounds`(
        addresses: [String], v4: UInt32?, v6: UInt32?, lifetime: Int64
    ) async {
        let names = ScriptedNames(addresses, v4: v4, v6: v6)
        let resolver = Resolver(pool: BlockingPool(threadsMax: 1), names: names)
        let found = await resolver.resolve("api.test", port: 80)
        #expect(found == addresses.compactMap { IPAddress($0) }.map { .ip($0, port: 80) })
        #expect(await resolver.lifetime(of: found, for: "api.test") == lifetime)
    }

    @Test(arguments: ["localhost", "api.localhost", "127.0.0.1", "::1"])
    func `no name server is asked for what is this machine's or a number`(host: String) async {
        let names = ScriptedNames(["127.0.0.1"], v4: 5)
        let resolver = Resolver(pool: BlockingPool(threadsMax: 1), names: names)
        let found = await resolver.resolve(host, port: 80)
        #expect(await resolver.lifetime(of: found, for: host) == Resolver.lifetimeUnknown)
        #expect(names.state.value.asked == [])
    }

    @Test func `a pool without room leaves the time unknown`() async {
        let resolver = Resolver(
            pool: BlockingPool(threadsMax: 1, queueMax: 0), names: ScriptedNames(["::1"], v6: 5))
        let addresses = [SocketAddress.ip(IPAddress(high: 0, low: 1), port: 80)]
        #expect(await resolver.lifetime(of: addresses, for: "api.test") == Resolver.lifetimeUnknown)
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Pool of a named endpoint` {
    private static func address(_ text: String) throws -> SocketAddress {
        .ip(try #require(IPAddress(text)), port: 80)
    }

    private static func pool(_ names: ScriptedNames, on worker: Worker) -> EndpointPool {
        EndpointPool(
            .host("api.test", port: 80), on: worker, limits: UpstreamLimits(),
            resolver: Resolver(pool: BlockingPool(threadsMax: 1), names: names))
    }

    /// What a request gets that needs an address.
    private static func resolve(_ pool: EndpointPool) async -> SocketAddress? {
        guard
            let exchange = try? ScriptedExchange(
                pool.worker, request: ["GET / HTTP/1.1", "Host: a"], body: [])
        else { return nil }
        defer { exchange.close() }
        guard case .address(let address) = await pool.resolve(for: exchange, deadline: nil) else {
            return nil
        }
        return address
    }

    /// One end of a pair of sockets, as if it led to `address`.
    private static func connection(to address: SocketAddress, _ pool: EndpointPool, _ peers: inout [Int32])
        throws
        -> UpstreamConnection
    {
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
            throw ScriptFailed("socketpair")
        }
        _ = fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK)
        peers.append(ends[1])
        let connection = UpstreamConnection(try Socket(ends[0], on: pool.worker), to: address, pool: pool)
        connection.lease(to: Scope())
        return connection
    }

    @Test func `however many requests ask, the name is looked up once, and all get its addresses in turn`()
        async throws
    {
        let names = ScriptedNames(["10.0.0.1", "10.0.0.2"], isOpen: false)
        let found = try await onWorker { worker in
            let pool = Self.pool(names, on: worker)
            defer { pool.close() }
            var found: [SocketAddress?] = []
            for _ in 0..<5 { worker.start { found.append(await Self.resolve(pool)) } }
            await worker.yield()
            names.gate.open()
            found.append(await Self.resolve(pool))
            while found.count < 6 { await worker.yield() }
            return found
        }
        #expect(names.state.value.lookups == 1)
        let (first, second) = (try Self.address("10.0.0.1"), try Self.address("10.0.0.2"))
        #expect(found.filter { $0 == first }.count == 3)
        #expect(found.filter { $0 == second }.count == 3)
    }

    @Test func `connections to an address that is the name's no longer are not used again`() async throws {
        let names = ScriptedNames(["10.0.0.1", "10.0.0.2"])
        let (open, kept) = try await onWorker { worker in
            let pool = Self.pool(names, on: worker)
            var peers: [Int32] = []
            _ = await Self.resolve(pool)
            let (gone, stays) = (try Self.address("10.0.0.1"), try Self.address("10.0.0.2"))
            let connections = try [gone, stays, gone, stays].map { try Self.connection(to: $0, pool, &peers) }
            for connection in connections[..<2] { pool.giveBack(connection) }
            names.state.change { $0.addresses.removeFirst() }
            _ = await Self.resolve(pool)
            for connection in connections[2...] { pool.giveBack(connection) }
            let open = connections.map(\.socket.isOpen)
            let kept = pool.idleCount
            pool.close()
            for peer in peers { close(peer) }
            return (open, kept)
        }
        #expect(open == [false, true, false, true])
        #expect(kept == 2)
    }

    @Test func `a name server that fails takes no address away`() async throws {
        let names = ScriptedNames(["10.0.0.1"])
        let found = try await onWorker { worker in
            let pool = Self.pool(names, on: worker)
            defer { pool.close() }
            let first = await Self.resolve(pool)
            names.state.change { $0.addresses = [] }
            return [first, await Self.resolve(pool), pool.nextKnownAddress()]
        }
        let only = try Self.address("10.0.0.1")
        #expect(found == [only, only, only])
    }
}
