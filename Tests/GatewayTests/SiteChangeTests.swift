import ChimeraConfiguration
import ChimeraEventLoop
import ChimeraTelemetry
import ChimeraTestSupport
import Testing

@testable import Chimera

struct SnapshotSequenceTests {
    private let position = SourcePosition(file: "t", line: 1, column: 1)

    private func site(_ name: String, status: Int = 200, hosts: [String]? = nil, tenant: String? = nil)
        -> SharedSite
    {
        SharedSite(
            Site(
                tenant: tenant ?? name, name: name, hosts: (hosts ?? [name]).map { .exact($0) },
                routes: [
                    Route(
                        pattern: .everything, destination: .respond(status: status, body: .none),
                        position: position)
                ], position: position))
    }

    private func configuration(_ sites: [SharedSite]) -> MachineConfiguration {
        var configuration = MachineConfiguration()
        configuration.sites = sites
        return configuration
    }

    private func number(of host: String, in snapshot: Snapshot) -> Int? {
        snapshot.directory.table.site(for: Array(host.utf8).span, on: .unnamed)
    }

    @Test func `what is the same keeps its number and is no change`() {
        var sequence = SnapshotSequence()
        let (a, b) = (site("a"), site("b"))
        let first = sequence.next(configuration([a, b]))
        #expect(first.changed == [0, 1])
        let second = sequence.next(configuration([b, site("a")]))
        #expect(second.changed == [])
        #expect(second.places[0]?.site === a)
        #expect(second.configuration.sites[1] === a)
        #expect(second.directory === first.directory)
    }

    @Test func `another version takes the number of the one before`() {
        var sequence = SnapshotSequence()
        let first = sequence.next(configuration([site("a"), site("b")]))
        let second = sequence.next(configuration([site("a", status: 204), site("b")]))
        #expect(second.changed == [0])
        #expect(second.directory === first.directory)
        let third = sequence.next(configuration([site("a", status: 204, hosts: ["a", "c"]), site("b")]))
        #expect(third.changed == [0])
        #expect(number(of: "c", in: third) == 0)
    }

    @Test func `a number is free once the workers are done`() {
        var sequence = SnapshotSequence()
        _ = sequence.next(configuration([site("a"), site("b")]))
        sequence.workersAreDone()
        let second = sequence.next(configuration([site("b"), site("c")]))
        #expect(number(of: "c", in: second) == 2)
        #expect(number(of: "a", in: second) == nil)
        #expect(second.changed == [0, 2])
        sequence.workersAreDone()
        let third = sequence.next(configuration([site("b"), site("c"), site("d")]))
        #expect(number(of: "d", in: third) == 0)
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func `after any changes every host leads to its site`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let board = CounterBoard(workers: 1)
        var sequence = SnapshotSequence(counters: board)
        var sites: [String: SharedSite] = [:]
        var seen: [Int: ObjectIdentifier] = [:]
        for _ in 0..<60 {
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                let name = "s\(Int.random(in: 0..<12, using: &random))"
                let isGone = Int.random(in: 0..<3, using: &random) == 0
                sites[name] = isGone ? nil : site(name, status: 200 + Int.random(in: 0..<50, using: &random))
            }
            let snapshot = sequence.next(configuration(sites.values.sorted { $0.site.name < $1.site.name }))
            for (name, site) in sites {
                let number = number(of: name, in: snapshot)
                #expect(number.flatMap { snapshot.places[$0]?.site } == site)
            }
            // What no worker is told of has not changed.
            for number in snapshot.places.indices where !snapshot.changed.contains(number) {
                #expect(snapshot.places[number].map { ObjectIdentifier($0.site) } == seen[number])
            }
            seen = [:]
            for number in snapshot.places.indices {
                if let place = snapshot.places[number] { seen[number] = ObjectIdentifier(place.site) }
            }
            #expect(snapshot.places.compactMap(\.self).count == sites.count)
            if Bool.random(using: &random) { sequence.workersAreDone() }
        }
    }
}

struct DispatcherUpdateTests {
    private let machine = "listen 127.0.0.1:80"

