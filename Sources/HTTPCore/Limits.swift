/// Every bound on one message and its connection, in one place. All are configurable; these are the defaults.
package struct Limits: Equatable, Sendable {
    /// Bytes of a request line, without its CRLF.
    package var startLineBytesMax = 16 * 1024
    /// Bytes of a head: start line, fields and the empty line behind them.
    package var headBytesMax = 32 * 1024
    /// Field lines of a head.
    package var fieldsMax = 128
    /// Bytes of a trailer section's field lines.
    package var trailerBytesMax = 8 * 1024
    /// Bytes of the extensions of one chunk.
    package var chunkExtensionBytesMax = 256
    /// Interim answers of an upstream to one request.
    package var interimAnswersMax = 1000
    /// Bytes of a request body.
    package var bodyBytesMax = 10_000_000_000

    package init() {}
}
