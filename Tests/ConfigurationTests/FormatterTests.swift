import ChimeraConfiguration
import Testing

struct FormatterTests {
    private func formatted(_ text: String) throws -> String { try Formatter.format(text).get() }

    @Test func `lines are indented and lined up, and words stay as they were written`() throws {
        let text = """


            # the shop
            site shop.localhost   *.shop.localhost {

              header X   'raw  word'   # one
                strip /a # two


              /assets/*   files ./shop/assets
              GET,POST /api/* @m  proxy 127.0.0.1:9001   \\
            127.0.0.1:9002 {
                    balance   round-robin
                prefix /v2
              }
              /admin/* { auth basic x ; allow 10.0.0.0/8 }
              @m   header User-Agent "a  b"

            }
            site b { respond 200 }

            """
        #expect(
            try formatted(text) == """
                # the shop
                site shop.localhost *.shop.localhost {
                    header X 'raw  word'  # one
                    strip  /a             # two

                    /assets/*          files ./shop/assets
                    GET,POST /api/* @m proxy 127.0.0.1:9001 \\
                        127.0.0.1:9002 {
                        balance round-robin
                        prefix  /v2
                    }
                    /admin/*           { auth basic x ; allow 10.0.0.0/8 }
                    @m                 header User-Agent "a  b"
                }
                site b { respond 200 }

                """)
    }

    @Test func `the machine's file has its arguments in a column`() throws {
        #expect(
            try formatted("listen 80 # all\nlisten 443\nworkers auto\nlog access off\n\ndata x")
                == "listen  80  # all\nlisten  443\nworkers auto\nlog access off\n\ndata x\n")
    }

    @Test(arguments: [
        "", "\n\n", "# only a comment", "a", "a {\n}\n", "a { }", "a {\n\n# c\n\n}\n", "a { b {\nc } }",
        "a {\nb } c",
        "a \\\n\\\n b", "a \\\n\n b", "a \\\n # c\n", "\t{x}\t\n", "a ;\n; b", "/x\n/yy\n/z { a\n}",
        "a # c\n\nb # c\n",
        "a {\n b 1 # x\n ccc 2\n}\nd 1 # y", "\u{feff}a\r\nb\r\n", "a \"b\n", "a }",
    ])
    func `formatting twice is formatting once`(text: String) throws {
        guard case .success(let once) = Formatter.format(text) else { return }
        #expect(try formatted(once) == once)
    }

    @Test func `a formatted file means the same`() throws {
        let text = """
            @m header X a
            site a.example {
            /a/* @m { header X "a b" ; strip /a }
              /b/* proxy 127.0.0.1:1 {
              prefix /c }
                  respond 200 \\
                  "x"
            }
            """
        let before = try #require(load(tenant: text).configuration?.sites.first)
        let after = try #require(load(tenant: try formatted(text)).configuration?.sites.first)
        #expect(before.routes.map(\.text) == after.routes.map(\.text))
        #expect(before.routes.last?.destination == after.routes.last?.destination)
        #expect(
            before.settingsBlocks.map { $0.settings.headerOperations.map(\.value) }
                == after.settingsBlocks.map { $0.settings.headerOperations.map(\.value) })
    }

    @Test func `a text with errors in its grammar is left alone`() throws {
        guard case .failure(let failure) = Formatter.format("site a {\nb;\n", file: "x.conf") else {
            Issue.record("formatted")
            return
        }
        #expect(failure.diagnostics.map { "\($0.position)" } == ["x.conf:2:1", "x.conf:1:8"])
        #expect(failure.diagnostics.first?.rendered.hasSuffix("\nb;\n^~") == true)
    }
}

struct ReferenceTests {
    @Test func `the reference page has every directive, variable and matcher of this version`() {
        let page = Reference.markdown()
        for usage in [
            "### `listen ADDRESS [name=NAME] [tls] [session=TENANT/ROUTE] [public=N] [proxy-protocol=on|off]`",
            "### `site HOST…`",
            "### `files DIR [index=NAME,NAME]",
            "### `auth off`",
            "### `redirect URL [STATUS]`", "-- COMMAND…`", "| `head=DURATION\\|none` | for a request's head",
            "| `{header.N}` |",
            "| `client CIDR…` |", "### `log access FORMAT [PATH]`",
        ] {
            #expect(page.contains(usage), "\(usage)")
        }
        let known = Set(Schema.directives.map(\.name))
        #expect(known.count > 60)
        for name in known { #expect(page.contains("`" + name), "\(name)") }
    }

    @Test func `no directive of a later version is described`() {
        let page = Reference.markdown()
        #expect(!page.contains("### `fastcgi"))
        #expect(page.contains("Known by name and refused by this version: `app`"))
    }

    @Test func `every directive says what it means`() {
        for directive in Schema.directives {
            #expect(directive.name.count > 1)
            #expect(directive.meaning.hasSuffix("."))
        }
    }
}
