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

extension HTTP1Connection {
    /// Bytes of a request's text in a report.
    private static let requestBytesMax = 200

    var id: String { "\(host.worker.index)-\(number)" }

    func report() -> ConnectionReport {
        let served = mode == .relay ? warm?.transaction : mode == .task ? active?.transaction : nil
        let isServing = (served?.startedAt ?? 0) != 0
        return ConnectionReport(
            id: id, peer: peerText, listener: listener.text,
            ageMilliseconds: host.worker.now - acceptedAt, activity: activity,
            request: isServing ? served.map(HTTP1Connection.text) : nil,
            requestMilliseconds: isServing
                ? served.map { (host.worker.nanoseconds - $0.startedAt) / 1_000_000 } : nil)
    }

    private var activity: ConnectionReport.Activity {
        switch mode {
        case .parked: .idle
        case .task: .serving
        case .relay: .relaying
        case .lingering, .closed: .closing
        }
    }

    private var peerText: String {
        guard let ip = peer.ip else { return "unix" }
        return ip.isV4 ? "\(ip):\(peer.port)" : "[\(ip)]:\(peer.port)"
    }

    private static func text(of transaction: Transaction) -> String {
        let request = transaction.request
        let parts = [request.methodBytes, request.authority, request.target].map { slice in
            let bytes = request[slice]
            return String(copying: bytes.extracting(first: requestBytesMax))
        }
        return parts.joined(separator: " ")
    }
}
