import ChimeraConfiguration
import Testing

struct GrammarTests {
    /// The body of `respond 200 BODY`.
    private func body(_ content: String, environment: [String: String] = [:]) throws -> RespondBody {
        let site = try site(content, environment: environment)
        guard case .respond(_, let body)? = site.routes.first?.destination else {
            Issue.record("no answer")
            return .none
        }
        return body
    }

    private func text(_ word: String) throws -> String? {
        if case .text(let template) = try body("respond 200 \(word)") { template.literal } else { nil }
    }

    @Test(arguments: [
        ("plain", "plain"), (#""two words""#, "two words"), (#""a\n\t\"\\ \u{e9}""#, "a\n\t\"\\ \u{e9}"),
        (#"'raw \n {host}'"#, #"raw \n {host}"#), (#""}""#, "}"), ("';'", ";"), (#"";""#, ";"),
        (#""{{x}""#, "{x}"),
        ("/page#x", "/page#x"), ("it's", "it's"), (#"a"b"#, #"a"b"#), ("a;b", "a;b"),
        ("key=value", "key=value"),
        (#"key="a b""#, "key=a b"), ("'{'", "{"), ("\"#x\"", "#x"), ("x\\", "x\\"), (#""""#, ""),
        ("ä", "ä"),
    ])
    func `a word means what its quotes say`(word: String, meaning: String) throws {
        #expect(try text(word) == meaning)
    }

    @Test func `a statement ends with its line, its block, the block around it, or a semicolon`() throws {
        let result = load(
            tenant: """
                site a.example { respond 200 } site b.example { /x/* { strip /x } /y/* { strip /y } respond 200 }
                site c.example { strip /a ; canonical c.example ; ; /a respond 200 ; /b respond 201 }
                """)
        #expect(result.diagnostics.isEmpty, "\(result.diagnostics.rendered)")
        let sites = try #require(result.configuration?.sites)
        #expect(sites.map(\.name) == ["a.example", "b.example", "c.example"])
        #expect(sites[1].settingsBlocks.map(\.pattern.text) == ["/x/*", "/y/*"])
        #expect(sites[2].routes.map(\.text) == ["/a", "/b"])
    }

    @Test func `a backslash alone at the end of a line continues it`() throws {
        let route = try route("proxy 127.0.0.1:1 \\\n  127.0.0.1:2 \\  \n  127.0.0.1:3 {\n}")
        guard case .proxy(let target) = route.destination else {
            Issue.record("not a proxy")
            return
        }
        #expect(target.targets.map(\.position.line) == [2, 3, 4])
    }

    @Test func `line ends of either kind, a byte order mark and comments are no words`() throws {
        let result = load(
            tenant: "\u{feff}# a comment\r\nsite a.example { # another\r\n\trespond 200 ok\r\n}\r\n")
        #expect(result.diagnostics.isEmpty, "\(result.diagnostics.rendered)")
        #expect(result.configuration?.sites.first?.routes.count == 1)
    }

    @Test func `an option is one only where it is declared`() throws {
        let site = try site("header Cache-Control max-age=60 stale=1\nheader X a hidden=on\nrespond 200")
        #expect(
            site.settings.headerOperations.map(\.value.description) == ["max-age=60 stale=1", "a hidden=on"])
    }

    @Test func `a quoted word is no option`() {
        #expect(
            messages("files t \"hidden=on\"") == [
                #""hidden=on" is one word too many: files DIR [index=NAME,NAME] [fallback=/PATH] [hidden=on|off]"#
            ])
    }

    @Test func `an option's value may be quoted`() throws {
        let site = try site("auth basic t/users realm=\"Our staff\"\nrespond 200")
        guard case .basic(let file, let realm)? = site.settings.auth?.kind else {
            Issue.record("no auth")
            return
        }
        #expect(realm == "Our staff")
        #expect(file.path == "/etc/chimera/conf.d/t/users")
    }

    @Test func `env and file stand for values that are never expanded`() throws {
        let content = """
            header X-A env:VALUE
            header X-B file:t/page.html
            header X-C 'env:VALUE'
            limit body env:SIZE
            respond 200 file:t/page.html
            """
        let environment = ["VALUE": "{host}", "SIZE": "1MB"]
        let site = try site(content, environment: environment)
        #expect(
            site.settings.headerOperations.map(\.value.parts) == [
                [.literal("{host}")], [.literal("<p>closed</p>")], [.literal("env:VALUE")],
            ])
        #expect(site.settings.limitBody == 1_000_000)
        #expect(
            try body(content, environment: environment)
                == .file(
                    ReferencedFile(
                        path: "/etc/chimera/conf.d/t/page.html", content: Array("<p>closed</p>".utf8))))
    }

    @Test func `quantities have the units of the language`() throws {
        let sizes = [
            ("1B", 1), ("2kB", 2000), ("2KB", 2000), ("3MB", 3_000_000), ("1GB", 1_000_000_000),
            ("1KiB", 1024),
            ("1MiB", 1 << 20), ("1GiB", 1 << 30), ("0B", 0),
        ]
        for (text, bytes) in sizes {
            #expect(try site("limit body \(text)\nrespond 200").settings.limitBody == Int64(bytes))
        }
        let durations = [
            ("1ms", 1), ("2s", 2000), ("3m", 180_000), ("1h", 3_600_000), ("1d", 86_400_000),
            ("1y", 31_536_000_000), ("100y", 3_153_600_000_000),
        ]
        for (text, milliseconds) in durations {
            #expect(
                try site("timeout quiet=\(text)\nrespond 200").settings.timeouts.quiet
                    == .milliseconds(Int64(milliseconds)))
        }
        #expect(try site("timeout quiet=none\nrespond 200").settings.timeouts.quiet == .unlimited)
    }

