package import ChimeraBytes

/// What a proxy in front says of the connection that it passes on: the header of the PROXY protocol, versions 1 and 2
/// (haproxy.org/download/3.0/doc/proxy-protocol.txt).
package struct ProxyHeader: Equatable, Sendable {
    /// Whose connection it is.
    package enum Source: Equatable, Sendable {
        /// A client's.
        case ip(IPAddress, port: UInt16)
        /// That of a client of a Unix socket.
        case unix
        /// The proxy's own (LOCAL, as for a health check), or it does not say whose (UNKNOWN, UNSPEC): what the kernel
        /// says of the peer counts.
        case peer
    }

    package var source: Source
    /// Octets of the header; the client's follow.
    package var octets: Int

    /// What the first octets of a connection are.
    package enum Reading: Equatable, Sendable {
        /// More octets are needed.
        case incomplete
        case complete(ProxyHeader)
        /// No header, or a broken one: nothing on this connection can be trusted.
        case malformed(Fault)
    }

    /// Why there is no header.
    package enum Fault: Equatable, Sendable {
        /// The first octets are those of neither version.
        case missing
        /// A line of version 1 that is not what §2.1 says.
        case line
        /// A version or command that §2.2 does not know.
        case command
        /// A length too short for the addresses, or with parts that do not add up.
        case length
        /// More than `octetsMax`.
        case tooLong
        /// The checksum of §2.2.3 is another.
        case checksum
    }

    /// Octets of the longest header that is taken: of version 2 with all that proxies send beside the addresses.
    package static let octetsMax = 4096

    package init(source: Source, octets: Int) {
        self.source = source
        self.octets = octets
    }

    /// Reads the header at the start of `bytes`, which are all that have come so far.
    package static func read(_ bytes: Span<UInt8>) -> Reading {
        guard bytes.count > 0 else { return .incomplete }
        return bytes[0] == BinaryHeader.signature[0] ? BinaryHeader.read(bytes) : TextHeader.read(bytes)
    }
}