    @Test func `pages and passwords of the machine's file go with the file that named them`() throws {
        func machine(_ number: Int) -> String {
            "\(self.machine)\nerror 421 page\(number)\nauth basic users\(number)\n"
        }
        func files(_ number: Int) -> [String: String] {
            ["page\(number)": "page \(number)", "users\(number)": "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"]
        }
        let sites = "site a.example { respond 200 }"
        let dispatching = try Dispatching(sites, machine: machine(0), files: files(0))
        for number in 1...20 {
            try dispatching.update(sites, machine(number), files: files(number))
            #expect(dispatching.ask(Asked(host: "none.example")).body == "page \(number)")
        }
        #expect(dispatching.dispatcher.parts.referencedFileCount <= 4)
    }

    @Test func `a site that was replaced lends what it has to the next, however many reloads lie between`()
        throws
    {
        func file(_ number: Int) -> String {
            "site a.example {\n/x respond 200 \(number)\n/* proxy 127.0.0.1:1\n}\n"
        }
        let other = { (number: Int) in "site b.example { respond 200 \(number) }\n" }
        let dispatching = try Dispatching(file(0) + other(0), machine: machine)
        let first = dispatching.ask(Asked(host: "a.example")).context.route?.target
        for number in 1...5 { try dispatching.update(file(0) + other(number), machine) }
        try dispatching.update(file(1) + other(5), machine)
        try dispatching.update(file(2) + other(5), machine)
        let second = dispatching.ask(Asked(host: "a.example")).context.route?.target
        guard case .proxy(let before) = first, case .proxy(let after) = second else {
            Issue.record("no proxy")
            return
        }
        #expect(before === after)
        #expect(dispatching.targets.proxies.count == 1)
    }

    @Test func `what no site uses any more is gone`() throws {
        let dispatching = try Dispatching("site a.example { proxy 127.0.0.1:1 }\n", machine: machine)
        dispatching.ask(Asked()).context.end()
        #expect(dispatching.dispatcher.parts.destinationCount == 1)
        try dispatching.update("site b.example { respond 200 }\n", machine)
        #expect(dispatching.dispatcher.parts.destinationCount == 0)
    }

    @Test func `a predecessor that nobody asks for goes with the time`() throws {
        let dispatching = try Dispatching("site a.example { proxy 127.0.0.1:1 }\n", machine: machine)
        dispatching.ask(Asked()).context.end()
        try dispatching.update("site a.example { proxy 127.0.0.1:2 }\n", machine)
        #expect(dispatching.dispatcher.parts.destinationCount == 1)
        #expect(dispatching.dispatcher.forgetPredecessors(before: dispatching.clock.nanoseconds))
        #expect(!dispatching.dispatcher.forgetPredecessors(before: dispatching.clock.nanoseconds + 1))
        while dispatching.dispatcher.hasPendingSteps { dispatching.dispatcher.step() }
        #expect(dispatching.dispatcher.parts.destinationCount == 0)
    }

    @Test func `a change takes as many steps as it changes sites`() throws {
        func sites(_ changed: Int) -> String {
            (0..<500).map { "site s\($0).example { respond 200 \($0 == changed ? 1 : 0) }\n" }.joined()
        }
        let dispatching = try Dispatching(sites(-1), machine: machine)
        for number in 0..<500 { dispatching.ask(Asked(host: "s\(number).example")).context.end() }
        var sequence = SnapshotSequence()
        _ = sequence.next(try Dispatching.configuration(sites(-1), machine))
        let next = sequence.next(try Dispatching.configuration(sites(7), machine))
        #expect(next.changed == [7])
        dispatching.dispatcher.begin(next)
        var steps = 0
        while dispatching.dispatcher.hasPendingSteps {
            dispatching.dispatcher.step()
            steps += 1
        }
        #expect(steps <= 3)
        #expect(dispatching.ask(Asked(host: "s7.example")).body == "1")
    }

    @Test func `a large site is freed in pieces`() throws {
        let routes = (0..<2_000).map { "/r\($0) respond 200 \($0)\n" }.joined()
        let dispatching = try Dispatching("site a.example {\n\(routes)}\n", machine: machine)
        dispatching.ask(Asked("/r1")).context.end()
        var sequence = SnapshotSequence()
        _ = sequence.next(try Dispatching.configuration("site a.example {\n\(routes)}\n", machine))
        dispatching.dispatcher.begin(
            sequence.next(try Dispatching.configuration("site b.example { respond 200 }\n", machine)))
        var steps = 0
        while dispatching.dispatcher.hasPendingSteps {
            dispatching.dispatcher.step()
            steps += 1
        }
        #expect(steps >= 7)
        #expect(dispatching.dispatcher.compiledSites == 0)
    }
}

