internal import ChimeraConfiguration

/// What becomes of the listeners when another configuration is loaded: an address that stays keeps its sockets, so that
/// no connection attempt is lost whatever else of its line has changed.
struct ListenerChange {
    /// How long handshakes that are under way have where a listener is given up: what a lost segment and its
    /// repetition take.
    static let handshakeMilliseconds: Int64 = 3_000
    /// The same where the port is served under another address: whoever comes meanwhile tries again after a second.
    static let handoverMilliseconds: Int64 = 200

    /// Under what their lines say now.
    private(set) var kept: [BoundListener] = []
    private(set) var fresh: [BoundListener] = []
    private(set) var gone: [BoundListener]

    /// Binds what is new.
    ///
    /// - Throws: why a new one cannot be bound; nothing is left open then.
    init(
        from bound: [BoundListener], to listeners: [Listener], workers: Int, source: any ListenerSource
    ) throws(BoundListener.Failure) {
        gone = bound
        do throws(BoundListener.Failure) {
            for listener in listeners {
                if let index = gone.firstIndex(where: { $0.listener.address == listener.address }) {
                    kept.append(BoundListener(listener, socketsOf: gone.remove(at: index)))
                } else {
                    fresh.append(try BoundListener(listener, workers: workers, from: source))
                }
            }
        } catch {
            for listener in fresh {
                listener.close()
                source.close(listener.listener.address)
            }
            throw error
        }
    }

    /// How long what has begun to connect to a listener that is gone is waited for.
    func handshakeMilliseconds(of listener: BoundListener) -> Int64 {
        let isServed = listener.port != 0 && fresh.contains { $0.port == listener.port }
        return isServed ? Self.handoverMilliseconds : Self.handshakeMilliseconds
    }
}
