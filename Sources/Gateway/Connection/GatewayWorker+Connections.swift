internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraTelemetry

/// The table of connections, from accepting to closing.
extension GatewayWorker {
    func serve(_ descriptor: Int32, _ peer: PeerAddress, _ listener: ListenerFacts) {
        guard let socket = try? Socket(descriptor, on: worker) else { return }
        counters.add(.connectionsAccepted)
        if listener.isTelemetry { telemetryConnections += 1 }
        if expectsProxyHeader(from: peer, listener) { return awaitProxyHeader(socket, peer, listener) }
        begin(socket, peer, listener)
    }

    /// Begins with TLS or HTTP, for a client whose address is known.
    func begin(_ socket: Socket, _ peer: PeerAddress, _ listener: ListenerFacts) {
        let (places, isExcess) = enter(peer, listener)
        let client = AcceptedClient(peer: peer, listener: listener, places: places, isExcess: isExcess)
        if listener.isSecure {
            shakeHands(socket, client)
        } else {
            let connection = HTTP1Connection(socket, client, host: self)
            add(connection)
            if let session = listener.session { return connection.beginPlain(session) }
        }
        // What came behind a PROXY header is news to nobody.
        if socket.isOpen && socket.isReadable { socket.tellAgain() }
    }

    /// Enters a connection into the table.
    func add(_ connection: ClientConnection) {
        connectionsMade += 1
        connection.number = connectionsMade
        if let free = freeConnections.popLast() {
            connections[free] = connection
            connection.tableIndex = free
        } else {
            connection.tableIndex = connections.count
            connections.append(connection)
        }
        noteLoad()
    }

    func noteLoad() { shared.loads.note(connectionCount, of: worker.index) }

    /// Has another connection stand for `old` in the table, as the same one to everybody else.
    func replace(_ old: ClientConnection, by new: ClientConnection) {
        connections[old.tableIndex] = new
        new.tableIndex = old.tableIndex
        old.tableIndex = -1
    }

    /// Counts a connection for its client where the machine's file bounds those.
    ///
    /// - Returns: where it counts, and whether it is one too many.
    private func enter(_ peer: PeerAddress, _ listener: ListenerFacts) -> (ContiguousArray<Int32>, Bool) {
        if connectionLimits.perClient.isEmpty { return ([], false) }
        // Whoever passes on what others ask has their connections as well.
        guard let ip = peer.ip, !listener.isTelemetry, !dispatcher.isTrusted(ip) else { return ([], false) }
        var places: ContiguousArray<Int32> = []
        for limit in connectionLimits.perClient {
            switch shared.limits.places.enter(limit.key.number(ofPeer: ip), limit: limit.count) {
            case .entered(let place): places.append(place)
            case .uncounted: break
            case .full: return (places, true)
            }
        }
        return (places, false)
    }

    func forEachConnection(_ body: (ClientConnection) -> Void) {
        for connection in connections { if let connection { body(connection) } }
    }

    func connectionClosed(_ connection: ClientConnection, _ reason: CloseReason?) {
        connections[connection.tableIndex] = nil
        freeConnections.append(connection.tableIndex)
        if let reason { counters.add(reason) }
        leave(connection.client)
    }

    /// A connection that was accepted is closed.
    func leave(_ client: AcceptedClient) {
        for place in client.places { shared.limits.places.leave(place) }
        left(client.listener)
    }

    /// The same for one whose client was not known yet.
    func left(_ listener: ListenerFacts) {
        noteLoad()
        counters.add(.connectionsClosed)
        if listener.isTelemetry { telemetryConnections -= 1 }
        if isPaused { resumeAccepting() }
        if isDraining { tellIfDrained() }
    }
}
