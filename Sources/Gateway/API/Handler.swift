public import HTTPTypes

/// What a program that embeds the gateway does with a request: one function for each exchange, on any
/// protocol.
///
/// ```
/// struct Hello: Handler {
///     func handle(
///         _ request: HTTPRequest, context: ExchangeContext, body: consuming sending RequestBody,
///         response: consuming sending ResponseSender
///     ) async throws {
///         try await response.send(HTTPResponse(status: .ok), content: "Hello\n")
///     }
/// }
/// ```
/// It is called on the thread of the worker that serves the connection, for many connections at a time, so it
/// must not block. It may wait for anything (a `Task.sleep`, an actor, the main actor) and comes back to that
/// thread by itself.
///
/// How it ends decides what the client sees:
/// - it returned after `ResponseWriter.finish`: the response is whole;
/// - it threw or returned before it sent a head: 500, or the status of `ExchangeError.bodyRefused`;
/// - it threw, or returned without `finish`, after it sent the head: the response is cut off, so that the
///   client can see that it is not whole (RFC 9112 §8);
/// - the client was gone before: nothing.
public protocol Handler: Sendable {
    /// Serves one exchange.
    ///
    /// - Parameters:
    ///   - request: the head. Its path is normalised (RFC 3986 §6.2.2.3) and begins with a slash; fields that
    ///     concern one connection alone are taken out (RFC 9110 §7.6.1), and what `Host` said is its
    ///     authority.
    ///   - context: who asks, the time that is left, and news of the client.
    ///   - body: the request's content, read when it is asked for.
    ///   - response: takes the one final head, and any number of interim ones before.
    nonisolated(nonsending) func handle(
        _ request: HTTPRequest, context: ExchangeContext, body: consuming sending RequestBody,
        response: consuming sending ResponseSender
    ) async throws
}
