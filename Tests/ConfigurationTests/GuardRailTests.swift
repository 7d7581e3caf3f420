import ChimeraBytes
import Testing

@testable import ChimeraConfiguration

struct GuardRailTests {
    private static let places = ["/srv/www/index.html": "x", "/srv/other/index.html": "x"]

    /// The messages about a tenant `shop` under these lines of the machine's file.
    private func messages(
        _ lines: String, rails: String, links: [String: String] = [:], environment: [String: String] = [:],
        files more: [String: String] = [:]
    ) -> [String] {
        var files = Self.places
        files["chimera.conf"] = "listen 8080\n\(rails)\nimport conf.d/*.conf\n"
        files["conf.d/shop.conf"] = "site shop.example {\n\(lines)\n}\n"
        files["conf.d/shop/index.html"] = "x"
        files["conf.d/shop.www/index.html"] = "x"
        files["conf.d/shop.htpasswd"] = "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"
        files["conf.d/other/index.html"] = "x"
        files["conf.d/other.htpasswd"] = "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"
        for (path, content) in more { files[path] = content }
        var disk = MemoryFileSystem(files: files)
        disk.links = links
        return ConfigurationLoader(fileSystem: disk, environment: { environment[$0] })
            .load(machineFile: "chimera.conf").diagnostics.filter { $0.position.file == "conf.d/shop.conf" }
            .map { "\($0.position.line):\($0.position.column): \($0.text)" }
    }

    @Test(arguments: [
        "files ./shop", "files /srv/www", "proxy 127.0.0.1:80", "proxy unix:/run/x.sock", "redirect /x",
        "respond 200",
        "welcome", "files ./other", "header X env:SECRET",
    ])
    func `without a tenants block nothing binds the files`(line: String) {
        let found = messages(line + "\nrespond 204", rails: "", environment: ["SECRET": "x"])
        #expect(found.filter { !$0.contains("as specific") } == [])
    }

    @Test(
        arguments: [
            ("redirect /x", ""), ("respond 200", ""),
            ("files ./shop", "2:1: `files` is not permitted to this tenant"),
            ("/x/* proxy 127.0.0.1:80", "2:6: `proxy` is not permitted to this tenant"),
            ("welcome", "2:1: `welcome` is not permitted to this tenant"),
        ])
    func `what is not permitted is denied`(line: String, message: String) {
        let found = messages(line, rails: "tenants { }")
        #expect(found.count == (message.isEmpty ? 0 : 1))
        #expect(message.isEmpty || found.first?.hasPrefix(message) == true)
        #expect(message.isEmpty || found.first?.hasSuffix("(see chimera.conf:2:1)") == true)
    }

