internal import ChimeraConfiguration
internal import ChimeraTLS

/// What one worker shows to clients of the sites with `tls`, made when the first of them asks.
final class SecureSites {
    let endpoint: TLSEndpoint
    private let tickets: TicketSecret
    private let authority: AuthoritySource
    @exclusivity(unchecked) private var issuer: LocalIssuer?
    @exclusivity(unchecked) private var made: [Int: Entry] = [:]

    private struct Entry {
        let source: SharedSite
        /// Nil where OpenSSL refuses what it took when the configuration was read.
        let site: TLSSite?
    }

    init(_ endpoint: TLSEndpoint, tickets: TicketSecret, authority: AuthoritySource) {
        self.authority = authority
        self.endpoint = endpoint
        self.tickets = tickets
    }

    /// What the site with this number shows; nil: it is one without `tls`.
    func site(_ number: Int, in snapshot: Snapshot) -> TLSSite? {
        guard let source = snapshot.places[number]?.site, let tls = source.site.tls else { return nil }
        if let entry = made[number], entry.source === source { return entry.site }
        let site = make(source.site, tls)
        made[number] = Entry(source: source, site: site)
        return site
    }

    /// Lets go of sites that are others now.
    func forget(_ numbers: [Int]) {
        for number in numbers { made[number] = nil }
    }

    private func issued() -> TLSSite.Certificates {
        if issuer == nil {
            issuer = authority.current.flatMap { LocalIssuer($0, library: endpoint.library) }
        }
        return .issued { [issuer] name in issuer?.certificate(for: name) }
    }

    private func make(_ site: Site, _ tls: SiteTLS) -> TLSSite? {
        do throws(CertificateFault) {
            var certificates: [ServerCertificate] = []
            for certificate in tls.certificates {
                certificates.append(
                    try ServerCertificate(
                        chain: certificate.chain.content, key: certificate.key.content,
                        status: certificate.status?.content, library: endpoint.library))
            }
            var clients: ClientTrust?
            if let authorities = tls.clientAuthorities {
                clients = try ClientTrust(
                    authorities: authorities.content, isRequired: tls.clients == .require,
                    library: endpoint.library)
            }
            return TLSSite(
                certificates: tls.isInternal ? issued() : .fixed(certificates), profile: tls.profile,
                clients: clients,
                identity: Array("\(site.tenant.utf8.count) \(site.tenant) \(site.name) \(site.on)".utf8),
                tickets: tickets)
        } catch {
            return nil
        }
    }
}
