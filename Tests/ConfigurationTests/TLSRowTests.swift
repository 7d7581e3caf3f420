import ChimeraConfiguration
import ChimeraTLS
import Testing

struct TLSRowTests {
    private static func load(_ site: String, listen: String = "listen 443 tls") -> LoadResult {
        ChimeraConfigurationTests.load(tenant: "site a.example {\n\(site)\n}\n", machine: "\(listen)\n")
    }

    @Test func `a listener says that it speaks TLS, and its public port`() throws {
        let result = ChimeraConfigurationTests.load(
            machine: "listen 8443 tls public=443 name=front\nlisten 80\n")
        let listeners = try #require(result.configuration?.listeners)
        #expect(listeners.map(\.tls) == [true, false])
        #expect(listeners.map(\.publicPort) == [443, nil])
    }

    @Test func `what stands in the block of tls is in the site`() throws {
        let result = Self.load("tls internal redirect=off { hsts 1y ; profile modern }")
        #expect(!result.hasErrors, "\(result.diagnostics.rendered)")
        let tls = try #require(result.configuration?.sites.first?.site.tls)
        #expect(tls.isInternal && !tls.redirects && tls.certificates.isEmpty)
        #expect(tls.profile == .modern)
        #expect(tls.strictTransportSeconds == 31_536_000)
        #expect(tls.clients == nil)
    }

    @Test func `a site with tls redirects, and one without has none`() throws {
        #expect(try #require(Self.load("tls internal").configuration?.sites.first?.site.tls).redirects)
        let plain = try #require(Self.load("respond 200").configuration?.sites.first)
        #expect(plain.site.tls == nil)
    }

    @Test(arguments: [
        ("tls internal t/page.html", 14, "`tls internal` has no files"),
        ("tls interal", 5, "`tls` needs CHAIN and KEY, or the word `internal`; did you mean \"internal\"?"),
        ("tls auto", 5, "this version does not have `tls auto` yet"),
        (
            "tls internal ; tls internal redirect=off", 20,
            "`tls internal` stands in this site already (see conf.d/t.conf:2:1)"
        ),
        ("tls internal { profile old }", 24, #"unknown profile "old"; known: intermediate, modern"#),
        (
            "tls internal { client require }", 1,
            "`client` needs a `client-ca` that says whose certificates count"
        ),
        (
            "tls internal { client-ca t/page.html }", 26,
            #""t/page.html" holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)"#
        ),
        ("tls internal { hsts on }", 21, #""on" is not a duration such as 30s or 5m"#),
    ])
    func `what is wrong is reported with its place`(line: String, column: Int, message: String) throws {
        let result = Self.load(line)
        let error = try #require(result.diagnostics.first { $0.severity == .error })
        #expect(error.text == message)
        #expect(error.position.column == column)
    }

    @Test(arguments: [
        ("", true), ("import conf.d/*.conf", true), ("import conf.d/*.conf watch=off", false),
        ("import conf.d/*.conf watch=off\nimport more.d/*.conf", true),
    ])
    func `files are watched unless each import says that they are not`(lines: String, isWatched: Bool) throws
    {
        let result = ChimeraConfigurationTests.load(machine: "listen 80\n\(lines)\n")
        #expect(try #require(result.configuration).isWatched == isWatched)
    }

    @Test func `a site that wants certificates and answers without TLS as well is warned of`() {
        let authority = "t/ca.pem"
        let result = ChimeraConfigurationTests.load(
            tenant:
                "site a.example {\ntls internal redirect=off { client-ca \(authority) }\nrespond 200\n}\n",
            machine: "listen 443 tls\n", files: ["conf.d/t/ca.pem": Self.clientAuthority])
        #expect(!result.hasErrors, "\(result.diagnostics.rendered)")
        #expect(result.diagnostics.contains { $0.text.contains("without TLS all requests get 403") })
    }

    private static let clientAuthority = """
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

    @Test(arguments: [
        ("listen 443 tls", "", true), ("listen 80", "", false), ("listen 443 tls name=in", "", false),
        ("listen 443 tls name=in", "on in", true), ("listen 443 tls\nlisten 80 name=in", "on in", false),
        ("listen 443 tls name=in\nlisten 80 name=out", "on in out", true),
    ])
    func `a site with tls needs a listener with tls that leads to it`(
        listen: String, on: String, isRight: Bool
    ) {
        let result = Self.load("\(on)\ntls internal", listen: listen)
        #expect(result.hasErrors == !isRight, "\(result.diagnostics.rendered)")
    }
}
