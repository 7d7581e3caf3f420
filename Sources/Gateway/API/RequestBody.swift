public import HTTPTypes

/// The content of a request, pulled: what nobody asks for stays with the client. What is left unread when the
/// handler returns is dropped.
///
/// ```
/// while let bytes = try await body.read() { … }
/// let trailers = body.trailers
/// ```
public struct RequestBody: ~Copyable {
    /// How many bytes it has, where the request's head says so: zero without a body. Nil where that is known
    /// at the end alone.
    public let length: Int?

    /// The fields behind the content (RFC 9110 §6.5), once `read` has returned nil; nil before, and where
    /// there are none.
    public private(set) var trailers: HTTPFields?

    private let served: ServedExchange

    init(_ served: ServedExchange, length: Int?) {
        self.served = served
        self.length = length
    }

    /// Waits for the next bytes. A client that waits for 100 (Continue) is told to go on with the first call
    /// (RFC 9110 §10.1.1).
    ///
    /// - Returns: at least one byte and at most what came at once, some 64 KiB; nil at the end of the body.
    /// - Throws: `ExchangeError.bodyRefused` or `.aborted`; after that the body stays unreadable.
    ///   `CancellationError` where the task is cancelled and would have to wait.
    public mutating func read() async throws -> [UInt8]? {
        if let bytes = try await served.read() { return bytes }
        trailers = await served.trailers()
        return nil
    }

    /// Reads the whole body.
    ///
    /// - Parameter limit: bytes that it may have.
    /// - Throws: `ExchangeError.bodyTooLarge` where it has more, before reading where the head says so; else
    ///   as `read()`.
    public mutating func collect(upTo limit: Int) async throws -> [UInt8] {
        if let length, length > limit { throw ExchangeError.bodyTooLarge(limit: limit) }
        var collected: [UInt8] = []
        while let bytes = try await read() {
            guard bytes.count <= limit - collected.count else {
                throw ExchangeError.bodyTooLarge(limit: limit)
            }
            collected += bytes
        }
        return collected
    }
}
