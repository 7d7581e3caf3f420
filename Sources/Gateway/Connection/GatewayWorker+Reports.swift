internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTPCore

/// What an operator asks about connections, on the worker's thread.
extension GatewayWorker {
    func reports(atMost limit: Int) -> [ConnectionReport] {
        connections.lazy.compactMap { $0 }.prefix(limit).map { $0.report() }
    }

    func endConnection(_ id: String) -> Bool {
        guard let connection = connections.lazy.compactMap({ $0 }).first(where: { $0.id == id }) else {
            return false
        }
        connection.cutOff()
        return true
    }
}

extension ClientConnection {
    final var id: String { "\(host.worker.index)-\(number)" }

    final var peerText: String {
        guard let ip = peer.ip else { return "unix" }
        return ip.isV4 ? "\(ip):\(peer.port)" : "[\(ip)]:\(peer.port)"
    }
}

extension Transaction {
    /// Bytes of a request's text in a report.
    private static let requestBytesMax = 200

    /// Method, host and path, each cut to a bounded length; nil where no request is being served.
    var reportText: String? {
        guard startedAt != 0 else { return nil }
        let request = self.request
        let parts = [request.methodBytes, request.authority, request.target].map { slice in
            let bytes = request[slice]
            return String(copying: bytes.extracting(first: Transaction.requestBytesMax))
        }
        return parts.joined(separator: " ")
    }

    /// How long the request has been served.
    var servedMilliseconds: Int64 { (host.worker.nanoseconds - startedAt) / 1_000_000 }
}

extension HTTP1Connection {
    var reported: ConnectionReport {
        let served = mode == .relay ? warm?.transaction : mode == .task ? active?.transaction : nil
        let request = served?.reportText
        return ConnectionReport(
            id: id, peer: peerText, listener: listener.text, version: "HTTP/1.1",
            ageMilliseconds: host.worker.now - acceptedAt, activity: activity, request: request,
            requestMilliseconds: request == nil ? nil : served?.servedMilliseconds)
    }

    private var activity: ConnectionReport.Activity {
        switch mode {
        case .parked: .idle
        case .task: .serving
        case .relay: .relaying
        case .lingering, .closed: .closing
        }
    }
}
