import ChimeraBytes
import ChimeraHTTPCore
import ChimeraTelemetry
import Testing

@testable import Chimera

/// `limit requests` and `limit connections` as a request meets them.
struct DispatcherLimitTests {
    private func statuses(_ dispatching: Dispatching, _ asked: [Asked]) -> [Int?] {
        asked.map { dispatching.ask($0).status }
    }

    @Test func `a request past the rate gets 429 and is told when to come again`() throws {
        let dispatching = try Dispatching.site("limit requests 2/m\n/* respond 200")
        #expect(statuses(dispatching, [Asked("/"), Asked("/")]) == [200, 200])
        let refused = dispatching.ask("/")
        #expect(refused.status == 429)
        #expect(refused["Retry-After"] == "30")
        #expect(refused.context.limitHit == .requestRate)
        dispatching.clock.nanoseconds += 29_000_000_000
        #expect(dispatching.ask("/")["Retry-After"] == "1")
        dispatching.clock.nanoseconds += 1_000_000_000
        #expect(statuses(dispatching, [Asked("/"), Asked("/")]) == [200, 429])
    }

    @Test func `a burst is what may come at once`() throws {
        let dispatching = try Dispatching.site("limit requests 100/s burst=3\n/* respond 200")
        #expect(statuses(dispatching, (0..<5).map { _ in Asked("/") }) == [200, 200, 200, 429, 429])
        let other = try Dispatching.site("limit requests 1/s burst=3\n/* respond 200")
        #expect(statuses(other, (0..<4).map { _ in Asked("/") }) == [200, 200, 200, 429])
    }

