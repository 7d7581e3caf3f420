internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore
internal import ChimeraTelemetry

/// What compiled sites of one worker share: destinations, password files and pages, one of each distinct kind, for as
/// long as a site uses it.
///
/// A site that takes the place of another is compiled while that one is still there, so it finds the same connections
/// and caches again.
final class CompiledParts {
    private let factory: any TargetFactory
    /// Where routes to an embedded handler lead.
    let handler: (any Handler)?
    @exclusivity(unchecked) private var files: [FilesKey: Use<DirectoryTarget>] = [:]
    @exclusivity(unchecked) private var proxies: [ProxyKey: Use<UpstreamTargets>] = [:]
    @exclusivity(unchecked) private var passwords: [ReferencedFile: Use<PasswordGate>] = [:]
    @exclusivity(unchecked) private var pages: [ReferencedFile: Use<CompiledPage>] = [:]

    private struct Use<Value> {
        let value: Value
        var sites = 0
    }

    fileprivate struct FilesKey: Hashable {
        var directory: Template
        var index: [String]
        var fallback: String?
        var hidden: Bool
        var strippedSegments: Int
        var confinement: String?
        var sourceExtensions: [String]
    }

    fileprivate struct ProxyKey: Hashable {
        struct Member: Hashable {
            var address: UpstreamAddress
            var weight: Int
            var isBackup: Bool
            var reach: [CIDR]?
        }

        var members: [Member]
        var pools: [String]
        var prefix: Template?
    }

    init(_ factory: any TargetFactory, handler: (any Handler)?) {
        self.factory = factory
        self.handler = handler
    }

    fileprivate func routeSlots(of site: Site) -> [RouteSlot] { factory.routeSlots(of: site) }

    /// How many destinations there are, for tests.
    var destinationCount: Int { files.count + proxies.count }

    /// How many pages and password files there are, for tests.
    var referencedFileCount: Int { passwords.count + pages.count }

    fileprivate func takeFiles(_ key: FilesKey, _ target: FilesTarget, isFirst: Bool) -> DirectoryTarget {
        take(&files, key, isFirst) { factory.files(target, sourceExtensions: key.sourceExtensions) }
    }

    fileprivate func takeProxy(_ key: ProxyKey, _ target: ProxyTarget, isFirst: Bool) -> UpstreamTargets {
        take(&proxies, key, isFirst) { factory.proxy(target) }
    }

    fileprivate func takePasswords(_ file: ReferencedFile, isFirst: Bool) -> PasswordGate {
        take(&passwords, file, isFirst) { PasswordGate(file) }
    }

    fileprivate func takePage(_ file: ReferencedFile, isFirst: Bool) -> CompiledPage {
        take(&pages, file, isFirst) {
            CompiledPage(
                content: Blob(file.content.span),
                contentType: MediaTypes.type(ofPath: Array(file.path.utf8).span))
        }
    }

    private func take<Key: Hashable, Value>(
        _ table: inout [Key: Use<Value>], _ key: Key, _ isFirst: Bool, _ make: () -> Value
    ) -> Value {
        var use = table[key] ?? Use(value: make())
        if isFirst { use.sites += 1 }
        table[key] = use
        return use.value
    }

    fileprivate func give(
        _ files: Set<FilesKey>, _ proxies: Set<ProxyKey>, _ passwords: Set<ReferencedFile>,
        _ pages: Set<ReferencedFile>
    ) {
        for key in files { give(&self.files, key) }
        for key in proxies { give(&self.proxies, key) }
        for key in passwords { give(&self.passwords, key) }
        for key in pages { give(&self.pages, key) }
    }

    private func give<Key: Hashable, Value>(_ table: inout [Key: Use<Value>], _ key: Key) {
        guard var use = table[key] else { return }
        use.sites -= 1
        table[key] = use.sites > 0 ? use : nil
    }
}

/// One site's use of what the sites of its worker share; ends with it.
final class SiteParts {
    private let parts: CompiledParts
    @exclusivity(unchecked) private var files: Set<CompiledParts.FilesKey> = []
    @exclusivity(unchecked) private var proxies: Set<CompiledParts.ProxyKey> = []
    @exclusivity(unchecked) private var passwordFiles: Set<ReferencedFile> = []
    @exclusivity(unchecked) private var pages: Set<ReferencedFile> = []

    /// What tells the site's limits from each other; nil for the machine's parts.
    let limits: LimitIdentities?

    /// - Parameter site: whose parts they are; nil for the machine's own.
    init(_ parts: CompiledParts, of site: Site? = nil) {
        self.parts = parts
        limits = site.map(LimitIdentities.init)
    }

    deinit { parts.give(files, proxies, passwordFiles, pages) }

    /// Where routes to an embedded handler lead.
    var handler: (any Handler)? { parts.handler }

    /// Where the site's routes are counted; see `TargetFactory.routeSlots`.
    func routeSlots(of site: Site) -> [RouteSlot] { parts.routeSlots(of: site) }

    func matcherUse(_ use: MatcherUse) -> CompiledMatcherUse {
        CompiledMatcherUse(matcher: CompiledMatcher(use.matcher), isNegated: use.isNegated)
    }

    func files(_ target: FilesTarget, sourceExtensions: [String]) -> DirectoryTarget {
        let key = CompiledParts.FilesKey(
            directory: target.directory, index: target.index, fallback: target.fallback,
            hidden: target.hidden, strippedSegments: target.strippedSegments,
            confinement: target.confinement, sourceExtensions: sourceExtensions)
        return parts.takeFiles(key, target, isFirst: files.insert(key).inserted)
    }

    func proxy(_ target: ProxyTarget) -> UpstreamTargets {
        let members = target.targets.map {
            CompiledParts.ProxyKey.Member(
                address: $0.address, weight: $0.weight, isBackup: $0.isBackup, reach: $0.reach)
        }
        let key = CompiledParts.ProxyKey(members: members, pools: target.pools, prefix: target.prefix)
        return parts.takeProxy(key, target, isFirst: proxies.insert(key).inserted)
    }

    func passwords(_ file: ReferencedFile) -> PasswordGate {
        parts.takePasswords(file, isFirst: passwordFiles.insert(file).inserted)
    }

    func page(_ file: ReferencedFile) -> CompiledPage {
        parts.takePage(file, isFirst: pages.insert(file).inserted)
    }
}
