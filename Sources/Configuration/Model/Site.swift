/// One `site` block.
package struct Site: Sendable, Equatable {
    /// The stem of the file that holds the site; empty for a site in the machine's own file.
    package var tenant: String
    /// The first host as it was written, lowercased: `{site}`, and the site's name in logs.
    package var name: String
    /// At least one; no two equal.
    package var hosts: [HostPattern]
    /// True if `*` is one of the hosts: the site of every host that no other site names.
    package var isDefault: Bool { hosts.contains(.any) }
    /// The names of the listeners on which the site answers; empty: on those without a name.
    package var on: [String]
    /// Nil: the site answers without TLS.
    package var tls: SiteTLS?
    /// The site's settings over the machine's.
    package var settings: Settings
    /// In file order. `routesBySpecificity` is the order in which they are tried.
    package var routes: [Route]
    /// In file order. `blocksBySpecificity` is the order in which they add up.
    package var settingsBlocks: [SettingsBlock]
    package var position: SourcePosition
    /// The file that holds the site, as positions show it.
    package var file: String { position.file }

    package init(
        tenant: String, name: String, hosts: [HostPattern], on: [String] = [],
        settings: Settings = Settings(),
        routes: [Route] = [], settingsBlocks: [SettingsBlock] = [], position: SourcePosition
    ) {
        self.tenant = tenant
        self.name = name
        self.hosts = hosts
        self.on = on
        self.settings = settings
        self.routes = routes
        self.settingsBlocks = settingsBlocks
        self.position = position
    }
}

/// One pattern of one route statement, and where it leads.
///
/// A statement with several patterns becomes several routes that share `statement`, so that a capture has one place in
/// the path.
package struct Route: Sendable, Equatable {
    /// The methods that fit, in capitals; empty: all. GET includes HEAD, which then stands here as well.
    package var methods: [String]
    package var pattern: PathPattern
    /// All must hold.
    package var matchers: [MatcherUse]
    package var destination: Destination
    /// What the route's own block says, and nothing from the site or from settings blocks: see
    /// `Settings.merging(_:)`.
    package var settings: Settings
    /// The number of the statement within its site.
    package var statement: Int
    package var position: SourcePosition

    package init(
        methods: [String] = [], pattern: PathPattern, matchers: [MatcherUse] = [], destination: Destination,
        settings: Settings = Settings(), statement: Int = 0, position: SourcePosition
    ) {
        self.methods = methods
        self.pattern = pattern
        self.matchers = matchers
        self.destination = destination
        self.settings = settings
        self.statement = statement
        self.position = position
    }

    /// `{route}`: the pattern as it was written.
    package var text: String { pattern.text }

    /// Whether a request with this method fits.
    package func allows(method: String) -> Bool { methods.isEmpty || methods.contains(method) }
}

/// Settings that stand under a pattern, methods or matchers without a verb: they apply to every request that these
/// cover, whichever route serves it.
///
/// A statement with several patterns becomes several blocks that share `statement`; where several of them cover a
/// request, only the most specific one applies.
package struct SettingsBlock: Sendable, Equatable {
    /// As in `Route`.
    package var methods: [String]
    /// `/*` where the statement has no pattern.
    package var pattern: PathPattern
    package var matchers: [MatcherUse]
    package var settings: Settings
    package var statement: Int
    package var position: SourcePosition

    package init(
        methods: [String] = [], pattern: PathPattern, matchers: [MatcherUse] = [], settings: Settings,
        statement: Int = 0, position: SourcePosition
    ) {
        self.methods = methods
        self.pattern = pattern
        self.matchers = matchers
        self.settings = settings
        self.statement = statement
        self.position = position
    }

    package func allows(method: String) -> Bool { methods.isEmpty || methods.contains(method) }
}
