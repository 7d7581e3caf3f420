internal import ChimeraBytes
package import ChimeraEventLoop
internal import Glibc

/// Resolves names by the system's resolver, off the workers.
package final class Resolver: Sendable {
    private let pool: BlockingPool
    /// How long addresses are used before the name is resolved again, in milliseconds.
    package let lifetimeMilliseconds: Int64

    package init(pool: BlockingPool, lifetimeMilliseconds: Int64 = 30_000) {
        self.pool = pool
        self.lifetimeMilliseconds = lifetimeMilliseconds
    }

    /// The addresses of `host`, in the system's order; empty when there are none or the pool is full.
    package func resolve(_ host: String, port: UInt16) async -> [SocketAddress] {
        await pool.run { Resolver.lookUp(host, port: port) } ?? []
    }

    private static func lookUp(_ host: String, port: UInt16) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var found: [SocketAddress] = []
        var entry = list
        while let current = entry?.pointee {
            let bytes = UnsafeRawBufferPointer(start: current.ai_addr, count: Int(current.ai_addrlen))
            if let ip = PeerAddress(bytes).ip {
                let candidate = SocketAddress.ip(ip, port: port)
                if !found.contains(candidate) { found.append(candidate) }
            }
            entry = current.ai_next
        }
        return found
    }
}
