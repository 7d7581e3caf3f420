internal import Chimera
internal import ChimeraAdministration
internal import ChimeraConfiguration

extension Reloader.Outcome {
    /// Why the old configuration stays; nil where the new one serves.
    var failure: String? {
        if isStopped { return "this data plane ends, and loads nothing any more" }
        if hasNoThread { return "the system gives no thread to load it with; the old configuration stays" }
        return configuration == nil ? "the machine's file cannot be used; the old configuration stays" : nil
    }

    /// The line that tells an operator.
    var json: JSON {
        let all = JSON.array(diagnostics.prefix(1_000).map { .string("\($0.position): \($0.text)") })
        if let failure { return .of(["error": .string(failure), "diagnostics": all]) }
        return AdminRequest.done(
            .of([
                "outcome": .string(status.outcome.rawValue), "sites": .integer(Int64(status.sites)),
                "changed": .integer(Int64(status.changedSites)), "ms": .integer(status.durationMilliseconds),
                "diagnostics": all, "outdated_tenants": status.outdatedJSON,
            ]))
    }
}

extension ReloadStatus {
    /// Tenants that do not serve what their files say, by id.
    var outdatedTenants: [TenantStatus] { tenants.filter { $0.service != .current } }

    /// Those that an answer names.
    var outdatedJSON: JSON { .array(outdatedTenants.prefix(1_000).map(\.json)) }

    /// Why files are nobody's.
    var refusedJSON: JSON {
        .array(refusedFiles.prefix(1_000).map { .string("\($0.position): \($0.text)") })
    }
}

extension TenantStatus {
    /// What `chimera status` and `chimera reload` say of a tenant that does not serve what its file says.
    var json: JSON {
        .of([
            "tenant": .string(id), "serves": .string(service.rawValue),
            "served_since": servedSince > 0 ? .integer(servedSince / 1_000) : nil,
            "why": .array(errors.map { .string("\($0.position): \($0.text)") }),
        ])
    }
}
