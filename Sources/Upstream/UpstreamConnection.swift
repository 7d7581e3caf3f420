internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP1
internal import ChimeraHTTPCore

/// A connection to an upstream: leased to one exchange at a time, in its endpoint's pool in between.
///
/// ```
/// connecting ──▶ leased ──exchange over──▶ idle ──▶ leased …
///      ╰───────────╰───── closed ◀───────────╯  (the upstream ends it, or it was idle for too long)
/// ```
final class UpstreamConnection: SocketObserver {
    let socket: Socket
    let address: SocketAddress
    /// Bytes of an answer that could not be used yet.
    let input = ByteBuffer(capacity: 1024)
    /// Bytes of a request that the kernel did not take yet.
    let output = ByteBuffer(capacity: 2048)
    /// When it went idle, in milliseconds of the worker's clock.
    @exclusivity(unchecked) var idleSince: Int64 = 0
    /// The generation of the pool's addresses in which the connection's was the name's.
    @exclusivity(unchecked) var generation: UInt32
    /// Where the connection became a WebSocket, what passes on it.
    @exclusivity(unchecked) var webSocket: WebSocketTunnel?
    @exclusivity(unchecked) private var scope: Scope?
    let pool: EndpointPool

    init(_ socket: Socket, to address: SocketAddress, pool: EndpointPool) {
        self.socket = socket
        self.address = address
        self.pool = pool
        generation = pool.generation
        socket.observe(self)
    }

    func socketReady(_ socket: Socket) {
        if let scope {
            scope.wake(.io)
        } else {
            // An idle upstream has nothing to say: it ended the connection, or broke the protocol.
            pool.discard(self)
        }
    }

    /// Belongs to one exchange from now on, whose scope is told of news.
    func lease(to scope: Scope) {
        precondition(self.scope == nil, "leased twice")
        self.scope = scope
    }

    func endLease() { scope = nil }

    /// Whether nothing of the last exchange is left and the upstream has said nothing since.
    var isClean: Bool {
        input.isEmpty && output.isEmpty && !socket.isReadable && !socket.isReadClosed && !socket.isBroken
    }

    func close() {
        scope = nil
        socket.close()
    }

    /// Writes what is queued.
    ///
    /// - Returns: false when the connection is lost.
    func flush() -> Bool {
        guard !output.isEmpty, socket.isWritable else { return true }
        switch socket.write(output.pending) {
        case .bytes(let count): output.consume(count)
        case .wouldBlock: break
        case .end, .failed: return false
        }
        return true
    }

    /// Sends bytes; what the kernel does not take is queued.
    func send(_ bytes: Span<UInt8>, framing: WireFraming) {
        guard bytes.count > 0 else { return }
        if framing.isChunked {
            output.append(hexadecimal: bytes.count)
            output.append("\r\n")
        }
        sendRaw(bytes)
        if framing.isChunked { output.append("\r\n") }
    }

    private func sendRaw(_ bytes: Span<UInt8>) {
        guard bytes.count > 8 * 1024, socket.isWritable, !socket.isBroken else { return output.append(bytes) }
        bytes.withUnsafeBytes { raw in
            let queued = output.count
            guard case .bytes(let written) = socket.write(output.pending, raw) else {
                return output.append(raw)
            }
            output.consume(min(queued, written))
            if written < queued + raw.count {
                output.append(UnsafeRawBufferPointer(rebasing: raw[max(0, written - queued)...]))
            }
        }
    }
}
