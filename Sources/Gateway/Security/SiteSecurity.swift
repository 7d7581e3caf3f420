internal import ChimeraConfiguration
internal import ChimeraTLS

/// What requests to a site with `tls` have to do with it.
struct SiteSecurity {
    /// See `TLSSite.demand`.
    let demand: UInt64
    /// `client require`: nobody is served whose certificate no handshake has verified.
    let requiresClients: Bool
    /// Requests without TLS are sent to https.
    let redirects: Bool
    /// The value of Strict-Transport-Security (RFC 6797 §6.1); empty for none.
    let strictTransport: [UInt8]

    init(_ tls: SiteTLS) {
        demand = TLSSite.demand(
            profile: tls.profile,
            clients: tls.clientAuthorities.map {
                ClientTrust.identity(authorities: $0.content, isRequired: tls.clients == .require)
            })
        requiresClients = tls.clientAuthorities != nil && tls.clients == .require
        redirects = tls.redirects
        strictTransport = tls.strictTransportSeconds.map { Array("max-age=\($0)".utf8) } ?? []
    }
}
