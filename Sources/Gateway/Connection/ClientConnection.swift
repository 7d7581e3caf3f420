internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraTLS

/// What every client's connection has, whatever it speaks: its socket, its place in the worker's table, its one deadline.
///
/// What differs is overridden: that is once for an event of the kernel or of the operator, and never once for a request.
class ClientConnection: SocketObserver, TimerTarget {
    /// The connection leaves its worker's table when it closes, which breaks the cycle.
    final let host: GatewayWorker
    final let socket: Socket
    final let client: AcceptedClient
    /// Nil where the connection is without TLS.
    final let tls: TLSConnection?
    final var peer: PeerAddress { client.peer }
    final var listener: ListenerFacts { client.listener }
    /// When it was accepted, in milliseconds of the worker's clock.
    final let acceptedAt: Int64
    /// Where the connection stands in its worker's table; -1 before and after.
    @exclusivity(unchecked) final var tableIndex = -1
    /// The connection's number among those of its worker, from 1.
    @exclusivity(unchecked) final var number: UInt64 = 0
    /// Bytes have come on it.
    @exclusivity(unchecked) final var hasServed = false
    /// Why the connection ends once its last answer is out.
    @exclusivity(unchecked) final var ending: CloseReason?
    final let timer = Timer()
    @exclusivity(unchecked) private final var lingered = 0

    /// Bytes that a lingering connection may still send.
    private static let lingerBytesMax = 1 << 20
    /// How long a connection lingers, in milliseconds.
    private static let lingerMilliseconds: Int64 = 2_000

    init(_ socket: Socket, _ client: AcceptedClient, tls: TLSConnection?, host: GatewayWorker) {
        self.socket = socket
        self.client = client
        self.tls = tls
        self.host = host
        acceptedAt = host.worker.now
        timer.target = self
        socket.observe(self)
    }

    /// Goes on with a connection that turned out to speak another protocol, which has let go of its timer.
    init(takingOver other: ClientConnection) {
        client = other.client
        tls = other.tls
        socket = other.socket
        host = other.host
        acceptedAt = other.acceptedAt
        number = other.number
        hasServed = other.hasServed
        timer.target = self
        socket.observe(self)
    }

    // MARK: What each protocol has of its own

    /// The socket has news.
    func socketReady(_ socket: Socket) {}

    /// The connection's deadline has passed.
    func deadlineReached(now: Int64) {}

    /// The gateway drains: an idle connection ends now, another one after what is under way.
    func drain() {}

    /// The gateway ends: the connection does so now, or as soon as what is under way has seen it.
    func cutOff() {}

    /// Since when nothing is under way, in milliseconds of the worker's clock; nil where something is.
    var idleSince: Int64? { nil }

    /// Ends the connection at once; with `reset` the client learns that an answer is not whole.
    func close(_ reason: CloseReason?, reset: Bool = false) {}

    /// Ends our side behind what was sent, and drops for a while what the client still sends.
    func closeGracefully(_ reason: CloseReason?) {}

    /// For who asks what the connection does.
    func report() -> ConnectionReport {
        ConnectionReport(
            id: id, peer: peerText, listener: listener.text, version: "",
            ageMilliseconds: host.worker.now - acceptedAt, activity: .closing)
    }

    // MARK: The deadline

    /// Sets the connection's one deadline; nil for none.
    final func setDeadline(after milliseconds: Int64?) {
        host.worker.set(timer, to: milliseconds.map { host.worker.now + $0 } ?? .max)
    }

    // MARK: The peer

    /// A read has failed: nothing more comes of the connection.
    ///
    /// Where it is TLS that failed, the client is told why, and a reset would take that back.
    final func closeFailed() {
        guard let fault = tls?.fault, !socket.isBroken else { return close(.clientFailed) }
        closeGracefully(fault == .flooded ? .flooded : .clientFailed)
    }

    /// Ends our side, after which `drainLingering` drops what the client still sends.
    final func beginLingering() {
        socket.shutdownWrite()
        setDeadline(after: ClientConnection.lingerMilliseconds)
    }

    /// Drops what a client sends behind the last answer, so that the kernel does not reset the connection under it.
    final func drainLingering() {
        let scratch = host.scratchInput
        scratch.clear()
        while socket.isReadable {
            // What it was meant to be is nobody's business any more.
            switch socket.readWire(into: scratch.writable) {
            case .bytes(let count):
                lingered += count
                if lingered > ClientConnection.lingerBytesMax { return close(nil) }
            case .wouldBlock: return
            case .end, .failed: return close(nil)
            }
        }
    }
}
