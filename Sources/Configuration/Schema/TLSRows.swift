internal import ChimeraTLS

extension Schema {
    /// `tls` and what stands in its block.
    static let tlsDirectives: [Directive] = [
        Directive(
            name: "tls", family: .structure, places: .site,
            arguments: [Argument("CHAIN", .place), Argument("KEY", .place, .optional)],
            options: [
                Option("ocsp", .place, "an OCSP response in DER form to send with the certificate"),
                Option(
                    "redirect", .onOff, default: "on",
                    "whether requests without TLS are sent to https with 308; never those below "
                        + "`/.well-known/acme-challenge/`"),
            ],
            block: .tls, isRepeatable: true,
            meaning: """
                The site's certificate with its chain and its private key, as PEM files; twice for one with an ECDSA key and \
                one with an RSA key. `tls internal` takes certificates of a local authority, which is made once and kept in \
                the data directory; `chimera trust` shows it. A file that changes is read again by itself.
                """,
            effect: .site { arguments, decoder, site in decoder.tls(arguments, &site) }),
        Directive(
            name: "client-ca", family: .structure, places: .tls, arguments: [Argument("FILE", .file)],
            meaning: "Who signs the certificates of clients, as a PEM file.",
            effect: .tls { arguments, decoder, tls in decoder.clientAuthorities(arguments, &tls) }),
        Directive(
            name: "client", family: .structure, places: .tls,
            arguments: [
                Argument("WHETHER", .keyword(noun: "client", [.init("require"), .init("optional")]))
            ],
            defaultText: "`require` where there is a `client-ca`",
            meaning:
                "Whether clients need a certificate that `client-ca` has signed, or are only asked for one.",
            effect: .tls { arguments, _, tls in
                tls.clients = arguments.text("WHETHER").flatMap(SiteTLS.Clients.init)
            }),
        Directive(
            name: "hsts", family: .structure, places: .tls, arguments: [Argument("DURATION", .duration)],
            meaning: "Tells browsers to come over https alone for that long (`Strict-Transport-Security`).",
            effect: .tls { arguments, _, tls in
                guard case .milliseconds(let milliseconds)? = arguments.timeLimit("DURATION") else { return }
                tls.strictTransportSeconds = milliseconds / 1000
            }),
        Directive(
            name: "profile", family: .structure, places: .tls,
            arguments: [
                Argument("NAME", .keyword(noun: "profile", [.init("intermediate"), .init("modern")]))
            ],
            defaultText: "`intermediate`: TLS 1.2 and 1.3",
            meaning: "Which versions and ciphers are offered, by Mozilla's names; `modern` is TLS 1.3 alone.",
            effect: .tls { arguments, _, tls in
                tls.profile = arguments.text("NAME").flatMap(TLSProfile.init) ?? .intermediate
            }),
    ]
}
