/// `session=TENANT/ROUTE` of a `listen` line: the session that connections get which speak nothing of their own.
///
/// ROUTE is a route's pattern without `*` and `{name}`, so that it is a path as well; without a TENANT the site is one of
/// the machine's file.
package struct SessionAddress: Sendable, Hashable {
    package var tenant: String
    /// With the slash that it begins with.
    package var path: String

    /// Nil where there is no slash, or a path that is none.
    package init?(_ text: String) {
        guard let slash = text.firstIndex(of: "/") else { return nil }
        tenant = String(text[..<slash])
        path = String(text[slash...])
        guard path.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }),
            !path.contains(where: { "*{}?#".contains($0) })
        else { return nil }
    }

    package var text: String { tenant + path }

    /// The route of a site that is meant; nil where the site has none with this pattern.
    package func route(of site: Site) -> Route? {
        guard site.tenant == tenant else { return nil }
        let wanted = path.split(separator: "/").map { PathPattern.Segment.literal(Array($0.utf8)) }
        let routes = site.routes.filter { $0.pattern.segments == wanted }
        return routes.first(where: \.isSession) ?? routes.first
    }

    /// The site and its route among all; nil where there is none with a session.
    package func leads(to site: Site) -> Bool { route(of: site)?.isSession == true }
}

extension Route {
    /// The route leads to a program.
    package var isSession: Bool {
        if case .session = destination { true } else { false }
    }
}
