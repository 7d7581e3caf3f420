internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraTelemetry

/// Connections that begin with a PROXY header.
extension GatewayWorker {
    /// Whether a peer is one of the proxies in front, whose connections begin with a header. Whoever may use a Unix socket
    /// that has headers is one.
    func expectsProxyHeader(from peer: PeerAddress, _ listener: ListenerFacts) -> Bool {
        listener.hasProxyHeaders && (peer.ip.map(dispatcher.isTrusted) ?? true)
    }

    func awaitProxyHeader(_ socket: Socket, _ peer: PeerAddress, _ listener: ListenerFacts) {
        let greeting = ProxyGreeting(socket, peer, listener, host: self)
        arrivals[ObjectIdentifier(greeting)] = greeting
        noteLoad()
    }

    /// The header has come, and says whose connection it is.
    func greeted(
        _ greeting: ProxyGreeting, _ socket: Socket, _ client: PeerAddress, _ listener: ListenerFacts
    ) {
        arrivals[ObjectIdentifier(greeting)] = nil
        begin(socket, client, listener)
    }

    /// No header came, and the socket is closed.
    func greetingEnded(_ greeting: ProxyGreeting, _ listener: ListenerFacts, _ reason: CloseReason?) {
        arrivals[ObjectIdentifier(greeting)] = nil
        if let reason { counters.add(reason) }
        left(listener)
    }
}
