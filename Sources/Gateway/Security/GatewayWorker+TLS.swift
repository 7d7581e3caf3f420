internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraTLS
internal import ChimeraTelemetry

/// Connections that begin with TLS.
extension GatewayWorker {
    /// Begins the handshake of a connection that was accepted.
    func shakeHands(_ socket: Socket, _ client: AcceptedClient) {
        guard let secure = secureSites(),
            let handshake = Handshake(socket, client, secure.endpoint, host: self)
        else {
            counters.add(HandshakeFailure.unavailable)
            socket.close(reset: true)
            return leave(client)
        }
        arrivals[ObjectIdentifier(handshake)] = handshake
        noteLoad()
    }

    /// A handshake is over: HTTP begins.
    func established(_ handshake: Handshake) {
        arrivals[ObjectIdentifier(handshake)] = nil
        counters.add(handshake.tls.isResumed ? .tlsResumed : .tlsFull)
        let (socket, client, tls) = (handshake.socket, handshake.client, handshake.tls)
        if tls.speaksHTTP2 {
            let connection = HTTP2Connection(socket, client, tls: tls, host: self)
            add(connection)
            // It reads at once, and knows of a drain.
            return connection.begin(with: nil)
        }
        let connection = HTTP1Connection(socket, client, tls: tls, host: self)
        add(connection)
        if isDraining { connection.drain() }
        // What came behind the handshake's last message is news to nobody else.
        if socket.isOpen && socket.isReadable { connection.socketReady(socket) }
    }

    /// A handshake came to nothing, and its socket is closed.
    func handshakeEnded(_ handshake: Handshake) {
        arrivals[ObjectIdentifier(handshake)] = nil
        leave(handshake.client)
    }

    /// What the site shows that a client names; nil refuses the handshake.
    ///
    /// Where no site has the name, or the one that does is without `tls`, the certificate of `site *` serves: an answer
    /// says then what is wrong.
    func secureSite(forServerName name: [UInt8], on listener: ListenerFacts) -> TLSSite? {
        guard let secure = secureSites() else { return nil }
        return dispatcher.handshake(for: name.span, on: listener.id) { [dispatcher] number in
            secure.site(number, in: dispatcher.snapshot)
        }
    }

    /// The port of the listener with TLS that leads to a site with these names of listeners; nil where there is none.
    func securePort(on names: [String]) -> UInt16? {
        for facts in listenerFacts where facts.isSecure && facts.port != 0 {
            if names.isEmpty ? facts.name == nil : facts.name.map(names.contains) ?? false {
                return facts.port
            }
        }
        return nil
    }
}
