import ChimeraBytes
import ChimeraConfiguration
import ChimeraHTTPCore
import Testing

@testable import Chimera

struct DispatcherRouteTests {
    private let lines = """
        / respond 200
        /api/* proxy 127.0.0.1:1
        /api/{key} respond 200
        /api/status respond 200
        /*.php proxy 127.0.0.1:2
        /*.tar.gz respond 200
        /*.gz respond 200
        /api/*.php respond 200
        /{one}/{two}/end respond 200
        /admin respond 200
        /%7Euser/a%20b respond 200
        """

    @Test(arguments: [
        ("/", "/"), ("//", "/"), ("/api", "/api/*"), ("/api/", "/api/*"), ("/api/7", "/api/{key}"),
        ("/api/7/", "/api/{key}"), ("/api/status", "/api/status"), ("/api/status/", "/api/status"),
        ("/api/status/x", "/api/*"), ("/api/x.php", "/api/*.php"), ("/api/y/x.php", "/api/*.php"),
        ("/a/b.php", "/*.php"), ("/a/b.php/", "/*.php"), ("/.php", "/*.php"), ("/a.tar.gz", "/*.tar.gz"),
        ("/tar.gz", "/*.gz"), ("/x.gz", "/*.gz"), ("/a/b/end", "/{one}/{two}/end"), ("/admin", "/admin"),
        ("/admin/", "/admin"), ("/api/7/end", "/api/*"), ("/./api/../admin", "/admin"),
        ("/%61dmin", "/admin"),
        ("/admin;v=1", "/admin"), ("/~user/a%20b", "/%7Euser/a%20b"), ("/api%2Fstatus", "/api/status"),
    ])
    func `the most specific pattern that matches wins`(path: String, pattern: String) throws {
        #expect(try Dispatching.site(lines).ask(path).route == pattern)
    }

    @Test(arguments: ["/none", "/admin/x", "/Admin", "/a/b", "/api.php5", "/php"])
    func `a path that no route matches is 404`(path: String) throws {
        let answered = try Dispatching.site(lines).ask(path)
        #expect(answered.status == 404)
        #expect(answered.context.route == nil)
    }

    @Test(arguments: ["/%00", "/%5Cx", "/%zz", "/a/..;/b", "/%2e%2e%2fx/..%2f"])
    func `a path with two meanings is 400`(path: String) throws {
        let answered = try Dispatching.site("/* respond 200").ask(path)
        #expect(answered.status == 400)
        #expect(answered.context.refusal == .pathMalformed)
    }

    @Test func `methods, matchers and file order decide between equal patterns`() throws {
        let dispatching = try Dispatching.site(
            """
            @mobile header User-Agent *Mobile*
            @v2 query v 2
            /x respond 200 plain
            GET /x respond 200 get
            /x @mobile respond 200 mobile
            /x @mobile @v2 respond 200 both
            POST /x respond 200 post
            /y @mobile respond 200 first
            /y @v2 respond 200 second
            """)
        func body(_ target: String, _ method: String = "GET", mobile: Bool = false) -> String {
            let fields = mobile ? [("User-Agent", "A Mobile B")] : []
            return dispatching.ask(Asked(target, method: method, fields: fields)).body
        }
        #expect(body("/x") == "get")
        #expect(body("/x", "PUT") == "plain")
        #expect(body("/x", "POST") == "post")
        #expect(body("/x", mobile: true) == "mobile")
        #expect(body("/x?v=2", mobile: true) == "both")
        #expect(body("/y?v=2", mobile: true) == "first")
        #expect(body("/y?v=2") == "second")
    }

    @Test func `where no route takes the method the answer is 405 with those that are taken`() throws {
        let dispatching = try Dispatching.site(
            """
            @never header X-Never
            GET /x respond 200
            PUT,PURGE /x respond 200
            PATCH /x @never respond 200
            DELETE /{any} respond 200
            POST /y @never respond 200
            """)
        let answered = dispatching.ask(Asked("/x", method: "POST"))
        #expect(answered.status == 405)
        #expect(answered["Allow"] == "GET, HEAD, PUT, DELETE, PURGE")
        #expect(dispatching.ask(Asked("/x", method: "HEAD")).status == 200)
        #expect(dispatching.ask(Asked("/x", method: "PURGE")).status == 200)
        #expect(dispatching.ask(Asked("/x", method: "DELETE")).status == 200)
        #expect(dispatching.ask(Asked("/x", method: "get")).status == 405)
        #expect(dispatching.ask(Asked("/y", method: "GET"))["Allow"] == "DELETE")
    }

