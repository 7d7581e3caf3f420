internal import ChimeraConfiguration
internal import ChimeraTelemetry

/// A settings block in the form in which one worker asks whether it applies.
struct CompiledBlock {
    let methods: MethodSet
    let matchers: [CompiledMatcherUse]
    let statement: Int
}

/// Compiles the routes and blocks of one site: decides for each route whether the request matters for its
/// settings, and makes each matcher and each merge once.
final class SiteCompiler {
    private let site: Site
    private let parts: SiteParts
    private var matchers: [Matcher: CompiledMatcher] = [:]
    let siteSettings: CompiledSettings
    private var mergedSettings: [[Int]: CompiledSettings] = [:]

    init(_ site: Site, _ parts: SiteParts) {
        self.site = site
        self.parts = parts
        siteSettings = CompiledSettings(site.settings, of: site, parts)
    }

    /// - Parameter slots: where the routes are counted, in their order.
    func routes(_ slots: [RouteSlot]) -> ContiguousArray<CompiledRoute> {
        let sources = sourceExtensions
        return ContiguousArray(
            site.routes.enumerated().map { index, route in
                CompiledRoute(
                    route, index: index, matchers: route.matchers.map(use), settings: settings(of: route),
                    sourceExtensions: sources,
                    labels: AccessLabels(tenant: site.tenant, site: site.name, route: route.text),
                    slot: slots.indices.contains(index) ? slots[index] : .shared, parts)
            })
    }

    func blocks() -> ContiguousArray<CompiledBlock> {
        ContiguousArray(
            site.settingsBlocks.map { block in
                CompiledBlock(
                    methods: MethodSet(block.methods), matchers: block.matchers.map(use),
                    statement: block.statement)
            })
    }

    /// The extensions that a `*.ext` route hands to a program: no `files` of the site serves those as they
    /// are.
    private var sourceExtensions: [String] {
        var extensions: Set<String> = []
        for route in site.routes {
            guard case .proxy = route.destination, case .fileExtension(let name) = route.pattern.segments.last
            else { continue }
            extensions.insert(String(decoding: name, as: UTF8.self).lowercased())
        }
        return extensions.sorted()
    }

    private func use(_ use: MatcherUse) -> CompiledMatcherUse {
        let matcher = matchers[use.matcher] ?? CompiledMatcher(use.matcher)
        matchers[use.matcher] = matcher
        return CompiledMatcherUse(matcher: matcher, isNegated: use.isNegated)
    }

    // MARK: Settings

    /// The merged settings of a route; nil where they depend on the request.
    private func settings(of route: Route) -> CompiledSettings? {
        guard let applied = appliedBlocks(to: route) else { return nil }
        if route.settings == Settings() {
            if applied.isEmpty { return siteSettings }
            if let known = mergedSettings[applied] { return known }
        }
        let compiled = CompiledSettings(site.settings(of: route, blocks: applied), of: site, parts)
        if route.settings == Settings() { mergedSettings[applied] = compiled }
        return compiled
    }

    /// The blocks that apply to every request that the route serves, in the order in which they are merged;
    /// nil where there is one that applies to some of them.
    private func appliedBlocks(to route: Route) -> [Int]? {
        var applied: [Int] = []
        for number in site.blocksBySpecificity.reversed() {
            let block = site.settingsBlocks[number]
            switch coverage(of: block, over: route) {
            case .none: break
            case .some: return nil
            case .all:
                // Of one statement the most specific block alone applies.
                let isCovered = applied.contains { site.settingsBlocks[$0].statement == block.statement }
                if !isCovered { applied.append(number) }
            }
        }
        return applied.reversed()
    }

    private enum Coverage { case none, some, all }

    private func coverage(of block: SettingsBlock, over route: Route) -> Coverage {
        guard block.pattern.example(alsoMatching: route.pattern) != nil else { return .none }
        let methods = Set(block.methods)
        if !methods.isEmpty, !route.methods.isEmpty, methods.isDisjoint(with: route.methods) { return .none }
        let coversMethods =
            methods.isEmpty || (!route.methods.isEmpty && methods.isSuperset(of: route.methods))
        let coversMatchers = block.matchers.allSatisfy(route.matchers.contains)
        return coversMethods && coversMatchers && block.pattern.covers(route.pattern) ? .all : .some
    }
}

extension Site {
    /// What holds for a request: the site's own settings, those of blocks, the least specific one first, and the route's.
    func settings(of route: Route?, blocks: some Sequence<Int>) -> Settings {
        let merged = blocks.reduce(settings) { $0.merging(settingsBlocks[$1].settings) }
        return route.map { merged.merging($0.settings) } ?? merged
    }
}
