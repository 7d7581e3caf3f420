internal import CLinux
package import ChimeraBytes
internal import Glibc

/// The address of the other end of a connection.
package struct PeerAddress: Equatable, Sendable {
    /// Nil for a Unix socket.
    package var ip: IPAddress?
    package var port: UInt16

    package init(ip: IPAddress?, port: UInt16) {
        self.ip = ip
        self.port = port
    }
}

/// Where a socket listens or connects to.
package enum SocketAddress: Hashable, Sendable {
    case ip(IPAddress, port: UInt16)
    case unix(path: String)
}

/// A bound, listening socket of one worker; it accepts when epoll says so.
package final class ListeningSocket: EventTarget {
    package let descriptor: Int32
    private let worker: Worker
    private var watch: WatchID?
    private let accepted: (Int32, PeerAddress) -> Void
    /// Told when the process has no descriptor left; the owner pauses and resumes.
    private let exhausted: () -> Void
    /// Whether the socket has ever refused handshakes: what was under way then inherits the drop of segments.
    private var hasRefused = false
    /// It is about to be closed: a pause keeps nobody waiting who would then be lost.
    private var isFinishing = false

    /// Connections accepted in one turn.
    private static let acceptsPerTurn = 64
    /// Connections that the kernel keeps until they are accepted.
    package static let backlog = 4096

    package init(
        _ descriptor: Int32, on worker: Worker, exhausted: @escaping () -> Void,
        accepted: @escaping (Int32, PeerAddress) -> Void
    ) {
        self.descriptor = descriptor
        self.worker = worker
        self.accepted = accepted
        self.exhausted = exhausted
    }

    /// Starts to accept, or goes on after `pause()`.
    package func resume() throws(SystemError) {
        guard watch == nil else { return }
        watch = try worker.watch(descriptor, levelTriggered: true, self)
    }

    /// Stops to accept; attempts wait in the kernel's queue.
    package func pause() {
        guard let watch else { return }
        self.watch = nil
        worker.release(descriptor, watch)
    }

    /// Stops to accept and closes the descriptor. Other descriptors of the same socket, and what waits in its queue,
    /// stay.
    package func close() {
        pause()
        Glibc.close(descriptor)
    }

    /// Begins to give the socket up: no new handshake begins, and those under way go on and are accepted.
    package func refuseHandshakes() {
        hasRefused = true
        Sockets.setLeastHops(Sockets.unreachableHops, of: descriptor)
    }

    /// Takes connections again, where the socket was about to be given up by another descriptor of it.
    ///
    /// To be called on the thread that refused: in another order the socket would stay deaf.
    package func admitHandshakes() {
        guard Sockets.leastHops(of: descriptor) != 0 else { return }
        hasRefused = true
        Sockets.setLeastHops(0, of: descriptor)
    }

    /// Accepts who waits in the kernel's queue, also where it is paused, then closes the descriptor.
    package func finish() {
        isFinishing = true
        accept(atMost: ListeningSocket.backlog)
        close()
    }

    package func ready(_ events: Readiness) { accept(atMost: ListeningSocket.acceptsPerTurn) }

    private func accept(atMost count: Int) {
        for _ in 0..<count {
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let connection = chimera_accept(descriptor, &storage, &length)
            if connection < 0 {
                let number = chimera_errno()
                if number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM {
                    exhausted()
                }
                if number == ECONNABORTED || number == EINTR { continue }
                return
            }
            if hasRefused { Sockets.setLeastHops(0, of: connection) }
            accepted(connection, PeerAddress(storage))
            if watch == nil && !isFinishing { return }
        }
    }
}

extension PeerAddress {
    /// The address that a system call gave by pointer and length.
    package init(_ address: UnsafeRawBufferPointer) {
        var storage = sockaddr_storage()
        withUnsafeMutableBytes(of: &storage) { bytes in
            let count = min(address.count, bytes.count)
            bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: address[..<count]))
        }
        self.init(storage)
    }

    init(_ storage: sockaddr_storage) {
        self = withUnsafeBytes(of: storage) { bytes in
            // Sound: the kernel wrote the address of the family that it names.
            switch Int32(storage.ss_family) {
            case AF_INET:
                let address = bytes.loadUnaligned(as: sockaddr_in.self)
                return PeerAddress(
                    ip: IPAddress(v4: UInt32(bigEndian: address.sin_addr.s_addr)),
                    port: UInt16(bigEndian: address.sin_port))
            case AF_INET6:
                let port = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
                let high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                let low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
                return PeerAddress(ip: IPAddress(high: high, low: low), port: port)
            default:
                return PeerAddress(ip: nil, port: 0)
            }
        }
    }
}

