internal import ChimeraAdministration
internal import ChimeraConfiguration

/// What came of loading a configuration.
struct ReloadOutcome: Sendable {
    /// The configuration that serves from now on; nil where the old one stays.
    var configuration: MachineConfiguration?
    /// Why the old one stays.
    var failure: String?
    var diagnostics: [Diagnostic]
    /// The tenants that do not serve what their files say.
    var outdated: [OutdatedTenant] = []

    /// The line that tells an operator.
    var json: JSON {
        let all = JSON.array(diagnostics.map { .string("\($0.position): \($0.text)") })
        guard let configuration else {
            return .of(["error": .string(failure ?? "the old configuration stays"), "diagnostics": all])
        }
        return AdminRequest.done(
            .of(["sites": .integer(Int64(configuration.sites.count)), "diagnostics": all]))
    }
}
