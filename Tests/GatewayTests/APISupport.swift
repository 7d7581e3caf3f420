import ChimeraEventLoop
import Glibc
import Synchronization
import Testing

@testable import Chimera

/// A client on a blocking socket. Patience only ends a test that hangs: other tests may keep the
/// threads of the pool, which handlers hop to, busy for long.
final class RawClient {
    private let descriptor: Int32
    private var unread: [UInt8] = []

    static let patienceSeconds = 120

    struct Failure: Error { let what: String }

    init(_ address: String, receiveBuffer: Int32? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var patience = timeval(tv_sec: RawClient.patienceSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        if var receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, socklen_t(MemoryLayout<Int32>.size))
        }
        let port = try #require(address.split(separator: ":").last.flatMap { UInt16($0) })
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure(what: "connect: \(errno)") }
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure(what: "send: \(errno)") }
            sent += count
        }
    }

    /// Sends as much as goes within so many milliseconds of no progress.
    func sendUntilBlocked(_ bytes: [UInt8], milliseconds: Int32 = 300) -> Int {
        var sent = 0
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        while sent < bytes.count, Glibc.poll(&poll, 1, milliseconds) == 1 {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress! + sent, bytes.count - sent,
                    Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count > 0 { sent += count }
        }
        return sent
    }

    /// Ends the client's side; the gateway may go on.
    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Ends the connection with a reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        // The descriptor stays, so that its number is not given to another; connecting to nothing ends the
        // connection.
        var nothing = sockaddr()
        nothing.sa_family = sa_family_t(AF_UNSPEC)
        connect(descriptor, &nothing, socklen_t(MemoryLayout<sockaddr>.size))
    }

    // MARK: Reading

    /// Reads once more; false at the end, or where the connection was reset.
    private func fill() throws -> Bool {
        var room = [UInt8](repeating: 0, count: 64 * 1024)
        let count = room.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        if count > 0 { unread += room[..<count] }
        if count < 0 && errno != ECONNRESET { throw Failure(what: "recv: \(errno) behind \(text(unread))") }
        return count > 0
    }

    private func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    /// What comes up to and with `end`.
    func read(until end: String) throws -> String {
        let bytes = Array(end.utf8)
        while true {
            if let place = unread.firstRange(of: bytes) {
                defer { unread.removeSubrange(..<place.upperBound) }
                return text(unread[..<place.upperBound])
            }
            guard try fill() else { throw Failure(what: "the end behind \(text(unread))") }
        }
    }

    func read(_ count: Int) throws -> [UInt8] {
        while unread.count < count {
            guard try fill() else { throw Failure(what: "the end behind \(unread.count) bytes") }
        }
        defer { unread.removeSubrange(..<count) }
        return Array(unread[..<count])
    }

    /// Everything up to the end of the connection.
    func readToEnd() throws -> String {
        while try fill() {}
        defer { unread = [] }
        return text(unread)
    }

    /// One response: its head, its content as its framing says, and its trailers.
    func response() throws -> RawResponse {
        let head = try read(until: "\r\n\r\n")
        var response = RawResponse(head: head)
        let lower = head.lowercased()
        if let place = lower.firstRange(of: "content-length: ") {
            let count = Int(lower[place.upperBound...].prefix { $0.isNumber }) ?? 0
            response.content = try read(count)
        } else if lower.contains("transfer-encoding: chunked") {
            while true {
                let count = try #require(Int(try read(until: "\r\n").dropLast(1), radix: 16))
                if count == 0 { break }
                response.chunks += 1
                response.content += try read(count)
                _ = try read(2)
            }
            while true {
                let line = try read(until: "\r\n")
                if line == "\r\n" { break }
                response.trailers.append(String(line.dropLast(1)))
            }
        }
        return response
    }
}

struct RawResponse {
    let head: String
    var content: [UInt8] = []
    var chunks = 0
    var trailers: [String] = []

    var status: Int { Int(head.dropFirst(9).prefix(3)) ?? 0 }
    var text: String { String(decoding: content, as: UTF8.self) }
}

/// A gateway with one handler on a free port, for the length of `body`, which runs on a thread of its own: it
/// may block.
func serving<Outcome: Sendable>(
    _ handler: any Handler, directives: String = "", _ body: @escaping @Sendable (String) throws -> Outcome
) async throws -> Outcome {
    let gateway = try Gateway(
        listening: ["127.0.0.1:0"], directives: "workers 2\n\(directives)", handler: handler)
    try gateway.start()
    let address = try #require(gateway.listeningAddresses.first)
    let outcome = try await blocking { try body(address) }
    gateway.drain(deadlineMilliseconds: 5_000)
    try await blocking { gateway.waitUntilStopped() }
    return outcome
}

/// Runs what blocks on a thread of its own, so that no task of the pool waits for it.
func blocking<Outcome: Sendable>(_ body: @escaping @Sendable () throws -> Outcome) async throws -> Outcome {
    try await withCheckedThrowingContinuation { continuation in
        let isStarted = Thread.start(name: "blocking") { continuation.resume(with: Result { try body() }) }
        #expect(isStarted)
    }
}

/// Something that a handler tells its test, whatever thread either is on.
final class Note<Value: Sendable>: Sendable {
    private let latch = Latch()
    private let value = Mutex<Value?>(nil)

    func set(_ new: Value) {
        value.withLock { $0 = new }
        latch.open()
    }

    /// Waits for it, on a thread that may block; nil where it does not come.
    func wait(milliseconds: Int64 = Int64(RawClient.patienceSeconds) * 1_000) -> Value? {
        latch.wait(milliseconds: milliseconds)
        return value.withLock { $0 }
    }
}

/// Which of the process's threads this is.
enum Threads {
    /// The worker's thread that this is, by its name and its number; nil on another. Read from the kernel, so
    /// that nothing of the worker's own has a say in it.
    static var current: String? {
        let file = open("/proc/thread-self/comm", O_RDONLY)
        defer { close(file) }
        var name = [UInt8](repeating: 0, count: 32)
        let count = read(file, &name, name.count)
        let text = String(decoding: name[..<max(0, count)], as: UTF8.self)
        return text.hasPrefix("chimera-") ? "\(text)\(pthread_self())" : nil
    }
}
