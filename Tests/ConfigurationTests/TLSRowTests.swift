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
