import ChimeraBytes
import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Testing

/// A listening socket on a worker and what it accepted.
private final class Accepting {
    let watcher = Watcher()
    private(set) var accepted: [(descriptor: Int32, peer: PeerAddress)] = []
    private(set) var exhaustions = 0
    private(set) var listener: ListeningSocket?
    let port: UInt16
    /// Pauses after so many connections.
    var pausesAfter = Int.max

    init(_ worker: Worker, _ address: SocketAddress = .ip(.loopback4, port: 0)) throws {
        let descriptor = try Sockets.listen(address)
        port = Sockets.localAddress(of: descriptor).port
        listener = ListeningSocket(
            descriptor, on: worker,
            exhausted: { [unowned self] in
                exhaustions += 1
                listener?.pause()
                watcher.scope.wake(.io)
            }
        ) { [unowned self] descriptor, peer in
            accepted.append((descriptor, peer))
            if accepted.count >= pausesAfter { listener?.pause() }
            watcher.scope.wake(.io)
        }
        try listener?.resume()
    }

    func end() {
        listener?.close()
        for (descriptor, _) in accepted { close(descriptor) }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Listening sockets` {
    /// Connects, from a thread's point of view at once: the kernel completes the handshake by itself.
    private static func connect(_ address: SocketAddress, count: Int = 1) throws -> [Int32] {
        try (0..<count).map { _ in try Sockets.connect(address).descriptor }
    }

    @Test func `connections are accepted with the address of their peer`() async throws {
        let (count, areRight) = try await onWorker { worker in
            let accepting = try Accepting(worker)
            let clients = try Self.connect(.ip(.loopback4, port: accepting.port), count: 100)
            _ = await accepting.watcher.wait(on: worker) { accepting.accepted.count == 100 }
            let own = Set(clients.map { Sockets.localAddress(of: $0).port })
            let areRight = accepting.accepted.allSatisfy {
                $0.peer.ip == .loopback4 && own.contains($0.peer.port)
            }
            let areNonBlocking = accepting.accepted.allSatisfy {
                fcntl($0.descriptor, F_GETFL) & O_NONBLOCK != 0
            }
            accepting.end()
            for client in clients { close(client) }
            return (accepting.accepted.count, areRight && areNonBlocking)
        }
        #expect(count == 100)
        #expect(areRight)
    }

    @Test func `a paused socket leaves attempts waiting, and takes them when it goes on`() async throws {
        let counts = try await onWorker { worker in
            let accepting = try Accepting(worker)
            accepting.listener?.pause()
            accepting.listener?.pause()
            let clients = try Self.connect(.ip(.loopback4, port: accepting.port), count: 3)
            for _ in 0..<3 { await worker.yield() }
            var counts = [accepting.accepted.count]
            try accepting.listener?.resume()
            try accepting.listener?.resume()
            _ = await accepting.watcher.wait(on: worker) { accepting.accepted.count == 3 }
            counts.append(accepting.accepted.count)
            accepting.end()
            for client in clients { close(client) }
            return counts
        }
        #expect(counts == [0, 3])
    }

    @Test func `a socket that pauses while it accepts takes no more`() async throws {
        let counts = try await onWorker { worker in
            let accepting = try Accepting(worker)
            accepting.pausesAfter = 2
            let clients = try Self.connect(.ip(.loopback4, port: accepting.port), count: 5)
            _ = await accepting.watcher.wait(on: worker) { accepting.accepted.count >= 2 }
            for _ in 0..<3 { await worker.yield() }
            var counts = [accepting.accepted.count]
            accepting.pausesAfter = .max
            try accepting.listener?.resume()
            _ = await accepting.watcher.wait(on: worker) { accepting.accepted.count == 5 }
            counts.append(accepting.accepted.count)
            accepting.end()
            for client in clients { close(client) }
            return counts
        }
        #expect(counts == [2, 5])
    }

    @Test(arguments: [Int.max, 1]) func `a socket that finishes takes all who wait, paused or not`(
        pausesAfter: Int
    ) async throws {
        let counts = try await onWorker { worker in
            let accepting = try Accepting(worker)
            accepting.pausesAfter = pausesAfter
            accepting.listener?.pause()
            let clients = try Self.connect(.ip(.loopback4, port: accepting.port), count: 3)
            for _ in 0..<3 { await worker.yield() }
            var counts = [accepting.accepted.count]
            accepting.listener?.finish()
            counts.append(accepting.accepted.count)
            for client in clients { close(client) }
            for (descriptor, _) in accepting.accepted { close(descriptor) }
            return counts
        }
        #expect(counts == [0, 3])
    }

    @Test func `a closed socket refuses`() async throws {
        // A path of its own: a port that is free again may be anybody's a moment later.
        let path = "/tmp/chimera-closed-\(getpid()).socket"
        defer { unlink(path) }
        try await onWorker { worker in try Accepting(worker, .unix(path: path)).end() }
        let error = #expect(throws: SystemError.self) {
            let (descriptor, _) = try Sockets.connect(.unix(path: path))
            close(descriptor)
        }
        #expect(error?.number == ECONNREFUSED)
        #expect(error?.isRefusal == true)
    }

    @Test func `a process without descriptors is told so once, and its listener can pause`() async throws {
        setenv("SWIFT_BACKTRACE", "enable=no", 1)
        await #expect(processExitsWith: .exitCode(7)) {
            let (exhaustions, accepted) = try await onWorker { worker in
                let accepting = try Accepting(worker)
                let clients = try Self.connect(.ip(.loopback4, port: accepting.port), count: 2)
                let next = dup(0)
                close(next)
                var limit = rlimit(rlim_cur: rlim_t(next), rlim_max: rlim_t(next))
                guard setrlimit(__rlimit_resource_t(7), &limit) == 0 else {
                    throw CallFailed(call: "setrlimit")
                }
                _ = await accepting.watcher.wait(on: worker) { accepting.exhaustions > 0 }
                for _ in 0..<3 { await worker.yield() }
                for client in clients { close(client) }
                let counts = (accepting.exhaustions, accepting.accepted.count)
                accepting.end()
                return counts
            }
            exit(exhaustions == 1 && accepted == 0 ? 7 : 1)
        }
    }

    @Test(.enabled(if: Sockets.hasIPv6)) func `IPv6 peers are told by their address`() async throws {
        let ip = try await onWorker { worker in
            let accepting = try Accepting(worker, .ip(.loopback6, port: 0))
            let clients = try Self.connect(.ip(.loopback6, port: accepting.port))
            _ = await accepting.watcher.wait(on: worker) { accepting.accepted.count == 1 }
            let ip = accepting.accepted.first?.peer.ip
            accepting.end()
            for client in clients { close(client) }
            return ip
        }
        #expect(ip == .loopback6)
    }

    @Test func `two sockets share a port, as the workers do`() throws {
        let first = try Sockets.listen(.ip(.loopback4, port: 0))
        defer { close(first) }
        let second = try Sockets.listen(.ip(.loopback4, port: Sockets.localAddress(of: first).port))
        #expect(Sockets.localAddress(of: second) == Sockets.localAddress(of: first))
        close(second)
    }
}

@Suite struct `Unix sockets` {
    /// A directory of its own for each test.
    private func withDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
        var template = Array("/tmp/chimera-test-XXXXXX\0".utf8CString)
        guard mkdtemp(&template) != nil else { throw CallFailed(call: "mkdtemp") }
        let directory = String(
            decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            unlink(directory + "/s")
            rmdir(directory)
        }
        return try body(directory)
    }

    private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    @Test func `a peer of a Unix socket has no address`() throws {
        try withDirectory { directory in
            let listener = try Sockets.listen(.unix(path: directory + "/s"))
            defer { close(listener) }
            #expect(Sockets.localAddress(of: listener) == PeerAddress(ip: nil, port: 0))
            let (client, isPending) = try Sockets.connect(.unix(path: directory + "/s"))
            #expect(!isPending)
            close(client)
        }
    }

    @Test func `a socket that nobody listens on is removed`() throws {
        try withDirectory { directory in
            let path = directory + "/s"
            close(try Sockets.listen(.unix(path: path)))
            #expect(exists(path))
            #expect(throws: SystemError("bind", EADDRINUSE)) { try Sockets.listen(.unix(path: path)) }
            Sockets.removeStale(path)
            #expect(!exists(path))
            Sockets.removeStale(path)
        }
    }

    @Test func `a socket that somebody listens on stays`() throws {
        try withDirectory { directory in
            let path = directory + "/s"
            let listener = try Sockets.listen(.unix(path: path))
            defer { close(listener) }
            Sockets.removeStale(path)
            #expect(exists(path))
        }
    }

    @Test func `a socket whose queue is full stays`() throws {
        try withDirectory { directory in
            let path = directory + "/s"
            let listener = try Sockets.listen(.unix(path: path), backlog: 0)
            defer { close(listener) }
            var clients: [Int32] = []
            while let (client, _) = try? Sockets.connect(.unix(path: path)), clients.count < 10 {
                clients.append(client)
            }
            #expect(clients.count < 10)
            Sockets.removeStale(path)
            #expect(exists(path))
            for client in clients { close(client) }
        }
    }

    @Test func `what is no socket stays`() throws {
        try withDirectory { directory in
            let path = directory + "/s"
            close(open(path, O_CREAT | O_WRONLY, 0o600))
            Sockets.removeStale(path)
            #expect(exists(path))
        }
    }
}

@Suite struct `Peer addresses` {
    @Test func `an address is read from what a system call gave`() {
        var v4 = sockaddr_in()
        v4.sin_family = sa_family_t(AF_INET)
        v4.sin_port = UInt16(8080).bigEndian
        v4.sin_addr.s_addr = UInt32(0x0A01_0203).bigEndian
        let address = withUnsafeBytes(of: &v4) { PeerAddress($0) }
        #expect(address == PeerAddress(ip: IPAddress(v4: 0x0A01_0203), port: 8080))
        var v6 = sockaddr_in6()
        v6.sin6_family = sa_family_t(AF_INET6)
        v6.sin6_port = UInt16(443).bigEndian
        withUnsafeMutableBytes(of: &v6.sin6_addr) { $0[15] = 1 }
        #expect(withUnsafeBytes(of: &v6) { PeerAddress($0) } == PeerAddress(ip: .loopback6, port: 443))
        #expect(PeerAddress(UnsafeRawBufferPointer(start: nil, count: 0)) == PeerAddress(ip: nil, port: 0))
    }
}
