import ChimeraBytes
import ChimeraConfiguration
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

@testable import Chimera

struct DispatcherSettingsTests {
    // MARK: Header operations

    @Test func `header operations set, add, remove and fill in, from the machine to the route`() throws {
        let dispatching = try Dispatching.site(
            """
            header +X-List site
            header -Content-Type
            /* respond 200 x {
                header X-Set two words
                header +X-List route
                header ?X-Set other
                header ?X-New new
            }
            """, machine: "header X-List machine\nheader X-Set machine")
        let answered = dispatching.ask("/")
        #expect(answered.response.values("X-List") == ["machine", "site", "route"])
        #expect(answered.response.values("X-Set") == ["two words"])
        #expect(answered["X-New"] == "new")
        #expect(answered["Content-Type"] == nil)
    }

    @Test(arguments: [
        "Content-Length", "transfer-encoding", "Connection", "Upgrade", "Keep-Alive", "TE", "Trailer",
    ])
    func `no operation touches how a message is framed`(name: String) {
        let position = SourcePosition(file: "t", line: 1, column: 1)
        let operation = HeaderOperation(
            kind: .set, name: name, value: Template(literal: "7"), position: position)
        #expect(CompiledHeaderOperation(operation) == nil)
    }

    @Test func `header operations hold for errors, redirects and what a destination answers`() throws {
        let dispatching = try Dispatching.site(
            "header X-Here yes\n/r redirect /\n/p proxy 127.0.0.1:1 {\nheader X-Here {route}\n}")
        #expect(dispatching.ask("/none")["X-Here"] == "yes")
        #expect(dispatching.ask("/r")["X-Here"] == "yes")
        let proxied = dispatching.ask("/p")
        #expect(proxied["X-Here"] == nil)
        dispatching.dispatcher.finishResponse(proxied.context, proxied.request, proxied.response)
        #expect(proxied["X-Here"] == "/p")
    }

    @Test func `request-header changes what an upstream gets`() throws {
        let dispatching = try Dispatching.site(
            """
            request-header -Cookie
            request-header X-User {user}
            request-header Host {host.1}.internal
            request-header X-Copy {header.x-old}
            /* proxy 127.0.0.1:1
            """)
        let answered = dispatching.ask(
            Asked(fields: [("Cookie", "a"), ("X-User", "forged"), ("Host", "a.example"), ("X-Old", "old")]))
        dispatching.dispatcher.finishRequest(answered.context, answered.request, to: answered.request)
        #expect(answered.request.value("Cookie") == nil)
        #expect(answered.request.value("X-User") == nil)
        #expect(answered.request.values("Host") == ["a.internal"])
        #expect(answered.request.value("X-Copy") == "old")
    }

    // MARK: Variables

    @Test(arguments: [
        ("{host}", "a.example"), ("{host.1}.{host.2}.{host.3}", "a.example."), ("{path}", "/v/a%20b/c;d/"),
        ("{uri}", "/v/a%20b/c;d/?q=1&n=%41+b"), ("{query}", "q=1&n=%41+b"), ("{query.n}", "A b"),
        ("x{query.none}", "x"),
        ("{header.user-agent}", "curl"), ("{cookie.b}", "2"), ("{method}", "GET"), ("{scheme}", "http"),
        ("{client}", "192.0.2.7"), ("{site}", "a.example"), ("{tenant}", "t"), ("{route}", "/v/{name}/*"),
        ("{name}", "a b"), ("{rest}", "c/"), ("{{{name}", "{a b"), ("-{user}-", "--"),
    ])
    func `a variable stands for what config says`(template: String, value: String) throws {
        let dispatching = try Dispatching.site("/v/{name}/* respond 200 {\nheader X-Value \"\(template)\"\n}")
        let answered = dispatching.ask(
            Asked(
                "/v/./a%20b/c;d/?q=1&n=%41+b",
                fields: [("User-Agent", "curl"), ("Cookie", "a=1"), ("Cookie", "b=2; c=3")]))
        #expect(answered["X-Value"] == value)
    }

    @Test func `a value in a field holds no control character`() throws {
        let dispatching = try Dispatching.site("/{name} respond 200 {\nheader X-Value <{name}>\n}")
        #expect(dispatching.ask("/a%0d%0aX:b%7f%01")["X-Value"] == "<a%0D%0AX:b%7F%01>")
    }