    /// Deadlines are times plus durations, and that sum must not overflow.
    @Test(arguments: ["101y", "36501d", "292277024y", "9223372036854775807ms", "9223372036854775808ms"])
    func `a duration past a hundred years is none`(_ text: String) {
        let result = load(tenant: "site a.test { timeout quiet=\(text) ; respond 200 }")
        #expect(result.diagnostics.count { $0.severity == .error } == 1)
    }
}

struct LimitTests {
    private func errors(_ text: String, _ change: (inout ConfigurationLimits) -> Void) -> [String] {
        var limits = ConfigurationLimits()
        change(&limits)
        return load(machine: text, limits: limits).diagnostics.map(\.text)
    }

    @Test func `a file has a bound`() {
        #expect(errors("listen 1", { $0.fileBytes = 8 }).isEmpty)
        #expect(errors("listen 1", { $0.fileBytes = 7 }) == ["this file is larger than 7 bytes"])
    }

    @Test func `a word has a bound`() {
        #expect(errors("listen 12345", { $0.wordBytes = 6 }).isEmpty)
        #expect(errors("listen 12345", { $0.wordBytes = 5 }).first == "a word has at most 5 bytes")
    }

    @Test func `a statement has a bound`() {
        #expect(errors("listen 1\ntrust ::1 ::2", { $0.statementWords = 3 }).isEmpty)
        #expect(
            errors("listen 1\ntrust ::1 ::2", { $0.statementWords = 2 }) == [
                "a statement has at most 2 words"
            ])
    }

    @Test func `blocks have a bound`() {
        let text = "listen 1\nsite a { /* { strip /a } }"
        #expect(errors(text, { $0.nestingDepth = 2 }).isEmpty)
        #expect(errors(text, { $0.nestingDepth = 1 }).first == "blocks stand at most 1 deep")
        let deep = String(repeating: "a { ", count: 100_000)
        #expect(errors("listen 1\n" + deep, { _ in }).contains("blocks stand at most 16 deep"))
    }

    @Test func `statements have a bound, those of shared blocks counted each time`() {
        #expect(errors("listen 1\nlisten 2", { $0.statements = 2 }).isEmpty)
        #expect(errors("listen 1\nlisten 2", { $0.statements = 1 }) == ["a file has at most 1 statements"])
        var text = "listen 1\ndefine a0 { trust ::1 ; trust ::2 }\n"
        for number in 1...40 { text += "define a\(number) { use a\(number - 1) ; use a\(number - 1) }\n" }
        let messages = errors(text + "use a40", { $0.statements = 1000 })
        #expect(messages.allSatisfy { $0 == "`use` brings in more than 1000 statements" })
        #expect(!messages.isEmpty)
    }

    @Test func `a block under several patterns counts for each of them`() {
        let text = "listen 1\nsite a { /a /b /c /d { strip /a ; limit body 1MB } ; respond 200 }"
        #expect(errors(text, { $0.statements = 8 }).isEmpty)
        #expect(
            errors(text, { $0.statements = 7 }) == [
                "the blocks of this file's routes have more than 7 statements"
            ])
    }

    @Test func `no number of warnings hides an error`() {
        let text = "listen 1\nsite a { /a { deny all } ; /b { deny all } ; /c { deny al } ; respond 200 }"
        let messages = errors(text, { $0.diagnosticsPerFile = 1 })
        #expect(messages.count == 2)
        #expect(messages.last?.hasPrefix("\"al\" is not all") == true)
    }

    @Test func `messages have a bound for each file`() {
        let wrong = String(repeating: "x\n", count: 500)
        #expect(errors("listen 1\n" + wrong, { $0.diagnosticsPerFile = 7 }).count == 7)
        #expect(errors("listen 1\n" + wrong, { $0.diagnosticsPerFile = 0 }).isEmpty)
    }

    @Test func `a file that a directive names has a bound`() {
        var limits = ConfigurationLimits()
        limits.referencedFileBytes = 3
        let text = "listen 1\nerror 502 page.html"
        #expect(load(machine: text, files: ["page.html": "abc"], limits: limits).diagnostics.isEmpty)
        #expect(
            load(machine: text, files: ["page.html": "abcd"], limits: limits).diagnostics.map(\.text)
                == ["\"page.html\" is larger than 3 bytes"])
    }
}
