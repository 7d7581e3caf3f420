import ChimeraBytes
import ChimeraConfiguration
import Testing

struct RouteTests {
    private func pattern(_ text: String) throws -> PathPattern {
        try route("\(text) respond 200").pattern
    }

    private func segments(_ path: String) -> [[UInt8]] {
        path.split(separator: "/").map { Array($0.utf8) }
    }

    @Test(arguments: [
        ("/", "/", true), ("/", "/a", false), ("/*", "/", true), ("/*", "/a/b", true),
        ("/api/*", "/api", true),
        ("/api/*", "/api/", true), ("/api/*", "/api/x/y", true), ("/api/*", "/apix", false),
        ("/admin", "/admin/", true),
        ("/admin", "/admin/x", false), ("/admin/", "/admin", true), ("/*.php", "/a/b.php", true),
        ("/*.php", "/b.php", true), ("/*.php", "/b.PHP", false), ("/*.php", "/b.php/x", false),
        ("/*.php", "/php", false),
        ("/a/*.tar.gz", "/a/x.tar.gz", true), ("/a/*.tar.gz", "/a/x.gz", false),
        ("/a/*.gz", "/a/x.tar.gz", true),
        ("/u/{name}", "/u/ann", true), ("/u/{name}", "/u", false), ("/u/{name}", "/u/ann/x", false),
        ("/u/{name}/*", "/u/ann", true), ("/A", "/a", false), ("/caf%C3%A9", "/café", true),
        ("/café", "/café", true),
        ("//a//b", "/a/b", true), ("/%7Ea", "/~a", true),
    ])
    func `a pattern matches what the language says`(text: String, path: String, isMatch: Bool) throws {
        #expect(try pattern(text).matches(segments(path)) == isMatch)
    }