struct ExplanationTests {
    private static let file = """
        site shop.example *.shop.example {
            @mobile header User-Agent *Mobile*
            header X-Site {site}
            /api/* proxy 127.0.0.1:9001 127.0.0.1:9002 { prefix /v2 }
            /api/* @mobile respond 200 mobile
            POST /api/items respond 201
            /admin/* { auth basic t/users }
            /old/* redirect /new/{rest} 308
            /* files ./d
        }
        """

    private func explain(_ url: String, _ change: (inout ExplainedRequest) -> Void = { _ in }) throws
        -> String
    {
        var asked = try #require(ExplainedRequest(url: url))
        change(&asked)
        let configuration = try Dispatching.configuration(
            Self.file, "listen 127.0.0.1:80", ["conf.d/t/users": "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"])
        return try Explanation(asked, in: configuration).text
    }

    @Test(
        arguments: [
            (
                "http://www.shop.example/api/items?a=b",
                [
                    "listener  127.0.0.1:80 (chimera.conf:1:1)",
                    "site      shop.example, tenant t (conf.d/t.conf:1:1)",
                    "POST /api/items (conf.d/t.conf:6:5): passed over, since the method does not fit",
                    "/api/* (conf.d/t.conf:5:5): passed over, since @mobile does not hold",
                    "/api/* (conf.d/t.conf:4:5): the next most specific",
                    "/* (conf.d/t.conf:9:5): less specific",
                    "header X-Site {site} (conf.d/t.conf:3:5)", "upstream  127.0.0.1:9001 127.0.0.1:9002",
                    "as /v2/api/items?a=b",
                ]
            ),
            (
                "shop.example/old/x",
                [
                    "route     /old/* (conf.d/t.conf:8:5): the most specific that matches", "answer    308",
                    "Location: /new/x",
                ]
            ),
            (
                "http://shop.example/admin/x",
                ["block /admin/* applies (conf.d/t.conf:7:5)", "auth basic", "answer    401"]
            ),
            ("http://shop.example/a/b", ["files     /etc/chimera/conf.d/d", "path below it: /a/b"]),
            ("http://other.example/", ["site      none answers to this host", "answer    421"]),
            ("http://shop.example:81/", ["listener  none listens on port 81"]),
        ] as [(String, [String])])
    func `an explanation names files, lines and reasons`(url: String, expected: [String]) throws {
        let text = try explain(url)
        for part in expected { #expect(text.contains(part), "\(part) is not in:\n\(text)") }
    }

    private static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBdzCCAR2gAwIBAgIUbcjIMlGsfYalvQbuGvnHjrvBCW4wCgYIKoZIzj0EAwIw
        EDEOMAwGA1UEAwwFc3RhZmYwIBcNMjYxMTIyMDUxOTIwWhgPMjEyNjEwMjkwNTE5
        MjBaMBAxDjAMBgNVBAMMBXN0YWZmMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
        XFDBgJeTT6oM1oiDIOZBND5BE0/cZbqn1+1FlK1rtx49GGeHji0mycd3JHKJAN87
        /zcfBqszSmQDA7USUsg1q6NTMFEwHQYDVR0OBBYEFAHIY6oRZuV2VP6FKq4vMtGN
        EvsRMB8GA1UdIwQYMBaAFAHIY6oRZuV2VP6FKq4vMtGNEvsRMA8GA1UdEwEB/wQF
        MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhANtzkk5e4h4zru09pCPP0IAi5xgqEmnM
        TTrWLGfS0A45AiA8M3ZpigyKACTAyaJw+njg6YZIV1mIUyGR60pN67qafw==
        -----END CERTIFICATE-----

        """

    private static let secure = """
        site a.example {
            tls internal { profile modern ; client-ca t/ca.pem }
            canonical a.example
            limit body 2kB
            respond 200
        }
        site b.example {
            tls internal
            respond 200
        }
        site plain.example {
            respond 200
        }
        """

    private func explainSecure(_ url: String, _ sites: String = secure) throws -> String {
        let configuration = try Dispatching.configuration(
            sites, "listen 8443 tls public=443\nlisten 8080 public=80\nlisten 9000 tls",
            ["conf.d/t/ca.pem": Self.authority])
        return try Explanation(try #require(ExplainedRequest(url: url)), in: configuration).text
    }

    @Test(
        arguments: [
            (
                "https://a.example/x",
                [
                    "listener  8443 with TLS (chimera.conf:1:1), known to clients as port 443",
                    "tls       a certificate of the local authority, for a.example (conf.d/t.conf:2:5)",
                    "profile modern", "client require, signed by /etc/chimera/conf.d/t/ca.pem",
                    "answer    200",
                    "limit body 2kB", "limit head 32KiB",
                ]
            ),
            (
                "http://a.example/x",
                [
                    "listener  8080 (chimera.conf:2:1), known to clients as port 80", "answer    308",
                    "Location: https://a.example/x", "since the site has `tls`", "(conf.d/t.conf:2:5)",
                ]
            ),
            (
                "https://b.example/",
                ["for b.example (conf.d/t.conf:8:5)", "profile intermediate", "answer    200"]
            ),
            ("https://a.example:9000/", ["listener  9000 with TLS (chimera.conf:3:1)", "answer    200"]),
            (
                "https://other.example/",
                ["the handshake is refused (unrecognized_name)", "answer    none: the handshake is refused"]
            ),
            (
                "https://plain.example/",
                ["site      plain.example", "answer    none: the handshake is refused"]
            ),
            ("http://plain.example/", ["answer    200"]),
            ("http://nobody.example/", ["answer    421 (host-unknown)"]),
            ("https://a.example:8080/", ["answer    none: this listener is without `tls`"]),
            ("http://a.example:9000/", ["answer    400: this listener has `tls`"]),
        ] as [(String, [String])])
    func `an explanation says what TLS has to do with it`(url: String, expected: [String]) throws {
        let text = try explainSecure(url)
        for part in expected { #expect(text.contains(part), "\(part) is not in:\n\(text)") }
    }

    @Test(
        arguments: [
            (
                "https://plain.example/",
                ["for *", "answer    421 (site-mismatched): the site is without `tls`"]
            ),
            ("https://nobody.example/", ["for *", "answer    200"]),
            ("https://192.0.2.1/", ["for *", "answer    200"]),
            ("https://[2001:db8::1]/", ["for *", "answer    200"]),
        ] as [(String, [String])])
    func `the site for all takes handshakes that no other does`(url: String, expected: [String]) throws {
        let text = try explainSecure(
            url, "site * {\ntls internal\nrespond 200\n}\nsite plain.example {\nrespond 200\n}\n")
        for part in expected { #expect(text.contains(part), "\(part) is not in:\n\(text)") }
        #expect(!text.contains("client "))
    }

    @Test func `of a request that is sent to https no route is asked`() throws {
        let text = try explainSecure("http://b.example/")
        #expect(text.contains("answer    308") && !text.contains("route "), "\(text)")
        #expect(try explainSecure("http://plain.example/").contains("route "))
    }

    @Test func `the port that a redirect of http names is the public one`() throws {
        let text = try explainSecure(
            "http://www.a.example/", "site a.example www.a.example {\ncanonical a.example\n}\n")
        #expect(text.contains("Location: http://a.example/\n"), "\(text)")
    }

    @Test func `fields and methods count`() throws {
        var (isField, isMethod) = (false, false)
        let mobile = try explain("http://shop.example/api/x") {
            isField = $0.add(field: "User-Agent: A Mobile B")
        }
        #expect(mobile.contains("/api/* (conf.d/t.conf:5:5): the most specific that matches"))
        let posted = try explain("http://shop.example/api/items") { isMethod = $0.set(method: "POST") }
        #expect(isField && isMethod)
        #expect(posted.contains("answer    201"))
        var asked = try #require(ExplainedRequest(url: "a"))
        let taken =
            ["", "A B", "GET\r\n"].map { asked.set(method: $0) }
            + ["", "A", ": b", "A b: c", "A: b\r\nC: d"].map { asked.add(field: $0) }
        #expect(!taken.contains(true))
        #expect(asked.method == "GET" && asked.fields.isEmpty)
    }

    @Test(arguments: ["", "http://", "ftp://x/", "http://a b/", "/x"])
    func `what is no URL is refused`(url: String) {
        #expect(ExplainedRequest(url: url) == nil)
    }
}
