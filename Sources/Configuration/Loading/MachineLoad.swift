/// The machine's file, decoded, and the tenants' files that it names.
struct MachineLoad {
    let session: LoadSession
    let decoder: FileDecoder
    private(set) var configuration = MachineConfiguration()
    private(set) var rails = GuardRails()
    private(set) var sites: [Site] = []
    private var imports: [Arguments] = []

    /// One tenant's file, as a pattern named it.
    struct TenantFile {
        /// The stem.
        var id: String
        /// As messages show it.
        var name: String
        /// Absolute.
        var path: String
        /// Whether the file was named plainly, so that its absence is an error of the machine's file.
        var isNamed: Bool
    }

    init(_ session: LoadSession, _ decoder: FileDecoder) {
        self.session = session
        self.decoder = decoder
        read()
    }

    private mutating func read() {
        var configuration = MachineConfiguration()
        var settings = Settings()
        var rails = GuardRails()
        var sites: [Arguments] = []
        var imports: [Arguments] = []
        let machine = decoder
        let statements = machine.topLevel(in: .machine)
        machine.decode(
            statements, in: .machine, other: machine.isMatcherDefinition,
            apply: { row, arguments in
                switch row.effect {
                case .machine(let effect): effect(arguments, machine, &configuration)
                case .setting(let effect): effect(arguments, machine, &settings)
                case .structure where row.name == "site": sites.append(arguments)
                case .structure where row.name == "import": imports.append(arguments)
                case .structure where row.name == "tenants" || row.name == "tenant":
                    machine.guardRails(arguments, &rails)
                default: break
                }
            })
        configuration.settings = settings
        machine.listenerNames = Set(configuration.listeners.compactMap(\.name))
        machine.servesAs = machine.session.servesAs ?? configuration.user
        machine.secureListeners = Set(configuration.listeners.filter(\.tls).map(\.name))
        if !statements.contains(where: { $0.first.isBare("listen") }) {
            machine.report(
                .error, at: SourcePosition(file: machine.current.name, line: 1, column: 1),
                "no `listen` says where to accept connections", [])
        }
        checkProxyHeaders(configuration, machine)
        self.sites = sites.map { machine.checkedSite($0, over: settings) }
        if let metrics = configuration.listeners.first(where: { $0.name == Site.telemetryListener }) {
            self.sites.append(.telemetry(position: metrics.position))
        }
        configuration.isWatched = imports.isEmpty || imports.contains { $0.isOn("watch") != false }
        configuration.watchedPatterns = imports.filter { $0.isOn("watch") != false }.flatMap { arguments in
            arguments.all("PATTERN").map {
                FilePath.resolve($0.token.text, in: arguments.statement.source.directory)
            }
        }
        self.configuration = configuration
        self.rails = rails
        self.imports = imports
    }

    /// A header that nobody is trusted to send would only make every connection fail that has one.
    private func checkProxyHeaders(_ configuration: MachineConfiguration, _ machine: FileDecoder) {
        guard configuration.trust.isEmpty else { return }
        for listener in configuration.listeners where listener.hasProxyHeaders {
            if case .unix = listener.address { continue }
            machine.report(
                .error, at: listener.position,
                "`proxy-protocol=on` needs `trust`, which says whose PROXY header is believed", [])
        }
    }

    // MARK: - The tenants' files

    /// Every file that a pattern names, once, in the order of the patterns; errors are the machine's file's.
    /// - Parameter known: absolute paths of files that were there before: a directory of theirs that is gone is one that
    ///   cannot be read, since nobody takes all tenants away like that on purpose.
    /// - Parameter pause: called between files.
    func tenantFiles(
        known: some Sequence<String> = EmptyCollection<String>(), pause: () -> Void = {}
    ) -> [TenantFile] {
        var knownDirectories: Set<String> = []
        for path in known {
            pause()
            knownDirectories.insert(FilePath.directory(of: path))
        }
        var files: [TenantFile] = []
        var seen: Set<String> = []
        for arguments in imports {
            for item in arguments.all("PATTERN") {
                for path in paths(item, arguments, knownDirectories, before: files.count)
                where seen.insert(path).inserted {
                    pause()
                    let name = shown(path, below: arguments.statement.source)
                    files.append(
                        TenantFile(
                            id: FilePath.stem(of: name), name: name, path: path,
                            isNamed: !Self.hasStar(item.token.text)))
                }
            }
        }
        return files
    }

    /// Reports what is wrong with a file that an `import` line names plainly.
    func reportNamed(_ file: TenantFile, _ failure: FileFailure) {
        for arguments in imports {
            for item in arguments.all("PATTERN")
            where FilePath.resolve(item.token.text, in: arguments.statement.source.directory) == file.path {
                decoder.within(arguments.statement) {
                    decoder.report(item.token, "\"\(file.name)\" \(failure.reason)")
                }
                return
            }
        }
    }

    /// The absolute paths of one pattern.
    private func paths(
        _ item: Arguments.Item, _ arguments: Arguments, _ known: Set<String>, before: Int
    ) -> [String] {
        guard case .text(let pattern) = item.value, !pattern.isEmpty else { return [] }
        let source = arguments.statement.source
        let absolute = FilePath.resolve(pattern, in: source.directory)
        let hasStar = Self.hasStar(pattern)
        var found: [String] = [absolute]
        if hasStar {
            do throws(FileFailure) {
                let directory = FilePath.directory(of: absolute)
                if known.contains(directory), session.fileSystem.kind(of: directory) != .directory {
                    throw .missing
                }
                found = try session.fileSystem.paths(matching: absolute)
            } catch {
                decoder.within(arguments.statement) {
                    decoder.report(item.token, "the directory of \"\(pattern)\" \(error.reason)")
                }
                return []
            }
        }
        found = withoutMachineFile(found, item, arguments, isNamed: !hasStar)
        if found.count + before > session.limits.tenantFiles {
            decoder.within(arguments.statement) {
                decoder.report(item.token, "a machine has at most \(session.limits.tenantFiles) tenant files")
            }
            return []
        }
        return found
    }

