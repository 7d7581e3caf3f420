internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraProxyProtocol
internal import Glibc

/// A connection from a proxy in front, until its PROXY header has come: then it is the connection of whom that names.
///
/// ```
///  accepted ─▶ header ─┬─▶ whole: TLS, or HTTP
///                      ╰─▶ none, broken, or late ─▶ closed
/// ```
/// The header is looked at where the kernel has it and taken out alone, so that what is behind it stays for TLS.
final class ProxyGreeting: SocketObserver, TimerTarget, Arrival {
    private let socket: Socket
    private let peer: PeerAddress
    private let listener: ListenerFacts
    unowned(unsafe) private let host: GatewayWorker
    private let timer = Timer()

    init(_ socket: Socket, _ peer: PeerAddress, _ listener: ListenerFacts, host: GatewayWorker) {
        self.socket = socket
        self.peer = peer
        self.listener = listener
        self.host = host
        timer.target = self
        socket.observe(self)
        host.worker.set(timer, to: host.worker.now + host.timeouts.head)
    }

    func socketReady(_ socket: Socket) {
        let room = host.scratchInput
        room.clear()
        let most = UnsafeMutableRawBufferPointer(rebasing: room.writable.prefix(ProxyHeader.octetsMax))
        switch socket.peek(into: most) {
        case .bytes(let count): read(most, count)
        case .wouldBlock: break
        // A check of whether the port is open says nothing.
        case .end: close(nil)
        case .failed: close(.clientFailed)
        }
    }

    private func read(_ room: UnsafeMutableRawBufferPointer, _ count: Int) {
        let bytes = UnsafeRawBufferPointer(rebasing: room[..<count])
        // Sound: the buffer is the worker's, and nobody writes to it before the reading is done.
        switch ProxyHeader.read(Span(_unsafeBytes: bytes)) {
        case .incomplete:
            // What has come is all that will come.
            if socket.isReadClosed { close(.clientClosed) }
        case .malformed: close(.proxyHeaderRefused)
        case .complete(let header):
            let taken = socket.read(into: UnsafeMutableRawBufferPointer(rebasing: room[..<header.octets]))
            guard taken == .bytes(header.octets) else { return close(.clientFailed) }
            host.worker.cancel(timer)
            host.greeted(self, socket, client(header.source), listener)
        }
    }

    private func client(_ source: ProxyHeader.Source) -> PeerAddress {
        switch source {
        case .ip(let ip, let port): PeerAddress(ip: ip, port: port)
        case .unix: PeerAddress(ip: nil, port: 0)
        case .peer: peer
        }
    }

    func deadlineReached(now: Int64) { close(.headTimeout) }

    func giveUp() { close(.draining) }

    private func close(_ reason: CloseReason?) {
        host.worker.cancel(timer)
        socket.close()
        host.greetingEnded(self, listener, reason)
    }
}
