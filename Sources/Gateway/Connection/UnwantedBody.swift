/// A request's body that nobody wants any more: it is read all the same, so that the connection or the stream ends in good
/// order, but not without bounds.
enum UnwantedBody {
    /// Bytes of it.
    static let bytesMax = 256 * 1024
    /// How long that may take.
    static let milliseconds: Int64 = 5_000
}