    @Test func `a route that does not fit gives way to the next best, from any depth`() throws {
        let dispatching = try Dispatching.site(
            """
            @never header X-Never
            /a/b/c @never respond 200 no
            POST /a/b/{x} respond 200 no
            /a/{x}/c @never respond 200 no
            /a/{x}/{y} @never respond 200 no
            /a/* @never respond 200 no
            /*.c respond 200 no
            /{x}/b/{z} respond 200 yes
            /* respond 200 no
            """)
        #expect(dispatching.ask("/a/b/c").body == "yes")
    }

    @Test(
        arguments: [
            ("header X-A one two*", [("X-A", "two words")], "/", true),
            ("header X-A one two*", [("X-A", "three"), ("x-a", "one")], "/", true),
            ("header X-A one two*", [("X-A", "zone")], "/", false),
            ("header X-A", [("X-A", "")], "/", true), ("header X-A", [], "/", false),
            ("header User-Agent *Bot*", [("User-Agent", "A Bot")], "/", true),
            ("cookie uid 7*", [("Cookie", "a=b; uid=78")], "/", true),
            ("cookie uid 7*", [("Cookie", "a=7; uid=8")], "/", false),
            ("cookie uid", [("Cookie", "a=7"), ("Cookie", "uid=8")], "/", true),
            ("query q *x", [], "/?a=1&q=%61x", true), ("query q *x", [], "/?q=y", false),
            ("query q", [], "/?q", true),
            ("query q", [], "/?p=q", false), ("client 192.0.2.0/24", [], "/", true),
            ("client 10.0.0.0/8 2001:db8::/32", [], "/", false), ("method POST PUT", [], "/", false),
            ("method GET", [], "/", true), ("scheme http", [], "/", true), ("scheme https", [], "/", false),
            ("host a.example", [], "/", true), ("host *.example", [], "/", true),
            ("host **.example b.test", [], "/", true),
            ("host b.example", [], "/", false), ("path /x/* /*.php", [], "/x", true),
            ("path /x/* /*.php", [], "/y/a.php", true),
            ("path /x/{y}", [], "/x/1/", true), ("path /x/{y}", [], "/x", false),
            ("path /x", [], "/x/1", false),
        ] as [(String, [(String, String)], String, Bool)])
    func `a matcher holds as its lines say`(
        condition: String, fields: [(String, String)], target: String, holds: Bool
    ) throws {
        let dispatching = try Dispatching.site(
            "@m \(condition)\n/* @m respond 200 yes\n/* !@m respond 200 no")
        #expect(dispatching.ask(Asked(target, fields: fields)).body == (holds ? "yes" : "no"))
    }

    @Test func `several lines of a matcher must all hold`() throws {
        let dispatching = try Dispatching.site(
            "@m header X-A\n@m query q\n/* @m respond 200 yes\n/* respond 200 no")
        #expect(dispatching.ask(Asked("/?q", fields: [("X-A", "1")])).body == "yes")
        #expect(dispatching.ask(Asked("/?q")).body == "no")
        #expect(dispatching.ask(Asked("/", fields: [("X-A", "1")])).body == "no")
    }

    @Test func `captures are segments of the path, and the rest has no slash before it`() throws {
        let context = try Dispatching.site("/a/{one}/{two}/* files ./d").ask("/a/x%20y/%7A/p/q/").context
        #expect(String(copying: context.capture(1)) == "x y")
        #expect(String(copying: context.capture(2)) == "z")
        #expect(String(copying: context.capture(9)) == "")
        #expect(String(copying: context.rest(from: 3)) == "p/q/")
        #expect(String(copying: context.rest(from: 9)) == "")
    }

    @Test func `CONNECT is not taken, and OPTIONS for the server is answered`() throws {
        let dispatching = try Dispatching.site("/* respond 200 yes")
        #expect(dispatching.ask(Asked("a.example:443", method: "CONNECT")).status == 501)
        let options = dispatching.ask(Asked("*", method: "OPTIONS"))
        #expect(options.status == 200)
        #expect(options.response.body == .known(0))
    }

    @Test func `destinations that are the same are made once, with what the site withholds`() throws {
        let dispatching = try Dispatching.site(
            """
            /a/* files ./d
            /b/* files ./d
            /c/* files ./e
            /x/* proxy 127.0.0.1:1
            /y/* proxy 127.0.0.1:1
            /*.PHP proxy 127.0.0.1:1 127.0.0.1:2
            /*.cgi proxy 127.0.0.1:1
            /*.html respond 200
            """)
        _ = dispatching.ask("/none")
        #expect(dispatching.targets.files.count == 2)
        #expect(dispatching.targets.proxies.count == 2)
        #expect(dispatching.targets.files.first?.sourceExtensions == ["cgi", "php"])
        let first = dispatching.ask("/x/1").context.route
        let second = dispatching.ask("/y/1").context.route
        guard case .proxy(let one) = first?.target, case .proxy(let two) = second?.target else {
            Issue.record("no proxy")
            return
        }
        #expect(one === two)
    }
}
