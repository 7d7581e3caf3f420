internal import ChimeraBytes
internal import ChimeraEventLoop

/// The address at the other end of a connection.
public enum PeerEndpoint: Hashable, Sendable, CustomStringConvertible {
    /// An IPv4 address in dotted form or an IPv6 address in the form of RFC 5952, without brackets.
    case ip(address: String, port: Int)
    /// A Unix socket, whose other end has no name.
    case unix

    /// `192.0.2.1:4711`, `[2001:db8::1]:4711` or `unix`.
    public var description: String {
        switch self {
        case .ip(let address, let port): address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
        case .unix: "unix"
        }
    }
}

/// What is known of an exchange beside the request: who asks, how long it may take, and news of the client.
public struct ExchangeContext: Sendable {
    /// The other end of the connection.
    public let peer: PeerEndpoint
    /// The client's address: the peer's, or what a proxy among `trust` says in `X-Forwarded-For`. Nil on a
    /// Unix socket.
    public let client: String?
    /// The request came over TLS.
    public let isSecure: Bool
    /// When the whole response has to be out (`timeout response=`); nil without such a bound, which is the
    /// default. Past it, the exchange's calls throw `ExchangeError.aborted(.responseTimeout)`.
    public let deadline: ContinuousClock.Instant?

    private let requestID: RequestID
    private let served: ServedExchange

    /// What names the exchange in the access log: 32 hexadecimal digits.
    public var id: String {
        let text = ByteBuffer(capacity: 32)
        requestID.append(to: text)
        return String(decoding: text.pending, as: UTF8.self)
    }

    init(_ context: RequestContext, _ served: ServedExchange, deadline: ContinuousClock.Instant?) {
        self.served = served
        self.deadline = deadline
        requestID = context.id
        isSecure = context.isSecure
        client = context.client.map { "\($0)" }
        peer = context.peer.map { .ip(address: "\($0)", port: Int(context.peerPort)) } ?? .unix
    }

    /// Waits until something interrupts the exchange: the client goes away, the gateway starts to drain, or
    /// the deadline passes. For handlers that wait for something else meanwhile, in a task group with this.
    ///
    /// On HTTP/1 a client that ends its own side counts as gone once its request was read to the end, though
    /// it might still read (RFC 9112 §9.6); writing goes on where it does.
    ///
    /// - Returns: what interrupts. `draining` is a notice: there is time until the drain's own deadline.
    /// - Throws: `CancellationError`; `ExchangeError.exchangeOver` after the handler has returned.
    public func interruption() async throws -> AbortReason { try await served.interruption() }
}