    private static func hasStar(_ pattern: String) -> Bool { pattern.contains { "*?[".contains($0) } }

    /// A pattern may match the machine's own file, which is no tenant's.
    private func withoutMachineFile(
        _ paths: [String], _ item: Arguments.Item, _ arguments: Arguments, isNamed: Bool
    ) -> [String] {
        let own = FilePath.resolve(decoder.current.name, in: session.currentDirectory)
        guard paths.contains(own) else { return paths }
        if isNamed {
            decoder.within(arguments.statement) {
                decoder.report(item.token, "the machine's file cannot import itself")
            }
        }
        return paths.filter { $0 != own }
    }

    /// Relative to where the machine's file was named from, if it was named by a relative path.
    private func shown(_ path: String, below source: SourceFile) -> String {
        let prefix = source.directory == "/" ? "/" : source.directory + "/"
        guard path.hasPrefix(prefix) else { return path }
        let rest = path.dropFirst(prefix.count)
        let directory = FilePath.directory(of: source.name)
        if directory.isEmpty { return String(rest) }
        return directory == "/" ? "/" + rest : directory + "/" + rest
    }

    // MARK: - Warnings

    /// Warns of listeners that serve nobody.
    ///
    /// - Parameter sites: all that serve.
    func warnOfIdleListeners(_ sites: [SharedSite]) {
        let used = Set(sites.lazy.flatMap(\.site.on))
        let secure = secureNames(sites)
        let serves = sites.contains { !$0.site.isTelemetry }
        for listener in configuration.listeners {
            if let name = listener.name, !used.contains(name) {
                decoder.warn(at: listener.position, "no site answers on the listener \"\(name)\"", other: nil)
            } else if listener.tls, listener.session == nil, serves, !secure.contains(listener.name) {
                decoder.warn(
                    at: listener.position,
                    "no site that answers here has `tls`, so every handshake is refused",
                    other: nil)
            }
        }
    }

    /// The names of the listeners on which a site with `tls` answers; nil for those without a name.
    private func secureNames(_ sites: [SharedSite]) -> Set<String?> {
        guard configuration.listeners.contains(where: \.tls) else { return [] }
        var names: Set<String?> = []
        for site in sites where site.site.tls != nil {
            if site.site.on.isEmpty { names.insert(nil) }
            for name in site.site.on { names.insert(name) }
        }
        return names
    }
}

/// For each id, the ids that begin with it and a dot: `shop.eu` for `shop`.
struct DottedIDs {
    private var byPrefix: [String: [String]] = [:]

    init(_ ids: some Sequence<String>) {
        for id in ids where id.utf8.contains(UInt8(ascii: ".")) {
            for dot in id.indices.dropFirst() where id[dot] == "." {
                byPrefix[String(id[..<dot]), default: []].append(id)
            }
        }
    }

    func below(_ id: String) -> [String] { byPrefix[id] ?? [] }
}

/// One tenant's file, decoded.
struct TenantLoad {
    let decoder: FileDecoder
    let sites: [Site]

    /// - Parameter others: as in `GuardRails.rails`.
    init(
        _ source: SourceFile, id: String, machine: MachineLoad, others: [String], session: LoadSession
    ) {
        var rails: TenantRails?
        var source = source
        if machine.rails.permits(of: id) != nil {
            // What belongs to a tenant is told by real paths, so they are what its own paths count from.
            let real = session.realPath(of: source.directory) ?? source.directory
            source = SourceFile(name: source.name, directory: real, bytes: source.bytes)
            rails = machine.rails.rails(of: id, in: real, others: others)
        }
        let decoder = FileDecoder(
            source, owner: id, session: session, machine: machine.decoder, rails: rails)
        var settings = machine.configuration.settings
        if let most = rails?.permits.limitBody {
            settings.limitBody = min(most, settings.limitBody ?? Settings.limitBodyDefault)
        }
        if let most = rails?.permits.limitHead {
            settings.limitHead = min(most, settings.limitHead ?? Settings.limitHeadDefault)
        }
        settings.requestLimits += rails?.permits.requestLimits ?? []
        settings.connectionLimits += rails?.permits.connectionLimits ?? []
        var sites: [Site] = []
        decoder.decode(
            decoder.topLevel(in: .tenantFile), in: .tenantFile, other: decoder.isMatcherDefinition,
            apply: { row, arguments in
                guard row.name == "site" else { return }
                sites.append(decoder.checkedSite(arguments, over: settings))
            })
        self.decoder = decoder
        self.sites = sites
    }
}

extension FileDecoder {
    /// Decodes one site and reports what its routes' order may surprise with.
    func checkedSite(_ arguments: Arguments, over settings: Settings) -> Site {
        let site = within(arguments.statement) { self.site(arguments, over: settings) }
        checkTLS(of: site)
        checkTerminals(of: site)
        for finding in RouteCheck(site: site, limits: session.limits).findings() {
            warn(at: finding.position, finding.message, other: finding.other)
        }
        return site
    }
}
