/// Warns of routes whose order may surprise: equal ones, and ones that let a path escape another route's guard.
struct RouteCheck {
    let site: Site
    let limits: ConfigurationLimits

    struct Finding {
        var position: SourcePosition
        var message: String
        var other: SourcePosition
    }

    func findings() -> [Finding] {
        let order = site.routesBySpecificity
        return equalRoutes(order) + escapes(order)
    }

    // MARK: - Equal routes

    /// Equal routes stand side by side in the order of specificity.
    private func equalRoutes(_ order: [Int]) -> [Finding] {
        var findings: [Finding] = []
        var runStart = 0
        var compared = 0
        for place in order.indices.dropFirst() {
            let route = site.routes[order[place]]
            guard route.specificity == site.routes[order[place - 1]].specificity else {
                runStart = place
                continue
            }
            compared += place - runStart
            guard compared <= limits.comparedRoutes else { return findings }
            guard let earlier = order[runStart..<place].first(where: { Self.mayMeet(site.routes[$0], route) })
            else {
                continue
            }
            findings.append(
                Finding(
                    position: route.position,
                    message: "\"\(route.text)\" is as specific as an earlier route, which is tried first",
                    other: site.routes[earlier].position))
        }
        return findings
    }

    /// Whether a request can fit the methods and matchers of both.
    private static func mayMeet(_ left: Route, _ right: Route) -> Bool {
        guard
            left.methods.isEmpty || right.methods.isEmpty
                || left.methods.contains(where: right.methods.contains)
        else {
            return false
        }
        return !left.matchers.contains { use in
            right.matchers.contains { $0.matcher == use.matcher && $0.isNegated != use.isNegated }
        }
    }

    // MARK: - Escapes

    /// For each guarded route, the first that goes before it on some path without its guard.
    private func escapes(_ order: [Int]) -> [Finding] {
        let guarded = order.indices.filter { hasGuard(site.routes[order[$0]]) }
        guard !guarded.isEmpty else { return [] }
        let byFirst = Dictionary(grouping: order.indices) { site.routes[order[$0]].pattern.segments.first }
        var findings: [Finding] = []
        var compared = 0
        for place in guarded {
            let route = site.routes[order[place]]
            // A route that goes before one with a literal first segment and shares a path with it has the same one.
            var earlier = Array(order.indices.prefix(place))
            if case .literal? = route.pattern.segments.first {
                earlier = (byFirst[route.pattern.segments.first] ?? []).filter { $0 < place }
            }
            compared += earlier.count
            guard compared <= limits.comparedRoutes else { return findings }
            for other in earlier {
                if let finding = escape(from: route, through: site.routes[order[other]]) {
                    findings.append(finding)
                    break
                }
            }
        }
        return findings
    }

    private func hasGuard(_ route: Route) -> Bool {
        !route.matchers.isEmpty || route.settings.guardName != nil
    }

    private func escape(from route: Route, through other: Route) -> Finding? {
        guard other.statement != route.statement, Self.mayMeet(route, other),
            let lost = lostGuard(of: route, in: other),
            let path = route.pattern.example(alsoMatching: other.pattern)
        else { return nil }
        return Finding(
            position: route.position,
            message: "\(path) escapes \(lost) of \"\(route.text)\": \"\(other.text)\" is more specific",
            other: other.position)
    }

    /// What a request that `other` serves is not asked for.
    private func lostGuard(of route: Route, in other: Route) -> String? {
        if let auth = route.settings.auth, auth.kind != .off, other.settings.auth == nil { return "`auth`" }
        if let name = route.settings.guardName, name != "auth", other.settings.access.isEmpty {
            return "`\(name)`"
        }
        let lost = route.matchers.first { use in !other.matchers.contains(use) }
        if lost != nil && isDivided(other, by: route.matchers) { return nil }
        return lost.map { "\($0.isNegated ? "!" : "")@\($0.matcher.name)" }
    }

    /// Whether a route of the same pattern takes away what fits these matchers: who wrote both has thought of it.
    private func isDivided(_ route: Route, by matchers: [MatcherUse]) -> Bool {
        site.routes.contains { other in
            other.pattern == route.pattern && other.methods == route.methods
                && other.matchers.count > route.matchers.count
                && other.matchers.allSatisfy { matchers.contains($0) || route.matchers.contains($0) }
        }
    }
}
