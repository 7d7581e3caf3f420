import ChimeraBytes
import ChimeraConfiguration
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

@testable import Chimera

struct DispatcherAccessTests {
    /// {SHA} of "secret".
    private let users = ["conf.d/t/users": "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"]

    private func basic(_ text: String) -> [(String, String)] {
        [("Authorization", "Basic " + String(decoding: Base64.encode(Array(text.utf8).span), as: UTF8.self))]
    }

    /// Asks, and once more with the answer where a password is to be verified.
    private func settled(_ dispatching: Dispatching, _ asked: Asked) -> Answered {
        let first = dispatching.ask(asked)
        guard case .authenticate(let question) = first.verdict else { return first }
        dispatching.dispatcher.passwordAnswered(first.context, question, isRight: question.answer())
        return dispatching.again(first.context, first.request)
    }

    @Test(arguments: [
        ("allow 10.0.0.0/8", "10.1.1.1", 200), ("allow 10.0.0.0/8", "192.0.2.7", 403),
        ("deny 192.0.2.0/24", "192.0.2.7", 403), ("deny 192.0.2.0/24", "10.1.1.1", 200),
        ("allow all\ndeny 192.0.2.7", "192.0.2.7", 403),
        ("allow 10.0.0.0/8\nallow 192.0.2.7", "192.0.2.7", 200),
        ("allow @m", "192.0.2.7", 403), ("deny !@m", "192.0.2.7", 403), ("deny @m", "192.0.2.7", 200),
        ("allow 2001:db8::/32", "2001:db8::7", 200), ("allow 10.0.0.0/8", "::ffff:10.0.0.1", 200),
    ])
    func `deny is tried first, and any allow denies the rest`(lines: String, peer: String, status: Int) throws
    {
        let dispatching = try Dispatching.site("@m header X-M\n\(lines)\n/* respond 200")
        #expect(dispatching.ask(Asked(peer: peer)).status == status)
    }

    @Test func `access is asked before it is told whether a route is there`() throws {
        let dispatching = try Dispatching.site("allow 10.0.0.0/8\nGET /a respond 200")
        #expect(dispatching.ask("/none").status == 403)
        #expect(dispatching.ask(Asked("/a", method: "POST")).status == 403)
        #expect(dispatching.ask(Asked("/none", peer: "10.0.0.1")).status == 404)
    }

    @Test func `a password is asked for, verified off the worker and remembered`() throws {
        let dispatching = try Dispatching.site(
            "/in/* { auth basic t/users }\n/* respond 200 {user}", files: users)
        #expect(dispatching.ask("/out").status == 200)
        let bare = dispatching.ask("/in/x")
        #expect(bare.status == 401)
        #expect(bare["WWW-Authenticate"]?.hasPrefix("Basic realm=\"") == true)
        let asked = Asked("/in/x", fields: basic("ann:secret"))
        let first = dispatching.ask(asked)
        guard case .authenticate(let question) = first.verdict else {
            Issue.record("the password was not asked about")
            return
        }
        #expect(question.answer())
        dispatching.dispatcher.passwordAnswered(first.context, question, isRight: true)
        let second = dispatching.again(first.context, first.request)
        #expect(second.body == "ann")
        #expect(String(copying: second.context[second.context.user]) == "ann")
        let third = dispatching.ask(asked)
        #expect(third.body == "ann")
    }

    @Test(arguments: ["ann:wrong", "bob:secret", ":", "ann:"])
    func `a wrong password is 401 each time`(credentials: String) throws {
        let dispatching = try Dispatching.site("auth basic t/users\n/* respond 200", files: users)
        for _ in 0..<2 {
            let answered = settled(dispatching, Asked(fields: basic(credentials)))
            #expect(answered.status == 401)
            #expect(answered.context.user.isEmpty)
        }
    }

    @Test(arguments: ["Bearer x", "Basic", "Basic !", "Basic YQ==", ""])
    func `what are no Basic credentials is 401 without a question`(value: String) throws {
        let dispatching = try Dispatching.site("auth basic t/users\n/* respond 200", files: users)
        #expect(dispatching.ask(Asked(fields: [("Authorization", value)])).status == 401)
    }

    @Test func `an answer counts for its own request alone`() throws {
        let dispatching = try Dispatching.site("auth basic t/users\n/* respond 200", files: users)
        let first = dispatching.ask(Asked(fields: basic("ann:wrong")))
        guard case .authenticate(let question) = first.verdict else {
            Issue.record("the password was not asked about")
            return
        }
        dispatching.dispatcher.passwordAnswered(first.context, question, isRight: false)
        first.request.fill(Asked(fields: basic("ann:secret")))
        guard case .authenticate = dispatching.again(first.context, first.request).verdict else {
            Issue.record("another password took the answer of the first")
            return
        }
    }

