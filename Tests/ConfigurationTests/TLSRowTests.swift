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
        ("tls internal { profile modem }", 24, #"unknown profile "modem"; did you mean "modern"?"#),
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

    @Test(arguments: [
        ("listen 443 tls", "respond 200", true), ("listen 443 tls", "tls internal", false),
        ("listen 443 tls name=in", "on in ; respond 200", true),
        ("listen 443 tls name=in", "on in ; tls internal", false),
        ("listen 443 tls\nlisten 8443 tls name=in", "on in ; tls internal", true),
        ("listen 443 tls\nlisten 8443 tls", "tls internal", false), ("listen 80", "respond 200", false),
    ])
    func `a listener with tls on which no site has tls is warned of`(
        listen: String, lines: String, isWarned: Bool
    ) {
        let result = Self.load(lines, listen: listen)
        #expect(!result.hasErrors, "\(result.diagnostics.rendered)")
        let warnings = result.diagnostics.filter { $0.text.contains("every handshake is refused") }
        #expect(!warnings.isEmpty == isWarned, "\(result.diagnostics.rendered)")
        #expect(warnings.allSatisfy { $0.position.line == 1 && $0.severity == .warning })
    }

    @Test func `a machine without sites yet is warned of none`() {
        let result = ChimeraConfigurationTests.load(machine: "listen 443 tls\n")
        #expect(!result.diagnostics.contains { $0.text.contains("handshake") })
    }

    @Test func `a public port is for redirects without TLS as well`() throws {
        let result = ChimeraConfigurationTests.load(machine: "listen 8080 public=80\n")
        #expect(try #require(result.configuration).listeners.map(\.publicPort) == [80])
        #expect(result.diagnostics.isEmpty)
    }

    @Test(
        arguments: [
            (0, "0B"), (1, "1B"), (1_500, "1500B"), (2_000, "2kB"), (32_768, "32KiB"),
            (10_000_000_000, "10GB"),
            (1 << 30, "1GiB"), (-1, "-1B"),
        ] as [(Int64, String)])
    func `a size is said in the largest unit that is exact`(count: Int64, text: String) {
        #expect(Quantity.text(ofBytes: count) == text)
    }

    @Test func `a certificate that OpenSSL does not use is an error at its place`() throws {
        let result = ChimeraConfigurationTests.load(
            tenant: "site a.example {\ntls t/chain.pem t/key.pem\n}\n", machine: "listen 443 tls\n",
            files: ["conf.d/t/chain.pem": Self.shortChain, "conf.d/t/key.pem": Self.shortKey])
        let error = try #require(result.diagnostics.first { $0.severity == .error })
        #expect(
            error.text
                == #""t/chain.pem" holds a certificate that OpenSSL does not use: ee key too small"#)
        #expect(error.position.column == 5)
    }

    /// An RSA key of 1024 bits, which nothing but this test uses.
    private static let shortKey = """
        -----BEGIN PRIVATE KEY-----
        MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBAM5iU1jMGkOph51p
        c0wxFNR3pDMneVAEMDqsYcFlHCVIWHMEQ4UifHb0UbFkLVMgbR5Ernn5kzAmZVoF
        OGkSKoPRey15el87+rB1ZPPQ4Fy5iyzOUOlCHFNiOYYUkLl6z8MAWSwUD+vmfAfo
        3Zx11DfbxIwRldUXuP7xQ5fuYiPJAgMBAAECgYEAoTDmi+oNcV9NTkJ4DMAg1rkD
        A/kGpNpAmPLd/uBrlSrl+h8QZUFEGNxFmdj2FYCz+PoHk7i7ntW+Pwrovhe0H4wN
        gASp8MCp7/T3e0fSf1jyAFdateA9Uw4deP6NhwcHiSxDAhYrw1WH8fCBCfTo2dFB
        Okfz2situSW62BJ6YSECQQD5l5DQqETCW/sJFQIqfeDR9TRCctQ2guMxFkwiBJzr
        H1fkAA7yHCRJr+1WeIqTxS1qiedLuUHJs7mINygjPmldAkEA067G80BTk+I5WspQ
        8IGOgKQUDA6rWgZZ/6lT1ZtWe/2tszA9qmZ7y5f7cOu24N/YIMWYDbNZt2MJowEl
        BDaBXQJBAN563hlAhNoDB4gW8/FQd4Bv4/9/P+6/SSjOSVrhZcaoD74q1ye1MhuE
        +DhmBpCl6E/ZURVMs3nJ/I2RLPQNg/kCQFdax+U4RYVAlRSfavllLY5up4s2PoYf
        GuLDWMJMoUr3q8fHf5sjQbEJ3gyCaWyxUzpq8E2vFrX0G9T1svXjHE0CQQCjxLKU
        Y/O46+9DT62/fHm6bg1/R/QEXFhME4qZunWB8bLLyEeyScCqpOFKwAvTVrho6HGj
        Ym5+FiREGqIS7yXw
        -----END PRIVATE KEY-----
        """
    private static let shortChain = """
        -----BEGIN CERTIFICATE-----
        MIICHDCCAYWgAwIBAgIUEBR0Wrimy3EO/jsu8Z2gY4TyTPMwDQYJKoZIhvcNAQEL
        BQAwFDESMBAGA1UEAwwJYS5leGFtcGxlMCAXDTI2MTEyMjA1MTc1NloYDzIxMjYx
        MDI5MDUxNzU2WjAUMRIwEAYDVQQDDAlhLmV4YW1wbGUwgZ8wDQYJKoZIhvcNAQEB
        BQADgY0AMIGJAoGBAM5iU1jMGkOph51pc0wxFNR3pDMneVAEMDqsYcFlHCVIWHME
        Q4UifHb0UbFkLVMgbR5Ernn5kzAmZVoFOGkSKoPRey15el87+rB1ZPPQ4Fy5iyzO
        UOlCHFNiOYYUkLl6z8MAWSwUD+vmfAfo3Zx11DfbxIwRldUXuP7xQ5fuYiPJAgMB
        AAGjaTBnMB0GA1UdDgQWBBSGxAoZjQhkAbHnp9YAm6lycpbfwDAfBgNVHSMEGDAW
        gBSGxAoZjQhkAbHnp9YAm6lycpbfwDAPBgNVHRMBAf8EBTADAQH/MBQGA1UdEQQN
        MAuCCWEuZXhhbXBsZTANBgkqhkiG9w0BAQsFAAOBgQCUJI3+fwcmL5Ql6t5/mHMl
        iiBb8eGyUDWJYrygLmugJ1JPAlTaM4EdZMI4n28Hz3KbChuhkshmkBnTcQEXSsC0
        Yd97Ztg9xJcIaxFFupx6DOOb5o/idw+TDZQN+lPk6g95oiRzOob0ummyk++ZAFyt
        pRdUCiJK727IWAoCoDlsIA==
        -----END CERTIFICATE-----
        """
}
