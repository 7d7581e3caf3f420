package import ChimeraBytes

/// The verb `welcome`: one self-contained page that shows the sites as cards, and the counters that it asks
/// for each second.
///
/// The route owns whatever it matches, so the counters are told by the query alone (`?chimera-counters`) and
/// can collide with no path. Configuration, directories and upstreams are for loopback clients only; names of
/// sites, patterns and counts are for all who reach the page.
package enum WelcomePage {
    /// Sites that have a card; the others are counted in one sentence.
    package static let sitesMax = 60
    /// Rows of a card's table.
    static let routesMax = 16
    /// Bytes of a configuration file that is shown.
    static let fileBytesMax = 64 << 10

    /// Of the page, and of its counters too.
    package static let contentSecurityPolicy: String = """
        default-src 'none'; style-src 'sha256-\(hash(style))'; script-src 'sha256-\(hash(script))'; \
        connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'
        """

    package static let contentType: StaticString = "text/html; charset=utf-8"
    package static let countersContentType: StaticString = "application/json"
    /// The page shows one moment, and it may show what only this client may see.
    package static let cacheControl: StaticString = "no-store"

    /// Whether a request's query (without the question mark) asks for the counters rather than for the page.
    package static func asksForCounters(query: Span<UInt8>) -> Bool {
        query.equals("chimera-counters")
    }

    /// Whether a client may see configuration: it is on this machine, and it asked for this machine by name.
    /// The second matters because a page from elsewhere can make a browser here ask us under its own name
    /// (DNS rebinding), and would read the answer.
    ///
    /// - Parameters:
    ///   - client: The client; nil for one on a Unix socket, which may be anybody's proxy.
    ///   - host: The request's host without its port.
    package static func mayShowConfiguration(client: IPAddress?, host: Span<UInt8>) -> Bool {
        guard let client, client.isLoopback else { return false }
        let name = host.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }.lowercased()
        let isLocalName = name == "localhost" || name.hasSuffix(".localhost")
        let literal = name.hasPrefix("[") && name.hasSuffix("]") ? String(name.dropFirst().dropLast()) : name
        return isLocalName || IPAddress(literal)?.isLoopback == true
    }

    /// The page.
    ///
    /// - Parameters:
    ///   - sites: The sites in the order of their cards.
    ///   - port: The port that the client came to, for the links; nil for the usual one, or where there is none.
    ///   - isSecure: The client came over TLS.
    ///   - showsConfiguration: The client is on this machine.
    ///   - requests: Of all sites so far.
    ///   - connections: Open ones.
    ///   - sitesInAll: How many sites there are, of which `sites` may be a part.
    package static func html(
        sites: [WelcomeSite], port: UInt16?, isSecure: Bool = false, showsConfiguration: Bool,
        requests: UInt64 = 0, connections: UInt64 = 0, sitesInAll: Int? = nil
    ) -> [UInt8] {
        let shown = sites.prefix(sitesMax)
        var page = HTMLText()
        putHead(into: &page)
        putHeader(requests: requests, connections: connections, into: &page)
        page.put("<main>\n")
        var cardByFile: [String: Int] = [:]
        for (number, site) in shown.enumerated() {
            let card = WelcomeCard(
                site: site, number: number, port: port, isSecure: isSecure,
                showsConfiguration: showsConfiguration, sameFileAs: cardByFile[site.file])
            if cardByFile[site.file] == nil { cardByFile[site.file] = number }
            card.put(into: &page)
        }
        putRest((sitesInAll ?? sites.count) - shown.count, into: &page)
        page.put("</main>\n")
        putFooter(showsConfiguration: showsConfiguration, into: &page)
        return page.bytes
    }

    /// What the page asks for each second:
    /// `{"requests":7,"connections":1,"sites":{"shop/shop.localhost":5}}`.
    package static func counters(
        sites: [(key: String, requests: UInt64)], requests: UInt64, connections: UInt64
    ) -> [UInt8] {
        var text = "{\"requests\":\(requests),\"connections\":\(connections),\"sites\":{"
        for (number, site) in sites.prefix(sitesMax).enumerated() {
            if number > 0 { text += "," }
            text += "\(JSONText.quoted(site.key)):\(site.requests)"
        }
        return Array((text + "}}").utf8)
    }

    // MARK: Parts

    private static func putHead(into page: inout HTMLText) {
        page.put(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Chimera</title>\n")
        page.put("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n")
        page.put("<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"")
        page.put(icon)
        page.put("\">\n<style>")
        page.put(style)
        page.put("</style>\n</head>\n<body>\n")
    }

    private static func putHeader(requests: UInt64, connections: UInt64, into page: inout HTMLText) {
        page.put("<header>\n<div><h1>Chimera is running</h1>\n")
        page.put("<p>One gateway, many tenants: these are the sites that it serves now.</p></div>\n<dl>\n")
        page.put("<div><dt>requests</dt><dd data-count=\"requests\">")
        page.put(number: requests)
        page.put("</dd></div>\n<div><dt>open connections</dt><dd data-count=\"connections\">")
        page.put(number: connections)
        page.put("</dd></div>\n</dl>\n</header>\n")
    }

    private static func putRest(_ count: Int, into page: inout HTMLText) {
        guard count > 0 else { return }
        page.put("<p class=\"note\">And ")
        page.put(number: UInt64(count))
        page.put(count == 1 ? " more site.</p>\n" : " more sites.</p>\n")
    }

    private static func putFooter(showsConfiguration: Bool, into page: inout HTMLText) {
        page.put("<footer><p>")
        if showsConfiguration {
            page.put(
                "Change a file in <code>conf.d/</code>: it is loaded at once, and no connection is dropped. ")
            page.put("Configuration is shown to clients on this machine only. ")
        }
        page.put("This page is the verb <code>welcome</code>.</p></footer>\n<script>")
        page.put(script)
        page.put("</script>\n</body>\n</html>\n")
    }

    // MARK: Texts

    /// The hash of an inline element's text, as Content-Security-Policy names it (CSP 3 §2.3.1).
    private static func hash(_ text: StaticString) -> String {
        // Where libcrypto has no SHA-256, an empty hash lets nothing run.
        guard var digest = MessageDigest(.sha256) else { return "" }
        digest.begin()
        // Sound: the literal lives as long as the process.
        digest.update(Span(_unsafeStart: text.utf8Start, count: text.utf8CodeUnitCount))
        let hash = digest.finish() ?? []
        return String(decoding: Base64.encode(hash.span), as: UTF8.self)
    }
}
