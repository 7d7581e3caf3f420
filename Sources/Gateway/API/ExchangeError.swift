internal import ChimeraHTTPCore

/// Why the exchange ended before its time. More reasons may come with later versions.
@nonexhaustive
public enum AbortReason: String, Hashable, Sendable, CustomStringConvertible {
    /// The client ended the connection.
    case clientClosed = "client-closed"
    /// The client's connection failed.
    case clientFailed = "client-failed"
    /// The client took nothing of the response for too long (`timeout send=`).
    case sendTimeout = "send-timeout"
    /// The whole response took longer than allowed (`timeout response=`).
    case responseTimeout = "response-timeout"
    /// The gateway drains.
    case draining = "draining"

    /// The token that stands in the access log.
    public var description: String { rawValue }

    /// A reason that is of other destinations alone cannot come to a handler.
    init(_ reason: CloseReason) {
        switch reason {
        case .clientClosed: self = .clientClosed
        case .sendTimeout: self = .sendTimeout
        case .responseTimeout: self = .responseTimeout
        case .draining: self = .draining
        default: self = .clientFailed
        }
    }
}

/// What the calls of an exchange throw, beside `CancellationError` where the task that waits is cancelled.
/// More cases may come with later versions.
@nonexhaustive
public enum ExchangeError: Error, Hashable, Sendable {
    /// The exchange is over: the client is gone, or time is. A handler that lets this pass ends it quietly.
    case aborted(AbortReason)
    /// The request's body cannot be read to its end: it is malformed (RFC 9112 §7.1), larger than the
    /// gateway's `limit body`, or did not come in time. A handler that lets this pass before it sent a head
    /// has the gateway answer with `status`: 400, 413 or 408. `reason` is the token that stands in the access
    /// log.
    case bodyRefused(status: Int, reason: String)
    /// `RequestBody.collect` met a body of more bytes than it was to take.
    case bodyTooLarge(limit: Int)
    /// The head cannot be sent: a status that does not fit the call, or a `Content-Length` that is no number.
    case headInvalid(String)
    /// More or fewer bytes than the head's `Content-Length` promised. Nothing of the write was sent; the
    /// response is cut off where it was to be finished.
    case contentLengthUnmet
    /// The handler has returned: what it kept of the exchange is of no use.
    case exchangeOver
}
