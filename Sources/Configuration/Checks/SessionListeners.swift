/// What `listen ADDRESS session=TENANT/ROUTE` needs of a tenant.
extension MachineLoad {
    /// Reports the lines whose session is not there, or that nobody could reach by plain octets. Such a listener serves
    /// nobody, and everything else goes on.
    ///
    /// - Parameters:
    ///   - sites: all that serve.
    ///   - known: the ids of all tenants.
    ///   - broken: those whose file has errors, which are told already.
    func checkSessionListeners(_ sites: some Sequence<Site>, known: Set<String>, broken: Set<String>) {
        let listeners = configuration.listeners.filter { $0.session != nil }
        guard !listeners.isEmpty else { return }
        for listener in listeners {
            guard let address = listener.session, !broken.contains(address.tenant),
                let fault = SessionFault.find(address, sites, known)
            else { continue }
            decoder.report(
                .error, at: listener.position, fault.message, fault.suggestions, other: fault.other,
                length: "listen".count, line: decoder.line(at: listener.position))
        }
    }
}

/// Why a listener has no session to lead to.
private struct SessionFault {
    var message: String
    var suggestions: [String] = []
    var other: SourcePosition?

    /// Nil where there is one.
    static func find(
        _ address: SessionAddress, _ sites: some Sequence<Site>, _ known: Set<String>
    ) -> SessionFault? {
        func fault(_ message: String, _ suggestions: [String] = [], _ other: SourcePosition? = nil) -> Self {
            SessionFault(
                message: "`session=\(address.text)`: \(message)", suggestions: suggestions, other: other)
        }
        if !address.tenant.isEmpty && !known.contains(address.tenant) {
            let near = NearMiss.suggestions(for: address.tenant, among: known)
            return fault(
                "there is no tenant \"\(address.tenant)\"", near.map { "session=\($0)\(address.path)" })
        }
        let own = sites.filter { $0.tenant == address.tenant }
        let found = own.compactMap { site in address.route(of: site).map { (site: site, route: $0) } }
        let sessions = found.filter(\.route.isSession)
        if sessions.count > 1 {
            return fault("several sites of the tenant have this route", [], sessions[1].route.position)
        }
        if let only = sessions.first {
            return obstacle(only.site, only.route).map { fault($0, [], only.route.position) }
        }
        if let other = found.first?.route { return fault("this route is no session", [], other.position) }
        let paths = own.flatMap(\.routes).filter(\.isSession).map(\.text)
        let owner = address.tenant.isEmpty ? "the machine's file" : "the tenant \"\(address.tenant)\""
        let isOpen = paths.contains { $0.contains("*") || $0.contains("{") }
        return fault(
            "\(owner) has no route \"\(address.path)\""
                + (isOpen ? "; a route with `*` or `{name}` is no single path" : ""),
            NearMiss.suggestions(for: address.path, among: Set(paths)).map {
                "session=\(address.tenant)\($0)"
            })
    }

    /// Why the route would refuse every client that cannot say who it is.
    private static func obstacle(_ site: Site, _ route: Route) -> String? {
        if site.tls?.clients == .require {
            return "the site asks for a client's certificate, which plain octets have not"
        }
        if !route.allows(method: "GET") {
            return "the route is not for GET, which a plain connection counts as"
        }
        let settings = site.settings(covering: route)
        if case .basic? = settings.auth?.kind, !settings.access.contains(where: \.satisfyAny) {
            return "the route asks for a password, which plain octets have not; guard it with `allow`"
        }
        return nil
    }
}

extension Site {
    /// The settings that every request of a route has, whatever else it is.
    func settings(covering route: Route) -> Settings {
        var settings = settings
        for index in blocksBySpecificity {
            let block = settingsBlocks[index]
            guard block.methods.isEmpty, block.matchers.isEmpty, block.pattern.covers(route.pattern) else {
                continue
            }
            settings = settings.merging(block.settings)
        }
        return settings.merging(route.settings)
    }
}
