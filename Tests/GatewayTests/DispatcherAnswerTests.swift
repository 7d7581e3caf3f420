import ChimeraBytes
import ChimeraConfiguration
import ChimeraHTTPCore
import Testing

@testable import Chimera

struct DispatcherAnswerTests {
    // MARK: Redirects

    @Test(arguments: [
        ("/old/* redirect /new/{rest}", "/old/a/b", "/new/a/b"),
        ("/old/* redirect /new/{rest}", "/old/a?x=1&y=2", "/new/a?x=1&y=2"),
        ("/old/* redirect /new/{rest}", "/old?", "/new/"),
        ("/old/* redirect /new/{rest}?z", "/old/a?x=1", "/new/a?z"),
        ("/old/* redirect /new/{rest}#top", "/old/a?x=1", "/new/a?x=1#top"),
        ("/* redirect https://x.test{uri}", "/a%20b/c?d=e", "https://x.test/a%20b/c?d=e"),
        ("/* redirect https://x.test{uri}", "/a", "https://x.test/a"),
        ("/* redirect https://x.test{path}", "/a;b=c?d", "https://x.test/a;b=c?d"),
        ("/* redirect {scheme}://www.{host}{uri}", "/a", "http://www.a.example/a"),
        (
            "/{name}/* redirect https://{name}.x.test/{rest}", "/evil.test%2Fx/y",
            "https://evil.test.x.test/x/y"
        ),
        ("/{name}/* redirect https://{name}.x.test/{rest}", "/a@b:c/y", "https://a%40b%3Ac.x.test/y"),
        ("/* redirect /to?path={path}&q={query}", "/a/b?c=d%20e", "/to?path=%2Fa%2Fb&q=c=d%20e"),
        ("/* redirect /to?next={query.next}", "/?next=%2Fa%26b+c", "/to?next=%2Fa%26b%20c"),
        ("/* redirect https://x.test{rest}", "/.evil.test/y", "https://x.test/.evil.test/y"),
        ("/* redirect https://{host}:8443{uri}", "/a?b", "https://a.example:8443/a?b"),
        ("/{a}/{b} redirect /{b}/{a}", "/%3Fx/%23%25%3By", "/%23%25%3By/%3Fx"),
        ("/old/* redirect /{rest}", "/old/%0d%0aX:%20y", "/%0D%0AX:%20y"),
        ("/old/* redirect /{rest}", "/old/%C3%A4\"", "/%C3%A4%22"),
    ])
    func `a redirect's values are encoded for where they stand`(
        route: String, target: String, location: String
    )
        throws
    {
        let answered = try Dispatching.site(route).ask(target)
        #expect(answered.status == 302)
        #expect(answered["Location"] == location)
        #expect(answered.response.body == .known(0))
    }

    @Test(arguments: [
        ("/* redirect {path}", "//evil.test"), ("/* redirect {uri}", "//evil.test/x"),
        ("/* redirect /{query.next}", "/?next=/evil.test"),
        ("/* redirect /{query.next}", "/?next=%5Cevil.test"),
        ("/* redirect /{query.next}", "/?next=//%5C/evil.test"), ("/* redirect /{header.X}", "/"),
    ])
    func `a redirect that begins with a slash stays on its host`(route: String, target: String) throws {
        let answered = try Dispatching.site(route).ask(Asked(target, fields: [("X", "/evil.test")]))
        let location = try #require(answered["Location"])
        #expect(location.hasPrefix("/"))
        #expect(!location.hasPrefix("//") && !location.hasPrefix("/\\"))
    }

    @Test func `a redirect has the status that it is given`() throws {
        let dispatching = try Dispatching.site("/a redirect /b 308\n/c redirect /d 303")
        #expect(dispatching.ask("/a").status == 308)
        #expect(dispatching.ask("/c").status == 303)
    }

    @Test(arguments: [
        (UInt16(80), false, "http://b.example/x%20y?z"), (8080, false, "http://b.example:8080/x%20y?z"),
        (443, true, "https://b.example/x%20y?z"), (0, false, "http://b.example/x%20y?z"),
    ])
    func `other hosts are redirected to the canonical one`(port: UInt16, isSecure: Bool, location: String)
        throws
    {
        let dispatching = try Dispatching.site("canonical b.example\n/* respond 200 here")
        let answered = dispatching.ask(Asked("/x%20y?z", port: port, isSecure: isSecure))
        #expect(answered.status == 308)
        #expect(answered["Location"] == location)
        #expect(dispatching.ask(Asked(host: "B.example:99")).body == "here")
    }

    // MARK: Respond

    @Test func `respond gives the status, text and files that it names`() throws {
        let dispatching = try Dispatching.site(
            """
            /none respond 204
            /empty respond 418
            /text respond 200 hello
            /host respond 200 "<{query.name}> at {host}"
            /page respond 404 file:t/down.html
            /html respond 200 "<p>{query.name}</p>" { header Content-Type text/html }
            """, files: ["conf.d/t/down.html": "<p>{host}</p>"])
        #expect(dispatching.ask("/none").response.body == .none)
        #expect(dispatching.ask("/empty").response.body == .known(0))
        #expect(dispatching.ask("/text").body == "hello")
        #expect(dispatching.ask("/text")["Content-Type"] == "text/plain; charset=utf-8")
        #expect(dispatching.ask("/host?name=%3Cb%3E").body == "<<b>> at a.example")
        #expect(dispatching.ask("/page").body == "<p>{host}</p>")
        #expect(dispatching.ask("/page")["Content-Type"] == "text/html; charset=utf-8")
        #expect(dispatching.ask("/html?name=%3Cb%3E%22%27%26").body == "<p>&lt;b&gt;&quot;&#39;&amp;</p>")
    }

