import ChimeraBytes
import ChimeraConfiguration
import Testing

struct SettingsTests {
    /// The settings that a request meets: the machine's, the site's, a block's and the route's.
    private func merged(machine: String = "", site: String = "", block: String = "", route: String = "")
        throws -> Settings
    {
        let result = load(
            tenant: "site a.example {\n\(site)\n/* {\n\(block)\n}\nrespond 200 {\n\(route)\n}\n}",
            machine: "listen 1\n\(machine)\n",
            files: ["m.users": "m:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "page.html": "m"])
        #expect(!result.hasErrors, "\(result.diagnostics.rendered)")
        let site = try #require(result.configuration?.sites.first)
        return site.settings.merging(site.settingsBlocks[0].settings).merging(site.routes[0].settings)
    }

    @Test func `single values are replaced and lists add up on the way down`() throws {
        let settings = try merged(
            machine: "limit body 1MB\nheader A 1\ntimeout head=1s send=1s\nlog access json",
            site: "limit body 2MB\nheader +A 2\ntimeout send=2s read=2s\nstrip /a\ncanonical a.example",
            block: "header -A\nrequest-header ?B {host}\nlog access off",
            route: "header C c d\nlimit head 8KiB\nrewrite /b")
        #expect(settings.limitBody == 2_000_000)
        #expect(settings.limitHead == 8192)
        #expect(
            settings.headerOperations.map { "\($0.kind) \($0.name) \($0.value)" } == [
                "set A 1", "add A 2", "remove A ", "set C c d",
            ])
        #expect(settings.requestHeaderOperations.map(\.kind) == [.setIfMissing])
        #expect(settings.timeouts.head == .milliseconds(1000))
        #expect(settings.timeouts.send == .milliseconds(2000))
        #expect(settings.timeouts.read == .milliseconds(2000))
        #expect(settings.timeouts.connect == nil)
        #expect(settings.strip == nil)
        #expect(settings.rewrite == Template(literal: "/b"))
        #expect(settings.logAccess == false)
        #expect(settings.canonical == "a.example")
    }

    @Test func `the most specific error page of a status counts`() throws {
        let settings = try merged(machine: "error 502 503 page.html", site: "error 502 t/page.html")
        #expect(settings.errorPage(for: 502)?.file.path == "/etc/chimera/conf.d/t/page.html")
        #expect(settings.errorPage(for: 503)?.file.path == "/etc/chimera/page.html")
        #expect(settings.errorPage(for: 504) == nil)
    }

    @Test func `auth off lifts what the same file set, and not what the machine set`() throws {
        #expect(try merged(site: "auth basic t/users", block: "auth off").auth?.kind == .off)
        let kept = try merged(machine: "auth basic m.users", block: "auth off")
        #expect(kept.auth?.owner == "")
        #expect(kept.auth?.kind != .off)
        #expect(try merged(machine: "auth basic m.users", site: "auth basic t/users").auth?.owner == "t")
    }

    private func admission(_ settings: Settings, _ client: String) throws -> Admission {
        let address = try #require(IPAddress(client))
        return settings.admission { subject in
            switch subject {
            case .all: true
            case .clients(let block): block.contains(address)
            case .matcher: false
            }
        }
    }

    @Test(arguments: [
        ("", "", "1.1.1.1", Admission.open),
        ("allow 10.0.0.0/8", "", "10.1.1.1", .open),
        ("allow 10.0.0.0/8", "", "1.1.1.1", .refused),
        ("deny 10.0.0.0/8", "", "10.1.1.1", .refused),
        ("deny 10.0.0.0/8", "", "1.1.1.1", .open),
        ("allow 10.0.0.0/8 ; deny 10.0.0.1", "", "10.0.0.1", .refused),
        ("allow 10.0.0.0/8", "allow 1.1.1.1", "1.1.1.1", .open),
        ("allow 10.0.0.0/8", "allow all", "1.1.1.1", .open),
        ("deny 1.1.1.1", "allow all", "1.1.1.1", .open),
        ("deny all", "", "1.1.1.1", .refused),
        ("auth basic t/users", "", "1.1.1.1", .passwordNeeded),
        ("auth basic t/users", "auth off", "1.1.1.1", .open),
        ("auth basic t/users ; allow 10.0.0.0/8", "", "10.1.1.1", .passwordNeeded),
        ("auth basic t/users ; allow 10.0.0.0/8", "", "1.1.1.1", .refused),
        ("auth basic t/users ; allow 10.0.0.0/8 ; satisfy any", "", "10.1.1.1", .open),
        ("auth basic t/users ; allow 10.0.0.0/8 ; satisfy any", "", "1.1.1.1", .passwordNeeded),
        ("auth basic t/users ; deny 1.1.1.1 ; allow 10.0.0.0/8 ; satisfy any", "", "1.1.1.1", .refused),
        ("allow 10.0.0.0/8 ; satisfy any", "", "1.1.1.1", .refused),
        ("auth basic t/users ; satisfy any", "", "1.1.1.1", .passwordNeeded),
    ])
    func `allow, deny, auth and satisfy admit whom they say`(
        site: String, block: String, client: String, admission: Admission
    ) throws {
        #expect(try self.admission(merged(site: site, block: block), client) == admission)
    }

    @Test func `no tenant's file widens what the machine's file restricts`() throws {
        let settings = try merged(machine: "allow 10.0.0.0/8", site: "allow all", block: "allow 1.1.1.1")
        #expect(try admission(settings, "1.1.1.1") == .refused)
        #expect(try admission(settings, "10.1.1.1") == .open)
        let any = try merged(machine: "allow 10.0.0.0/8\nauth basic m.users", site: "allow all ; satisfy any")
        #expect(try admission(any, "10.1.1.1") == .passwordNeeded)
    }

    @Test func `a matcher may allow`() throws {
        let site = try site("@office client 10.0.0.0/8\n/x/* { allow !@office ; deny @office }\nrespond 200")
        let rules = try #require(site.settingsBlocks.first?.settings.access.first?.rules)
        #expect(rules.map(\.verdict) == [.allow, .deny])
        guard case .matcher(let use) = rules[0].subject else {
            Issue.record("no matcher")
            return
        }
        #expect(use.isNegated)
        #expect(use.matcher.name == "office")
    }
}

struct HostTests {
    @Test(arguments: [
        ("Example.COM", "example.com"), ("example.com.", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"), ("münchen.de", "xn--mnchen-3ya.de"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"), ("правда.рф", "xn--80aafi6cg.xn--p1ai"),
        ("straße.de", "xn--strae-oqa.de"),
        ("127.0.0.1", "127.0.0.1"), ("[::1]", "[::1]"), ("[0:0::1]", "[::1]"), ("a_b.x", "a_b.x"),
        ("localhost", "localhost"),
    ])
    func `a host has one normal form`(text: String, normal: String) {
        #expect(HostName.normalized(text) == .success(normal))
    }

