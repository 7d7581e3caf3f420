internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraTLS
internal import ChimeraTelemetry
internal import Glibc

/// A client's connection before it speaks HTTP: the TLS handshake, and the answer to who speaks without TLS.
///
/// ```
///  accepted ─▶ handshake ─▶ established: an HTTP connection takes the socket over
///                  ├──▶ failed ─▶ closed
///                  ╰──▶ a request without TLS ─▶ 400, then what still comes is dropped for a while ─▶ closed
/// ```
/// One deadline bounds all of it.
final class Handshake: SocketObserver, TimerTarget, TLSSiteChooser, Arrival {
    let socket: Socket
    let tls: TLSConnection
    let client: AcceptedClient
    unowned(unsafe) let host: GatewayWorker
    private let timer = Timer()
    @exclusivity(unchecked) private var isRefused = false

    private static let refusalMilliseconds: Int64 = 2_000

    /// Nil where there is no memory.
    init?(_ socket: Socket, _ client: AcceptedClient, _ endpoint: TLSEndpoint, host: GatewayWorker) {
        self.socket = socket
        self.client = client
        self.host = host
        guard let tls = TLSConnection(endpoint, on: socket) else { return nil }
        self.tls = tls
        tls.ask(self)
        timer.target = self
        socket.observe(self)
        host.worker.set(timer, to: host.worker.now + host.timeouts.head)
    }

    func socketReady(_ socket: Socket) {
        if isRefused { return drop() }
        switch tls.handshake(on: socket) {
        case .waiting: break
        case .done:
            stop()
            host.established(self)
        case .failed(.plainRequest): refusePlainRequest()
        case .failed(let failure): end(failure)
        }
    }

    func deadlineReached(now: Int64) {
        if isRefused { close() } else { end(.timeout) }
    }

    func site(forServerName serverName: [UInt8]) -> TLSSite? {
        host.secureSite(forServerName: serverName, on: client.listener)
    }

    /// Ends it without its having come to a connection.
    func end(_ failure: HandshakeFailure) {
        if !isRefused { host.counters.add(failure) }
        close()
    }

    func giveUp() { end(.draining) }

    private func close() {
        stop()
        socket.close()
        host.handshakeEnded(self)
    }

    private func stop() { host.worker.cancel(timer) }

    // MARK: Without TLS

    /// Who asks without TLS gets an answer that a person can read.
    private func refusePlainRequest() {
        host.counters.add(HandshakeFailure.plainRequest)
        isRefused = true
        let body = "400 This port speaks https; the request came without TLS.\n"
        let text =
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: \(body.utf8.count)\r\n"
            + "Connection: close\r\n\r\n\(body)"
        let answer = Array(text.utf8)
        answer.withUnsafeBytes { _ = socket.writeWire($0) }
        socket.shutdownWire()
        host.worker.set(timer, to: host.worker.now + Self.refusalMilliseconds)
        drop()
    }

    /// Reads what still comes, so that the kernel does not reset the connection under the answer.
    private func drop() {
        let scratch = host.scratchInput
        scratch.clear()
        let room = scratch.writable
        for _ in 0..<16 {
            let count = recv(socket.descriptor, room.baseAddress, room.count, 0)
            if count == 0 || (count < 0 && errno != EAGAIN) { return close() }
            if count < room.count { return }
        }
        close()
    }
}

/// What is known of a client's connection when it is accepted.
struct AcceptedClient {
    let peer: PeerAddress
    let listener: ListenerFacts
    /// Where it counts as a connection of its client; see `PlaceTable`.
    let places: ContiguousArray<Int32>
    /// It is one too many of its client: its first request gets 503.
    let isExcess: Bool
}