    @Test func `an id is 32 digits, the same for a request and another for the next`() throws {
        let dispatching = try Dispatching.site("/* respond 200 {\nheader X-A {id}\nheader X-B {id}\n}")
        let first = dispatching.ask("/")
        let second = dispatching.ask("/")
        #expect(first["X-A"]?.utf8.count == 32)
        #expect(first["X-A"]?.utf8.allSatisfy { $0.hexValue != nil } == true)
        #expect(first["X-A"] == first["X-B"])
        #expect(first["X-A"] != second["X-A"])
        let again = dispatching.again(first.context, first.request)
        #expect(again["X-A"] == first["X-A"])
    }

    @Test(arguments: [
        ("a", true), ("a b", true), (".a", false), ("..", false), ("a%2Fb", false), ("a%01", true),
    ])
    func `a value in a directory is one segment that is not hidden`(segment: String, stands: Bool) throws {
        let dispatching = try Dispatching.site("/x/* files ./d/{query.d}/www")
        let encoded = segment.replacing(" ", with: "+")
        let answered = dispatching.ask("/x/y?d=\(encoded)")
        let directory = try #require(answered.context.route?.directory)
        let output = ByteBuffer(capacity: 16)
        #expect(directory.expand(answered.context, answered.request, into: output) == stands)
        if segment == "a" { #expect(String(copying: output.readable) == "/etc/chimera/conf.d/d/a/www") }
    }

    @Test(arguments: [("app-1", true), ("a.b", false), ("a:80", false), ("%C3%A4", false), ("a_b", true)])
    func `a value in an upstream's name is a part of it`(segment: String, stands: Bool) throws {
        let dispatching = try Dispatching.site("/{app}/* proxy {app}.internal:80")
        let answered = dispatching.ask("/\(segment)/y")
        let name = try #require(answered.context.route?.upstreamNames.first ?? nil)
        #expect(name.expand(answered.context, answered.request, into: ByteBuffer(capacity: 16)) == stands)
    }

    // MARK: Paths of destinations

    @Test(arguments: [
        ("strip /api", "/api/x?q", "/x?q", "/x"), ("strip /api", "/api", "/", "/"),
        ("strip /api", "/api/", "/", "/"),
        ("strip /api", "/apis/x", "/apis/x", "/apis/x"), ("strip /api/v1", "/api/v1/x", "/x", "/x"),
        ("strip /api/v1", "/api/v2/x", "/api/v2/x", "/api/v2/x"),
        ("strip /api", "//api//x%20y", "/x%20y", "/x y"),
        ("strip /api", "/%61pi;v=1/x;y/z", "/x;y/z", "/x/z"), ("strip /api", "/api%2Fx", "/x", "/x"),
        ("strip /api", "/;p/api/x", "/x", "/x"), ("rewrite /new/{path}", "/a", "/new//a", "/new/a"),
        ("rewrite /new{path}", "/a%20b?q=1", "/new/a%20b?q=1", "/new/a b"),
        ("rewrite /n?p={path}", "/a?q", "/n?p=%2Fa", "/n"),
        ("rewrite {uri}", "/a?q", "/a?q", "/a"),
        ("rewrite /{query.p}", "/a?p=../x%3Fy", "/x%3Fy?p=../x%3Fy", "/x?y"),
        ("rewrite /i.php?{query}", "/a?b=%20", "/i.php?b=%20", "/i.php"),
    ])
    func `strip and rewrite make the destination's path`(
        setting: String, target: String, sent: String, matched: String
    ) throws {
        let answered = try Dispatching.site("/* proxy 127.0.0.1:1 {\n\(setting)\n}").ask(target)
        #expect(answered.upstreamTarget == sent)
        #expect(String(copying: answered.context.filesPath(strippedSegments: 0)) == matched)
    }

    @Test func `without settings the target is what the client wrote, dot segments resolved`() throws {
        let dispatching = try Dispatching.site("/* proxy 127.0.0.1:1")
        #expect(dispatching.ask("//a/%7E;x//b?").upstreamTarget == "//a/%7E;x//b?")
        #expect(dispatching.ask("/a/../b/%2e/c?d/../e").upstreamTarget == "/b/c?d/../e")
    }

    @Test func `a prefix stands before the path, also one that was stripped`() throws {
        let dispatching = try Dispatching.site(
            """
            /a/* proxy 127.0.0.1:1 { prefix /v2/{host.1} ; strip /a }
            /* proxy 127.0.0.1:1 { prefix /v3 }
            """
        )
        #expect(dispatching.ask("/a/b?c").upstreamTarget == "/v2/a/b?c")
        #expect(dispatching.ask("/x/%79?c").upstreamTarget == "/v3/x/%79?c")
    }

    @Test(arguments: [
        ("/assets/*", 1, "/assets/x/y", "/x/y"), ("/assets/*", 1, "/assets", ""),
        ("/assets/*", 1, "/assets/", "/"),
        ("/a/b/*", 2, "/a//b/c%20d", "/c d"), ("/favicon.ico", 0, "/favicon.ico", "/favicon.ico"),
        ("/*", 0, "/", "/"), ("/a/x.txt", 1, "/a/x.txt", "/x.txt"),
    ])
    func `files take the leading literals off`(pattern: String, count: Int, target: String, path: String)
        throws
    {
        let answered = try Dispatching.site("\(pattern) files ./d").ask(target)
        #expect(answered.context.route?.strippedSegments == count)
        #expect(String(copying: answered.context.filesPath(strippedSegments: count)) == path)
    }

    @Test(arguments: Array(1...12) as [UInt64])
    func `what strip leaves is matched as what was matched before, less the prefix`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let dispatching = try Dispatching.site("/* proxy 127.0.0.1:1 {\nstrip /p/q\n}")
        let pieces = ["p", "%70", "q;v", "q", "/", "//", "%2F", ";x", "a", "%20", "/p/q/"]
        for _ in 0..<300 {
            let text =
                "/"
                + (0..<Int.random(in: 0...9, using: &random)).map { _ in
                    pieces.randomElement(using: &random) ?? ""
                }.joined()
            let answered = dispatching.ask(text)
            guard case .serve = answered.verdict else { continue }
            let before = String(copying: answered.context.matchedPath)
            let after = String(copying: answered.context.filesPath(strippedSegments: 0))
            let isCovered = before == "/p/q" || before.hasPrefix("/p/q/")
            let expected = isCovered ? String(before.dropFirst(4)) : before
            #expect(after == (expected.isEmpty ? "/" : expected), "\(text), seed \(seed)")
        }
    }

