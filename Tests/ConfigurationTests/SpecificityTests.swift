import ChimeraConfiguration
import Testing

struct SpecificityTests {
    /// From the most specific on.
    private func order(_ lines: [String]) throws -> [String] {
        let site = try site(
            (["@m scheme http", "@n scheme https"] + lines.map { "\($0) respond 200" }).joined(
                separator: "\n"))
        return site.routesBySpecificity.map { lines[$0] }
    }

    static let orders: [[String]] = [
        ["/a", "/*.php", "/{x}", "/", "/*"],
        ["/a/b", "/a/*.php", "/a/{x}", "/a", "/a/*", "/*.php", "/{x}/b", "/{x}", "/*"],
        ["/*.tar.gz", "/*.gz", "/{x}"],
        ["/api/{x}/y", "/api/{x}", "/api/*"],
        ["/a/* @m @n", "GET /a/* @m", "/a/* @m", "GET /a/*", "/a/*"],
        ["/a", "GET /{x} @m @n"],
    ]

    @Test(arguments: orders)
    func `the most specific route goes first, whatever the order of the file`(expected: [String]) throws {
        #expect(try order(expected) == expected)
        #expect(try order(expected.reversed()) == expected)
    }

    @Test func `what is left equal goes by file order`() throws {
        #expect(try order(["/a/{x} @m", "/a/{y} @n"]) == ["/a/{x} @m", "/a/{y} @n"])
    }

    @Test func `settings blocks add up from the least specific on`() throws {
        let site = try site(
            """
            /a/b/* { header X 1 }
            /* { header X 2 }
            /a/* { header X 3 }
            POST /a/* { header X 4 }
            respond 200
            """)
        #expect(site.blocksBySpecificity.map { site.settingsBlocks[$0].position.line } == [3, 4, 5, 2])
    }

    @Test(arguments: [
        ("/a/*", "/a/b", true), ("/a/*", "/a", true), ("/a/*", "/*", false), ("/*", "/a/*.php", true),
        ("/{x}", "/a", true), ("/a", "/{x}", false), ("/*.php", "/a/b.php", true),
        ("/*.php", "/a/*.php", true),
        ("/*.gz", "/*.tar.gz", true), ("/*.tar.gz", "/*.gz", false), ("/*.php", "/a/{x}", false),
        ("/{x}/*", "/*", false),
        ("/{x}/*", "/a/*", true), ("/", "/", true),
    ])
    func `a pattern covers another if every path of that fits`(left: String, right: String, covers: Bool)
        throws
    {
        let site = try site("\(left) { strip /x }\n\(right) { strip /y }\nrespond 200")
        #expect(site.settingsBlocks[0].pattern.covers(site.settingsBlocks[1].pattern) == covers)
    }

    @Test(arguments: [
        ("/a/*", "/*.php", "/a/x.php"), ("/a/{x}", "/{x}/b", "/a/b"), ("/a", "/b", nil), ("/a", "/a/*", "/a"),
        ("/*.php", "/a/b.php", "/a/b.php"), ("/*.php", "/a/b.css", nil), ("/*.gz", "/*.tar.gz", "/x.tar.gz"),
        ("/*.a", "/*.b", nil), ("/a", "/a/b", nil), ("/", "/*", "/"), ("/caf%C3%A9", "/*", "/caf%C3%A9"),
        ("/{x}/*.php", "/a/{y}", "/a/x.php"), ("/*", "/*", "/x"),
    ])
    func `two patterns have an example path where they meet`(left: String, right: String, path: String?)
        throws
    {
        let site = try site("\(left) { strip /x }\n\(right) { strip /y }\nrespond 200")
        #expect(site.settingsBlocks[0].pattern.example(alsoMatching: site.settingsBlocks[1].pattern) == path)
        #expect(site.settingsBlocks[1].pattern.example(alsoMatching: site.settingsBlocks[0].pattern) == path)
    }
}