    @Test func `a tenant's own block adds to what all may do`() {
        let rails = "tenants { permit files }\ntenant shop { permit proxy }"
        #expect(messages("/a/* files ./shop\nproxy 127.0.0.1:80", rails: rails) == [])
        #expect(
            messages("proxy 127.0.0.1:80", rails: "tenants { permit files }\ntenant x { permit proxy }").count
                == 1)
    }

    @Test(arguments: [
        ("files ./shop", true), ("files ./shop/", true), ("files ./shop.www", true), ("files /srv/www", true),
        ("files ./other", false), ("files .", false), ("files /etc/chimera", false),
        ("files ./shop/../other", false),
        ("files /srv/other", false), ("files /", false), ("files ./shop/{host.1}", true),
        ("files ./{host.1}", false),
        ("files ./shop{host.1}", false), ("files /srv/www/{host.1}", true), ("files ./shop/link", false),
        ("files ./shop/inner", true), ("files ./shop.eu", false), ("files ./shop.eu.www", false),
        ("error 404 shop/index.html\nrespond 200", true), ("error 404 other/index.html\nrespond 200", false),
        ("error 404 shop/page\nrespond 200", false), ("auth basic shop.htpasswd\nrespond 200", true),
        ("auth basic other.htpasswd\nrespond 200", false),
        ("closed 503 other/index.html\nrespond 200", false),
        ("respond 200 file:shop/index.html", true), ("respond 200 file:other/index.html", false),
        ("respond 200 file:/srv/www/index.html", true),
        ("header X file:other/index.html\nrespond 200", false),
    ])
    func `paths stay in what is the tenant's own`(line: String, isPermitted: Bool) {
        let found = messages(
            line, rails: "tenants { permit files under=/srv/www }",
            links: [
                "/etc/chimera/conf.d/shop/link": "/srv/other",
                "/etc/chimera/conf.d/shop/inner": "../shop.www",
                "/etc/chimera/conf.d/shop/page": "/srv/other/index.html",
            ],
            files: [
                "conf.d/shop.eu.conf": "site eu.example { respond 200 }\n", "conf.d/shop.eu/index.html": "x",
                "conf.d/shop.eu.www/index.html": "x",
            ])
        #expect(found.isEmpty == isPermitted, "\(found)")
        if !isPermitted { #expect(found.first?.contains("leads out of what belongs to this tenant") == true) }
    }

    @Test func `a link in the place of the tenant's own directory is none of its own`() {
        let found = messages(
            "files ./shop/x", rails: "tenants { permit files }",
            links: ["/etc/chimera/conf.d/shop": "/srv"], files: ["/srv/x/index.html": "x"])
        #expect(found.count == 1)
    }

    @Test func `a directory of a bound tenant is confined while it serves`() throws {
        let files = [
            "chimera.conf": "listen 1\ntenants { permit files under=/srv }\nimport conf.d/*.conf\n",
            "conf.d/shop.conf": "site s.example { files ./shop/www ; /x/* files /srv/www }\n",
            "conf.d/shop/www/index.html": "x", "/srv/www/index.html": "x",
        ]
        let result = ConfigurationLoader(fileSystem: MemoryFileSystem(files: files)).load(
            machineFile: "chimera.conf")
        let site = try #require(result.configuration?.sites.first?.site)
        let tops = site.routes.compactMap { route in
            if case .files(let target) = route.destination { target.confinement } else { nil }
        }
        #expect(tops == ["/etc/chimera/conf.d/shop", "/srv"])
    }

    @Test(arguments: [
        ("proxy 10.1.2.3:80", true), ("proxy 127.0.0.1:80", true), ("proxy 192.168.0.1:80", false),
        ("proxy [::1]:80", false), ("proxy [::ffff:10.0.0.1]:80", true), ("proxy 0.0.0.0:80", false),
        ("proxy name.example:80", true), ("proxy unix:/run/x.sock", true), ("proxy unix:/run/y.sock", false),
        ("proxy shared", true), ("proxy { to 192.168.0.1:80 }", false),
    ])
    func `connections lead where the machine's file lets them`(line: String, isPermitted: Bool) {
        let found = messages(
            line,
            rails: """
                pool shared { to 192.168.9.9:80 }
                tenants { permit proxy to=10.0.0.0/8 to=127.0.0.0/8 to=unix:/run/x.sock }
                """)
        #expect(found.isEmpty == isPermitted, "\(found)")
    }

    @Test func `a name's addresses are bound as well`() throws {
        let files = [
            "chimera.conf":
                "listen 1\ntenants { permit proxy to=10.0.0.0/8 }\npool p { to b:1 }\nimport conf.d/*.conf\n",
            "conf.d/shop.conf": "site s.example { proxy a:1 p }\n",
        ]
        let result = ConfigurationLoader(fileSystem: MemoryFileSystem(files: files)).load(
            machineFile: "chimera.conf")
        let site = try #require(result.configuration?.sites.first?.site)
        guard case .proxy(let proxy) = site.routes[0].destination else {
            Issue.record("not a proxy")
            return
        }
        #expect(proxy.targets.map { $0.reach?.map(\.description) } == [["10.0.0.0/8"], nil])
    }

    @Test(
        arguments: [
            ("header X env:TOKEN", ""), ("header X env:SECRET", "`env:SECRET` is not permitted"),
        ])
    func `the environment needs a permit for each name`(line: String, message: String) {
        let found = messages(
            line + "\nrespond 200", rails: "tenants { permit env TOKEN }",
            environment: ["TOKEN": "x", "SECRET": "y"])
        #expect(found.isEmpty == message.isEmpty)
        #expect(found.allSatisfy { $0.contains(message) && !$0.contains("\"y\"") })
    }

    @Test(
        arguments: [
            ("limit body 1MB", nil), ("limit body 2MB", "2MB"), ("/x/* { limit body 3MB }", "3MB"),
            ("limit head 8KiB", nil), ("limit head 32KiB", "32KiB"),
        ] as [(String, String?)])
    func `a tenant may only tighten limits`(line: String, refused: String?) {
        let found = messages(line + "\nrespond 200", rails: "tenants { limit body 1MB ; limit head 16KiB }")
        #expect(found.isEmpty == (refused == nil))
        if let refused { #expect(found.first?.contains("\"\(refused)\" is more than") == true) }
    }

    @Test func `a limit counts where the tenant says nothing`() throws {
        let files = [
            "chimera.conf":
                "listen 1\ntenants { limit body 1MB }\ntenant b { limit body 5MB }\nimport conf.d/*.conf\n",
            "conf.d/a.conf": "site a.example { respond 200 }\n",
            "conf.d/b.conf": "site b.example { respond 200 }\n",
        ]
        let result = ConfigurationLoader(fileSystem: MemoryFileSystem(files: files)).load(
            machineFile: "chimera.conf")
        #expect(result.configuration?.sites.map(\.site.settings.limitBody) == [1_000_000, 5_000_000])
    }

    @Test func `what a shared block of the machine's file says is not bound`() {
        let found = messages(
            "use maintenance\n/own/* files ./shop",
            rails: "define maintenance { /m/* files /srv/other ; error 404 /srv/other/index.html }\n"
                + "tenants { permit files under=/srv/www }")
        #expect(found == [])
    }

    @Test(
        arguments: [
            ("tenants { limit requests 5/s }", ["5/s burst=5"], []),
            (
                "tenant t { limit requests 7/m burst=2 per=client\nlimit connections 3 }",
                ["7/m burst=2 per=client"], ["3"]
            ),
            ("tenant other { limit requests 7/m }", [], []),
            (
                "tenants { limit requests 5/s\nlimit connections 9 }\ntenant t { limit requests 7/s }",
                ["7/s burst=7"], ["9"]
            ),
        ])
    func `bounds that count stand before the tenant's own, of its block or of all`(
        rails: String, requests: [String], connections: [String]
    ) throws {
        let result = load(
            tenant: "site a.example { limit requests 1/s\nlimit connections 2\nrespond 200 }\n",
            machine: "listen 8080\n\(rails)\n")
        let settings = try #require(result.configuration?.sites.first?.site.settings)
        #expect(settings.requestLimits.map(\.description) == requests + ["1/s burst=1"])
        #expect(settings.connectionLimits.map(\.description) == connections + ["2"])
    }

    @Test func `sites of the machine's own file are not bound`() {
        let result = load(machine: "listen 1\ntenants { }\nsite a.example { proxy 192.168.0.1:80 }\n")
        #expect(!result.hasErrors)
    }

    @Test(arguments: [
        "listen 81", "import x.conf", "tenants { permit files }", "workers 2", "log access off",
    ])
    func `what is the machine's stands in no tenant's file`(line: String) {
        let result = load(tenant: line + "\n", machine: "listen 8080\n")
        #expect(result.refusedTenants == ["t"])
    }

    @Test(
        arguments: [
            ("tenants { permit fastcgi }", "this version does not have the verb `fastcgi` yet"),
            ("tenants { permit fils }", "unknown verb \"fils\"; did you mean \"files\"?"),
            (
                "tenants { permit files udner=/srv }",
                "`permit` has no option \"udner\"; did you mean \"under=/srv\"?"
            ),
            ("tenants { permit proxy to=10.0.0.0/33 }", "is not a block of addresses"),
            ("tenants { permit proxy to=unix:run/x }", "a socket's path begins with /"),
            ("tenants { permit env }", "`permit env` needs at least one NAME"),
            ("tenants { permit files twice }", "\"twice\" is one word too many"),
            ("tenants { limit processes 50 }", "this version does not have `limit processes` yet"),
            ("tenants { hosts a.example }", "`hosts` stands in `tenant`, not in `tenants` or `tenant`"),
            ("tenants { }\ntenants { }", "`tenants` stands here twice"),
            ("tenant a { }\ntenant a { }", "`tenant a` stands here twice"),
            ("tenant { }", "`tenant` needs ID"),
        ])
    func `errors of guard rails help`(lines: String, message: String) {
        let found = load(machine: "listen 1\n" + lines + "\n").diagnostics.map(\.text)
        #expect(found.contains { $0.contains(message) }, "\(found)")
    }
}
