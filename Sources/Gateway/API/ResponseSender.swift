public import HTTPTypes

/// Takes the response's head. Sending it consumes the sender, so that there is one final response, and gives
/// the writer for its content.
///
/// The gateway frames the content and adds `Date`, `Connection` and the like: fields that concern one
/// connection alone are taken out of what is sent (RFC 9110 §7.6.1), but `Connection: close` closes the
/// connection after the response. The settings of the configuration apply (`header` and so on). Where the
/// response has no content (to HEAD, 204, 304; RFC 9110 §6.4.1), what is written is dropped.
public struct ResponseSender: ~Copyable {
    private let served: ServedExchange

    init(_ served: ServedExchange) {
        self.served = served
    }

    /// Sends an interim response (RFC 9110 §15.2) at once: `103` with the fields that let the client start to
    /// load, for example. It can be repeated. A client of HTTP/1.0 gets none.
    ///
    /// - Throws: `ExchangeError.headInvalid` where the status is none from 100 to 199, or 101, which is not
    ///   for handlers to send; `ExchangeError.aborted`.
    public mutating func sendInformational(_ head: HTTPResponse) async throws {
        try await served.sendInformational(head)
    }

    /// Sends the final head. Where it has `Content-Length`, that many bytes have to follow.
    ///
    /// - Throws: `ExchangeError.headInvalid` where the status is none from 200 to 999, or `Content-Length` is
    ///   no number; `ExchangeError.aborted`.
    public consuming func send(_ head: HTTPResponse) async throws -> sending ResponseWriter {
        try await served.send(head)
        return ResponseWriter(served)
    }

    /// Sends the whole response, with its `Content-Length`, in one write.
    ///
    /// - Throws: as `send(_:)`.
    public consuming func send(_ head: HTTPResponse, content: [UInt8]) async throws {
        try await served.send(head, content: content)
    }

    /// Sends the whole response with the text's UTF-8 as its content.
    ///
    /// - Throws: as `send(_:)`.
    public consuming func send(_ head: HTTPResponse, content: String) async throws {
        try await served.send(head, content: Array(content.utf8))
    }

    /// Goes over to the protocol that the client asked for (`ExchangeContext.upgrade`). From then on `RequestBody.read`
    /// gives the client's bytes as they are, and nil when the client has ended its side; what is written goes out as
    /// it is, and `ResponseWriter.finish` ends this side. The other may go on meanwhile, and there is no deadline but
    /// `timeout response=`.
    ///
    /// Status and fields of the agreement (101 or 200, `Sec-WebSocket-Accept`) are the gateway's. What is said in the
    /// other protocol is the handler's business: the frames of a WebSocket, for example (RFC 6455 §5).
    ///
    /// - Parameter fields: further fields of the answer, such as `Sec-WebSocket-Protocol`.
    /// - Throws: `ExchangeError.headInvalid` where the client asked for no other protocol, or the request has content
    ///   that was not read to its end; `ExchangeError.aborted`.
    public consuming func acceptUpgrade(
        _ fields: HTTPFields = HTTPFields()
    ) async throws -> sending ResponseWriter {
        try await served.acceptUpgrade(fields)
        return ResponseWriter(served)
    }
}

/// Takes the content of the response. A call returns when the kernel has taken all bytes, so that a slow
/// client slows its handler down and nothing piles up.
///
/// Each call throws `ExchangeError.aborted` where the client is gone or takes nothing for too long (`timeout
/// send=`), and `CancellationError` where the task is cancelled and would have to wait.
public struct ResponseWriter: ~Copyable {
    private let served: ServedExchange

    init(_ served: ServedExchange) {
        self.served = served
    }

    /// Writes bytes, which are on their way when it returns: there is no buffer to flush.
    ///
    /// - Throws: `ExchangeError.contentLengthUnmet` where `Content-Length` promised fewer; nothing is sent
    ///   then.
    public mutating func write(_ bytes: Span<UInt8>) async throws { try await served.write(bytes) }

    /// Writes bytes.
    ///
    /// - Throws: as `write(_:)` of a span.
    public mutating func write(_ bytes: [UInt8]) async throws { try await served.write(bytes.span) }

    /// Writes the text's UTF-8.
    ///
    /// - Throws: as `write(_:)` of a span.
    public mutating func write(_ text: String) async throws { try await served.write(Array(text.utf8).span) }

    /// Ends the response. A response without it is cut off.
    ///
    /// - Parameter trailers: fields behind the content (RFC 9110 §6.5), which go out where the content's
    ///   length was not announced and the protocol has them. Those that may not stand there (RFC 9110 §6.5.1)
    ///   are left out.
    /// - Throws: `ExchangeError.contentLengthUnmet` where `Content-Length` promised more; the response is cut
    ///   off then.
    public consuming func finish(trailers: HTTPFields? = nil) async throws {
        try await served.finish(trailers: trailers)
    }
}
