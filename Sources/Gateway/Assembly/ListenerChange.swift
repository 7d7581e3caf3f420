internal import ChimeraConfiguration

/// What becomes of the listeners when another configuration is loaded: an address that stays keeps its sockets, so that
/// no connection attempt is lost whatever else of its line has changed.
struct ListenerChange {
    /// Under what their lines say now.
    private(set) var kept: [BoundListener] = []
    private(set) var fresh: [BoundListener] = []
    private(set) var gone: [BoundListener]

    /// Binds what is new.
    ///
    /// - Throws: why a new one cannot be bound; nothing is left open then.
    init(from bound: [BoundListener], to listeners: [Listener], workers: Int) throws(BoundListener.Failure) {
        gone = bound
        // An address may give way to another one of the same port (`127.0.0.1:8080` to `8080`).
        let ownPorts = Set(bound.map(\.port)).subtracting([0])
        do throws(BoundListener.Failure) {
            for listener in listeners {
                if let index = gone.firstIndex(where: { $0.listener.address == listener.address }) {
                    kept.append(BoundListener(listener, socketsOf: gone.remove(at: index)))
                } else {
                    fresh.append(try BoundListener(listener, workers: workers, ownPorts: ownPorts))
                }
            }
        } catch {
            for listener in fresh { listener.close() }
            throw error
        }
    }
}