    @Test(
        arguments: [
            ("10.0.0.1", nil, 200), ("192.0.2.7", "ann:secret", 200), ("192.0.2.7", nil, 401),
            ("192.0.2.7", "ann:wrong", 401), ("10.0.0.9", "ann:secret", 403),
        ] as [(String, String?, Int)])
    func `satisfy any lets either suffice`(peer: String, credentials: String?, status: Int) throws {
        let dispatching = try Dispatching.site(
            "auth basic t/users\nallow 10.0.0.0/8\ndeny 10.0.0.9\nsatisfy any\n/* respond 200", files: users)
        let asked = Asked(fields: credentials.map(basic) ?? [], peer: peer)
        #expect(settled(dispatching, asked).status == status)
    }

    @Test func `auth off and allow all open a part of a guarded site`() throws {
        let dispatching = try Dispatching.site(
            """
            auth basic t/users
            allow 10.0.0.0/8
            /hook/* { auth off ; allow all }
            /* respond 200
            """, files: users)
        #expect(dispatching.ask("/hook/x").status == 200)
        #expect(dispatching.ask("/x").status == 403)
        #expect(dispatching.ask(Asked("/x", peer: "10.0.0.1")).status == 401)
    }

    @Test func `a tenant cannot lift what the machine's file demands`() throws {
        let dispatching = try Dispatching.site(
            "allow all\nauth off\n/* respond 200", machine: "allow 10.0.0.0/8\nauth basic t/users",
            files: ["t/users": "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"])
        #expect(dispatching.ask("/").status == 403)
        #expect(dispatching.ask(Asked(peer: "10.0.0.1")).status == 401)
    }

    @Test(arguments: Array(1...16) as [UInt64])
    func `admission is that of the model`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let position = SourcePosition(file: "t", line: 1, column: 1)
        let blocks = try ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24"].map { try #require(CIDR($0)) }
        for _ in 0..<60 {
            var settings = Settings()
            let file = ReferencedFile(path: "/users", content: Array((users.values.first ?? "").utf8))
            if Bool.random(using: &random) {
                let owner = Bool.random(using: &random) ? "" : "t"
                settings.auth = AuthSetting(.basic(file: file, realm: "r"), owner: owner, position: position)
            }
            for owner in ["", "t"] where Bool.random(using: &random) {
                let rules = (0..<Int.random(in: 0...3, using: &random)).map { _ in
                    AccessRule(
                        Bool.random(using: &random) ? .allow : .deny,
                        Int.random(in: 0..<4, using: &random) == 0
                            ? .all : .clients(blocks.randomElement(using: &random) ?? blocks[0]),
                        position: position)
                }
                settings.access.append(
                    AccessGroup(owner: owner, rules: rules, satisfyAny: Bool.random(using: &random)))
            }
            let compiled = CompiledAccess(settings) {
                CompiledMatcherUse(matcher: CompiledMatcher($0.matcher), isNegated: false)
            }
            for text in ["10.1.2.3", "10.9.9.9", "192.0.2.1", "203.0.113.1"] {
                let address = try #require(IPAddress(text))
                let context = RequestContext()
                context.begin(peer: address, peerPort: 1, listener: .unnamed, port: 80, isSecure: false)
                let expected = settings.admission { subject in
                    switch subject {
                    case .all: true
                    case .clients(let block): block.contains(address)
                    case .matcher: false
                    }
                }
                #expect(compiled.admission(context, RequestHead()) == expected, "seed \(seed)")
            }
        }
    }

    // MARK: Client

    @Test(
        arguments: [
            ("10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
            ("10.0.0.1", ["1.1.1.1, 203.0.113.5, 10.0.0.2"], "203.0.113.5"),
            ("10.0.0.1", ["203.0.113.5", "10.0.0.2"], "203.0.113.5"), ("10.0.0.1", [], "10.0.0.1"),
            ("10.0.0.1", ["unknown"], "10.0.0.1"), ("192.0.2.7", ["203.0.113.5"], "192.0.2.7"),
            ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", ["[2001:db8::7]:99"], "2001:db8::7"),
        ] as [(String, [String], String)])
    func `the client is whom a trusted peer names`(peer: String, forwarded: [String], client: String) throws {
        let dispatching = try Dispatching.site("/* respond 200 {client}", machine: "trust 10.0.0.0/8")
        let answered = dispatching.ask(Asked(fields: forwarded.map { ("X-Forwarded-For", $0) }, peer: peer))
        #expect(answered.body == client)
        #expect(answered.context.peer == IPAddress(peer))
    }

    @Test func `without trust nobody is believed, and a Unix socket has no address`() throws {
        let dispatching = try Dispatching.site("/* respond 200 <{client}>\n/in/* { allow 0.0.0.0/0 }")
        let answered = dispatching.ask(Asked(fields: [("X-Forwarded-For", "203.0.113.5")]))
        #expect(answered.body == "<192.0.2.7>")
        answered.context.begin(peer: nil, peerPort: 0, listener: .unnamed, port: 0, isSecure: false)
        #expect(dispatching.again(answered.context, answered.request).body == "<>")
        answered.request.fill(Asked("/in/x"))
        #expect(dispatching.again(answered.context, answered.request).status == 403)
    }
}
