import ChimeraBytes
import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Testing

@Suite(.timeLimit(.minutes(1))) struct `Packets between processes` {
    private func packet(_ received: PacketSocket.Received) -> PacketSocket.Packet? {
        if case .packet(let packet) = received { packet } else { nil }
    }

    @Test func `packets keep their bounds and their order`() throws {
        let (one, other) = try PacketSocket.pair()
        for text in ["a", "bc", "def"] { #expect(try one.send(.init(Array(text.utf8)), wait: false)) }
        let received = (0..<3).compactMap { _ in packet(other.receive(wait: true))?.bytes }
        #expect(received == [[0x61], [0x62, 0x63], [0x64, 0x65, 0x66]])
        guard case .nothing = other.receive(wait: false) else {
            Issue.record("there is a fourth packet")
            return
        }
    }

    @Test func `descriptors arrive as others of the same file, closed on exec`() throws {
        let (one, other) = try PacketSocket.pair()
        let sent = try (0..<3).map { _ in try Sockets.listen(.ip(.loopback4, port: 0)) }
        let ports = sent.map { Sockets.localAddress(of: $0).port }
        #expect(try one.send(.init([1], descriptors: sent), wait: false))
        sent.forEach(FileDescriptors.close)
        let received = try #require(packet(other.receive(wait: true))).descriptors
        #expect(received.map { Sockets.localAddress(of: $0).port } == ports)
        #expect(received.allSatisfy { fcntl($0, F_GETFD) & FD_CLOEXEC != 0 })
        received.forEach(FileDescriptors.close)
    }

    @Test func `a packet of the greatest size passes, and a greater one is refused`() throws {
        let (one, other) = try PacketSocket.pair()
        let bytes = [UInt8](repeating: 7, count: PacketSocket.packetBytesMax)
        #expect(try one.send(.init(bytes), wait: false))
        #expect(packet(other.receive(wait: true))?.bytes == bytes)
        #expect(throws: SystemError.self) { try one.send(.init(bytes + [0]), wait: false) }
    }

    @Test func `where there is no room, nothing is sent and nobody waits`() throws {
        let (one, other) = try PacketSocket.pair()
        var sent = 0
        while sent < 100_000, try one.send(.init([UInt8(truncatingIfNeeded: sent)]), wait: false) {
            sent += 1
        }
        #expect(sent > 0 && sent < 100_000)
        #expect(packet(other.receive(wait: false))?.bytes == [0])
        #expect(try one.send(.init([1]), wait: false))
    }

    @Test func `who waits for room waits no longer than it may`() throws {
        let (one, other) = try PacketSocket.pair()
        one.limitWaiting(milliseconds: 20)
        var sent = 0
        #expect(throws: SystemError("sendmsg", EAGAIN)) {
            while sent < 100_000 {
                _ = try one.send(.init([1]), wait: true)
                sent += 1
            }
        }
        #expect(packet(other.receive(wait: false))?.bytes == [1])
        #expect(try one.send(.init([1]), wait: true))
    }

    @Test func `a packet whose descriptors have no place comes without any, and the next one is whole`() async
    {
        setenv("SWIFT_BACKTRACE", "enable=no", 1)
        await #expect(processExitsWith: .exitCode(7)) {
            let (one, other) = try PacketSocket.pair()
            guard try one.send(.init([1], descriptors: [0, 0, 0]), wait: false),
                try one.send(.init([2], descriptors: [0]), wait: false)
            else { exit(1) }
            let next = dup(0)
            close(next)
            var limit = rlimit(rlim_cur: rlim_t(next + 1), rlim_max: rlim_t(next + 1))
            guard setrlimit(__rlimit_resource_t(7), &limit) == 0 else { exit(2) }
            guard case .packet(let first) = other.receive(wait: true), first.bytes == [1],
                first.descriptors.isEmpty
            else { exit(3) }
            guard case .packet(let packet) = other.receive(wait: true), packet.bytes == [2],
                packet.descriptors.count == 1
            else { exit(4) }
            exit(7)
        }
    }

    @Test func `the end of one side is seen by the other`() throws {
        var pair: (PacketSocket, PacketSocket)? = try PacketSocket.pair()
        let one = try #require(pair?.0)
        pair = nil
        guard case .end = one.receive(wait: true) else {
            Issue.record("the other side is still there")
            return
        }
        #expect(throws: SystemError.self) { try one.send(.init([1]), wait: true) }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Listening sockets that are given up` {
    private func isConnected(_ descriptor: Int32, within milliseconds: Int32) -> Bool {
        var polled = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&polled, 1, milliseconds) == 1 && polled.revents & Int16(POLLERR | POLLHUP) == 0
    }

    /// Listens on one address, and connects to the other; the IPv6 socket of the last takes IPv4 as well.
    static let addresses: [(IPAddress, IPAddress)] = [
        (.loopback4, .loopback4), (IPAddress(high: 0, low: 1), IPAddress(high: 0, low: 1)),
        (IPAddress(high: 0, low: 0), .loopback4),
    ]

    @Test(arguments: addresses)
    func `who has connected stays, and who begins waits until it is admitted`(
        listening: IPAddress, connecting: IPAddress
    ) async throws {
        let (accepted, late, again) = try await onWorker { worker in
            let descriptor = try Sockets.listen(.ip(listening, port: 0), dualStack: true)
            let address = SocketAddress.ip(connecting, port: Sockets.localAddress(of: descriptor).port)
            var accepted = 0
            let listener = ListeningSocket(descriptor, on: worker, exhausted: {}) { connection, _ in
                accepted += 1
                close(connection)
            }
            try listener.resume()
            let early = try Sockets.connect(address).descriptor
            listener.refuseHandshakes()
            let late = try Sockets.connect(address).descriptor
            // The kernel answers a handshake over the loopback before the call returns, if it does.
            let isLate = !isConnected(late, within: 50)
            let kept = ListeningSocket(try Sockets.duplicate(descriptor), on: worker, exhausted: {}) { _, _ in
            }
            listener.finish()
            kept.admitHandshakes()
            let isAgain = isConnected(late, within: 20_000)
            kept.close()
            for descriptor in [early, late] { close(descriptor) }
            return (accepted, isLate, isAgain)
        }
        #expect(accepted == 1)
        #expect(late)
        #expect(again)
    }
}
