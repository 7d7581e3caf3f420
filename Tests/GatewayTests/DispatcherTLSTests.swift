import ChimeraConfiguration
import ChimeraHTTPCore
import Testing

@testable import Chimera

/// What becomes of requests that came without TLS, or ask over TLS for something else.
struct DispatcherTLSTests {
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

    private func site(_ options: String, routes: String, machine: String = "") throws -> Dispatching {
        try Dispatching(
            "site a.example {\ntls internal \(options) { client-ca t/ca.pem }\n\(routes)\n}\n",
            machine: "listen 127.0.0.1:443 tls\nlisten 127.0.0.1:80\n\(machine)\n",
            files: ["conf.d/t/ca.pem": Self.authority])
    }

    private static let challenge = "/.well-known/acme-challenge/x"

    @Test func `who came without a certificate is refused where one is required`() throws {
        let dispatching = try site("redirect=off", routes: "respond 200 secret")
        for target in ["/", "*", Self.challenge] {
            let answered = dispatching.ask(
                Asked(target, method: target == "*" ? "OPTIONS" : "GET"))
            #expect(answered.status == 403)
            #expect(answered.context.refusal == .clientCertificateMissing)
            #expect(!answered.body.contains("secret"))
        }
        #expect(dispatching.ask(Asked(isSecure: true)).body == "secret")
    }

    @Test func `a challenge gets to routes that name it alone`() throws {
        let open = try site("", routes: "/* respond 200 secret")
        #expect(open.ask("/").status == 308)
        #expect(open.ask(Self.challenge).status == 403)
        let named = try site(
            "", routes: "/* respond 200 secret\n/.well-known/acme-challenge/* respond 200 token")
        #expect(named.ask(Self.challenge).body == "token")
        #expect(named.ask("/").status == 308)
    }

    @Test func `a peer that is trusted cannot vouch for a certificate`() throws {
        let dispatching = try site(
            "", routes: "/* respond 200 secret\n/.well-known/acme-challenge/* respond 200 token",
            machine: "trust 192.0.2.0/24")
        for target in ["/", Self.challenge] {
            let asked = Asked(target, fields: [("X-Forwarded-Proto", "https")])
            #expect(dispatching.ask(asked).status == 403)
        }
    }

    @Test func `where certificates are not required nobody is refused`() throws {
        let dispatching = try Dispatching(
            "site a.example { tls internal redirect=off { client-ca t/ca.pem ; client optional } ; respond 200 ok }",
            machine: "listen 127.0.0.1:443 tls\n", files: ["conf.d/t/ca.pem": Self.authority])
        #expect(dispatching.ask("/").body == "ok")
    }

    @Test(
        arguments: [
            (Refusal.siteMismatched, "made for another site"), (.schemeMismatched, "kind of connection"),
            (nil, "does not serve that host"), (.hostMalformed, "does not serve that host"),
        ] as [(Refusal?, String)])
    func `the page of 421 says what it is about`(refusal: Refusal?, text: String) {
        let pages = BuiltInPages()
        // The plain page is made before, and must not be taken for the other.
        _ = pages.page(for: 421, asJSON: false)
        let page = pages.page(for: 421, because: refusal, asJSON: false)
        #expect(String(copying: page.content.span).contains(text))
    }
}