    // MARK: Which settings count

    @Test func `blocks add up from the least specific to the most specific, and the route's own come last`()
        throws
    {
        let dispatching = try Dispatching.site(
            """
            @m header X-M
            limit body 1kB
            header +X 0
            /a/* { header +X 1 ; limit body 2kB }
            /a/b/* { header +X 2 ; limit body 3kB }
            POST /a/* { header +X 3 }
            @m { header +X 4 ; limit body 4kB }
            /* respond 200 { header +X 9 }
            /a/b/c respond 200 { header +X 8 ; limit body 5kB }
            """)
        func lists(_ target: String, _ method: String = "GET", _ fields: [(String, String)] = []) -> [String]
        {
            dispatching.ask(Asked(target, method: method, fields: fields)).response.values("X")
        }
        #expect(lists("/") == ["0", "9"])
        #expect(lists("/a") == ["0", "1", "9"])
        #expect(lists("/a/b/x") == ["0", "1", "2", "9"])
        #expect(lists("/a/b/x", "POST") == ["0", "1", "3", "2", "9"])
        #expect(lists("/a/b/c", "POST", [("X-M", "")]) == ["0", "4", "1", "3", "2", "8"])
        #expect(lists("/a/b/c", "POST") == ["0", "1", "3", "2", "8"])
        #expect(lists("/", "GET", [("X-M", "")]) == ["0", "4", "9"])
        #expect(dispatching.ask("/a/x").context.settings?.limitBody == 2000)
        #expect(dispatching.ask("/a/b/x").context.settings?.limitBody == 3000)
        #expect(dispatching.ask("/a/b/c").context.settings?.limitBody == 5000)
    }

    @Test func `of a statement with several patterns the most specific block alone applies`() throws {
        let dispatching = try Dispatching.site(
            "/a/* /a/b/* /* { header +X {route} ; header +X again }\n/{one}/* respond 200\n/* respond 200")
        #expect(dispatching.ask("/a/b/c").response.values("X").count == 2)
        #expect(dispatching.ask("/").response.values("X").count == 2)
    }

    @Test func `settings are made once for a route and the blocks that apply`() throws {
        let dispatching = try Dispatching.site(
            """
            @m header X-M
            @m { limit body 1kB }
            /b/* { limit head 8KiB }
            /a respond 200
            /b/x respond 200
            """
        )
        let plain = dispatching.ask("/a").context.settings
        let matched = dispatching.ask(Asked("/a", fields: [("X-M", "")])).context.settings
        #expect(plain !== matched)
        #expect(dispatching.ask("/a").context.settings === plain)
        #expect(dispatching.ask(Asked("/a", fields: [("X-M", "")])).context.settings === matched)
        #expect(matched?.limitBody == 1000)
        #expect(plain?.limitBody == Settings.limitBodyDefault)
    }