struct WarningTests {
    static let cases: [(lines: String, warnings: [String])] = [
        (
            "/a/{x} respond 200\n/a/{y} respond 201",
            ["\"/a/{y}\" is as specific as an earlier route, which is tried first (see conf.d/t.conf:2:1)"]
        ),
        ("GET /a respond 200\nPOST /a respond 201", []),
        (
            "GET /a respond 200\nHEAD /a respond 201",
            ["\"/a\" is as specific as an earlier route, which is tried first (see conf.d/t.conf:2:1)"]
        ),
        (
            "GET /a respond 200\nPOST /a respond 201\nGET /a respond 202",
            ["\"/a\" is as specific as an earlier route, which is tried first (see conf.d/t.conf:2:1)"]
        ),
        ("@m scheme http\n/a @m respond 200\n/a !@m respond 201", []),
        (
            "/admin/* respond 200 { auth basic t/users }\n/admin/login respond 200",
            [
                "/admin/login escapes `auth` of \"/admin/*\": \"/admin/login\" is more specific (see conf.d/t.conf:3:1)"
            ]
        ),
        ("/admin/* respond 200 { auth basic t/users }\n/admin/login respond 200 { auth off }", []),
        ("/admin/* { auth basic t/users }\n/admin/* respond 200\n/admin/login respond 200", []),
        ("/admin/* respond 200 { allow 10.0.0.0/8 }\n/*.php respond 201", []),
        (
            "/{x}/admin/* respond 200 { deny 10.0.0.0/8 }\n/*.php respond 201",
            [
                "/x/admin/x.php escapes `deny` of \"/{x}/admin/*\": \"/*.php\" is more specific (see conf.d/t.conf:3:1)"
            ]
        ),
        (
            "@m client 10.0.0.0/8\n/a/* @m respond 200\n/a/b respond 201",
            ["/a/b escapes @m of \"/a/*\": \"/a/b\" is more specific (see conf.d/t.conf:4:1)"]
        ),
        ("@m client 10.0.0.0/8\n/a/* @m respond 200\n/a/b @m respond 201", []),
        ("@m client 10.0.0.0/8\n/a/* @m respond 200\n/a/b respond 201\n/a/b @m respond 202", []),
        (
            "@m client 10.0.0.0/8\n@n scheme http\n/a/* @m respond 200\n/a/b respond 201\n/a/b @n respond 202",
            ["/a/b escapes @m of \"/a/*\": \"/a/b\" is more specific (see conf.d/t.conf:6:1)"]
        ),
        (
            "@m client 10.0.0.0/8\n/a/* @m respond 200\nGET /a/b respond 201\nPOST /a/b @m respond 202",
            ["/a/b escapes @m of \"/a/*\": \"/a/b\" is more specific (see conf.d/t.conf:4:1)"]
        ),
        ("@m client 10.0.0.0/8\n/a/* @m respond 200\n/a/* respond 201", []),
        (
            "@m scheme http\n/a/* respond 200 { auth basic t/users }\n/a/* @m respond 201",
            ["/a/x escapes `auth` of \"/a/*\": \"/a/*\" is more specific (see conf.d/t.conf:4:1)"]
        ),
        ("POST /a/* respond 200 { auth basic t/users }\nGET /a/b respond 201", []),
        (
            "/admin { auth basic t/users }\nrespond 200",
            ["`auth` under \"/admin\" guards nothing below it; did you mean \"/admin/*\"?"]
        ),
        (
            "/admin respond 200 { allow 10.0.0.0/8 }",
            ["`allow` under \"/admin\" guards nothing below it; did you mean \"/admin/*\"?"]
        ),
        (
            "/ { deny 10.0.0.0/8 }\nrespond 200",
            ["`deny` under \"/\" guards nothing below it; did you mean \"/*\"?"]
        ),
        ("/hook { auth off ; allow all }\nrespond 200", []),
        ("/*.php { deny all }\nrespond 200", []),
        ("files t fallback=/none.html", ["\"/none.html\" is not a file in \"t\""]),
        ("files t fallback=/page.html", []),
        (
            "allow 10.0.0.1/8\nrespond 200",
            [
                "\"10.0.0.1/8\" has address bits past its prefix, which do not count; did you mean \"10.0.0.0/8\"?"
            ]
        ),
    ]

    @Test(arguments: cases)
    func `what may surprise is warned of, with an example`(lines: String, warnings: [String]) {
        let result = load(tenant: "site a.example {\n\(lines)\n}\n")
        #expect(result.diagnostics.map(\.text) == warnings)
        #expect(!result.hasErrors)
        #expect(result.configuration?.warnings == result.diagnostics)
        #expect(result.configuration?.sites.count == 1)
    }

    @Test func `a warning says that it is one`() {
        let result = load(tenant: "site a.example { /admin { deny all } ; respond 200 }")
        #expect(
            result.diagnostics.rendered == """
                conf.d/t.conf:1:18: warning: `deny` under "/admin" guards nothing below it; did you mean "/admin/*"?
                site a.example { /admin { deny all } ; respond 200 }
                                 ^~~~~~

                """)
    }

    @Test func `a named listener without a site is warned of`() {
        #expect(
            load(machine: "listen 1\nlisten 2 name=internal").diagnostics.map(\.rendered) == [
                "chimera.conf:2:1: warning: no site answers on the listener \"internal\"\nlisten 2 name=internal\n^"
            ])
    }
}
