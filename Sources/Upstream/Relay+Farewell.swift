internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP1
internal import ChimeraHTTPCore
internal import ChimeraWebSocket

/// What is known of a tunnel that became a WebSocket.
final class WebSocketTunnel {
    @exclusivity(unchecked) var fromClient = FrameScanner(.client)
    @exclusivity(unchecked) var fromUpstream = FrameScanner(.server)
    /// When a farewell is over whatever the peers do, in milliseconds of the worker's clock.
    @exclusivity(unchecked) var endsAt: Int64 = 0
    @exclusivity(unchecked) fileprivate var hasEndedClient = false
    @exclusivity(unchecked) fileprivate var hasEndedUpstream = false
    @exclusivity(unchecked) fileprivate var clientHasEnded = false

    /// How long both peers may take to end their sides: shorter than the moment that a gateway gives to connections which
    /// it cuts off.
    fileprivate static let farewellMilliseconds: Int64 = 700
}

/// The end of a WebSocket that the gateway cuts off, with a word to both peers.
///
/// ```
///  tunnel ──cut off──▶ Close to whoever may have one ──▶ our sides end ──▶ both peers ended, or 700 ms
/// ```
/// What the peers send meanwhile is read and dropped: the kernel would reset a connection with unread bytes, and the
/// frame with it.
extension Relay {
    /// Says farewell where at least one peer can be told: RFC 6455 §5.5.1, status 1012. A direction in the middle of a
    /// frame gets none, and none is said where a peer has begun the closing handshake itself.
    mutating func beginsFarewell() -> Bool {
        guard phase == .tunnel, let tunnel = connection.webSocket else { return false }
        guard !tunnel.fromClient.hasClosed, !tunnel.fromUpstream.hasClosed else { return false }
        let tellsClient = !tunnelUpstreamEnded && tunnel.fromUpstream.mayBeJoined
        let tellsUpstream = !requestEnded && tunnel.fromClient.mayBeJoined
        guard tellsClient || tellsUpstream else { return false }
        if tellsClient {
            let frame = ByteBuffer(capacity: FrameHeader.octetsMax)
            CloseFrame.append(.serviceRestart, maskingKey: nil, to: frame)
            exchange.send(frame.readable)
        }
        if tellsUpstream {
            CloseFrame.append(
                .serviceRestart, maskingKey: UInt32.random(in: .min ... .max), to: connection.output)
        }
        tunnel.clientHasEnded = requestEnded
        tunnel.endsAt = worker.now + WebSocketTunnel.farewellMilliseconds
        phase = .farewell
        return true
    }

    /// Sends what is unsent, ends our sides behind it, and drops what comes.
    mutating func farewellTurn() -> ProxyOutcome? {
        guard let tunnel = connection.webSocket, worker.now < tunnel.endsAt else { return abort(.draining) }
        if !connection.flush() {
            connection.output.clear()
            tunnelUpstreamEnded = true
        }
        if connection.output.isEmpty && !tunnel.hasEndedUpstream {
            tunnel.hasEndedUpstream = true
            connection.socket.shutdownWrite()
        }
        if exchange.flush() && !tunnel.hasEndedClient {
            tunnel.hasEndedClient = true
            exchange.finishTunnel()
        }
        dropUpstream()
        dropClient(tunnel)
        let isOver = tunnel.hasEndedClient && tunnel.hasEndedUpstream && tunnel.clientHasEnded
        return isOver && tunnelUpstreamEnded ? abort(.draining) : nil
    }

    /// Whether a turn now would do something.
    var hasFarewellWork: Bool {
        if passedRequest || (connection.socket.isReadable && !tunnelUpstreamEnded) { return true }
        return !connection.output.isEmpty && connection.socket.isWritable
    }

    private mutating func dropUpstream() {
        guard !tunnelUpstreamEnded, connection.socket.isReadable else { return }
        scratch.clear()
        switch connection.socket.read(into: scratch.writable) {
        case .bytes, .wouldBlock: break
        case .end, .failed: tunnelUpstreamEnded = true
        }
    }

    private mutating func dropClient(_ tunnel: WebSocketTunnel) {
        guard !tunnel.clientHasEnded else { return }
        switch exchange.readBody(into: { _ in }) {
        case .progressed: passedRequest = true
        case .pending: break
        case .ended: tunnel.clientHasEnded = true
        case .refused, .aborted:
            tunnel.clientHasEnded = true
            tunnel.hasEndedClient = true
        }
    }
}
