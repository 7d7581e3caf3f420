package import ChimeraConfiguration
internal import ChimeraHTTPCore

/// One site as the welcome page shows it.
package struct WelcomeSite: Sendable, Equatable {
    /// One row of a card: what a path leads to.
    package struct Route: Sendable, Equatable {
        /// `GET,POST` and a blank, or nothing; then the pattern: `/api/*`.
        package var pattern: String
        /// What everybody may read: `proxy`.
        package var verb: String
        /// What follows it in the file, which names machines and directories: for loopback clients only.
        package var target: String

        package init(pattern: String, verb: String, target: String) {
            self.pattern = pattern
            self.verb = verb
            self.target = target
        }
    }

    /// Empty for a site of the machine's own file.
    package var tenant: String
    package var name: String
    package var hosts: [HostPattern]
    /// In file order; a statement with several patterns is one row.
    package var routes: [Route]
    /// The file that holds the site, as messages show it.
    package var file: String
    /// The file's text; nil where it cannot be read.
    package var configuration: String?
    /// It has `tls`.
    package var isSecure = false
    /// The requests of the site so far.
    package var requests: UInt64 = 0

    package init(
        tenant: String, name: String, hosts: [HostPattern], routes: [Route], file: String,
        configuration: String?,
        requests: UInt64 = 0
    ) {
        self.tenant = tenant
        self.name = name
        self.hosts = hosts
        self.routes = routes
        self.file = file
        self.configuration = configuration
        self.requests = requests
    }

    /// - Parameters:
    ///   - site: The site.
    ///   - configuration: The text of its file.
    ///   - directory: Where the gateway was started; paths below it are shown relative to it.
    package init(_ site: Site, configuration: String?, directory: String) {
        self.init(
            tenant: site.tenant, name: site.name, hosts: site.hosts,
            routes: WelcomeSite.routes(of: site, directory: directory), file: site.file,
            configuration: configuration)
        isSecure = site.tls != nil
    }

    /// What the counters of the page call the site.
    package var key: String { "\(tenant)/\(name)" }

    /// All sites of a configuration, the tenants' before the machine's own, each with the text of its file.
    /// It reads files, so it belongs on a thread that may block, and at load time.
    package static func all(
        in configuration: MachineConfiguration, from files: any ConfigurationFileSystem
    ) -> [WelcomeSite] {
        var texts: [String: String] = [:]
        let directory = files.currentDirectory
        let shown = configuration.sites.lazy.map(\.site).filter { !$0.isTelemetry }
        let sites = shown.prefix(WelcomePage.sitesMax).map { site in
            let path = site.file.hasPrefix("/") ? site.file : directory + "/" + site.file
            if texts[site.file] == nil, let bytes = try? files.read(path, atMost: WelcomePage.fileBytesMax) {
                texts[site.file] = String(decoding: bytes, as: UTF8.self)
            }
            return WelcomeSite(site, configuration: texts[site.file], directory: directory)
        }
        return sites.filter { !$0.tenant.isEmpty } + sites.filter(\.tenant.isEmpty)
    }

    private static func routes(of site: Site, directory: String) -> [Route] {
        var routes: [Route] = []
        var statement: Int?
        for route in site.routes {
            let pattern = route.pattern.text
            if statement == route.statement, let last = routes.indices.last {
                routes[last].pattern += " " + pattern
                continue
            }
            statement = route.statement
            let (verb, target) = description(of: route.destination, directory: directory)
            let methods = route.methods.isEmpty ? "" : methodList(route.methods) + " "
            let matchers = route.matchers.map { ($0.isNegated ? " !@" : " @") + $0.matcher.name }.joined()
            routes.append(Route(pattern: methods + pattern + matchers, verb: verb, target: target))
        }
        return routes
    }

    /// HEAD comes along with GET unasked, so it is not shown beside it.
    private static func methodList(_ methods: [String]) -> String {
        methods.filter { $0 != "HEAD" || !methods.contains("GET") }.joined(separator: ",")
    }

    private static func description(of destination: Destination, directory: String) -> (String, String) {
        switch destination {
        case .files(let files): ("files", shown(files.directory.description, below: directory))
        case .proxy(let proxy):
            ("proxy", proxy.targets.map(\.address.description).joined(separator: " "))
        case .redirect(let target, let status): ("redirect", "\(target) \(status)")
        case .respond(let status, _): ("respond", "\(status)")
        case .session(let session): ("session", session.command.joined(separator: " "))
        case .welcome: ("welcome", "this page")
        case .telemetry(let page): ("metrics", page.rawValue)
        case .handler: ("handler", "the program that embeds the gateway")
        }
    }

    private static func shown(_ path: String, below directory: String) -> String {
        let prefix = directory.hasSuffix("/") ? directory : directory + "/"
        return path.hasPrefix(prefix) ? "./" + path.dropFirst(prefix.count) : path
    }
}