/// Makes sockets.
package enum Sockets {
    /// Whether the machine can open IPv6 sockets.
    package static var hasIPv6: Bool {
        let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { Glibc.close(descriptor) }
        return true
    }

    /// A listening socket, non-blocking, one of a group that shares the port among workers.
    ///
    /// - Parameter dualStack: an IPv6 socket takes IPv4 connections as well.
    package static func listen(
        _ address: SocketAddress, dualStack: Bool = false, sharesPort: Bool = true,
        backlog: Int32 = Int32(ListeningSocket.backlog)
    ) throws(SystemError) -> Int32 {
        let descriptor = try open(address)
        do throws(SystemError) {
            if case .ip(let ip, _) = address {
                try set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
                if sharesPort { try set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
                try set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
                if !ip.isV4 { try set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, dualStack ? 0 : 1) }
            }
            try withSocketAddress(address) { pointer, length throws(SystemError) in
                try SystemError.check(Glibc.bind(descriptor, pointer, length), "bind")
            }
            try SystemError.check(Glibc.listen(descriptor, backlog), "listen")
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Starts a connection.
    ///
    /// - Returns: the descriptor, and whether the connect is still under way.
    package static func connect(_ address: SocketAddress) throws(SystemError) -> (
        descriptor: Int32, isPending: Bool
    ) {
        let descriptor = try open(address)
        do throws(SystemError) {
            if case .ip = address { try set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }
            var result: Int32 = 0
            try withSocketAddress(address) { pointer, length throws(SystemError) in
                result = Glibc.connect(descriptor, pointer, length)
                if result < 0 && chimera_errno() != EINPROGRESS {
                    throw SystemError("connect", chimera_errno())
                }
            }
            return (descriptor, result < 0)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    /// Finds out whether another process listens there already.
    package static func checkFree(_ address: SocketAddress, dualStack: Bool) throws(SystemError) {
        guard case .ip(_, let port) = address, port != 0 else { return }
        Glibc.close(try listen(address, dualStack: dualStack, sharesPort: false))
    }

    /// Another descriptor of the same socket.
    package static func duplicate(_ descriptor: Int32) throws(SystemError) -> Int32 {
        try SystemError.check(fcntl(descriptor, F_DUPFD_CLOEXEC, 0), "fcntl")
    }

    /// What the time to live of hardly any segment is: systems begin with 64 or 128.
    static let unreachableHops: Int32 = 255

    /// Drops segments whose time to live (hop limit) is below a value; 0 drops none.
    ///
    /// On a listening socket these are the SYNs, whose senders try again; the last segment of a handshake under way is
    /// not looked at, but the connection that it makes inherits the value. Unlike a socket filter it needs no privilege
    /// anywhere. A Unix socket has nothing of the kind, and an IPv4 socket only the first.
    static func setLeastHops(_ hops: Int32, of descriptor: Int32) {
        _ = try? set(descriptor, Int32(IPPROTO_IP), IP_MINTTL, hops)
        _ = try? set(descriptor, Int32(IPPROTO_IPV6), IPV6_MINHOPCOUNT, hops)
    }

    /// The value that was set last; 0 where there is none.
    static func leastHops(of descriptor: Int32) -> Int32 {
        var hops: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, Int32(IPPROTO_IP), IP_MINTTL, &hops, &size) == 0 ? hops : 0
    }

    /// Removes a Unix socket on which nobody listens any more.
    package static func removeStale(_ path: String) {
        do throws(SystemError) {
            Glibc.close(try connect(.unix(path: path)).descriptor)
        } catch {
            // Whoever listens with a full queue refuses for now, by another error.
            guard error.isRefusal else { return }
            var information = stat()
            if lstat(path, &information) == 0, information.st_mode & S_IFMT == S_IFSOCK { unlink(path) }
        }
    }

    /// The address that a socket is bound to; nil for a Unix socket.
    package static func localAddress(of descriptor: Int32) -> PeerAddress {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        _ = withUnsafeMutableBytes(of: &storage) { bytes in
            getsockname(descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length)
        }
        return PeerAddress(storage)
    }

    private static func open(_ address: SocketAddress) throws(SystemError) -> Int32 {
        let family: Int32
        switch address {
        case .ip(let ip, _): family = ip.isV4 ? AF_INET : AF_INET6
        case .unix: family = AF_UNIX
        }
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        return try SystemError.check(socket(family, type, 0), "socket")
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32)
        throws(SystemError)
    {
        var value = value
        let size = socklen_t(MemoryLayout<Int32>.size)
        try SystemError.check(setsockopt(descriptor, level, name, &value, size), "setsockopt")
    }

    private static func withSocketAddress(
        _ address: SocketAddress, _ body: (UnsafePointer<sockaddr>, socklen_t) throws(SystemError) -> Void
    ) throws(SystemError) {
        switch address {
        case .ip(let ip, let port):
            if let v4 = ip.v4 {
                var value = sockaddr_in()
                value.sin_family = sa_family_t(AF_INET)
                value.sin_port = port.bigEndian
                value.sin_addr.s_addr = v4.bigEndian
                try call(&value, MemoryLayout<sockaddr_in>.size, body)
            } else {
                var value = sockaddr_in6()
                value.sin6_family = sa_family_t(AF_INET6)
                value.sin6_port = port.bigEndian
                withUnsafeMutableBytes(of: &value.sin6_addr) { bytes in
                    bytes.storeBytes(of: ip.high.bigEndian, as: UInt64.self)
                    bytes.storeBytes(of: ip.low.bigEndian, toByteOffset: 8, as: UInt64.self)
                }
                try call(&value, MemoryLayout<sockaddr_in6>.size, body)
            }
        case .unix(let path):
            var value = sockaddr_un()
            value.sun_family = sa_family_t(AF_UNIX)
            let fits = withUnsafeMutableBytes(of: &value.sun_path) { bytes in
                guard path.utf8.count < bytes.count else { return false }
                bytes.copyBytes(from: path.utf8)
                return true
            }
            guard fits else { throw SystemError("bind", ENAMETOOLONG) }
            try call(&value, MemoryLayout<sockaddr_un>.size, body)
        }
    }

    private static func call<Address>(
        _ value: inout Address, _ size: Int,
        _ body: (UnsafePointer<sockaddr>, socklen_t) throws(SystemError) -> Void
    ) throws(SystemError) {
        try withUnsafePointer(to: &value) { pointer throws(SystemError) in
            // Sound: every socket address begins with the fields of sockaddr, and the size says how long it is.
            let base = UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
            try body(base, socklen_t(size))
        }
    }
}
