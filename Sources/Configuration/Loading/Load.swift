/// One load from the machine's file to the result.
struct Load {
    private let session: LoadSession
    private let machine: FileDecoder
    private var configuration = MachineConfiguration()
    private var imports: [Arguments] = []
    private var tenants: [(id: String, decoder: FileDecoder, sites: [Site])] = []
    private var machineSites: [Site] = []
    /// Tenant files that a pattern named and that could not be read.
    private var unreadable: [(id: String, diagnostic: Diagnostic)] = []

    init(_ session: LoadSession, _ machine: FileDecoder) {
        self.session = session
        self.machine = machine
    }

    // MARK: - The machine's file

    mutating func readMachine() {
        var configuration = MachineConfiguration()
        var settings = Settings()
        var sites: [Arguments] = []
        var imports: [Arguments] = []
        let statements = machine.topLevel(in: .machine)
        machine.decode(
            statements, in: .machine, other: machine.isMatcherDefinition,
            apply: { row, arguments in
                switch row.effect {
                case .machine(let effect): effect(arguments, machine, &configuration)
                case .setting(let effect): effect(arguments, machine, &settings)
                case .structure where row.name == "site": sites.append(arguments)
                case .structure where row.name == "import": imports.append(arguments)
                default: break
                }
            })
        configuration.settings = settings
        machine.listenerNames = Set(configuration.listeners.compactMap(\.name))
        if !statements.contains(where: { $0.first.isBare("listen") }) {
            machine.report(
                .error, at: SourcePosition(file: machine.current.name, line: 1, column: 1),
                "no `listen` says where to accept connections", [])
        }
        machineSites = sites.map { arguments in Self.site(arguments, machine, over: settings) }
        if let metrics = configuration.listeners.first(where: { $0.name == Site.telemetryListener }) {
            machineSites.append(.telemetry(position: metrics.position))
        }
        self.configuration = configuration
        self.imports = imports
    }

    /// Decodes one site and reports what its routes' order may surprise with.
    private static func site(_ arguments: Arguments, _ decoder: FileDecoder, over settings: Settings) -> Site
    {
        let site = decoder.within(arguments.statement) { decoder.site(arguments, over: settings) }
        for finding in RouteCheck(site: site, limits: decoder.session.limits).findings() {
            decoder.warn(at: finding.position, finding.message, other: finding.other)
        }
        return site
    }

    // MARK: - The tenants' files

    mutating func readTenants() {
        var stems: [String: String] = [:]
        var seen: Set<String> = []
        for arguments in imports {
            for item in arguments.all("PATTERN") {
                for name in paths(item, arguments) where seen.insert(name).inserted {
                    readTenant(name, &stems, item, arguments)
                }
            }
        }
    }

    /// The files of one pattern as messages show them.
    private func paths(_ item: Arguments.Item, _ arguments: Arguments) -> [String] {
        guard case .text(let pattern) = item.value, !pattern.isEmpty else { return [] }
        let source = arguments.statement.source
        let absolute = FilePath.resolve(pattern, in: source.directory)
        let hasStar = Self.hasStar(pattern)
        var found: [String] = [absolute]
        if hasStar {
            do throws(FileFailure) {
                found = try session.fileSystem.paths(matching: absolute)
            } catch {
                machine.within(arguments.statement) {
                    machine.report(item.token, "the directory of \"\(pattern)\" \(error.reason)")
                }
                return []
            }
        }
        found = withoutMachineFile(found, item, arguments, isNamed: !hasStar)
        if found.count + tenants.count > session.limits.tenantFiles {
            machine.within(arguments.statement) {
                machine.report(item.token, "a machine has at most \(session.limits.tenantFiles) tenant files")
            }
            return []
        }
        return found.map { shown($0, below: source) }
    }

    private static func hasStar(_ pattern: String) -> Bool { pattern.contains { "*?[".contains($0) } }

    /// A pattern may match the machine's own file, which is no tenant's.
    private func withoutMachineFile(
        _ paths: [String], _ item: Arguments.Item, _ arguments: Arguments, isNamed: Bool
    ) -> [String] {
        let own = FilePath.resolve(machine.current.name, in: session.currentDirectory)
        guard paths.contains(own) else { return paths }
        if isNamed {
            machine.within(arguments.statement) {
                machine.report(item.token, "the machine's file cannot import itself")
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

    private mutating func readTenant(
        _ name: String, _ stems: inout [String: String], _ item: Arguments.Item, _ arguments: Arguments
    ) {
        let id = FilePath.stem(of: name)
        let source: SourceFile
        do throws(FileFailure) {
            source = try session.source(name)
        } catch {
            if Self.hasStar(item.token.text) {
                unreadable.append((id, ConfigurationLoader.unreadable(name, error)))
            } else {
                machine.within(arguments.statement) {
                    machine.report(item.token, "\"\(name)\" \(error.reason)")
                }
            }
            return
        }
        let decoder = FileDecoder(source, owner: id, session: session, machine: machine)
        if let first = stems[id] {
            decoder.report(
                .error, at: SourcePosition(file: name, line: 1, column: 1),
                "a tenant's id is its file's stem, and \"\(id)\" is another file's already", [],
                other: SourcePosition(file: first, line: 1, column: 1))
        } else {
            stems[id] = name
        }
        var sites: [Site] = []
        let settings = configuration.settings
        decoder.decode(
            decoder.topLevel(in: .tenantFile), in: .tenantFile, other: decoder.isMatcherDefinition,
            apply: { row, arguments in
                guard row.name == "site" else { return }
                sites.append(Self.site(arguments, decoder, over: settings))
            })
        tenants.append((id, decoder, sites))
    }

    // MARK: - The result

    /// What the machine's file says so far, with errors or without.
    var machineConfiguration: MachineConfiguration { configuration }

    func result() -> LoadResult {
        var configuration = configuration
        var claims = HostClaims()
        Self.claim(machineSites, machine, &claims)
        configuration.sites = machineSites
        var refused = unreadable.map(\.id)
        for (id, decoder, sites) in tenants {
            Self.claim(sites, decoder, &claims)
            if decoder.hasErrors {
                refused.append(id)
            } else {
                configuration.sites += sites
            }
        }
        warnOfUnusedNames(configuration)
        var diagnostics = machine.sortedDiagnostics + unreadable.map(\.diagnostic)
        for tenant in tenants { diagnostics += tenant.decoder.sortedDiagnostics }
        configuration.files = session.filesRead
        configuration.warnings = diagnostics.filter { $0.severity == .warning }
        return LoadResult(
            configuration: machine.hasErrors ? nil : configuration, diagnostics: diagnostics,
            refusedTenants: refused)
    }

    private static func claim(_ sites: [Site], _ decoder: FileDecoder, _ claims: inout HostClaims) {
        for site in sites {
            for (host, first) in claims.claim(site) {
                decoder.reportHost(
                    "the host \"\(host)\" belongs to another site", at: site.position, other: first)
            }
        }
    }

    private func warnOfUnusedNames(_ configuration: MachineConfiguration) {
        let used = Set(configuration.sites.flatMap(\.on))
        for listener in configuration.listeners {
            if let name = listener.name, !used.contains(name) {
                machine.warn(at: listener.position, "no site answers on the listener \"\(name)\"", other: nil)
            }
        }
    }
}
