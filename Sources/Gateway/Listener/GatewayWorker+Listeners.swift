internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraTelemetry

/// Listening sockets: those that accept, those that are given up, and pauses.
extension GatewayWorker {
    /// Another worker may accept on a listener, and hand connections over, a moment before this one does.
    func expect(_ facts: ListenerFacts) {
        guard !listeners.contains(where: { $0.facts.text == facts.text }) else { return }
        facts.id = dispatcher.listener(named: facts.name)
        retire(facts)
    }

    /// Starts to accept on a listening socket.
    func listen(_ descriptor: Int32, _ facts: ListenerFacts) throws(SystemError) {
        guard !isDraining else { return FileDescriptors.close(descriptor) }
        facts.id = dispatcher.listener(named: facts.name)
        let socket = ListeningSocket(descriptor, on: worker) { [unowned self] in
            makeRoom(.descriptors)
        } accepted: { [unowned self] connection, peer in
            accept(connection, peer, facts)
        }
        socket.admitHandshakes()
        try socket.resume()
        closedFacts[facts.text] = nil
        listeners.append((socket, facts))
    }

    /// Gives a listening socket up: handshakes under way have so long, then the queue is emptied and the descriptor
    /// closed, and `done` is told.
    func unlisten(_ descriptor: Int32, handshakeMilliseconds: Int64, done: @escaping () -> Void) {
        guard let index = listeners.firstIndex(where: { $0.socket.descriptor == descriptor }) else {
            return done()
        }
        let (socket, facts) = listeners.remove(at: index)
        retire(facts)
        let listener = LeavingListener(socket) { [unowned self] listener in
            if waitsForRoom(listener) { return }
            left(listener)
            done()
        }
        leaving.append(listener)
        worker.set(listener.timer, to: worker.now + handshakeMilliseconds)
    }

    /// While accepting pauses, who waits in the queue of a socket that goes waits for a place as well; then they are
    /// taken, whether there is one or not.
    private func waitsForRoom(_ listener: LeavingListener) -> Bool {
        guard isPaused, !isDraining, listener.pauses < LeavingListener.pausesMax else { return false }
        listener.pauses += 1
        worker.set(listener.timer, to: worker.now + GatewayWorker.pauseMilliseconds)
        return true
    }

    private func left(_ listener: LeavingListener) {
        worker.cancel(listener.timer)
        listener.socket.finish()
        leaving.removeAll { $0 === listener }
        if isDraining { tellIfDrained() }
    }

    func retire(_ facts: ListenerFacts) {
        retired.append(RetiredListener(facts: facts))
        closedFacts[facts.text] = facts
    }

    /// The line of a listening socket says something else from the next `update` on.
    func rename(_ descriptor: Int32, as listener: BoundListener) {
        listeners.first { $0.socket.descriptor == descriptor }?.facts.changed(to: listener)
    }

    // MARK: Accepting

    /// Takes over a connection that another worker accepted.
    func take(_ descriptor: Int32, _ peer: PeerAddress, from listener: String) {
        let facts = listeners.first { $0.facts.text == listener }?.facts ?? closedFacts[listener]
        guard let facts else { return FileDescriptors.close(descriptor) }
        serve(descriptor, peer, facts)
    }

    /// A listener accepted a connection: it is served here, or by a worker that has notably fewer.
    private func accept(_ descriptor: Int32, _ peer: PeerAddress, _ listener: ListenerFacts) {
        if listener.isTelemetry { return serve(descriptor, peer, listener) }
        if isFull { makeRoom(.connections) }
        let chosen = shared.loads.chooser(for: worker.index, having: connectionCount)
        if chosen != worker.index {
            counters.add(.connectionsHandedOver)
            return shared.handover.pass(descriptor, peer, from: listener.text, to: chosen)
        }
        serve(descriptor, peer, listener)
    }

    /// Attempts to connect wait in the kernel's queue for a moment.
    func pauseAccepting() {
        isPaused = true
        for listener in listeners where !listener.facts.isTelemetry { listener.socket.pause() }
        for listener in leaving { listener.socket.pause() }
        let timer = resumeTimer ?? ResumeTimer { [unowned self] in resumeAccepting(isDue: true) }
        resumeTimer = timer
        worker.set(timer.timer, to: worker.now + GatewayWorker.pauseMilliseconds)
    }

    /// Goes on with accepting where there is room.
    ///
    /// - Parameter isDue: a pause has lasted as long as it may: where nothing has ended by itself, something idle may
    ///   give way by now.
    func resumeAccepting(isDue: Bool = false) {
        guard !isDraining else { return }
        if isFull && !(isDue && closeIdle() > 0) {
            if isDue { pauseAccepting() }
            return
        }
        isPaused = false
        for listener in listeners where (try? listener.socket.resume()) == nil {
            // Where even epoll has no room, the next try is a moment later.
            return pauseAccepting()
        }
        for listener in leaving { try? listener.socket.resume() }
    }
}
