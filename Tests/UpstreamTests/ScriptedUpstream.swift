import ChimeraBytes
import ChimeraEventLoop
import Glibc
import Synchronization

/// What an upstream does on one connection.
enum UpstreamStep: Sendable {
    /// These bytes come, and no others before them.
    case expect(String)
    /// The gateway ends its side, and nothing comes before that.
    case expectEnd
    /// The connection is lost or ended, whatever comes before.
    case awaitEnd
    case send(String)
    /// So many bytes of `x`, or fewer when the gateway takes no more.
    case offer(Int)
    /// Reads and drops so many bytes.
    case take(Int)
    /// Ends its own side.
    case endSide
    case close
    case reset
    /// Waits until the client has seen something that begins so.
    case clientSaw(String)
    /// The client does something now.
    case client(ClientStep)
}

/// An upstream on the loopback interface: one script for each connection, in the order in which they come, all at the
/// same time.
final class ScriptedUpstream: Sendable {
    let port: UInt16
    private let listener: Int32
    private let failures = Mutex<[String]>([])
    private let accepted = Mutex(0)
    private let running: Mutex<Int>
    private let done = Latch()
    private let stopped = Mutex(false)
    private let ends = Mutex<[UpstreamEnd]>([])

    /// - Parameters:
    ///   - bytewise: sends one byte at a time.
    ///   - feed: tells the client of its next step.
    init(
        _ scripts: [[UpstreamStep]], port wanted: UInt16 = 0, bytewise: Bool = false,
        feed: @escaping @Sendable (ClientStep) -> Void = { _ in }
    ) throws {
        listener = try Sockets.listen(.ip(IPAddress(v4: 0x7F00_0001), port: wanted))
        port = Sockets.localAddress(of: listener).port
        running = Mutex(scripts.count)
        if scripts.isEmpty { done.open() }
        _ = Thread.start(name: "test-upstream") { [self] in
            for (index, script) in scripts.enumerated() {
                guard let descriptor = accept() else {
                    return fail("connection \(index) did not come", ends: scripts.count - index)
                }
                accepted.withLock { $0 += 1 }
                _ = Thread.start(name: "test-upstream") { [self] in
                    let connection = UpstreamEnd(descriptor, bytewise: bytewise, feed: feed)
                    ends.withLock { $0.append(connection) }
                    for step in script {
                        guard let failure = connection.take(step) else { continue }
                        fail("connection \(index): \(failure)", ends: 0)
                        break
                    }
                    end(1)
                }
            }
        }
    }

    deinit {
        Glibc.close(listener)
        for end in ends.withLock({ $0 }) { end.close() }
    }

    var address: SocketAddress { .ip(IPAddress(v4: 0x7F00_0001), port: port) }

    /// How many connections came.
    var connections: Int { accepted.withLock { $0 } }

    /// Waits until all scripts have ended, and says what went wrong.
    func finish() -> [String] {
        if !done.wait(milliseconds: 15_000) { return ["the upstream's script does not end"] }
        return failures.withLock { $0 }
    }

    /// Stops to wait for connections that will not come.
    func stop() { stopped.withLock { $0 = true } }

    private func accept() -> Int32? {
        for _ in 0..<1_000 {
            // Asked first: what came before the stop is in the queue, even where the play was over sooner.
            let isLast = stopped.withLock { $0 }
            var ready = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            if poll(&ready, 1, isLast ? 0 : 10) == 1 {
                let descriptor = Glibc.accept(listener, nil, nil)
                if descriptor >= 0 { return descriptor }
            }
            if isLast { return nil }
        }
        return nil
    }

    private func fail(_ text: String, ends count: Int) {
        failures.withLock { $0.append(text) }
        end(count)
    }

    private func end(_ count: Int) {
        let left = running.withLock { running in
            running -= count
            return running
        }
        if left == 0 { done.open() }
    }
}

/// The upstream's end of one connection: plain calls that block, for at most ten seconds. It stays open after its script,
/// unless that closed it.
private final class UpstreamEnd: Sendable {
    let descriptor: Int32
    private let isClosed = Mutex(false)
    let bytewise: Bool
    let feed: @Sendable (ClientStep) -> Void

    init(_ descriptor: Int32, bytewise: Bool, feed: @escaping @Sendable (ClientStep) -> Void) {
        self.descriptor = descriptor
        self.bytewise = bytewise
        self.feed = feed
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    }

    /// - Returns: what went wrong.
    func take(_ step: UpstreamStep) -> String? {
        switch step {
        case .expect(let text): return expect(text)
        case .expectEnd:
            let bytes = read(4_096)
            return bytes?.isEmpty == true ? nil : "\(describe(bytes)) instead of the end"
        case .awaitEnd:
            while let bytes = read(4_096), !bytes.isEmpty {}
            return errno == EAGAIN ? "no end came" : nil
        case .send(let text): return send(Array(text.utf8))
        case .offer(let count): _ = send([UInt8](repeating: UInt8(ascii: "x"), count: count))
        case .take(let count):
            var left = count
            while left > 0, let bytes = read(left), !bytes.isEmpty { left -= bytes.count }
            return left == 0 ? nil : "\(left) bytes did not come"
        case .endSide: shutdown(descriptor, Int32(SHUT_WR))
        case .close: close()
        case .reset:
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
            close()
        case .client(let step): feed(step)
        case .clientSaw(let prefix):
            let latch = Latch()
            feed(.tell(latch, prefix))
            return latch.wait(milliseconds: 10_000) ? nil : "the client did not see \(prefix)"
        }
        return nil
    }

    func close() {
        let wasClosed = isClosed.withLock { isClosed in
            defer { isClosed = true }
            return isClosed
        }
        if !wasClosed { Glibc.close(descriptor) }
    }

    private func expect(_ text: String) -> String? {
        let expected = Array(text.utf8)
        var bytes: [UInt8] = []
        while bytes.count < expected.count, let piece = read(expected.count - bytes.count), !piece.isEmpty {
            bytes += piece
        }
        return bytes == expected ? nil : "\(describe(bytes)) instead of \(describe(expected))"
    }

    private func send(_ bytes: [UInt8]) -> String? {
        if bytewise && bytes.count < 10_000 {
            for byte in bytes {
                guard Glibc.send(descriptor, [byte], 1, Int32(MSG_NOSIGNAL)) == 1 else {
                    return "a byte was not taken"
                }
                sched_yield()
            }
            return nil
        }
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { room in
                Glibc.send(
                    descriptor, room.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return "only \(sent) of \(bytes.count) bytes were taken" }
            sent += count
        }
        return nil
    }

    private func read(_ count: Int) -> [UInt8]? {
        var room = [UInt8](repeating: 0, count: count)
        errno = 0
        let read = recv(descriptor, &room, count, 0)
        return read < 0 ? nil : Array(room[..<read])
    }

    private func describe(_ bytes: [UInt8]?) -> String {
        guard let bytes else { return "error \(errno)" }
        return String(decoding: bytes.prefix(300), as: UTF8.self).debugDescription
    }
}
