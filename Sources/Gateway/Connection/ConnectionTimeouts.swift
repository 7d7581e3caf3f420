internal import ChimeraConfiguration

/// Deadlines of connections, in milliseconds.
struct ConnectionTimeouts {
    var head: Int64 = 10_000
    var idle: Int64 = 60_000
    var send: Int64 = 30_000

    /// What stands for no bound: longer than any machine runs.
    private static let never: Int64 = 1 << 50

    init() {}

    init(_ timeouts: ResolvedTimeouts) {
        head = timeouts.head ?? Self.never
        idle = timeouts.idle ?? Self.never
        send = timeouts.send ?? Self.never
    }
}
