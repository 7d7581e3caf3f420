internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore
internal import ChimeraTelemetry

/// A site in the form in which one worker serves it, made when the worker first needs it.
///
/// ```
/// path ─▶ routes (trie) ─▶ methods, matchers ─▶ route ─┬─ settings, where blocks cover all of it or nothing
///      └▶ blocks (trie) ─▶ methods, matchers ─▶ applied ┴─ settings memoised by (route, applied blocks)
/// ```
final class CompiledSite {
    /// What the site was made from, to know it again after a reload.
    let source: Site
    /// `{site}`
    let name: [UInt8]
    /// `{tenant}`
    let tenant: [UInt8]
    @exclusivity(unchecked) private(set) var routes: ContiguousArray<CompiledRoute>
    /// What counts where no route and no settings block does.
    let baseSettings: CompiledSettings
    /// What the access log says of requests that no route serves.
    let labels: AccessLabels
    /// Where the site's requests are counted.
    let slot: SiteSlot
    /// Where requests that no route serves are counted.
    let routelessSlot: RouteSlot
    /// Nil for a site without `tls`.
    let security: SiteSecurity?
    private let routeTrie: RouteTrie
    private let blockTrie: RouteTrie
    private let blocks: ContiguousArray<CompiledBlock>
    /// The blocks that apply to the request that is looked at, from the most specific one, as numbers of
    /// `blocks`.
    private let applied: UnsafeMutablePointer<Int>
    private let memo: SettingsMemo
    /// The one route of a site that has no other, where it fits every request: then there is nothing to look for.
    private let only: CompiledRoute?
    private let parts: SiteParts
    /// Routes that are freed in one go.
    private static let dismantledAtOnce = 256

    init(_ site: Site, slot: SiteSlot = .shared, _ parts: CompiledParts) {
        source = site
        let parts = SiteParts(parts, of: site)
        self.slot = slot
        labels = AccessLabels(tenant: site.tenant, site: site.name, route: "")
        self.parts = parts
        security = site.tls.map(SiteSecurity.init)
        name = Array(site.name.utf8)
        tenant = Array(site.tenant.utf8)
        let compiler = SiteCompiler(site, parts)
        baseSettings = compiler.siteSettings
        let slots = parts.routeSlots(of: site)
        routelessSlot = slots.last ?? .shared
        routes = compiler.routes(slots)
        blocks = compiler.blocks()
        routeTrie = RouteTrie(site.routesBySpecificity.map { (site.routes[$0].pattern, $0) })
        // The order of blocks is that in which they are merged; the walk wants the most specific one first.
        blockTrie = RouteTrie(
            site.blocksBySpecificity.reversed().map { (site.settingsBlocks[$0].pattern, $0) })
        applied = .allocate(capacity: max(1, blocks.count))
        only = CompiledSite.routeForEverything(site).map { [routes] in routes[$0] }
        memo = SettingsMemo(capacity: blocks.isEmpty ? 0 : 128)
    }

    deinit { applied.deallocate() }

    /// Frees some of the routes of a site that serves no request any more.
    ///
    /// - Returns: whether so few are left that the rest may go at once.
    func dismantle() -> Bool {
        routes.removeLast(min(routes.count, CompiledSite.dismantledAtOnce))
        return routes.count <= CompiledSite.dismantledAtOnce
    }

    /// The number of the one route, if it fits every request.
    private static func routeForEverything(_ site: Site) -> Int? {
        guard site.routes.count == 1, let route = site.routes.first, route.pattern.segments == [.rest],
            route.methods.isEmpty, route.matchers.isEmpty
        else { return nil }
        return 0
    }

    // MARK: Routes

    /// What a look for a route found.
    enum Selection {
        case route(CompiledRoute)
        /// 405: routes match the path, but not the method.
        case methodMissing
        /// 404
        case none
    }

    /// The most specific route that fits the request, whose host and path the context has.
    func selectRoute(_ context: RequestContext, _ request: RequestHead) -> Selection {
        if let only { return .route(only) }
        var search = RouteSearch(site: self, context: context, request: request)
        routeTrie.visit(context.matchedPath, &search)
        if let found = search.found { return .route(found) }
        return search.missedMethod ? .methodMissing : .none
    }

    /// The methods of all routes that fit the request but for its method.
    func allowedMethods(_ context: RequestContext, _ request: RequestHead) -> MethodSet? {
        var search = MethodSearch(site: self, context: context, request: request)
        routeTrie.visit(context.matchedPath, &search)
        return search.methods
    }

