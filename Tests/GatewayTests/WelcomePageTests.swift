import ChimeraBytes
import ChimeraConfiguration
import Testing

@testable import Chimera

@Suite struct WelcomePageTests {
    private let shop = WelcomeSite(
        tenant: "shop", name: "shop.localhost",
        hosts: [.exact("shop.localhost"), .wildcard("shop.localhost")],
        routes: [
            .init(pattern: "/assets/*", verb: "files", target: "./shop/assets"),
            .init(pattern: "GET /api/*", verb: "proxy", target: "127.0.0.1:9001"),
        ],
        file: "conf.d/shop.conf", configuration: "# the shop\nsite shop.localhost { files ./shop } # yes\n",
        requests: 12_345)

    private func html(
        _ sites: [WelcomeSite], port: UInt16? = 8080, isSecure: Bool = false, showsConfiguration: Bool = true,
        sitesInAll: Int? = nil
    ) -> String {
        String(
            decoding: WelcomePage.html(
                sites: sites, port: port, isSecure: isSecure, showsConfiguration: showsConfiguration,
                requests: 7, connections: 2, sitesInAll: sitesInAll),
            as: UTF8.self)
    }

    @Test func `a card shows the site's hosts, routes, requests and configuration`() {
        let page = html([shop])
        #expect(page.contains(">shop</h2>"))
        #expect(page.contains("<a href=\"http://shop.localhost:8080/\">shop.localhost</a>"))
        #expect(page.contains("<li>*.shop.localhost</li>"))
        #expect(page.contains("<th scope=\"row\">/assets/*</th><td>files <span>./shop/assets</span></td>"))
        #expect(page.contains("<th scope=\"row\">GET /api/*</th><td>proxy <span>127.0.0.1:9001</span></td>"))
        #expect(page.contains("<b data-count=\"site shop/shop.localhost\">12,345</b>"))
        #expect(
            page.contains(
                "<span><i># the shop</i>\n</span><span>site shop.localhost { files ./shop } <i># yes</i>\n</span>"
            ))
        #expect(page.contains("data-count=\"requests\">7<"))
        #expect(page.contains("data-count=\"connections\">2<"))
    }

    @Test(arguments: [(0, "requests"), (1, "request"), (2, "requests")])
    func `one request is not called requests`(count: UInt64, noun: String) {
        var site = shop
        site.requests = count
        #expect(html([site]).contains(">\(count)</b> <span>\(noun)</span>"))
    }

    @Test func `other machines see neither configuration nor directories nor upstreams`() {
        let page = html([shop], showsConfiguration: false)
        #expect(page.contains("<td>proxy</td>"))
        #expect(page.contains("shop.localhost"))
        for secret in ["127.0.0.1:9001", "./shop", "conf.d", "the shop", "<pre"] {
            #expect(!page.contains(secret))
        }
    }

    @Test(
        arguments: [
            ("127.0.0.1", "localhost", true), ("127.0.0.1", "127.0.0.1", true), ("::1", "[::1]", true),
            ("::1", "Shop.localhost", true), ("192.0.2.1", "localhost", false), (nil, "localhost", false),
            ("127.0.0.1", "evil.example", false), ("127.0.0.1", "localhost.evil.example", false),
            ("127.0.0.1", "evillocalhost", false), ("127.0.0.1", "192.0.2.1", false),
            ("127.0.0.1", "", false),
        ] as [(String?, String, Bool)])
    func `configuration is for clients on this machine that ask for it by name`(
        client: String?, host: String, may: Bool
    ) {
        let address = client.flatMap { IPAddress($0) }
        #expect(WelcomePage.mayShowConfiguration(client: address, host: Array(host.utf8).span) == may)
    }

    @Test func `nothing of others is markup`() {
        let evil = "</code></pre><script>alert('1')</script>\"&\u{0}"
        let site = WelcomeSite(
            tenant: evil, name: evil, hosts: [.exact(evil), .wildcard(evil)],
            routes: [.init(pattern: evil, verb: evil, target: evil)], file: evil,
            configuration: "a " + evil + " # " + evil)
        let page = html([site, site])
        #expect(page.components(of: "<script") == 2)
        #expect(!page.contains("alert('1')"))
        #expect(!page.unicodeScalars.contains("\0"))
        #expect(
            page.contains(
                "&lt;/code&gt;&lt;/pre&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;\u{FFFD}")
        )
    }

    @Test(
        arguments: [
            (nil, false, "http://shop.localhost/"), (8080, false, "http://shop.localhost:8080/"),
            (nil, true, "https://shop.localhost/"), (8443, true, "https://shop.localhost:8443/"),
        ] as [(UInt16?, Bool, String)])
    func `links have the scheme of the page, and its port where that is not the usual one`(
        port: UInt16?, isSecure: Bool, link: String
    ) {
        var site = shop
        site.isSecure = true
        #expect(html([site], port: port, isSecure: isSecure).contains("href=\"\(link)\""))
    }

    @Test func `over TLS a site without it is named and not linked to`() {
        let page = html([shop], isSecure: true)
        #expect(page.contains("<li>shop.localhost</li>"))
        #expect(!page.contains("href=\"http"))
    }

    @Test func `a file with two sites is shown once`() {
        var second = shop
        second.name = "two.localhost"
        let page = html([shop, second])
        #expect(page.components(of: "the shop") == 2)
        #expect(page.contains("<a href=\"#s0\">shown above</a>"))
    }

    @Test(
        arguments: [(1, nil, nil), (61, nil, "And 1 more site."), (1, 10_000, "And 9,999 more sites.")]
            as [(Int, Int?, String?)])
    func `the page is bounded and says what it leaves out`(count: Int, all: Int?, note: String?) {
        let page = html(Array(repeating: shop, count: count), sitesInAll: all)
        #expect(page.components(of: "<article") == min(count, WelcomePage.sitesMax) + 1)
        #expect(page.contains("more site") == (note != nil))
        if let note { #expect(page.contains(note)) }
    }

    @Test func `a card's table is bounded`() {
        var site = shop
        site.routes = Array(repeating: .init(pattern: "/x", verb: "respond", target: "200"), count: 20)
        #expect(html([site]).components(of: "<tr>") == WelcomePage.routesMax + 1)
        #expect(html([site]).contains("And 4 more."))
    }

    @Test func `nothing comes from elsewhere`() {
        let page = html([])
        for word in ["src=", "@import", "url(", "//cdn", "https://"] { #expect(!page.contains(word)) }
        #expect(page.hasPrefix("<!doctype html>\n<html lang=\"en\">"))
    }

    @Test func `the policy names the style and the script by their hashes, and lets in nothing else`() {
        let policy = WelcomePage.contentSecurityPolicy
        #expect(policy.hasPrefix("default-src 'none'; style-src 'sha256-"))
        #expect(!policy.contains("unsafe"))
        #expect(!policy.contains("'sha256-'"))
        #expect(policy.components(of: "'sha256-") == 3)
        #expect(!policy.contains("\n"))
    }

    @Test func `the counters are JSON`() {
        let bytes = WelcomePage.counters(
            sites: [("shop/shop.localhost", 5), ("a\"\\\n/b", 6)], requests: 7, connections: 1)
        #expect(
            String(decoding: bytes, as: UTF8.self) == """
                {"requests":7,"connections":1,"sites":{"shop/shop.localhost":5,"a\\"\\\\\\n/b":6}}
                """)
        #expect(
            WelcomePage.counters(sites: [], requests: 0, connections: 0)
                == Array("{\"requests\":0,\"connections\":0,\"sites\":{}}".utf8))
    }

    @Test(arguments: [
        ("chimera-counters", true), ("", false), ("chimera-counter", false), ("chimera-counters=1", false),
        ("Chimera-counters", false),
    ])
    func `one query asks for the counters`(query: String, asks: Bool) {
        #expect(WelcomePage.asksForCounters(query: Array(query.utf8).span) == asks)
    }

    @Test(arguments: [
        ("a # b", "a <i># b</i>"), ("a#b", "a#b"), ("\"a # b\" c", "&quot;a # b&quot; c"), ("#", "<i>#</i>"),
        ("'x' # y", "&#39;x&#39; <i># y</i>"), ("\"a\\\" # b\" # c", "&quot;a\\&quot; # b&quot; <i># c</i>"),
    ])
    func `comments are told from what looks like one`(line: String, shown: String) {
        var text = HTMLText()
        text.put(configuration: line)
        #expect(String(decoding: text.bytes, as: UTF8.self) == "<span>\(shown)\n</span>")
    }

    @Test(arguments: ["", "\n"])
    func `each line of a configuration stands alone, the last with its end or without`(end: String) {
        var text = HTMLText()
        text.put(configuration: "a\n\n# b" + end)
        #expect(
            String(decoding: text.bytes, as: UTF8.self)
                == "<span>a\n</span><span>\n</span><span><i># b</i>\n</span>")
    }

    @Test func `sites are read from a configuration, the tenants' first`() throws {
        let files = MemoryFileSystem(
            currentDirectory: "/srv",
            files: [
                "/srv/chimera.conf": "listen 8080\nsite * { welcome }\nimport conf.d/*.conf\n",
                "/srv/conf.d/a.conf": """
                site a.localhost {
                    GET /x /y/* proxy 127.0.0.1:9001 localhost:9002
                    /old/* redirect /new/{rest} 308
                    /* files ./pub
                }
                """,
                "/srv/conf.d/pub/index.html": "x",
            ])
        let result = ConfigurationLoader(fileSystem: files).load(machineFile: "chimera.conf")
        let configuration = try #require(result.configuration, "\(result.diagnostics)")
        let sites = WelcomeSite.all(in: configuration, from: files)
        #expect(sites.map(\.key) == ["a/a.localhost", "/*"])
        #expect(
            sites[0].routes == [
                .init(pattern: "GET /x /y/*", verb: "proxy", target: "127.0.0.1:9001 localhost:9002"),
                .init(pattern: "/old/*", verb: "redirect", target: "/new/{rest} 308"),
                .init(pattern: "/*", verb: "files", target: "./conf.d/pub"),
            ])
        #expect(sites[1].routes == [.init(pattern: "/*", verb: "welcome", target: "this page")])
        #expect(sites[0].configuration?.hasPrefix("site a.localhost {") == true)
        #expect(sites[1].configuration?.contains("welcome") == true)
    }
}

extension String {
    /// How many parts it falls into at `separator`.
    fileprivate func components(of separator: String) -> Int {
        var count = 1
        var rest = self[...]
        while let found = rest.firstRange(of: separator) {
            count += 1
            rest = rest[found.upperBound...]
        }
        return count
    }
}
