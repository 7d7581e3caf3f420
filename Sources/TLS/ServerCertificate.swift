internal import COpenSSL

/// A certificate with its chain and its private key, as one thread uses it.
package final class ServerCertificate {
    let leaf: OpaquePointer
    let key: OpaquePointer
    let chain: OpaquePointer
    /// The OCSP response to send with it; empty for none.
    let status: [UInt8]

    /// More certificates in one chain are a mistake.
    static let chainMax = 32

    /// Reads PEM texts.
    ///
    /// - Parameters:
    ///   - chain: the certificate itself, then those that it was signed with, in order.
    ///   - status: an OCSP response in DER form.
    ///   - library: nil for the one that all threads share.
    package init(
        chain text: [UInt8], key keyText: [UInt8], status: [UInt8] = [], library: CryptoLibrary? = nil
    ) throws(CertificateFault) {
        var certificates = try PEMReader(text).certificates(library)
        let key: OpaquePointer
        do throws(CertificateFault) {
            key = try PEMReader(keyText).privateKey(library)
            guard X509_check_private_key(certificates[0], key) == 1 else {
                EVP_PKEY_free(key)
                _ = CertificateFault.takeText()
                throw CertificateFault.keyMismatch
            }
        } catch {
            certificates.forEach { X509_free($0) }
            throw error
        }
        guard let stack = chimera_chain_new() else {
            certificates.forEach { X509_free($0) }
            EVP_PKEY_free(key)
            throw .unavailable
        }
        leaf = certificates.removeFirst()
        for certificate in certificates { chimera_chain_push(stack, certificate) }
        chain = stack
        self.key = key
        self.status = status
    }

    /// Takes over a certificate and one reference of its key.
    init(leaf: OpaquePointer, key: OpaquePointer, chain: OpaquePointer) {
        self.leaf = leaf
        self.key = key
        self.chain = chain
        status = []
    }

    deinit {
        X509_free(leaf)
        EVP_PKEY_free(key)
        chimera_chain_free(chain)
    }

    /// Whether the certificate is one for this host, which may be `*.example`.
    package func covers(_ host: String) -> Bool {
        // Of a wildcard: whether it covers a label that no certificate names.
        let name = host.hasPrefix("*.") ? "any-label-of-chimera" + host.dropFirst() : host
        return X509_check_host(leaf, name, name.utf8.count, 0, nil) == 1
    }

    /// Seconds until its time is over; negative where it is.
    package var secondsLeft: Int64 { chimera_seconds_left(leaf) }
}

/// Reads PEM texts with OpenSSL.
struct PEMReader {
    private let text: [UInt8]

    init(_ text: [UInt8]) { self.text = text }

    private func withBIO<Result>(
        _ body: (OpaquePointer) throws(CertificateFault) -> Result
    ) throws(CertificateFault) -> Result {
        // Sound: the BIO reads the bytes in place and is gone before they are.
        let span = text.span
        let outcome = span.withUnsafeBytes { bytes -> Swift.Result<Result, CertificateFault> in
            guard let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count)) else {
                return .failure(.unavailable)
            }
            defer { BIO_free(bio) }
            return Swift.Result { () throws(CertificateFault) in try body(bio) }
        }
        return try outcome.get()
    }

    /// All certificates of the text, at least one; the caller owns them.
    func certificates(_ library: CryptoLibrary?) throws(CertificateFault) -> [OpaquePointer] {
        try withBIO { bio throws(CertificateFault) in
            var found: [OpaquePointer] = []
            var failed = false
            while let certificate = chimera_next_certificate(bio, library?.handle, &failed) {
                found.append(certificate)
                if found.count > ServerCertificate.chainMax { break }
            }
            let fault: CertificateFault
            switch (failed, found.count) {
            case (true, let count): fault = .badCertificate(count + 1, CertificateFault.takeText())
            case (false, 0): fault = .noCertificate
            case (false, let count) where count > ServerCertificate.chainMax: fault = .tooManyCertificates
            default: return found
            }
            found.forEach { X509_free($0) }
            throw fault
        }
    }

    func privateKey(_ library: CryptoLibrary?) throws(CertificateFault) -> OpaquePointer {
        try withBIO { bio throws(CertificateFault) in
            if let key = chimera_private_key(bio, library?.handle) { return key }
            let reason = CertificateFault.takeText()
            let content = String(decoding: text, as: UTF8.self)
            guard content.contains("PRIVATE KEY-----") else { throw .noKey }
            if content.contains("ENCRYPTED") { throw .encryptedKey }
            throw .badKey(reason)
        }
    }
}