    @Test func `several patterns give several routes with their own captures`() throws {
        let site = try site("/a/{x}/* /{x}/* redirect /to/{x}/{rest}")
        #expect(site.routes.map(\.statement) == [1, 1])
        let variables = site.routes.map { route -> [Variable] in
            if case .redirect(let to, _) = route.destination { to.variables } else { [] }
        }
        #expect(
            variables == [
                [.capture("x", segment: 1), .rest(fromSegment: 2)],
                [.capture("x", segment: 0), .rest(fromSegment: 1)],
            ])
    }

    @Test func `a verb without a pattern is every path`() throws {
        let route = try route("redirect https://b.example/{rest}")
        #expect(route.pattern == .everything)
        #expect(try #require(try site("POST respond 200").routes.first).methods == ["POST"])
    }

    @Test func `GET includes HEAD, and methods may be of anyone's making`() throws {
        #expect(try route("GET,PURGE /x respond 200").methods == ["GET", "HEAD", "PURGE"])
        #expect(try route("M-SEARCH /x respond 200").methods == ["M-SEARCH"])
        #expect(try route("/x respond 200").allows(method: "ANY"))
        #expect(try !route("POST /x respond 200").allows(method: "GET"))
    }

    @Test func `lines of one matcher must all hold`() throws {
        let route = try route(
            """
            @m header User-Agent *Mobile* b
            @m client 10.0.0.0/8 ::1
            @m method GET
            @m cookie c
            @m query q 1
            @m scheme https
            @m host *.b.example
            @m path /x/*
            /* @m respond 200
            """)
        let matcher = try #require(route.matchers.first?.matcher)
        #expect(matcher.name == "m")
        #expect(
            matcher.conditions == [
                .header("user-agent", [Glob("*Mobile*"), Glob("b")]),
                .client([try #require(CIDR("10.0.0.0/8")), try #require(CIDR("::1"))]),
                .method(["GET", "HEAD"]),
                .cookie("c", []), .query("q", [Glob("1")]), .scheme(["https"]),
                .host([.wildcard("b.example")]),
                .path([PathPattern(segments: [.literal(Array("x".utf8)), .rest], text: "/x/*")]),
            ])
    }

    @Test func `a site's matcher comes before its file's, and that before the machine's`() throws {
        let result = load(
            tenant:
                "@a header X t\n@b header X t\nsite a.example { @a header X s ; /1 @a @b @c respond 200 }",
            machine: "listen 1\n@b header X m\n@c header X m\n")
        let matchers = try #require(result.configuration?.sites.first?.routes.first).matchers
        #expect(
            matchers.map(\.matcher.conditions) == [
                [.header("x", [Glob("s")])], [.header("x", [Glob("t")])], [.header("x", [Glob("m")])],
            ])
    }

    @Test(arguments: [
        ("*", "", true), ("*", "abc", true), ("abc", "abc", true), ("abc", "abcd", false),
        ("a*", "abc", true),
        ("*c", "abc", true), ("a*c", "ac", true), ("a*c", "a", false), ("aa*aa", "aaa", false),
        ("*b*", "abc", true),
        ("*b*c*", "xbxcx", true), ("*c*b*", "abc", false), ("a*b*b", "abb", true), ("a*b*b", "ab", false),
        ("", "", true), ("", "a", false), ("**", "a", true), ("A", "a", false),
    ])
    func `a glob's star stands for any bytes`(glob: String, value: String, isMatch: Bool) {
        let bytes = Array(value.utf8)
        #expect(Glob(glob).matches(bytes.span) == isMatch)
    }

    @Test func `a target's name may have labels of the host and captures`() throws {
        let route = try route("/t/{app}/* proxy {app}.{host.1}.internal:8080")
        guard case .proxy(let proxy) = route.destination,
            case .template(let name, 8080)? = proxy.targets.first?.address
        else {
            Issue.record("no template")
            return
        }
        #expect(
            name.parts == [
                .variable(.capture("app", segment: 1)), .literal("."), .variable(.hostLabel(1)),
                .literal(".internal"),
            ])
    }

    @Test func `every variable of the language is read`() throws {
        let names = [
            "host", "host.1", "path", "uri", "query", "query.a b", "header.User-Agent", "cookie.c", "method",
            "scheme",
            "client", "user", "id", "site", "tenant", "route", "rest",
        ]
        let word = names.map { "{\($0)}" }.joined(separator: "-")
        let route = try route("respond 200 \"\(word)\"")
        guard case .respond(_, .text(let template)) = route.destination else {
            Issue.record("no text")
            return
        }
        #expect(
            template.variables == [
                .host, .hostLabel(1), .path, .uri, .query, .queryParameter("a b"), .header("user-agent"),
                .cookie("c"),
                .method, .scheme, .client, .user, .id, .site, .tenant, .route, .rest(fromSegment: 0),
            ])
        #expect(template.description == word.replacingUserAgent)
    }

    @Test(arguments: [
        ("/assets/* files t", 1), ("/* files t", 0), ("/favicon.ico files t", 0), ("/a/b files t", 1),
        ("/a/b/*.css files t", 2), ("/a/{x}/* files t", 1), ("/ files t", 0),
    ])
    func `files takes the leading literals off, but an exact pattern keeps its last`(line: String, count: Int)
        throws
    {
        guard case .files(let target) = try route(line).destination else {
            Issue.record("not files")
            return
        }
        #expect(target.strippedSegments == count)
    }

    @Test func `a directory may have variables, each one segment`() throws {
        guard case .files(let target) = try route("files ./t/x-{host.1}/www").destination else {
            Issue.record("not files")
            return
        }
        #expect(
            target.directory.parts == [
                .literal("/etc/chimera/conf.d/t/x-"), .variable(.hostLabel(1)), .literal("/www"),
            ])
    }

    @Test func `a redirect may begin with a path, a scheme, or a variable that is one`() throws {
        for url in [
            "/a", "https://b.example{uri}", "{scheme}://www.{host}{uri}", "{path}/", "mailto:a@b.example",
        ] {
            #expect(messages("redirect \(url)").isEmpty)
        }
    }
}

extension String {
    fileprivate var replacingUserAgent: String {
        split(separator: "User-Agent", omittingEmptySubsequences: false).joined(separator: "user-agent")
    }
}
