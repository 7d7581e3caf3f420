internal import COpenSSL
internal import Glibc

/// What an authority says of a certificate (RFC 6960), as it goes with the certificate in a handshake (RFC 6066 §8).
///
/// Its signature is the clients' business: they know whom they trust.
package struct OCSPResponse: Sendable {
    /// In DER form.
    let bytes: [UInt8]
    private let facts: chimera_ocsp

    /// - Parameters:
    ///   - leaf: the certificate that it is to be about.
    ///   - issuer: the certificate of who signed that; nil where it is not known.
    /// - Throws: `.badStatus` where the bytes are no response, or more than one.
    init(
        _ bytes: [UInt8], about leaf: OpaquePointer, by issuer: OpaquePointer?
    ) throws(CertificateFault) {
        var facts = chimera_ocsp()
        guard chimera_read_ocsp(bytes, bytes.count, leaf, issuer, &facts) else { throw .badStatus }
        self.bytes = bytes
        self.facts = facts
    }

    /// Whether a client can use it.
    ///
    /// - Parameter now: seconds of the POSIX clock.
    func isUsable(at now: Int64) -> Bool { obstacle(at: now) == nil }

    /// What an operator should know of it now, as a clause behind the file's name; nil: nothing.
    package var doubt: String? { doubt(at: Int64(time(nil))) }

    func doubt(at now: Int64) -> String? {
        if let obstacle = obstacle(at: now) { return obstacle + ", so it is not sent" }
        if facts.is_revoked { return "says that the certificate is revoked" }
        return facts.is_unknown ? "says that the authority does not know the certificate" : nil
    }

    private func obstacle(at now: Int64) -> String? {
        if !facts.is_successful { return "says only that the authority gave no answer" }
        if !facts.is_about { return "is about another certificate" }
        if facts.until <= now { return "has expired" }
        return facts.since > now + Self.skewSeconds ? "is of a later time" : nil
    }

    /// How far the authority's clock may be ahead of ours.
    private static let skewSeconds: Int64 = 300
}