    @Test func `an answer to HEAD has the length and no content`() throws {
        let dispatching = try Dispatching.site("/a respond 200 hello")
        let answered = dispatching.ask(Asked("/a", method: "HEAD"))
        #expect(answered.body == "")
        #expect(answered.response.body == .known(5))
        let missing = dispatching.ask(Asked("/b", method: "HEAD"))
        #expect(missing.status == 404)
        #expect(missing.body == "")
    }

    // MARK: Errors

    @Test(
        arguments: [
            (nil, false), ("*/*", false), ("text/html,application/xhtml+xml,*/*;q=0.8", false),
            ("application/json", true), ("application/problem+json", true),
            ("application/json, text/plain, */*", true),
            ("text/html, application/json", false), ("text/html;q=0.5, application/json", true),
            ("application/json;q=0", false), ("application/json;q=x", false),
        ] as [(String?, Bool)])
    func `an error is HTML, or JSON for who prefers that`(accept: String?, isJSON: Bool) throws {
        let fields = accept.map { [("Accept", $0)] } ?? []
        let answered = try Dispatching.site("/a respond 200").ask(Asked("/b", fields: fields))
        #expect(
            answered["Content-Type"] == (isJSON ? "application/problem+json" : "text/html; charset=utf-8"))
        #expect(answered["Cache-Control"] == "no-store")
        #expect(answered.response.body == .known(answered.body.utf8.count))
        if isJSON {
            #expect(answered.body == #"{"type":"about:blank","title":"Not Found","status":404}"# + "\n")
        } else {
            #expect(answered.body.contains("<h1>Not Found</h1>"))
        }
    }

    @Test func `the error pages of the settings win, the most specific one first`() throws {
        let dispatching = try Dispatching.site(
            """
            error 404 405 t/site.html
            /in/* { error 404 t/in.html }
            GET /in/x respond 200
            """, machine: "error 404 421 machine.html",
            files: [
                "machine.html": "machine", "conf.d/t/site.html": "site", "conf.d/t/in.html": "in",
            ])
        #expect(dispatching.ask("/out").body == "site")
        #expect(dispatching.ask("/in/none").body == "in")
        #expect(dispatching.ask(Asked("/in/x", method: "POST")).body == "site")
        #expect(dispatching.ask(Asked("/out", fields: [("Accept", "application/json")])).body == "site")
        #expect(dispatching.ask(Asked("/", host: "none.test")).body == "machine")
    }

    @Test func `a refusal of the driver has the request's settings, or the machine's`() throws {
        let dispatching = try Dispatching.site(
            "header X-Site yes\nerror 502 t/down.html\n/* proxy 127.0.0.1:1", machine: "header X-Machine yes",
            files: ["conf.d/t/down.html": "down"])
        let answered = dispatching.ask("/")
        let body = dispatching.dispatcher.refuse(502, answered.context, answered.request, answered.response)
        #expect(body.count == 4)
        #expect(answered.response.status == 502)
        #expect(answered["X-Site"] == "yes")
        #expect(answered["X-Machine"] == "yes")
        let fresh = RequestContext()
        _ = dispatching.dispatcher.refuse(400, fresh, answered.request, answered.response)
        #expect(answered["X-Site"] == nil)
        #expect(answered["X-Machine"] == "yes")
    }

    @Test(
        arguments: [
            (BodyLength.known(11), "10B", 413), (.known(10), "10B", 200), (.none, "10B", 200),
            // It is read before the answer, as far as one is read in any case.
            (.unknown, "10B", nil), (.unknown, "256KiB", nil), (.unknown, "257KiB", 200),
        ] as [(BodyLength, String, Int?)])
    func `a body that says it is too long is 413`(body: BodyLength, limit: String, status: Int?) throws {
        let dispatching = try Dispatching.site("limit body \(limit)\n/* respond 200")
        let answered = dispatching.ask(Asked("/", method: "POST", body: body))
        #expect(answered.status == status)
        #expect(answered.context.refusal == (status == 413 ? .bodyTooLarge : nil))
    }

    @Test func `closed answers before any route`() throws {
        let dispatching = try Dispatching.site(
            """
            @office client 10.0.0.0/8
            !@office { closed 503 t/down.html }
            /shop/* { closed 503 }
            /* respond 200 open
            """, files: ["conf.d/t/down.html": "<p>back soon</p>"])
        let outside = dispatching.ask("/none")
        #expect(outside.status == 503)
        #expect(outside.body == "<p>back soon</p>")
        #expect(outside["Content-Type"] == "text/html; charset=utf-8")
        #expect(dispatching.ask(Asked("/x", peer: "10.1.2.3")).body == "open")
        let shop = dispatching.ask(Asked("/shop/x", peer: "10.1.2.3"))
        #expect(shop.status == 503)
        #expect(shop.body.contains("Service Unavailable"))
    }
}
