internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore
internal import ChimeraTLS

/// The handshake of a request over TLS as somebody describes it, whose client names the host that it asks for.
struct ExplainedHandshake {
    /// The site whose certificate is shown; nil where the handshake is refused.
    private let site: Site?
    private let name: [UInt8]

    /// - Parameter host: in small letters, as a request names it.
    init(host: String, on listener: ListenerID, _ dispatcher: Dispatcher) {
        // RFC 6066 §3: an address is no name.
        let isAddress = host.hasPrefix("[") || IPAddress(host) != nil
        let name = isAddress ? [] : Array(host.utf8)
        self.name = name
        site = dispatcher.handshake(for: name.span, on: listener) { number in
            dispatcher.snapshot.places[number].flatMap { $0.site.site.tls == nil ? nil : $0.site.site }
        }
    }

    /// What comes of it where no request does; nil where one can come.
    var refusal: String? {
        if site != nil { return nil }
        let what = name.isEmpty ? "without a name" : "for this name"
        return
            "none: the handshake is refused, since no site has a certificate \(what) and there is no `site *` with `tls`"
    }

    /// What comes of a request to `wanted` on this connection; nil where it is served.
    func refusal(of wanted: CompiledSite) -> String? {
        guard let site, let tls = site.tls else { return nil }
        guard let security = wanted.security else {
            return
                "421 (\(Refusal.siteMismatched.token)): the site is without `tls`, and the connection is one of \(site.name)"
        }
        if security.demand == SiteSecurity(tls).demand { return nil }
        return
            "421 (\(Refusal.siteMismatched.token)): the connection is one of \(site.name), which asks for something else"
    }

    /// Line by line: certificates, versions, and what is asked of the client.
    var lines: [String] {
        guard let site, let tls = site.tls else { return ["the handshake is refused (unrecognized_name)"] }
        return certificates(site, tls) + ["profile \(tls.profile.rawValue)"] + clients(tls)
    }

    private func certificates(_ site: Site, _ tls: SiteTLS) -> [String] {
        if tls.isInternal {
            return ["a certificate of the local authority, for \(site.name) (\(tls.position))"]
        }
        let all = tls.certificates.compactMap { source in
            (try? ServerCertificate(chain: source.chain.content, key: source.key.content)).map {
                (source, $0)
            }
        }
        let chosen = TLSSite.choice(of: all.map(\.1), for: name)
        return chosen.compactMap { certificate in
            guard let (source, _) = all.first(where: { $0.1 === certificate }) else { return nil }
            let covers = name.isEmpty || certificate.covers(String(decoding: name, as: UTF8.self))
            return "certificate \(source.chain.path), \(certificate.keyName)"
                + (covers ? "" : ", which is not one for this name") + " (\(source.position))"
        }
    }

    private func clients(_ tls: SiteTLS) -> [String] {
        guard let authorities = tls.clientAuthorities else { return [] }
        let demand = tls.clients == .require ? "client require" : "client optional"
        return ["\(demand), signed by \(authorities.path)"]
    }
}
