internal import ChimeraEventLoop

/// What the log says of an upstream: which one, and when things happened, in nanoseconds of the monotonic clock.
struct UpstreamFigures {
    var address: SocketAddress?
    var startedAt: Int64 = 0
    var connectedAt: Int64 = 0
    var answeredAt: Int64 = 0
    var endedAt: Int64 = 0
}
