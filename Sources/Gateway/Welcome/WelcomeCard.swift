internal import ChimeraConfiguration

/// One site's card: its hosts and routes, and beside them the text of its file.
struct WelcomeCard {
    let site: WelcomeSite
    let number: Int
    /// Nil for the usual one of the scheme.
    let port: UInt16?
    /// The page is read over TLS, and so are the pages that it leads to.
    let isSecure: Bool
    let showsConfiguration: Bool
    /// The number of an earlier card whose file is this site's too.
    let sameFileAs: Int?

    func put(into page: inout HTMLText) {
        let hasText = showsConfiguration && (sameFileAs != nil || site.configuration != nil)
        page.put(hasText ? "<article class=\"wide\" id=\"s" : "<article id=\"s")
        page.put(number: UInt64(number))
        page.put("\" aria-labelledby=\"h")
        page.put(number: UInt64(number))
        page.put("\">\n<div class=\"about\">\n")
        putTop(into: &page)
        putHosts(into: &page)
        putRoutes(into: &page)
        page.put("</div>\n")
        if hasText { putConfiguration(into: &page) }
        page.put("</article>\n")
    }

    private func putTop(into page: inout HTMLText) {
        page.put("<div class=\"top\"><h2 id=\"h")
        page.put(number: UInt64(number))
        page.put("\">")
        page.put(escaped: title)
        page.put("</h2><p class=\"count\"><b data-count=\"site ")
        page.put(escaped: site.key)
        page.put("\">")
        page.put(number: site.requests)
        page.put(
            site.requests == 1
                ? "</b> <span>request</span></p></div>\n" : "</b> <span>requests</span></p></div>\n")
    }

    private var title: String {
        if !site.tenant.isEmpty { return site.tenant }
        return site.hosts.contains(.any) ? "every other host" : site.name
    }

    private func putHosts(into page: inout HTMLText) {
        page.put("<ul aria-label=\"Hosts\">")
        for host in site.hosts {
            page.put("<li>")
            // Over TLS a site without `tls` has no answer but 421.
            if case .exact(let name) = host, site.isSecure || !isSecure {
                page.put(isSecure ? "<a href=\"https://" : "<a href=\"http://")
                page.put(escaped: name + portSuffix)
                page.put("/\">")
                page.put(escaped: name)
                page.put("</a>")
            } else {
                page.put(escaped: host.description)
            }
            page.put("</li>")
        }
        page.put("</ul>\n")
    }

    private var portSuffix: String { port.map { ":\($0)" } ?? "" }

    private func putRoutes(into page: inout HTMLText) {
        guard !site.routes.isEmpty else { return }
        page.put("<table><caption class=\"hidden\">Routes</caption>\n")
        for route in site.routes.prefix(WelcomePage.routesMax) {
            page.put("<tr><th scope=\"row\">")
            page.put(escaped: route.pattern)
            page.put("</th><td>")
            page.put(escaped: route.verb)
            if showsConfiguration && !route.target.isEmpty {
                page.put(" <span>")
                page.put(escaped: route.target)
                page.put("</span>")
            }
            page.put("</td></tr>\n")
        }
        page.put("</table>\n")
        let rest = site.routes.count - WelcomePage.routesMax
        guard rest > 0 else { return }
        page.put("<p class=\"note\">And ")
        page.put(number: UInt64(rest))
        page.put(" more.</p>\n")
    }

    private func putConfiguration(into page: inout HTMLText) {
        page.put("<figure><figcaption>")
        page.put(escaped: site.file)
        if let first = sameFileAs {
            page.put(", <a href=\"#s")
            page.put(number: UInt64(first))
            page.put("\">shown above</a></figcaption></figure>\n")
            return
        }
        page.put("</figcaption><pre tabindex=\"0\" role=\"region\" aria-label=\"")
        page.put(escaped: site.file)
        page.put("\"><code>")
        page.put(configuration: site.configuration ?? "")
        page.put("</code></pre></figure>\n")
    }
}
