package import ChimeraTLS

/// What a site's `tls` lines say.
package struct SiteTLS: Sendable, Equatable {
    /// A chain and its key, as PEM texts that were read and fit together.
    package struct Certificate: Sendable, Equatable {
        package var chain: ReferencedFile
        package var key: ReferencedFile
        /// An OCSP response in DER form to send with it.
        package var status: ReferencedFile?
        package var position: SourcePosition

        package init(
            chain: ReferencedFile, key: ReferencedFile, status: ReferencedFile? = nil,
            position: SourcePosition
        ) {
            self.chain = chain
            self.key = key
            self.status = status
            self.position = position
        }
    }

    /// Whether clients need a certificate.
    package enum Clients: String, Sendable { case require, optional }

    /// Empty for `tls internal`.
    package var certificates: [Certificate] = []
    /// `tls internal`: the certificates come from the local authority.
    package var isInternal: Bool = false
    /// Requests without TLS are sent here, but for those of RFC 8555.
    package var redirects = true
    package var profile = TLSProfile.intermediate
    /// Who signs clients' certificates, as PEM texts.
    package var clientAuthorities: ReferencedFile?
    /// Nil: no certificate is asked for.
    package var clients: Clients?
    /// RFC 6797, in seconds.
    package var strictTransportSeconds: Int64?
    package var position: SourcePosition

    package init(position: SourcePosition) { self.position = position }
}