    @Test func `clients are counted apart, and of IPv6 by their first 64 bits`() throws {
        let dispatching = try Dispatching.site("limit requests 1/s per=client\n/* respond 200")
        let peers = [
            "192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1",
            "::ffff:192.0.2.2",
        ]
        #expect(
            statuses(dispatching, peers.map { Asked(peer: $0) }) == [200, 200, 429, 200, 429, 200, 429])
    }

    @Test func `the client is whom a trusted peer names`() throws {
        let dispatching = try Dispatching.site(
            "limit requests 1/s per=client\n/* respond 200", machine: "trust 10.0.0.0/8")
        let named = ["203.0.113.1", "203.0.113.2", "203.0.113.1"].map {
            Asked(fields: [("X-Forwarded-For", $0)], peer: "10.0.0.1")
        }
        #expect(statuses(dispatching, named) == [200, 200, 429])
    }

    @Test func `a field's values are counted apart, and requests without it together`() throws {
        let dispatching = try Dispatching.site("limit requests 1/s per=header:X-Key\n/* respond 200")
        let asked = [[("x-key", "a")], [("X-Key", "b")], [("X-Key", "a")], [], []].map { Asked(fields: $0) }
        #expect(statuses(dispatching, asked) == [200, 200, 429, 200, 429])
    }

    @Test func `a bound on a tenant counts over all of its sites, beside their own limits`() throws {
        let sites = "site a.example { respond 200 }\nsite b.example { limit requests 1/m ; respond 200 }\n"
        let dispatching = try Dispatching(
            sites, machine: "listen 127.0.0.1:80\ntenants { limit requests 3/m }\n")
        let hosts = ["a.example", "b.example", "b.example", "a.example", "a.example"]
        #expect(statuses(dispatching, hosts.map { Asked(host: $0) }) == [200, 200, 429, 200, 429])
    }

    @Test func `a limit of the machine counts over all sites, and per site where it says so`() throws {
        let sites = "site a.example { respond 200 }\nsite b.example { respond 200 }\n"
        let hosts = ["a.example", "b.example", "a.example", "b.example"]
        for (line, expected) in [
            ("limit requests 2/s", [200, 200, 429, 429]),
            ("limit requests 1/s per=site", [200, 200, 429, 429]),
            ("limit requests 2/s per=client", [200, 200, 429, 429]),
            ("limit requests 3/s per=client", [200, 200, 200, 429]),
        ] {
            let dispatching = try Dispatching(sites, machine: "listen 127.0.0.1:80\n\(line)\n")
            #expect(statuses(dispatching, hosts.map { Asked(host: $0) }) == expected, "\(line)")
        }
    }

    @Test func `equal limits of two sites and of two routes are two limits`() throws {
        let sites = """
            define shared { limit requests 1/s }
            site a.example { use shared ; /x respond 200 ; /y/* respond 201 { limit requests 1/s } }
            site b.example { use shared ; /* respond 200 }
            """
        let dispatching = try Dispatching(sites)
        let asked = [
            Asked("/x", host: "a.example"), Asked("/", host: "b.example"), Asked("/x", host: "a.example"),
        ]
        #expect(statuses(dispatching, asked) == [200, 200, 429])
    }

    @Test func `a request that one limit refuses counts in none`() throws {
        let dispatching = try Dispatching.site(
            "limit requests 3/h\nlimit requests 1/h per=client\n/* respond 200")
        let flood = (0..<10).map { _ in Asked(peer: "192.0.2.1") }
        #expect(statuses(dispatching, flood).count { $0 == 200 } == 1)
        let others = ["192.0.2.2", "192.0.2.3", "192.0.2.4"].map { Asked(peer: $0) }
        #expect(statuses(dispatching, others) == [200, 200, 429])
    }

    @Test func `a limit counts requests that no route or access rule would let in`() throws {
        let dispatching = try Dispatching.site("limit requests 1/s\ndeny all\n/a respond 200")
        #expect(statuses(dispatching, [Asked("/none"), Asked("/none")]) == [403, 429])
    }

    @Test func `a request that is dispatched again counts once`() throws {
        let users = ["conf.d/t/users": "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"]
        let dispatching = try Dispatching.site(
            "limit requests 1/h\nlimit connections 1\nauth basic t/users\n/* respond 200", files: users)
        let token = String(decoding: Base64.encode(Array("ann:secret".utf8).span), as: UTF8.self)
        let first = dispatching.ask(Asked(fields: [("Authorization", "Basic \(token)")]))
        guard case .authenticate(let question) = first.verdict else {
            Issue.record("no question for the password")
            return
        }
        dispatching.dispatcher.passwordAnswered(first.context, question, isRight: question.answer())
        #expect(dispatching.again(first.context, first.request).status == 200)
        #expect(first.context.places.count == 1)
    }

    @Test func `requests under way are counted until they are over`() throws {
        let dispatching = try Dispatching.site("limit connections 2\n/* respond 200")
        let (first, second) = (dispatching.ask("/"), dispatching.ask("/"))
        #expect([first.status, second.status] == [200, 200])
        let refused = dispatching.ask("/")
        #expect(refused.status == 503)
        #expect(refused["Retry-After"] == "1")
        #expect(refused.context.limitHit == .requestsUnderWay && refused.context.places.isEmpty)
        dispatching.dispatcher.leavePlaces(first.context)
        #expect(dispatching.ask("/").status == 200)
        #expect(dispatching.ask("/").status == 503)
    }

    @Test func `what one limit of places admits and another refuses leaves no place behind`() throws {
        let dispatching = try Dispatching.site(
            "limit connections 2\nlimit connections 1 per=client\n/* respond 200")
        #expect(dispatching.ask(Asked(peer: "192.0.2.1")).status == 200)
        for _ in 0..<5 { #expect(dispatching.ask(Asked(peer: "192.0.2.1")).status == 503) }
        #expect(dispatching.ask(Asked(peer: "192.0.2.2")).status == 200)
        #expect(dispatching.ask(Asked(peer: "192.0.2.3")).status == 503)
    }

    @Test(arguments: [
        // Where a line stands does not count.
        (
            "\n\n# moved\nsite a.example {\n  /b respond 200\n  limit requests 2/h\n /a respond 200 x\n}\n",
            429
        ),
        // Nor what is around it.
        (
            "site a.example { limit requests 2/h ; limit requests 9/h ; /a respond 200 { limit requests 3/h } }",
            429
        ),
        // What it says does, and where it counts.
        ("site a.example { limit requests 3/h ; /a respond 200 }", 200),
        ("site a.example { limit requests 2/h per=client ; /a respond 200 }", 200),
        ("site a.example { /a respond 200 { limit requests 2/h } }", 200),
        ("site b.example a.example { limit requests 2/h ; /a respond 200 }", 200),
    ])
    func `a limit counts on where a reload finds it on another line`(after: String, status: Int) throws {
        let machine = "listen 127.0.0.1:80\n"
        let dispatching = try Dispatching(
            "site a.example { limit requests 2/h ; /a respond 200 }", machine: machine)
        #expect(statuses(dispatching, [Asked("/a"), Asked("/a"), Asked("/a")]) == [200, 200, 429])
        try dispatching.update(after, machine)
        #expect(dispatching.ask("/a").status == status)
    }

    @Test func `of equal lines each counts for itself, before and after a reload`() throws {
        let machine = "listen 127.0.0.1:80\n"
        func file(_ first: String) -> String {
            "\(first)site a.example {\n/* respond 200\nGET /x respond 200 { limit requests 1/h }\n"
                + "POST /x respond 201 { limit requests 1/h }\n"
                + "/y /z respond 202 { limit requests 2/h\nlimit requests 2/h }\n}\n"
        }
        let dispatching = try Dispatching(file(""), machine: machine)
        let post = Asked("/x", method: "POST")
        #expect(statuses(dispatching, [Asked("/x"), Asked("/x"), post, post]) == [200, 429, 201, 429])
        // One statement with two patterns has one limit.
        #expect(statuses(dispatching, [Asked("/y"), Asked("/z"), Asked("/y")]) == [202, 202, 429])
        try dispatching.update(file("# a line more\n"), machine)
        #expect(statuses(dispatching, [Asked("/x"), post, Asked("/z")]) == [429, 429, 429])
    }

    @Test func `limits of the machine and of tenants count on where their lines move`() throws {
        let sites = "site a.example { respond 200 }\nsite b.example { limit requests 1/h ; respond 200 }\n"
        let limits = "limit requests 9/h\ntenants { permit files\nlimit requests 3/h }\n"
        let dispatching = try Dispatching(sites, machine: "listen 127.0.0.1:80\n\(limits)")
        let asked = [Asked(), Asked(), Asked(host: "b.example"), Asked()]
        #expect(statuses(dispatching, asked) == [200, 200, 200, 429])
        try dispatching.update(sites + "site c.example { respond 200 }", "listen 127.0.0.1:80\n\n\n\(limits)")
        #expect(statuses(dispatching, [Asked(), Asked(host: "c.example")]) == [429, 429])
    }

    @Test func `connections of the machine's file are no business of a request's`() throws {
        let dispatching = try Dispatching.site(
            "/* respond 200", machine: "limit connections 1\nlimit connections 1 per=client")
        #expect(statuses(dispatching, [Asked("/"), Asked("/"), Asked("/")]) == [200, 200, 200])
        let limits = dispatching.dispatcher.machineSettings.machineConnections
        #expect(limits.connectionsMax == 1 && limits.perClient.count == 1)
    }
}