    /// Visits every route whose pattern matches a path, the most specific first.
    func visitRoutes<Visitor: RouteTrieVisitor>(_ path: Span<UInt8>, _ visitor: inout Visitor) {
        routeTrie.visit(path, &visitor)
    }

    // MARK: Settings

    /// The settings for a request that `route` serves; nil: none does.
    func settings(
        for route: CompiledRoute?, _ context: RequestContext, _ request: RequestHead
    ) -> CompiledSettings {
        if let settings = route?.settings { return settings }
        if blocks.isEmpty { return baseSettings }
        var search = BlockSearch(site: self, context: context, request: request)
        blockTrie.visit(context.matchedPath, &search)
        if search.count == 0 && route == nil { return baseSettings }
        let numbers = UnsafeBufferPointer(start: applied, count: search.count)
        let index = route?.index ?? -1
        if let known = memo.settings(index, numbers) { return known }
        let made = CompiledSettings(
            source.settings(of: sourceRoute(route), blocks: numbers.reversed()), of: source, parts)
        memo.store(made, index, numbers)
        return made
    }

    /// The settings blocks that apply to the request, from the most specific one.
    func appliedBlocks(_ context: RequestContext, _ request: RequestHead) -> [Int] {
        guard !blocks.isEmpty else { return [] }
        var search = BlockSearch(site: self, context: context, request: request)
        blockTrie.visit(context.matchedPath, &search)
        return (0..<search.count).map { applied[$0] }
    }

    /// What `settings(for:)` compiles.
    func mergedSettings(
        for route: CompiledRoute?, _ context: RequestContext, _ request: RequestHead
    ) -> Settings {
        let blocks = appliedBlocks(context, request)
        return source.settings(of: sourceRoute(route), blocks: blocks.reversed())
    }

    private func sourceRoute(_ route: CompiledRoute?) -> Route? { route.map { source.routes[$0.index] } }

    fileprivate func block(_ number: Int) -> CompiledBlock { blocks[number] }

    /// Notes that a block applies, unless a more specific one of its statement does.
    fileprivate func note(_ number: Int, at place: Int) -> Bool {
        for earlier in 0..<place where blocks[applied[earlier]].statement == blocks[number].statement {
            return false
        }
        applied[place] = number
        return true
    }
}

/// Finds the most specific route that fits.
private struct RouteSearch: RouteTrieVisitor {
    unowned(unsafe) let site: CompiledSite
    unowned(unsafe) let context: RequestContext
    unowned(unsafe) let request: RequestHead
    var found: CompiledRoute?
    var missedMethod = false

    init(site: CompiledSite, context: RequestContext, request: RequestHead) {
        self.site = site
        self.context = context
        self.request = request
    }

    mutating func visit(_ item: Int) -> Bool {
        let route = site.routes[item]
        let fits = route.methods.contains(methodOf: request)
        // Once a method was missed, only a route that fits can change the outcome.
        if !fits && missedMethod { return false }
        guard route.matchers.hold(context, request) else { return false }
        if fits { found = route } else { missedMethod = true }
        return fits
    }
}

/// Collects the methods of the routes whose matchers hold.
private struct MethodSearch: RouteTrieVisitor {
    unowned(unsafe) let site: CompiledSite
    unowned(unsafe) let context: RequestContext
    unowned(unsafe) let request: RequestHead
    var methods: MethodSet?

    init(site: CompiledSite, context: RequestContext, request: RequestHead) {
        self.site = site
        self.context = context
        self.request = request
    }

    mutating func visit(_ item: Int) -> Bool {
        let route = site.routes[item]
        guard route.matchers.hold(context, request) else { return false }
        if methods == nil { methods = route.methods } else { methods?.formUnion(route.methods) }
        return false
    }
}

/// Notes the settings blocks that apply.
private struct BlockSearch: RouteTrieVisitor {
    unowned(unsafe) let site: CompiledSite
    unowned(unsafe) let context: RequestContext
    unowned(unsafe) let request: RequestHead
    var count = 0

    init(site: CompiledSite, context: RequestContext, request: RequestHead) {
        self.site = site
        self.context = context
        self.request = request
    }

    mutating func visit(_ item: Int) -> Bool {
        let block = site.block(item)
        if block.methods.contains(methodOf: request), block.matchers.hold(context, request),
            site.note(item, at: count)
        {
            count += 1
        }
        return false
    }
}
