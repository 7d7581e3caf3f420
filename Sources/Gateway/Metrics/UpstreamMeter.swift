internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraTelemetry
internal import ChimeraUpstream

/// Counts what comes of one endpoint on one worker.
final class UpstreamMeter: EndpointMeter {
    /// The board keeps them.
    private unowned(unsafe) let counters: Counters
    private let board: CounterBoard
    private let name: String
    private let slot: EndpointSlot

    init(_ name: String, _ counters: Counters, _ board: CounterBoard) {
        self.name = name
        self.counters = counters
        self.board = board
        slot = board.acquireEndpoint(name)
    }

    func connected() { counters.connected(to: slot) }

    func asked(nanoseconds: Int64?) { counters.asked(slot, nanoseconds: nanoseconds) }

    func failed(_ error: UpstreamError) { counters.failed(slot, kind: Int(error.rawValue)) }

    func close() { board.releaseEndpoint(name) }
}

extension EndpointName {
    /// As it is written in a configuration.
    var text: String {
        switch self {
        case .host(let name, let port): "\(name):\(port)"
        case .address(.ip(let ip, let port)): ip.isV4 ? "\(ip):\(port)" : "[\(ip)]:\(port)"
        case .address(.unix(let path)): "unix:\(path)"
        }
    }
}
