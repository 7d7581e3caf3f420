import ChimeraBytes
import ChimeraEventLoop
import Glibc
import Testing

/// A system call of a test failed.
struct CallFailed: Error {
    let call: String
    let number = errno
}

/// The other end of a socket under test: plain calls that block, for at most ten seconds.
struct Peer {
    let descriptor: Int32

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    func write(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count)
    }

    /// At most `count` bytes in one call; empty at the end, nil for an error.
    func read(_ count: Int = 65_536) -> [UInt8]? {
        var room = [UInt8](repeating: 0, count: count)
        let read = recv(descriptor, &room, count, 0)
        return read < 0 ? nil : Array(room[..<read])
    }

    /// As many bytes as are asked for, or fewer at the end.
    func read(exactly count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count, let piece = read(count - bytes.count), !piece.isEmpty { bytes += piece }
        return bytes
    }

    func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    func close(reset: Bool = false) {
        if reset {
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        }
        Glibc.close(descriptor)
    }
}

/// Pairs of connected sockets; the first of each is non-blocking, as the worker wants it.
enum Pair {
    /// A pair of Unix sockets.
    static func unix() throws -> (Int32, Peer) {
        var ends: [Int32] = [0, 0]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw CallFailed(call: "socketpair") }
        makeNonBlocking(ends[0])
        return (ends[0], Peer(ends[1]))
    }

    /// A TCP connection over the loopback interface.
    static func tcp() throws -> (Int32, Peer) {
        let listener = try Sockets.listen(.ip(.loopback4, port: 0))
        defer { Glibc.close(listener) }
        let port = Sockets.localAddress(of: listener).port
        let client = try Sockets.connect(.ip(.loopback4, port: port)).descriptor
        var ready = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        guard poll(&ready, 1, 10_000) == 1 else { throw CallFailed(call: "poll") }
        let server = accept(listener, nil, nil)
        guard server >= 0 else { throw CallFailed(call: "accept") }
        return (client, Peer(server))
    }

    static func makeNonBlocking(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }
}

/// A scope that is woken by sockets and by a timer, and what a socket said last.
final class Watcher: SocketObserver, TimerTarget, EventTarget {
    let scope = Scope()
    private(set) var news = 0
    private(set) var deadlines = 0
    private(set) var events: Readiness = []

    func socketReady(_ socket: Socket) {
        news += 1
        scope.wake(.io)
    }

    func deadlineReached(now: Int64) {
        deadlines += 1
        scope.wake(.deadline)
    }

    func ready(_ events: Readiness) {
        news += 1
        self.events.formUnion(events)
        scope.wake(.io)
    }

    /// Waits until `condition` holds; false after ten seconds without.
    func wait(on worker: Worker, until condition: () -> Bool) async -> Bool {
        let timer = Timer(target: self)
        worker.set(timer, to: worker.now + 10_000)
        defer { worker.cancel(timer) }
        while !condition() {
            if await scope.wait().contains(.deadline) { return condition() }
        }
        return true
    }
}

extension Socket {
    /// What one read of at most `count` bytes gave.
    func read(_ count: Int) -> (transfer: Transfer, text: String) {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
        defer { room.deallocate() }
        let transfer = read(into: room)
        guard case .bytes(let read) = transfer else { return (transfer, "") }
        return (transfer, String(decoding: UnsafeRawBufferPointer(rebasing: room[..<read]), as: UTF8.self))
    }

    func write(_ bytes: [UInt8]) -> Transfer { bytes.withUnsafeBytes { write($0) } }

    func write(_ first: [UInt8], _ second: [UInt8]) -> Transfer {
        first.withUnsafeBytes { first in second.withUnsafeBytes { write(first, $0) } }
    }
}

extension IPAddress {
    /// 127.0.0.1
    static let loopback4 = IPAddress(v4: 0x7F00_0001)
    /// ::1
    static let loopback6 = IPAddress(high: 0, low: 1)
}

/// An empty file without a name.
func temporaryFile() throws -> Int32 {
    var template = Array("/tmp/chimera-test-XXXXXX".utf8CString)
    let file = mkstemp(&template)
    guard file >= 0 else { throw CallFailed(call: "mkstemp") }
    unlink(template)
    return file
}

/// Bytes that differ from their neighbours, made fast.
func pattern(of count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { room, filled in
        let period = min(count, 251)
        for index in 0..<period { room[index] = UInt8(index) }
        filled = period
        while filled < count {
            let more = min(filled, count - filled)
            if let base = room.baseAddress { memcpy(base + filled, base, more) }
            filled += more
        }
    }
}
