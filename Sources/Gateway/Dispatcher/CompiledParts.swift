internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore
internal import ChimeraTelemetry

/// What compiled sites of one worker share: destinations, password files and pages, one of each distinct
/// kind.
///
/// After a reload what the configuration before named is kept until the next one, so that a site that is
/// compiled anew finds its connections and caches again.
final class CompiledParts {
    private let factory: any TargetFactory
    /// Where routes to an embedded handler lead.
    let handler: (any Handler)?
    private var current = Shared()
    private var previous = Shared()

    private struct Shared {
        var files: [FilesKey: DirectoryTarget] = [:]
        var proxies: [ProxyKey: UpstreamTargets] = [:]
        var passwords: [ReferencedFile: PasswordGate] = [:]
        var pages: [ReferencedFile: CompiledPage] = [:]
    }

    private struct FilesKey: Hashable {
        var directory: Template
        var index: [String]
        var fallback: String?
        var hidden: Bool
        var strippedSegments: Int
        var sourceExtensions: [String]
    }

    private struct ProxyKey: Hashable {
        struct Member: Hashable {
            var address: UpstreamAddress
            var weight: Int
            var isBackup: Bool
        }

        var members: [Member]
        var pools: [String]
        var prefix: Template?
    }

    init(_ factory: any TargetFactory, handler: (any Handler)?) {
        self.factory = factory
        self.handler = handler
    }

    /// A new configuration counts from now on.
    func configurationChanged() {
        previous = current
        current = Shared()
    }

    func matcherUse(_ use: MatcherUse) -> CompiledMatcherUse {
        CompiledMatcherUse(matcher: CompiledMatcher(use.matcher), isNegated: use.isNegated)
    }

    func files(_ target: FilesTarget, sourceExtensions: [String]) -> DirectoryTarget {
        let key = FilesKey(
            directory: target.directory, index: target.index, fallback: target.fallback,
            hidden: target.hidden,
            strippedSegments: target.strippedSegments, sourceExtensions: sourceExtensions)
        return shared(\.files, key) { factory.files(target, sourceExtensions: sourceExtensions) }
    }

    func proxy(_ target: ProxyTarget) -> UpstreamTargets {
        let members = target.targets.map {
            ProxyKey.Member(address: $0.address, weight: $0.weight, isBackup: $0.isBackup)
        }
        let key = ProxyKey(members: members, pools: target.pools, prefix: target.prefix)
        return shared(\.proxies, key) { factory.proxy(target) }
    }

    func routeSlots(of site: Site) -> [RouteSlot] { factory.routeSlots(of: site) }

    func passwords(_ file: ReferencedFile) -> PasswordGate {
        shared(\.passwords, file) { PasswordGate(file) }
    }

    func page(_ file: ReferencedFile) -> CompiledPage {
        shared(\.pages, file) {
            CompiledPage(
                content: Blob(file.content.span),
                contentType: MediaTypes.type(ofPath: Array(file.path.utf8).span))
        }
    }

    private func shared<Key: Hashable, Value>(
        _ table: WritableKeyPath<Shared, [Key: Value]>, _ key: Key, _ make: () -> Value
    ) -> Value {
        if let known = current[keyPath: table][key] { return known }
        let value = previous[keyPath: table][key] ?? make()
        current[keyPath: table][key] = value
        return value
    }
}
