internal import CLinux
internal import ChimeraBytes
internal import Glibc

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
            try address.withPointer { pointer, length throws(SystemError) in
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
            try address.withPointer { pointer, length throws(SystemError) in
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
}
