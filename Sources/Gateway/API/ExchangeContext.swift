internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraTLS

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

/// What the client's connection came to agree on.
public struct TLSDetails: Hashable, Sendable {
    /// `TLSv1.2` or `TLSv1.3`
    public let version: String
    /// The cipher suite by the name that it is registered with: `TLS_AES_128_GCM_SHA256`.
    public let cipher: String
    /// The session is one of an earlier connection.
    public let isResumed: Bool
    /// The name that the client asked for (RFC 6066 §3), in small letters; nil where it asked for none.
    public let serverName: String?
    /// The subject of the client's certificate, as RFC 2253 writes it: `CN=ann,O=shop`. Nil where it showed none, or
    /// none was asked for (`client-ca`); what is here was verified.
    public let clientSubject: String?

    init(_ facts: TLSFacts) {
        version = "\(facts.version)"
        cipher = "\(facts.cipher)"
        isResumed = facts.isResumed
        serverName = Self.text(facts.serverName)
        clientSubject = Self.text(facts.clientSubject)
    }

    private static func text(_ bytes: [UInt8]) -> String? {
        bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}

/// What is known of an exchange beside the request: who asks, how long it may take, and news of the client.
public struct ExchangeContext: Sendable {
    /// The other end of the connection.
    public let peer: PeerEndpoint
    /// The client's address: the peer's, or what a proxy among `trust` says in `X-Forwarded-For`. Nil on a
    /// Unix socket.
    public let client: String?
    /// The request came over TLS, to the gateway or to a proxy among `trust` that says so; see `tls`.
    public let isSecure: Bool
    /// When the whole response has to be out (`timeout response=`); nil without such a bound, which is the
    /// default. Past it, the exchange's calls throw `ExchangeError.aborted(.responseTimeout)`.
    public let deadline: ContinuousClock.Instant?

    /// The protocol that the client asks to go over to, as `websocket`: by `Upgrade` (RFC 9110 §7.8), or in HTTP/2 by an
    /// extended CONNECT (RFC 8441), which a handler gets as a GET like the other. Nil where it asks for none; see
    /// `ResponseSender.acceptUpgrade`.
    public let upgrade: String?

    private let facts: TLSFacts?
    private let requestID: RequestID
    private let served: ServedExchange

    /// What names the exchange in the access log: 32 hexadecimal digits.
    public var id: String {
        let text = ByteBuffer(capacity: 32)
        requestID.append(to: text)
        return String(decoding: text.pending, as: UTF8.self)
    }

    /// What the connection to the gateway came to agree on; nil where it is without TLS.
    public var tls: TLSDetails? { facts.map(TLSDetails.init) }

    init(
        _ context: RequestContext, _ served: ServedExchange, upgrade: String?,
        deadline: ContinuousClock.Instant?
    ) {
        self.served = served
        self.deadline = deadline
        self.upgrade = upgrade
        requestID = context.id
        isSecure = context.isSecure
        facts = context.tls?.facts
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
