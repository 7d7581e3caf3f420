internal import ChimeraConfiguration
internal import ChimeraTelemetry

/// A configuration as all workers share it: nothing in it changes, and no request counts references of it.
struct Snapshot: Sendable {
    let configuration: MachineConfiguration
    let directory: SiteDirectory
    /// Where routes to an embedded handler lead; the same in every snapshot of a gateway.
    let handler: (any Handler)?

    /// Where each site's requests are counted; empty: all together.
    private let slots: [SiteSlot]

    init(_ configuration: MachineConfiguration, slots: [SiteSlot] = [], handler: (any Handler)? = nil) {
        self.configuration = configuration
        self.handler = handler
        self.slots = slots
        directory = SiteDirectory(configuration.sites)
    }

    func slot(of site: Int) -> SiteSlot { slots.isEmpty ? .shared : slots[site] }
}