    @Test(arguments: [
        ("", HostName.Failure.empty), ("a..b", .length), (".a", .length), (".", .length), ("a b", .character),
        ("a/b", .character), ("-a", .character), ("a-", .character), ("a:80", .hasPort(host: "a")),
        ("[::1]:80", .hasPort(host: "[::1]")), ("[::1", .character), ("[1.2.3.4]", .character),
        ("a😀b", .character),
        (String(repeating: "a", count: 64), .length),
    ])
    func `what is not a host is refused`(text: String, failure: HostName.Failure) {
        #expect(HostName.normalized(text) == .failure(failure))
    }

    @Test(arguments: [
        (HostPattern.exact("a.x"), "a.x", true), (.exact("a.x"), "b.x", false), (.wildcard("x"), "a.x", true),
        (.wildcard("x"), "x", false), (.wildcard("x"), "a.b.x", false), (.wildcard("x"), ".x", false),
        (.wildcard("x"), "ax", false), (.deepWildcard("x"), "a.b.x", true), (.deepWildcard("x"), "x", false),
        (.deepWildcard("x"), "a.bx", false), (.any, "whatever", true),
    ])
    func `a host pattern matches the labels that it says`(pattern: HostPattern, host: String, isMatch: Bool) {
        #expect(pattern.matches(host) == isMatch)
    }
}
