/// One load of everything that the machine's file names, without anything that was before.
struct Load {
    private let machine: MachineLoad
    private var tenants: [(id: String, decoder: FileDecoder, sites: [Site])] = []
    /// Tenant files that a pattern named and that could not be read.
    private var unreadable: [(id: String, diagnostic: Diagnostic)] = []

    init(_ session: LoadSession, _ machine: FileDecoder) {
        self.machine = MachineLoad(session, machine)
    }

    mutating func readTenants() {
        let files = TenantFiles(machine.tenantFiles(), on: machine.session.fileSystem) { _ in nil }
        let dotted = DottedIDs(files.all.map(\.id))
        for file in files.all {
            let source: SourceFile
            do throws(FileFailure) {
                source = try machine.session.source(file.name)
            } catch {
                if file.isNamed {
                    machine.reportNamed(file, error)
                } else {
                    unreadable.append((file.id, ConfigurationLoader.unreadable(file.name, error)))
                }
                continue
            }
            let load = TenantLoad(
                source, id: file.id, machine: machine, others: dotted.below(file.id),
                session: machine.session)
            if let refusal = files.refusal(of: file) { load.decoder.report(refusal) }
            tenants.append((file.id, load.decoder, load.sites))
        }
    }

    // MARK: - The result

    /// What the machine's file says so far, with errors or without.
    var machineConfiguration: MachineConfiguration { machine.configuration }

    func result() -> LoadResult {
        var configuration = machine.configuration
        configuration.sites = machine.sites.map(SharedSite.init)
        var owners = HostOwners(rails: machine.rails)
        Self.report(owners.claim(machine.sites, of: ""), machine.decoder)
        var refused = unreadable.map(\.id)
        for (id, decoder, sites) in tenants {
            // A file that is refused anyway claims its hosts as well, so that `check` reports all at once.
            Self.report(owners.claim(sites, of: id), decoder)
            if decoder.hasErrors {
                refused.append(id)
            } else {
                configuration.sites += sites.map(SharedSite.init)
            }
        }
        machine.warnOfIdleListeners(configuration.sites)
        machine.checkSessionListeners(
            configuration.sites.lazy.map(\.site), known: Set(tenants.map(\.id) + unreadable.map(\.id)),
            broken: Set(refused))
        var diagnostics = machine.decoder.sortedDiagnostics + unreadable.map(\.diagnostic)
        for tenant in tenants { diagnostics += tenant.decoder.sortedDiagnostics }
        configuration.files = machine.session.filesRead
        configuration.warnings = diagnostics.filter { $0.severity == .warning }
        return LoadResult(
            configuration: machine.decoder.hasErrors ? nil : configuration, diagnostics: diagnostics,
            refusedTenants: refused)
    }

    private static func report(_ conflicts: [HostOwners.Conflict], _ decoder: FileDecoder) {
        for conflict in conflicts {
            decoder.reportHost(conflict.message, at: conflict.position, other: conflict.other)
        }
    }
}
