internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Synchronization

/// Whether the gateway is ready, and what became of its configuration: for `/ready`, `/status` and the metrics.
final class ServiceState: Sendable {
    private struct State {
        var reload = ReloadStatus()
        var loads: [ReloadStatus.Outcome: UInt64] = [:]
        var sites = 0
    }

    private let state = Mutex(State())
    private let hasConfiguration = Atomic<Bool>(false)
    private let drains = Atomic<Bool>(false)

    /// Why the gateway is not ready; nil: it is.
    var unreadiness: StaticString? {
        if drains.load(ordering: .relaxed) { return "draining\n" }
        return hasConfiguration.load(ordering: .relaxed) ? nil : "no configuration\n"
    }

    var isDraining: Bool { drains.load(ordering: .relaxed) }

    /// No new connection is accepted from now on.
    func drainBegins() { drains.store(true, ordering: .relaxed) }

    /// A configuration is in service.
    func configured(_ configuration: MachineConfiguration) {
        let sites = configuration.sites.count { !$0.isTelemetry }
        state.withLock { $0.sites = sites }
        hasConfiguration.store(true, ordering: .relaxed)
    }

    /// The configuration was loaded, or could not be.
    func noted(_ status: ReloadStatus) {
        state.withLock { state in
            state.reload = status
            state.loads[status.outcome, default: 0] += 1
        }
    }

    /// What the last load said.
    var reload: ReloadStatus { state.withLock { $0.reload } }

    /// Loads by outcome.
    var loads: [ReloadStatus.Outcome: UInt64] { state.withLock { $0.loads } }

    /// Sites in service, without that of the metrics.
    var sites: Int { state.withLock { $0.sites } }
}
