internal import ChimeraConfiguration
internal import ChimeraTelemetry
internal import Synchronization

/// What the verb `welcome` shows: the sites of the configuration in service, and what was counted.
final class WelcomeSource: Sendable {
    private struct State {
        var sites: [WelcomeSite] = []
        var sitesInAll = 0
    }

    private let state = Mutex(State())
    let counters: CounterBoard

    init(counters: CounterBoard) {
        self.counters = counters
    }

    /// Another configuration is in service. Reads its files, so it is for threads that may block.
    func update(_ configuration: MachineConfiguration, from files: any ConfigurationFileSystem) {
        let sites = WelcomeSite.all(in: configuration, from: files)
        state.withLock { $0 = State(sites: sites, sitesInAll: configuration.sites.count { !$0.isTelemetry }) }
    }

    /// The page as it is now.
    func page(port: UInt16?, isSecure: Bool, showsConfiguration: Bool) -> [UInt8] {
        let (sites, all) = counted()
        let totals = counters.totals()
        return WelcomePage.html(
            sites: sites, port: port, isSecure: isSecure, showsConfiguration: showsConfiguration,
            requests: totals[.requests], connections: totals.connectionsOpen, sitesInAll: all)
    }

    /// The counters as they are now.
    func counts() -> [UInt8] {
        let (sites, _) = counted()
        let totals = counters.totals()
        return WelcomePage.counters(
            sites: sites.map { ($0.key, $0.requests) }, requests: totals[.requests],
            connections: totals.connectionsOpen)
    }

    private func counted() -> ([WelcomeSite], Int) {
        let now = state.withLock { $0 }
        let sites = now.sites.map { site in
            var site = site
            site.requests = counters.totals(of: SiteKey(tenant: site.tenant, name: site.name))?.requests ?? 0
            return site
        }
        return (sites, now.sitesInAll)
    }
}
