internal import COpenSSL

/// A certificate with its chain and its private key, as one thread uses it.
package final class ServerCertificate {
    let leaf: OpaquePointer
    let key: OpaquePointer
    let chain: OpaquePointer
    /// The OCSP response to send with it.
    package let status: OCSPResponse?
    /// What the others belong to, and outlives them.
    private let library: CryptoLibrary?

    /// More certificates in one chain are a mistake.
    static let chainMax = 32

    /// Reads PEM texts.
    ///
    /// - Parameters:
    ///   - chain: the certificate itself, then those that it was signed with, in order.
    ///   - status: an OCSP response in DER form; nil for none.
    ///   - library: nil for the one that all threads share.
    package init(
        chain text: [UInt8], key keyText: [UInt8], status statusBytes: [UInt8]? = nil,
        library: CryptoLibrary? = nil
    ) throws(CertificateFault) {
        var certificates = try PEMReader(text).certificates(library)
        let key: OpaquePointer
        do throws(CertificateFault) {
            let leaf = certificates[0]
            let issuer = certificates.dropFirst().first.flatMap {
                X509_check_issued($0, leaf) == X509_V_OK ? $0 : nil
            }
            status = try statusBytes.map { (bytes) throws(CertificateFault) in
                try OCSPResponse(bytes, about: leaf, by: issuer)
            }
            key = try PEMReader(keyText).privateKey(library)
            guard X509_check_private_key(leaf, key) == 1 else {
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
        self.library = library
    }

    /// Takes over a certificate and one reference of its key.
    init(leaf: OpaquePointer, key: OpaquePointer, chain: OpaquePointer, library: CryptoLibrary?) {
        self.leaf = leaf
        self.key = key
        self.chain = chain
        status = nil
        self.library = library
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
        return covers(Array(name.utf8), exactly: false)
    }

    /// - Parameter exactly: by the name itself and by no wildcard. A common name is none: clients pass over it
    ///   (RFC 9525 §2).
    func covers(_ name: [UInt8], exactly: Bool) -> Bool {
        guard !name.isEmpty else { return false }
        let flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | (exactly ? X509_CHECK_FLAG_NO_WILDCARDS : 0)
        return name.span.withUnsafeBytes { bytes in
            X509_check_host(
                leaf, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, UInt32(flags), nil)
                == 1
        }
    }

    /// What kind of key it has, as OpenSSL numbers them: a client can use some of them.
    var keyKind: Int32 { EVP_PKEY_get_base_id(key) }

    /// Shows the certificate to OpenSSL as a handshake does, which refuses keys that are too short, for example.
    package func tryOut() throws(CertificateFault) {
        guard chimera_certificate_try(library?.handle, leaf, key, chain) else {
            throw .unusable(CertificateFault.takeText())
        }
    }

    /// Seconds until its time is over; negative where it is.
    package var secondsLeft: Int64 { chimera_seconds_left(leaf) }
}

extension ServerCertificate {
    /// What clients may take amiss of a certificate that OpenSSL uses.
    package enum Doubt: Hashable, Sendable {
        /// The time of the certificate with this number, from 1, is over, or has not begun.
        case expired(Int), early(Int)
        /// The certificate with this number did not sign the one before it.
        case outOfOrder(Int)
        /// Nothing follows that a client could verify it with, though its signer is no authority that clients know.
        case alone
        /// Its extended key usage names other uses than that of a server.
        case notForServers
    }

    /// In the order of the certificates.
    package var doubts: [Doubt] {
        let all = [leaf] + (0..<chimera_chain_count(chain)).compactMap { chimera_chain_at(chain, $0) }
        var found: [Doubt] = []
        for (index, certificate) in all.enumerated() {
            if index > 0, X509_check_issued(certificate, all[index - 1]) != X509_V_OK {
                found.append(.outOfOrder(index + 1))
            }
            if chimera_seconds_left(certificate) < 0 { found.append(.expired(index + 1)) }
            if chimera_seconds_until_valid(certificate) > 0 { found.append(.early(index + 1)) }
        }
        if all.count == 1, chimera_names_its_signer(leaf) { found.append(.alone) }
        if !chimera_is_for_servers(leaf) { found.append(.notForServers) }
        ERR_clear_error()
        return found
    }

    /// What kind of key it has, in words.
    package var keyName: String {
        switch keyKind {
        case EVP_PKEY_EC: "ECDSA"
        case EVP_PKEY_RSA, EVP_PKEY_RSA_PSS: "RSA"
        default: String(cString: OBJ_nid2sn(keyKind))
        }
    }
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