    @Test func `timeouts and the log's switch come resolved`() throws {
        let dispatching = try Dispatching.site(
            "timeout send=5s response=1m quiet=none\nlog access off\n/* proxy 127.0.0.1:1")
        let settings = try #require(dispatching.ask("/").context.settings)
        #expect(settings.timeouts.send == 5000)
        #expect(settings.timeouts.response == 60_000)
        #expect(settings.timeouts.quiet == nil)
        #expect(settings.timeouts.connect == 3000)
        #expect(settings.logAccess == false)
        #expect(settings.limitHead == 32 << 10)
    }

    /// What config.md says, done the slow way.
    private func expected(_ site: Site, _ route: Route?, _ path: [[UInt8]], _ method: String) -> Settings {
        var merged = site.settings
        var chosen: [Int] = []
        for number in site.blocksBySpecificity.reversed() {
            let block = site.settingsBlocks[number]
            guard block.pattern.matches(path), block.allows(method: method),
                !chosen.contains(where: { site.settingsBlocks[$0].statement == block.statement })
            else { continue }
            chosen.append(number)
        }
        for number in chosen.reversed() { merged = merged.merging(site.settingsBlocks[number].settings) }
        return route.map { merged.merging($0.settings) } ?? merged
    }

    @Test(arguments: Array(1...16) as [UInt64])
    func `merged settings are those of a slow model`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let names = ["a", "b", "c.x"].map { Array($0.utf8) }
        let position = SourcePosition(file: "t", line: 1, column: 1)
        func pattern() -> PathPattern {
            var segments: [PathPattern.Segment] = (0..<Int.random(in: 0...2, using: &random)).map { _ in
                Bool.random(using: &random)
                    ? .literal(names.randomElement(using: &random) ?? []) : .capture("x")
            }
            let end = Int.random(in: 0..<3, using: &random)
            if end == 0 { segments.append(.rest) }
            if end == 1 { segments.append(.fileExtension([UInt8(ascii: "x")])) }
            return PathPattern(segments: segments, text: "\(segments)")
        }
        func methods() -> [String] {
            [[], [], ["GET", "HEAD"], ["POST"]].randomElement(using: &random) ?? []
        }
        func settings(_ number: Int) -> Settings {
            var settings = Settings()
            if number % 3 != 0 { settings.limitBody = Int64(number) }
            settings.headerOperations = [
                HeaderOperation(
                    kind: .add, name: "X", value: Template(literal: "\(number)"), position: position)
            ]
            return settings
        }
        var site = Site(tenant: "t", name: "a", hosts: [.any], settings: settings(1), position: position)
        for number in 0..<Int.random(in: 1...8, using: &random) {
            site.settingsBlocks.append(
                SettingsBlock(
                    methods: methods(), pattern: pattern(), settings: settings(10 + number),
                    statement: Int.random(in: 0...8, using: &random), position: position))
        }
        for number in 0..<Int.random(in: 1...8, using: &random) {
            site.routes.append(
                Route(
                    methods: methods(), pattern: pattern(), destination: .respond(status: 200, body: .none),
                    settings: Bool.random(using: &random) ? Settings() : settings(100 + number),
                    position: position))
        }
        var configuration = MachineConfiguration()
        configuration.sites = [SharedSite(site)]
        let dispatching = try Dispatching(configuration)
        for _ in 0..<150 {
            let path = (0..<Int.random(in: 0...3, using: &random)).map { _ in
                names.randomElement(using: &random) ?? []
            }
            let text = "/" + path.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
            let method = Bool.random(using: &random) ? "GET" : "POST"
            let answered = dispatching.ask(Asked(text, method: method))
            let number = site.routesBySpecificity.first {
                site.routes[$0].pattern.matches(path) && site.routes[$0].allows(method: method)
            }
            #expect(answered.context.route?.index == number)
            let expected = expected(site, number.map { site.routes[$0] }, path, method)
            let values = expected.headerOperations.compactMap { $0.value.literal }
            #expect(answered.response.values("X") == values, "\(method) \(text), seed \(seed)")
            #expect(answered.context.settings?.limitBody == expected.limitBody ?? Settings.limitBodyDefault)
        }
    }
}
