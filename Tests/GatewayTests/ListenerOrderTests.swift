import ChimeraBytes
import ChimeraConfiguration
import ChimeraEventLoop
import Logging
import Synchronization
import Testing

@testable import Chimera

/// Sockets of a supervisor that takes its time.
private final class SlowSource: ListenerSource {
    private let groups = ListenerGroups()
    /// What happens while an address is asked for, once.
    let whileOpening = Mutex<(@Sendable () -> Void)?>(nil)
    let closed = Mutex<[Listener.Address]>([])
    let hasClosed = Latch()

    func open(_ address: Listener.Address, count: Int) throws(SystemError) -> ListeningGroup {
        let first = whileOpening.withLock { body in
            defer { body = nil }
            return body
        }
        let group = try groups.open(address, count: count)
        first?()
        return group
    }

    func close(_ address: Listener.Address) {
        groups.close(address)
        closed.withLock { $0.append(address) }
        hasClosed.open()
    }

    func closeAll() { groups.closeAll() }

    var addresses: [Listener.Address] { groups.addresses }
}

/// What comes first where listeners come and go at the same time.
@Suite(.timeLimit(.minutes(2))) struct ListenerOrderTests {
    private static func configuration(_ lines: String) throws -> MachineConfiguration {
        try EmbeddedConfiguration.load(
            "workers 2\nlog access off\nlisten 127.0.0.1:0\n\(lines)\nsite * { respond 200 ok }\n")
    }

    private static func gateway(_ lines: String, _ source: SlowSource) throws -> Gateway {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let gateway = try Gateway(
            configuration: configuration(lines), logger: logger, listeners: source)
        try gateway.start()
        return gateway
    }

    private static func stop(_ gateway: Gateway) {
        gateway.drain(deadlineMilliseconds: 5_000)
        gateway.waitUntilStopped()
    }

    private static func freePort() throws -> UInt16 {
        let free = try Sockets.listen(.ip(IPAddress(v4: 0x7F00_0001), port: 0))
        defer { FileDescriptors.close(free) }
        return Sockets.localAddress(of: free).port
    }

    @Test func `an address that is asked for again while the old one ends is kept`() async throws {
        let (closed, addresses, answer) = try await blocking {
            let source = SlowSource()
            let port = try Self.freePort()
            let line = "listen 127.0.0.1:\(port)"
            let gateway = try Self.gateway(line, source)
            try gateway.reload(Self.configuration(""))
            // Long enough for the workers to be done with the old one.
            let milliseconds = ListenerChange.handshakeMilliseconds + 1_500
            source.whileOpening.withLock { $0 = { source.hasClosed.wait(milliseconds: milliseconds) } }
            try gateway.reload(Self.configuration(line))
            let client = try RawClient("127.0.0.1:\(port)")
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = try client.response().status
            let (closed, addresses) = (source.closed.withLock { $0 }, source.addresses)
            Self.stop(gateway)
            return (closed, addresses, answer)
        }
        #expect(closed.isEmpty)
        #expect(addresses.count == 2)
        #expect(answer == 200)
    }

    @Test func `an address that is given up during a reload is given up after it`() async throws {
        let (during, after, closed) = try await blocking {
            let source = SlowSource()
            let (old, new) = (try Self.freePort(), try Self.freePort())
            let address = Listener.Address.ip(IPAddress(v4: 0x7F00_0001), port: old)
            let gateway = try Self.gateway("listen 127.0.0.1:\(old)", source)
            let during = Mutex<[String]>([])
            source.whileOpening.withLock {
                $0 = { [weak gateway] in
                    // It must not wait for the reload, which waits for it here.
                    gateway?.leave([address])
                    during.withLock { $0 = gateway?.listeningAddresses ?? [] }
                }
            }
            try gateway.reload(Self.configuration("listen 127.0.0.1:\(old)\nlisten 127.0.0.1:\(new)"))
            let after = gateway.listeningAddresses
            source.hasClosed.wait(milliseconds: 30_000)
            let closed = source.closed.withLock { $0 }
            Self.stop(gateway)
            return (during.withLock { $0 }.count, after.contains("127.0.0.1:\(old)"), closed == [address])
        }
        #expect(during == 2)
        #expect(!after)
        #expect(closed)
    }
}
