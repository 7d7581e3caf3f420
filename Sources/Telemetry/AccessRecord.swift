package import ChimeraBytes
package import ChimeraHTTPCore
package import ChimeraTLS

/// How an exchange's request came, for the log.
package enum LoggedProtocol: UInt8, Sendable {
    case http10, http11, http2, http3
    /// A connection that speaks no HTTP.
    case stream

    /// The name as it stands in a request line or is usual in logs.
    @inlinable @inline(__always)
    package var text: StaticString {
        switch self {
        case .http10: "HTTP/1.0"
        case .http11: "HTTP/1.1"
        case .http2: "HTTP/2.0"
        case .http3: "HTTP/3.0"
        case .stream: "stream"
        }
    }
}

/// What a session came to.
package struct LoggedSession: Sendable {
    /// The value of `CHIMERA_SESSION`.
    package var id: String
    /// Why it ended.
    package var end: StaticString
    /// Of a program that has ended: its exit status, or else the number of its signal.
    package var exitStatus: Int32?
    package var signal: Int32?

    package init(id: String, end: StaticString, exitStatus: Int32? = nil, signal: Int32? = nil) {
        (self.id, self.end, self.exitStatus, self.signal) = (id, end, exitStatus, signal)
    }
}

/// What one exchange leaves in the access log beside its request head: numbers and references, nothing
/// allocated.
///
/// Method, target, host, referrer and user agent are read from the request head at the moment of `append`.
package struct AccessRecord {
    /// The wall clock when the request's head was complete: whole seconds since 1970.
    package var seconds: Int64 = 0
    /// Nanoseconds of that second, 0 to 999,999,999.
    package var nanoseconds: Int64 = 0
    /// The request's number, 128 bits; both halves 0 for none.
    package var idHigh: UInt64 = 0
    package var idLow: UInt64 = 0
    /// The client: the peer, or whom a trusted peer names. Nil for a client on a Unix socket.
    package var client: IPAddress?
    /// The user who proved to be it.
    package var user: String?
    package var version = LoggedProtocol.http11
    /// What the connection came to agree on; nil where it is without TLS.
    package var tls: TLSFacts?
    /// The status of the final head; 0 where none was sent.
    package var status = 0
    /// Bytes of the request's body as they were read, without framing.
    package var bytesIn = 0
    /// Bytes of the response's body as they were sent, without framing.
    package var bytesOut = 0
    /// Microseconds until the final head was sent; negative where none was sent.
    package var firstByteMicroseconds: Int64 = -1
    /// Microseconds until the exchange ended.
    package var totalMicroseconds: Int64 = 0
    /// The upstream that was asked last, as its endpoint's text; nil where none was.
    package var upstream: AccessText?
    /// Why the upstream gave no answer; nil where it gave one.
    package var upstreamError: StaticString?
    /// Microseconds until the upstream's connection was there; 0 for a pooled one, negative where there was
    /// none.
    package var upstreamConnectMicroseconds: Int64 = -1
    /// Microseconds from the connection to the head of the upstream's answer; negative where none came.
    package var upstreamFirstByteMicroseconds: Int64 = -1
    /// Microseconds that the upstream had the request; negative where it never had it.
    package var upstreamTotalMicroseconds: Int64 = -1
    /// Why the exchange ended before its time.
    package var close: CloseReason?
    /// Why the request, or the upstream's answer, was refused.
    package var refusal: Refusal?
    /// The bound that the request ran into.
    package var limit: LimitHit?
    /// What became of the session that the request has begun; nil where it has begun none.
    package var session: LoggedSession?

    @inlinable @inline(__always)
    package init() {}
}

/// Bounds on what one line of the access log takes from a client; what is longer is cut and ends in an
/// ellipsis. Without them one request could outgrow a half of the buffer, and so stay out of the log.
package enum AccessLogLimits {
    /// Bytes of the request target.
    package static let targetBytesMax = 8192
    /// Bytes of the referrer, and of the user agent.
    package static let fieldBytesMax = 1024
    /// Bytes of the host, and of the user's name.
    package static let nameBytesMax = 256
    /// Bytes of the method.
    package static let methodBytesMax = 64
    /// Bytes of each half of a worker's buffer.
    package static let halfBytes = 256 << 10
    /// The longest time that a line waits in the buffer while the target takes it.
    package static let flushMilliseconds: Int64 = 250
    /// How often the file's name is compared with the open file.
    package static let renameCheckMilliseconds: Int64 = 1000
}
