import ChimeraConfiguration
import Testing

/// What a wrong line of a site leads to.
struct ErrorCase: Sendable, CustomTestStringConvertible {
    var line: String
    var column: Int
    var text: String
    var testDescription: String { line }

    init(_ line: String, _ column: Int, _ text: String) {
        self.line = line
        self.column = column
        self.text = text
    }
}

struct ErrorTests {
    @Test func `an error shows its place, a suggestion, the line and a caret`() {
        let result = load(
            tenant: """
                site a.example {
                \t/api/* proxy 127.0.0.1:1 {
                \t\tbalance least-request
                \t}
                }
                """)
        #expect(
            result.diagnostics.rendered == """
                conf.d/t.conf:3:11: unknown balance "least-request"; did you mean "least-requests"?
                \t\tbalance least-request
                \t\t        ^~~~~~~~~~~~~

                """)
    }

    @Test func `all errors of a file are reported, in the order of their places`() {
        let result = load(
            tenant: """
                site a.example {
                    limit bdy 1MB
                    /a redirct /b
                    timeout head=1x
                }
                sit b.example { }
                """)
        #expect(
            result.diagnostics.map { "\($0.position.line):\($0.position.column) \($0.text)" } == [
                #"2:11 unknown limit "bdy"; did you mean "body"?"#,
                #"3:8 unknown verb "redirct"; did you mean "redirect"?"#,
                #"4:18 "1x" is not a duration such as 30s or 5m, or none"#,
                #"6:1 unknown directive "sit"; did you mean "site"?"#,
            ])
    }

    @Test func `the JSON form has one object for each message`() {
        let result = load(tenant: "site a.example {\n  limit body 10M\n  \"x\ty\" 1\n}\n")
        #expect(
            result.diagnostics.json == #"""
                [
                  {"file":"conf.d/t.conf","line":2,"column":14,"severity":"error","message":"\"10M\" is not a size such as 50MB or 8KiB","suggestion":"10MB","suggestions":["10MB","10m"]},
                  {"file":"conf.d/t.conf","line":3,"column":3,"severity":"error","message":"unknown directive \"x\ty\"","suggestion":null}
                ]
                """#)
        #expect([Diagnostic]().json == "[]")
    }

    static let siteCases: [ErrorCase] = [
        // Words and blocks.
        ErrorCase(
            "respond 200 ok;", 13,
            #"a ";" that ends a statement is a word of its own; did you mean "ok ;" or "'ok;'"?"#),
        ErrorCase(
            "respond 200 \"ok\";", 13,
            #"a word ends with its closing quote, but ";" follows; did you mean ""ok" ;"?"#),
        ErrorCase("respond 200 \"ok", 13, "the quote is not closed on its line"),
        ErrorCase("respond 200 'ok'x", 13, #"a word ends with its closing quote, but "x" follows"#),
        ErrorCase("respond 200 a{b", 13, #"the braces of "a{b" do not match; did you mean "'a{b'"?"#),
        ErrorCase("respond 200 \"\\q\"", 14, #"unknown escape "\q"; known are \n \r \t \" \\ \u{…}"#),
        ErrorCase("respond 200 a\u{1}b", 14, "a control character cannot stand here"),
        ErrorCase(
            "/x/*{ strip /x }", 1, #"a "{" that opens a block is a word of its own; did you mean "/x/* {"?"#),
        ErrorCase(
            "/x/* { strip /x}", 14, #"a "}" that closes a block is a word of its own; did you mean "/x }"?"#),
        ErrorCase("/x/* {}", 6, #"a block's braces are words of their own; did you mean "{ }"?"#),
        ErrorCase(
            "/x/*\n{ strip /x }", 1,
            #"a "{" stands at the end of the statement whose block it opens, not at the start of a line"#),
        // Directives.
        ErrorCase("redirct /b", 1, #"unknown directive "redirct"; did you mean "redirect"?"#),
        ErrorCase("frobnicate", 1, #"unknown directive "frobnicate""#),
        ErrorCase(
            "get /x respond 200", 1,
            #"unknown directive "get"; methods are written in capitals; did you mean "GET"?"#),
        ErrorCase("assets/* respond 200", 1, #"a pattern begins with /; did you mean "/assets/*"?"#),
        ErrorCase("*.php respond 200", 1, #"a pattern begins with /; did you mean "/*.php"?"#),
        ErrorCase("cache on", 1, "this version does not have `cache` yet"),
        ErrorCase("tls a.pem a.key", 5, #""a.pem" does not exist"#),
        ErrorCase("tls page.html", 5, "`tls` needs CHAIN and KEY, or the word `internal`"),
        ErrorCase("tls internal", 1, "no listener with `tls` leads to this site"),
        ErrorCase(
            "tls t/page.html t/page.html", 5,
            #""t/page.html" holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)"#),
        ErrorCase(
            "session t/page.html", 1,
            #"`session` needs `--` and the command behind it; did you mean "session -- t/page.html"?"#),
        ErrorCase("session -- python3 -i", 12, #"there is no program "python3""#),
        ErrorCase("session -- t/none", 12, #"the program "t/none" does not exist"#),
        ErrorCase(
            "session framing=words -- t/page.html", 17,
            #"unknown framing "words"; known: lines, raw, length, typed"#
        ),
        ErrorCase(
            "session env=NAME -- t/page.html", 9, "a variable is given as env=NAME=VALUE"),
        ErrorCase("/x/* php ./public unix:/run/php.sock", 6, "this version does not have `php` yet"),
        ErrorCase("limit processes 16", 1, "this version does not have `limit processes` yet"),
        ErrorCase("auth forward 127.0.0.1:1", 1, "this version does not have `auth forward` yet"),
        ErrorCase("listen 80", 1, "`listen` stands in the machine's file, not in a site"),
        ErrorCase(
            "balance round-robin", 1, "`balance` stands in the block of `proxy` or a `pool`, not in a site"),
        ErrorCase("hsts 1y", 1, "`hsts` stands in the block of `tls`, not in a site"),
        ErrorCase(
            "limit", 1, "`limit` needs a second word: body, connections, head, requests, sessions, starts"),
        ErrorCase("auth basick x", 6, #"unknown auth "basick"; did you mean "basic"?"#),
        ErrorCase("auth digest x", 6, #"unknown auth "digest"; known: basic, off"#),
        ErrorCase("canonical a.example { }", 1, "`canonical` has no block"),
        ErrorCase(
            "define x { }", 1,
            "`define` stands in the machine's file or a tenant's file outside of its sites, not in a site"),
        ErrorCase("use nothing", 5, "no `define nothing` is in this file or the machine's"),
        ErrorCase(
            "canonical a.example\ncanonical b.example", 1,
            "`canonical` stands here twice (see conf.d/t.conf:2:1)"),
        // Arguments and options.
        ErrorCase(
            "files", 1,
            "`files` needs DIR, a text with variables: files DIR [index=NAME,NAME] [fallback=/PATH] [hidden=on|off]"
        ),
        ErrorCase("redirect /a 302 x", 17, #""x" is one word too many: redirect URL [STATUS]"#),
        ErrorCase("files t hiden=on", 9, #"`files` has no option "hiden"; did you mean "hidden=on"?"#),
        ErrorCase("files t hidden=on hidden=off", 19, "`hidden` is given twice"),
        ErrorCase("files t hidden=yes", 16, #""yes" is not on or off; did you mean "on"?"#),
        ErrorCase("files t browse", 9, "this version does not have `browse` yet"),
        ErrorCase("files t index=a/b", 15, #""a/b" is not names with commas between them, each without /"#),
        ErrorCase(
            "files t fallback=index.html", 18,
            #""index.html" is not a path that begins with /; did you mean "/index.html"?"#),
        ErrorCase("files ./none", 7, #"the directory "/etc/chimera/conf.d/none" does not exist"#),
        ErrorCase("files t.conf", 7, #""/etc/chimera/conf.d/t.conf" is not a directory"#),
        // Quantities.
        ErrorCase(
            "limit body 10M", 12, #""10M" is not a size such as 50MB or 8KiB; did you mean "10MB" or "10m"?"#),
        ErrorCase("limit body 10", 12, #""10" is not a size such as 50MB or 8KiB; did you mean "10B"?"#),
        ErrorCase("limit body 10gb", 12, #""10gb" is not a size such as 50MB or 8KiB; did you mean "10GB"?"#),
        ErrorCase("limit body 99999999TB", 12, #""99999999TB" is not a size such as 50MB or 8KiB"#),
        ErrorCase("limit head 2MiB", 12, #""2MiB" is not between 1KiB and 1MiB"#),
        ErrorCase(
            "timeout body=10M", 14,
            #""10M" is not a duration such as 30s or 5m, or none; did you mean "10MB" or "10m"?"#),
        ErrorCase(
            "timeout body=30", 14, #""30" is not a duration such as 30s or 5m, or none; did you mean "30s"?"#),
        ErrorCase(
            "timeout body=5min", 14,
            #""5min" is not a duration such as 30s or 5m, or none; did you mean "5m"?"#),
        ErrorCase("timeout bdy=5m", 9, #"`timeout` has no option "bdy"; did you mean "body=5m"?"#),
        ErrorCase("timeout body=0s", 9, #"a timeout is longer than nothing; did you mean "body=none"?"#),
        ErrorCase(
            "timeout head=5s", 9, "`head=` counts before a site is known, so it stands in the machine's file"),
        ErrorCase(
            "timeout", 1,
            "`timeout` needs at least one of head=, body=, idle=, send=, response=, connect=, answer=, read=, quiet="
        ),
        ErrorCase("redirect /a 200", 13, #""200" is not one of the statuses 301, 302, 303, 307, 308"#),
        ErrorCase("respond 99", 9, #""99" is not a status from 200 to 599"#),
        ErrorCase("respond 204 x", 13, "an answer with status 204 has no body"),
        // Patterns.
        ErrorCase(
            "/a?b respond 200", 1,
            #"a pattern has no "?"; a query is matched by a matcher: @name query KEY VALUE"#),
        ErrorCase("/a#b respond 200", 1, ##"a pattern has no "#""##),
        ErrorCase(
            "/a/*/b respond 200", 1, #"`*` stands at the end of a pattern only; did you mean "/a/{name}/b"?"#),
        ErrorCase(
            "/a* respond 200", 1,
            "a segment that mixes text and `*`: only `*` alone or `*.ext` can end a pattern"),
        ErrorCase("/a/x{id} respond 200", 1, #"a segment mixes text and a capture: "x{id}""#),
        ErrorCase("/a/{} respond 200", 1, #""{}" is not a capture; its name has letters, digits, - and _"#),
        ErrorCase("/a/{rest} respond 200", 1, #"{rest} is what `*` captures; did you mean "/a/*"?"#),
        ErrorCase(
            "/a/{host} respond 200", 1, "{host} is a variable of its own, so no capture can have this name"),
        ErrorCase("/a/{x}/{x} respond 200", 1, #"{x} stands twice in "/a/{x}/{x}""#),
        ErrorCase("/a%zz respond 200", 1, #"a "%" is followed by two hexadecimal digits"#),
        ErrorCase("/a%2Fb respond 200", 1, #""%2F" is a slash in a pattern; did you mean "/a/b"?"#),
        ErrorCase(
            "/a/../b respond 200", 1, "dot segments are resolved before matching, so this never matches"),
        ErrorCase(
            "/a/%2e%2E respond 200", 1, "dot segments are resolved before matching, so this never matches"),
        ErrorCase(
            "/a;x respond 200", 1,
            #"what follows a ";" in a segment is left out for matching, so this never matches"#),
        ErrorCase("/a%5Cb respond 200", 1, "no path has this byte: a backslash or a control character"),
        ErrorCase("/a%00 respond 200", 1, "no path has this byte: a backslash or a control character"),
        ErrorCase("/a /a/ respond 200", 4, #""/a/" stands here twice"#),
        ErrorCase("/a", 1, #""/a" needs a verb such as `files` or `proxy`, or a block of settings"#),
        ErrorCase(
            "/a header X y", 4,
            #"`header` is not a verb: settings stand in a block; did you mean "/a { header X y }"?"#),
        ErrorCase("/a GET respond 200", 4, #"methods stand before the pattern; did you mean "GET /a"?"#),
        ErrorCase("@m /a respond 200\n@m scheme http", 4, "patterns stand before matchers"),
        ErrorCase("GET, /a respond 200", 1, "methods are separated by single commas"),
        ErrorCase(
            "/a/* { /a/b respond 200 }", 8, "a route stands in a site, not in the block of another route"),
        ErrorCase(
            "/a/* { @m scheme http }", 8, "a matcher is defined in a site, not in the block of another route"),
        // Matchers.
        ErrorCase(
            "@mobil respond 200\n@mobile header User-Agent *Mobile*", 1,
            #"unknown matcher "@mobil"; did you mean "@mobile"?"#),
        ErrorCase(
            "@m client 10.0.0.0/40", 11,
            #""10.0.0.0/40" is not an address or a block of addresses such as 10.0.0.0/8"#),
        ErrorCase("@m method get", 11, #""get" is not a method; did you mean "GET"?"#),
        ErrorCase("@m scheme ftp", 11, #""ftp" is not http or https"#),
        ErrorCase("@m client", 4, "`client` needs a value: client CIDR…"),
        ErrorCase("@m header", 4, "`header` needs a name: header FIELD [VALUE…]"),
        ErrorCase("@m header a:b", 11, #""a:b" is not the name of a field"#),
        ErrorCase("@m hedder X", 4, #"unknown kind of matcher "hedder"; did you mean "header"?"#),
        ErrorCase(
            "@m header Y\n@m cookei a", 4, #"unknown kind of matcher "cookei"; did you mean "cookie"?"#),
        ErrorCase("@m respnd 200", 1, #"unknown matcher "@m""#),
        ErrorCase("@m time 9..17", 4, "this version does not have `time` in a matcher yet"),
        ErrorCase("@m. header X", 1, #""@m." is not a matcher's name; it has letters, digits, - and _"#),
        // Templates.
        ErrorCase("respond 200 {hosst}", 13, #"unknown variable {hosst}; did you mean "{host}"?"#),
        ErrorCase(
            "/u/{name} respond 200 {nane}", 23,
            #"unknown variable {nane}, and "/u/{name}" does not capture it; did you mean "{name}"?"#),
        ErrorCase("/a /b/{nr} respond 200 {nr}", 24, #"unknown variable {nr}, and "/a" does not capture it"#),
        ErrorCase(
            "/b/{id} respond 200", 1, "{id} is a variable of its own, so no capture can have this name"),
        ErrorCase("/a respond 200 {rest}", 16, "{rest} is what `*` matches, and \"/a\" has none"),
        ErrorCase("header X {rest}", 10, "{rest} needs a pattern to stand under"),
        ErrorCase(
            "respond 200 {tls.versoin}", 13, #"unknown variable {tls.versoin}; did you mean "{tls.version}"?"#
        ),
        ErrorCase("respond 200 \"{a\"", 13, #"a "{" is not closed; a literal brace is written {{"#),
        ErrorCase("respond 200 \"{}\"", 13, "{} is not a variable; a literal brace is written {{"),
        ErrorCase("respond 200 {host.0}", 13, #"unknown variable {host.0}; did you mean "{host.1}"?"#),
        ErrorCase(
            "redirect //x", 10,
            #""//x" is not a safe redirect: what begins with // or /\ leads to another host"#),
        ErrorCase(
            "redirect x.example", 10,
            #""x.example" is not a URL: it begins with / or a scheme such as https://; did you mean "https://x.example"?"#
        ),
        ErrorCase(
            "redirect {query.to}", 10,
            #""{query.to}" is not a safe redirect: a variable at its start could name any host"#),
        ErrorCase("rewrite x", 9, #""x" is not a path that begins with /; did you mean "/x"?"#),
        ErrorCase(
            "files t/{path}", 7, "{path} is not one segment, which is all that a variable is in a directory"),
        ErrorCase(
            "/t/* proxy {host}:80", 12, "a target has only {host.N} and captures as variables, not {host}"),
        // Upstreams.
        ErrorCase(
            "proxy localhost", 7,
            #"no pool "localhost" is in this file or the machine's; did you mean "localhost:80"?"#),
        ErrorCase(
            "proxy 3000", 7,
            #"no pool "3000" is in this file or the machine's; did you mean "127.0.0.1:3000"?"#),
        ErrorCase(
            "proxy ::1", 7, #"no pool "::1" is in this file or the machine's; did you mean "[::1]:80"?"#),
        ErrorCase("proxy a:b", 7, #""a:b" is not a target: "b" is not a port"#),
        ErrorCase("proxy a:99999", 7, #""a:99999" is not a target: "99999" is not a port"#),
        ErrorCase("proxy https://a", 7, "this version does not have `https://` targets yet"),
        ErrorCase("proxy h2c://a", 7, "this version does not have `h2c://` targets yet"),
        ErrorCase("proxy srv:a", 7, "this version does not have `srv:` targets yet"),
        ErrorCase("proxy ws://a:1", 7, #"unknown scheme "ws"; did you mean "http://a:1"?"#),
        ErrorCase(
            "proxy http://a/b", 7,
            "a target has no path: `prefix /b` in the block puts one before the request's"),
        ErrorCase("proxy", 1, "`proxy` needs a target: proxy TARGET…, or `to ADDRESS` in its block"),
        ErrorCase("proxy { to a:1 weight=2 }", 16, "this version does not have `weight=` yet"),
        ErrorCase("proxy { to a:1 weigth=2 }", 16, #"`to` has no option "weigth"; did you mean "weight=2"?"#),
        ErrorCase("proxy { to a:1 backup }", 16, "this version does not have `backup` yet"),
        ErrorCase("proxy a:1 { balance sticky }", 21, "this version does not have the balance `sticky` yet"),
        ErrorCase("proxy a:1 { retry 2 }", 13, "this version does not have `retry` yet"),
        ErrorCase(
            "proxy a:1 { prefix /v2/ }", 20, #"a prefix neither ends in / nor has a ?; did you mean "/v2"?"#),
        ErrorCase(
            "proxy unix:/\(String(repeating: "s", count: 107))", 7,
            "a socket's path has at most 107 bytes; this one has 108"),
        // Settings.
        ErrorCase(
            "header Content-Length 3", 8,
            "`Content-Length` belongs to the connection, which the gateway alone describes"),
        ErrorCase("header X: y", 8, #""X:" is not a field's name; did you mean "X"?"#),
        ErrorCase("header -X y", 11, "`-X` removes the field and has no value"),
        ErrorCase("header X", 8, #"`X` needs a value; did you mean "-X"?"#),
        ErrorCase(
            "header X \"a\\nb\"", 10,
            "\"a␊b\" is not a field's value: it has a line end or another control character"),
        ErrorCase(
            "request-header -Host", 16,
            #"a request has exactly one Host: it can be set only; did you mean "Host"?"#),
        ErrorCase("auth basic none", 12, #""none" does not exist"#),
        ErrorCase(
            "auth basic file:t/users", 12, #"a file's path is written plainly here; did you mean "t/users"?"#),
        ErrorCase("auth basic t/users\nauth off", 1, "`auth` stands here twice (see conf.d/t.conf:2:1)"),
        ErrorCase(
            "allow office\n@office client 10.0.0.0/8", 7,
            #""office" is not all, @matcher or a block of addresses such as 10.0.0.0/8; did you mean "@office"?"#
        ),
        ErrorCase("satisfy all", 9, #"unknown satisfy "all"; known: any"#),
        ErrorCase("error 502 502 t/page.html", 11, "status 502 has two pages in this block"),
        ErrorCase("error 502", 1, "`error` needs FILE, a file: error STATUS… FILE"),
        ErrorCase("strip /a\nrewrite /b", 1, "`strip` and `rewrite` cannot stand in one block"),
        ErrorCase("strip /", 7, #""/" strips nothing"#),
        ErrorCase("canonical *.example", 11, #""*.example" is not a single host"#),
        ErrorCase("log access json", 12, #""json" is not on or off"#),
        ErrorCase("on nowhere", 4, "no listener has `name=nowhere`"),
        // Values from elsewhere are not printed.
        ErrorCase(
            "limit body env:SECRET", 12, #"what "env:SECRET" stands for is not a size such as 50MB or 8KiB"#),
        ErrorCase(
            "proxy env:SECRET", 7,
            #"what "env:SECRET" stands for is not host:port, http://host, unix:/path or the name of a pool"#),
        ErrorCase("header X env:NONE", 10, #"the environment has no "NONE""#),
        ErrorCase("header X file:none", 10, #""none" does not exist"#),
    ]

    @Test(arguments: siteCases)
    func `a wrong line of a site is reported with its place and what to write`(wrong: ErrorCase) throws {
        let result = load(
            tenant: "site a.example {\n\(wrong.line)\n}\n", environment: ["SECRET": "hunter2 hunter2"])
        let error = try #require(result.diagnostics.first { $0.severity == .error })
        #expect(error.text == wrong.text)
        #expect(error.position.column == wrong.column)
        #expect(result.refusedTenants == ["t"])
        #expect(result.diagnostics.count { $0.severity == .error } == 1, "\(result.diagnostics.rendered)")
        #expect(!result.diagnostics.rendered.contains("hunter2"))
    }

    static let fileCases: [ErrorCase] = [
        ErrorCase(
            "pool web { to a:1 }\nsite a.example { proxy wbe }", 24,
            #"no pool "wbe" is in this file or the machine's; did you mean "web"?"#),
        ErrorCase("site { respond 200 }", 1, "`site` needs HOST, a host, *.x, **.x or *: site HOST…"),
        ErrorCase("site a.example", 1, "`site` needs a block: site HOST… { … }"),
        ErrorCase(
            "site a.example:80 { }", 6,
            #""a.example:80" has a port, which belongs to `listen`; did you mean "a.example"?"#),
        ErrorCase(
            "site *.a.example:80 { }", 6,
            #""*.a.example:80" has a port, which belongs to `listen`; did you mean "*.a.example"?"#),
        ErrorCase(
            "site http://a.example/ { }", 6,
            #""http://a.example/" is not a host: it has a scheme; did you mean "a.example"?"#),
        ErrorCase(
            "site a.example, b.example { }", 6, #"hosts are separated by blanks; did you mean "a.example"?"#),
        ErrorCase(
            "site a.*.example { }", 6,
            #""a.*.example" is not a host: a star is a whole label at the start: *.x or **.x"#),
        ErrorCase("site ** { }", 6, #""**" is not a host; every host is "*"; did you mean "*"?"#),
        ErrorCase("site -a.example { }", 6, #""-a.example" is not a host"#),
        ErrorCase(
            "site a..b { }", 6, #""a..b" is not a host: a label has 1 to 63 bytes, and all of it at most 253"#
        ),
        ErrorCase("site a.example a.example { }", 16, #""a.example" stands here twice"#),
        ErrorCase("site a.example { respond 200", 16, "this block is not closed"),
        ErrorCase("}", 1, #"this "}" closes nothing"#),
        ErrorCase(
            "listen 80", 1,
            "`listen` stands in the machine's file, not in a tenant's file outside of its sites"),
        ErrorCase(
            "import x.conf", 1,
            "`import` stands in the machine's file, not in a tenant's file outside of its sites"),
        ErrorCase(
            "header X y", 1,
            "`header` stands in the machine's file, a site or a route's block, not in a tenant's file outside of its sites"
        ),
        ErrorCase("pool web { }", 1, "`pool web` has no `to ADDRESS`"),
        ErrorCase("pool a.b { to c:1 }", 6, #""a.b" is not a pool's name; it has letters, digits, - and _"#),
        ErrorCase("define a { use a }\nuse a", 12, "`use a` stands within the block that it names"),
        ErrorCase("define a { }\ndefine a { }", 8, "`define a` stands here twice (see conf.d/t.conf:1:1)"),
    ]

    @Test(arguments: fileCases)
    func `a wrong line of a tenant's file is reported with its place`(wrong: ErrorCase) throws {
        let result = load(tenant: wrong.line)
        let error = try #require(result.diagnostics.first)
        #expect(error.text == wrong.text)
        #expect(error.position.column == wrong.column)
        #expect(result.diagnostics.count == 1, "\(result.diagnostics.rendered)")
    }

    static let machineCases: [ErrorCase] = [
        ErrorCase("listen 65536", 8, #""65536" is not a port, an address with a port, or unix:/path"#),
        ErrorCase(
            "listen :80", 8,
            #"":80" is not a port, an address with a port, or unix:/path; did you mean "80"?"#),
        ErrorCase(
            "listen localhost:80", 8,
            #""localhost:80" is not a port, an address with a port, or unix:/path; did you mean "127.0.0.1:80" or "[::1]:80"?"#
        ),
        ErrorCase(
            "listen ::1:80", 8,
            #""::1:80" is not a port, an address with a port, or unix:/path; did you mean "[::1]:80"?"#),
        ErrorCase(
            "listen 127.0.0.1", 8,
            #""127.0.0.1" is not a port, an address with a port, or unix:/path; did you mean "127.0.0.1:80"?"#
        ),
        ErrorCase(
            "listen 443 tsl", 12,
            #""tsl" is one word too many: listen ADDRESS [name=NAME] [tls] [session=TENANT/ROUTE] [public=N] [proxy-protocol=on|off]; did you mean "tls"?"#
        ),
        ErrorCase("listen 80 public=70000", 18, #""70000" is not a port from 1 to 65535"#),
        ErrorCase("listen 443 tls public=0", 23, #""0" is not a port from 1 to 65535"#),
        ErrorCase("listen 443 tls public=-1", 23, #""-1" is not a port from 1 to 65535"#),
        ErrorCase(
            "listen 80 proxy-protocol=on", 1,
            "`proxy-protocol=on` needs `trust`, which says whose PROXY header is believed"),
        ErrorCase("listen 8080", 1, "this address is listened on twice (see chimera.conf:1:1)"),
        ErrorCase("workers 0", 9, #""0" is not auto or a number from 1 to 1024"#),
        ErrorCase("workers 1\nworkers 2", 1, "`workers` stands here twice (see chimera.conf:2:1)"),
        ErrorCase("log access jsn", 12, #"unknown format "jsn"; did you mean "json"?"#),
        ErrorCase("log acces json", 5, #"unknown log "acces"; did you mean "access"?"#),
        ErrorCase("log access off /x", 16, "a log that is off has no path"),
        ErrorCase(
            "trust everyone", 7, #""everyone" is not an address or a block of addresses such as 10.0.0.0/8"#),
        ErrorCase("store 10GB", 1, "this version does not have `store` yet"),
        ErrorCase("admin 127.0.0.1:81", 7, "the administration has a Unix socket: `unix:PATH`"),
        ErrorCase("user a:b:c", 6, "\"a:b:c\" is not NAME or NAME:GROUP"),
        ErrorCase("files ./x", 1, "`files` stands in a site, not in the machine's file"),
        ErrorCase("/x/* { strip /x }", 1, "a route stands in a site, not in the machine's file"),
    ]

    @Test(arguments: machineCases)
    func `a wrong line of the machine's file is reported with its place`(wrong: ErrorCase) throws {
        let result = load(machine: "listen 8080\n" + wrong.line)
        let error = try #require(result.diagnostics.first)
        #expect(error.text == wrong.text)
        #expect(error.position.column == wrong.column)
        #expect(result.diagnostics.count == 1, "\(result.diagnostics.rendered)")
        #expect(result.configuration == nil)
    }

    @Test func `a machine's file without a listener is an error`() {
        #expect(
            load(machine: "workers 1").diagnostics.map(\.text) == [
                "no `listen` says where to accept connections"
            ])
    }

    @Test func `a file that is not UTF-8 is an error at its line`() throws {
        var disk = MemoryFileSystem(files: ["chimera.conf": "listen 1\nimport t.conf"])
        disk.add("t.conf", Array("# a\nsite a.example { respond 200 ".utf8) + [0xff] + Array(" }\n".utf8))
        let result = ConfigurationLoader(fileSystem: disk).load(machineFile: "chimera.conf")
        #expect(result.diagnostics.map(\.rendered) == ["t.conf:2:1: this is not UTF-8 text"])
        #expect(result.refusedTenants == ["t"])
    }

    @Test func `an error within a shared block names the block's file`() {
        let result = load(
            tenant: "site a.example { use base ; respond 200 }",
            machine: "listen 8080\ndefine base {\n  limit body 1\n}\n")
        #expect(result.diagnostics.map { "\($0.position)" } == ["chimera.conf:3:14"])
        #expect(result.diagnostics.first?.sourceLine == "  limit body 1")
        #expect(result.refusedTenants == ["t"])
    }

    @Test func `a line of a password file that lets nobody in is an error at its place, without its text`() {
        let users = "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n# staff\nbob:secret\nbroken\n"
        let result = load(
            tenant: "site a.example {\n  auth basic t/staff\n  /x/* respond 200 { auth basic t/staff }\n}",
            files: ["conf.d/t/staff": users])
        #expect(
            result.diagnostics.map(\.rendered) == [
                "conf.d/t/staff:3:1: the password is in plain text or hashed by DES, neither of which protects it; "
                    + "write the line anew with htpasswd -B (see conf.d/t.conf:2:14)",
                "conf.d/t/staff:4:1: this is not user:hash (see conf.d/t.conf:2:14)",
            ])
        #expect(!result.diagnostics.json.contains("secret"))
        #expect(result.refusedTenants == ["t"])
    }

    @Test func `a machine's broken password file refuses the whole configuration`() {
        let result = load(
            machine: "listen 1\nauth basic /etc/users\nsite * { respond 200 }", files: ["/etc/users": "x"])
        #expect(
            result.diagnostics.map(\.rendered) == [
                "/etc/users:1:1: this is not user:hash (see chimera.conf:2:12)"
            ])
        #expect(result.configuration == nil)
    }

    /// A tenant's file must not write on the screen of the operator who checks it.
    @Test func `control characters are shown by pictures, and the caret stays under its place`() {
        let diagnostic = Diagnostic(
            .error, at: SourcePosition(file: "a\n", line: 1, column: 6), "b\r",
            sourceLine: "\t\u{1b}[2J\u{7f}\u{9b}",
            length: 2)
        #expect(diagnostic.rendered == "a␊:1:6: b␍\n\t␛[2J␡\u{fffd}\n\t    ^~")
        let shown = load(tenant: "site a.example { respond 200 '\u{1b}[2J' }").diagnostics.first?.rendered
        #expect(shown?.contains("respond 200 '␛[2J'") == true)
    }

    @Test func `columns count characters, not bytes`() {
        let result = load(tenant: "site a.example { respond 200 'äöü' x }")
        #expect(result.diagnostics.map(\.position.column) == [36])
    }
}
