internal import ChimeraBytes
internal import ChimeraHTTPCore
internal import ChimeraUpstream

/// One request and what becomes of it: heads, routing and the figures for the log. Pooled by the worker, so that
/// a request in steady state allocates nothing.
final class Transaction: ProxyClient {
    let request = RequestHead()
    let response = ResponseHead()
    let context = RequestContext()
    /// When the head was complete, in nanoseconds of the monotonic clock.
    @exclusivity(unchecked) var startedAt: Int64 = 0
    /// When the first byte of the answer was handed to the kernel.
    @exclusivity(unchecked) var answeredAt: Int64 = 0
    /// Content bytes of the request.
    @exclusivity(unchecked) var bytesIn = 0
    /// Content bytes of the response.
    @exclusivity(unchecked) var bytesOut = 0
    @exclusivity(unchecked) var refusal: Refusal?
    @exclusivity(unchecked) var closeReason: CloseReason?
    @exclusivity(unchecked) var upstreamFigures = UpstreamFigures()

    func upstreamAnswered() {}

    func reset() {
        request.reset()
        startedAt = 0
        answeredAt = 0
        bytesIn = 0
        bytesOut = 0
        refusal = nil
        closeReason = nil
        upstreamFigures = UpstreamFigures()
    }
}
