internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraTelemetry

/// The end: listeners are closed, and connections end with what is under way.
extension GatewayWorker {
    /// Closes its listeners; what waits in their queues is for whoever has other descriptors of them.
    ///
    /// - Parameter keepsMetrics: the listener of `metrics ADDRESS` goes on.
    func stopAccepting(keepsMetrics: Bool) {
        for listener in listeners where !(keepsMetrics && listener.facts.isTelemetry) {
            listener.socket.close()
            retire(listener.facts)
        }
        listeners.removeAll { !(keepsMetrics && $0.facts.isTelemetry) }
    }

    /// Accepts no more, ends idle connections, and lets the others finish their exchange.
    ///
    /// - Parameters:
    ///   - idleMilliseconds: how long idle connections may still begin a last exchange.
    ///   - keepsMetrics: the listener of `metrics ADDRESS` goes on.
    func drain(idleMilliseconds: Int64 = 0, keepsMetrics: Bool = false) {
        stopAccepting(keepsMetrics: keepsMetrics)
        if let resumeTimer { worker.cancel(resumeTimer.timer) }
        if idleMilliseconds == 0 { for listener in leaving { listener.leaveNow() } }
        isDraining = true
        idleUntil = worker.now + idleMilliseconds
        for case let connection? in connections where !(keepsMetrics && connection.listener.isTelemetry) {
            connection.drain()
        }
        if idleMilliseconds == 0 { giveUpArrivals() }
        tellIfDrained()
    }

    private func giveUpArrivals() {
        for arrival in Array(arrivals.values) { arrival.giveUp() }
    }

    /// Lets go of what the worker holds, when its loop has ended.
    func close() {
        drain()
        giveUpArrivals()
        for listener in listeners { listener.socket.close() }
        listeners = []
        for connection in connections { connection?.close(.draining, reset: true) }
        transactions = []
        exchanges = []
        change?.close()
        dispatcher.close()
        worker.whenExhausted = nil
    }

    /// Ends every connection: those that a task serves as soon as it has seen it.
    func closeAll() {
        drain()
        for connection in connections { connection?.cutOff() }
    }

    /// Nothing is left to wait for; what asks for metrics does not hold up the end.
    func tellIfDrained() {
        if connectionCount == telemetryConnections && leaving.isEmpty { shared.drained(worker.index) }
    }
}
