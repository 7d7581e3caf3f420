internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraTelemetry

/// What every part of the product calls itself.
package enum Product {
    /// The version of the gateway.
    package static let version = "0.1.0"
}

extension MetricsSource {
    /// `/status`: one JSON object.
    func status() -> [UInt8] {
        let totals = counters.totals()
        let (busy, idle) = totals.connectionsByState
        let (figures, reload) = (ProcessFigures.now, state.reload)
        let outdated = (reload.olderTenants + reload.absentTenants).prefix(Self.tenantsShown)
        let fields: [(String, String)] = [
            ("version", Self.quoted(Product.version)),
            ("ready", "\(state.unreadiness == nil)"),
            ("draining", "\(state.isDraining)"),
            ("started", "\(figures.startedAt)"),
            ("uptime_seconds", "\(max(0, ProcessFigures.wallSeconds - figures.startedAt))"),
            ("sites", "\(state.sites)"),
            ("requests", "\(totals[.requests])"),
            ("connections", "{\"busy\":\(busy),\"idle\":\(idle)}"),
            ("memory_bytes", "\(figures.residentBytes)"),
            ("descriptors", "\(figures.descriptors)"),
            ("descriptors_max", "\(ProcessFigures.descriptorLimit)"),
            ("last_load", Self.quoted(reload.outcome.rawValue)),
            ("loaded", "\(reload.succeededAt / 1_000)"),
            ("tenants", "\(reload.tenants.count)"),
            ("outdated", "{" + outdated.map(Self.entry).joined(separator: ",") + "}"),
        ]
        let text = fields.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",")
        return Array("{\(text)}\n".utf8)
    }

    /// Tenants that the page names.
    private static let tenantsShown = 1_000

    private static func entry(_ tenant: TenantStatus) -> String {
        let why = tenant.errors.first.map { quoted("\($0.position): \($0.text)") } ?? "null"
        return "\(quoted(tenant.id)):{\"serves\":\(quoted(tenant.service.rawValue)),\"why\":\(why)}"
    }

    /// A JSON string.
    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\u{0}"..<" ":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
