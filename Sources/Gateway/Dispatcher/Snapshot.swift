internal import ChimeraConfiguration

/// A configuration as all workers share it: nothing in it changes, and no request counts references of it.
struct Snapshot: Sendable {
    let configuration: MachineConfiguration
    let directory: SiteDirectory

    init(_ configuration: MachineConfiguration) {
        self.configuration = configuration
        directory = SiteDirectory(configuration.sites)
    }
}
