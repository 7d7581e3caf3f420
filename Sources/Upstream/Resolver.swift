internal import ChimeraBytes
package import ChimeraEventLoop

/// Resolves names off the workers.
package final class Resolver: Sendable {
    /// How long the addresses of a name are used at least and at most, in milliseconds, whatever its server says.
    package static let lifetimeBounds: ClosedRange<Int64> = 1_000...300_000
    /// How long they are used where no name server tells, as for a name of /etc/hosts.
    package static let lifetimeUnknown: Int64 = 30_000

    private let pool: BlockingPool
    private let names: any NameService

    /// The system's resolver, on threads of `pool`.
    package convenience init(pool: BlockingPool) {
        self.init(pool: pool, names: SystemNames())
    }

    package init(pool: BlockingPool, names: any NameService) {
        self.pool = pool
        self.names = names
    }

    /// The addresses of `host`, in the system's order; empty when there are none or the pool is full.
    package func resolve(_ host: String, port: UInt16) async -> [SocketAddress] {
        let found = await pool.run { [names] in names.addresses(of: host) } ?? []
        return found.map { .ip($0, port: port) }
    }

    /// How long `addresses`, which were given for `host` a moment ago, are used before it is resolved again, in
    /// milliseconds: their time to live, within bounds.
    package func lifetime(of addresses: [SocketAddress], for host: String) async -> Int64 {
        guard Resolver.mayBeInDNS(host) else { return Resolver.lifetimeUnknown }
        let kinds = Set(addresses.map(\.isV6))
        let seconds = await pool.run { [names] in
            kinds.compactMap { names.secondsToLive(of: host, withV6: $0) }.min()
        }
        guard let seconds = seconds ?? nil else { return Resolver.lifetimeUnknown }
        let bounds = Resolver.lifetimeBounds
        return min(max(Int64(seconds) * 1_000, bounds.lowerBound), bounds.upperBound)
    }

    /// A number is no name, and `localhost` is nobody's but this machine's (RFC 6761 §6.3).
    private static func mayBeInDNS(_ host: String) -> Bool {
        IPAddress(host) == nil && host != "localhost" && !host.hasSuffix(".localhost")
    }
}

extension SocketAddress {
    fileprivate var isV6: Bool {
        if case .ip(let ip, _) = self { !ip.isV4 } else { false }
    }
}
