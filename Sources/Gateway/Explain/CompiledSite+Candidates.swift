internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore

extension CompiledSite {
    /// A route whose pattern matches, and why it does not serve the request.
    struct Candidate {
        let index: Int
        let reason: String
    }

    /// The routes whose patterns match the request's path, in the order in which they are tried.
    func candidates(_ context: RequestContext, _ request: RequestHead) -> [Candidate] {
        var search = CandidateSearch(site: self, context: context, request: request)
        visitRoutes(context.matchedPath, &search)
        return search.found
    }
}

private struct CandidateSearch: RouteTrieVisitor {
    let site: CompiledSite
    let context: RequestContext
    let request: RequestHead
    var found: [CompiledSite.Candidate] = []

    init(site: CompiledSite, context: RequestContext, request: RequestHead) {
        self.site = site
        self.context = context
        self.request = request
    }

    mutating func visit(_ item: Int) -> Bool {
        let route = site.routes[item]
        var reason = "less specific"
        if !route.methods.contains(methodOf: request) {
            reason = "passed over, since the method does not fit"
        } else if let failing = zip(route.matchers, site.source.routes[item].matchers)
            .first(where: { !$0.0.holds(context, request) })
        {
            let name = (failing.1.isNegated ? "!@" : "@") + failing.1.matcher.name
            reason = "passed over, since \(name) does not hold"
        }
        found.append(CompiledSite.Candidate(index: item, reason: reason))
        return false
    }
}
