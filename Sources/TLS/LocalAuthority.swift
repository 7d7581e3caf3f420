internal import COpenSSL
internal import Glibc

/// The authority behind `tls internal`: a certificate that signs others, and its key, as PEM texts.
///
/// It is made once and kept in a directory:
/// ```
/// DIR/authority.pem   the certificate, for those who are to trust it
/// DIR/authority.key   the certificate and its key, for the gateway alone
/// ```
package struct LocalAuthority: Sendable, Equatable {
    /// For those who are to trust it.
    package let certificate: [UInt8]
    let key: [UInt8]

    /// Why it cannot be made or kept.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        package let description: String
    }

    private static let fileBytesMax = 64 * 1024
    static let lifetimeSeconds = 10 * 365 * 86_400
    /// A clock of a client may be behind.
    static let backdatedSeconds = 3_600

    /// Makes a new one, which is kept nowhere.
    package init(name: String) throws(Failure) {
        guard let key = chimera_make_key(nil) else { throw Failure(description: "OpenSSL makes no key") }
        defer { EVP_PKEY_free(key) }
        let draft = CertificateDraft(
            subject: "Chimera local authority, \(name)", key: key, lifetimeSeconds: Self.lifetimeSeconds)
        let made = draft?.signed(
            by: nil,
            extensions: [
                (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"),
                (NID_key_usage, "critical,keyCertSign,cRLSign"),
                (NID_subject_key_identifier, "hash"),
            ])
        guard let made, let text = made.pem, let keyText = PEMText.of(key: key) else {
            throw Failure(description: "OpenSSL makes no certificate: \(CertificateFault.takeText())")
        }
        certificate = text
        self.key = keyText
    }

    private init?(kept bytes: [UInt8]) {
        // The file is read as both: each reader passes over what is not its own.
        guard let certificates = try? PEMReader(bytes).certificates(nil) else { return nil }
        defer { certificates.forEach { X509_free($0) } }
        guard let key = try? PEMReader(bytes).privateKey(nil) else { return nil }
        defer { EVP_PKEY_free(key) }
        guard X509_check_private_key(certificates[0], key) == 1,
            let text = PEMText.of(certificate: certificates[0]), let keyText = PEMText.of(key: key)
        else { return nil }
        certificate = text
        self.key = keyText
    }

    // MARK: Kept

    /// The certificate of the one that a directory holds, for those who are to trust it; nil where there is none. The key is
    /// not looked at.
    package static func keptCertificate(in directory: String) throws(Failure) -> [UInt8]? {
        let path = directory + "/authority.pem"
        guard let bytes = try content(of: path) else { return nil }
        guard let certificates = try? PEMReader(bytes).certificates(nil) else {
            throw Failure(
                description: "\(path) holds no certificate; the gateway's next start writes it again")
        }
        defer { certificates.forEach { X509_free($0) } }
        return PEMText.of(certificate: certificates[0])
    }

    /// Nil where there is no file.
    private static func content(of path: String) throws(Failure) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure(path)
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: fileBytesMax)
        let count = read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw failure(path) }
        return Array(bytes[..<count])
    }

    /// The one that a directory holds; nil where there is none.
    package static func kept(in directory: String) throws(Failure) -> LocalAuthority? {
        let path = directory + "/authority.key"
        guard let bytes = try content(of: path) else { return nil }
        guard let authority = LocalAuthority(kept: bytes) else {
            throw Failure(
                description: "\(path) holds no certificate with its key; move it away for a new one")
        }
        return authority
    }

    /// The one that a directory holds, or a new one that it holds from now on.
    package static func keptOrMade(in directory: String, name: String) throws(Failure) -> LocalAuthority {
        if let kept = try kept(in: directory) {
            // Whoever made it came no further than the key, or somebody has taken the other file away.
            if (try? keptCertificate(in: directory)) != kept.certificate { try? kept.publish(in: directory) }
            return kept
        }
        let made = try LocalAuthority(name: name)
        makeDirectory(directory)
        let final = directory + "/authority.key"
        let fresh = final + ".\(getpid())"
        unlink(fresh)
        try write(made.certificate + made.key, to: fresh, mode: 0o600)
        // Where another process was faster, its authority counts.
        guard link(fresh, final) == 0 || errno == EEXIST else {
            let failure = failure(final)
            unlink(fresh)
            throw failure
        }
        unlink(fresh)
        guard let kept = try kept(in: directory) else { throw failure(final) }
        try kept.publish(in: directory)
        return kept
    }

    /// Writes the certificate to a file of its own.
    private func publish(in directory: String) throws(Failure) {
        let final = directory + "/authority.pem"
        let fresh = final + ".\(getpid())"
        try Self.write(certificate, to: fresh, mode: 0o644)
        rename(fresh, final)
    }

    /// Where that fails, writing there says so. What is above the directory others may enter: gateways of other users may
    /// keep theirs beside it.
    private static func makeDirectory(_ directory: String) {
        for index in directory.indices.dropFirst() where directory[index] == "/" {
            mkdir(String(directory[..<index]), 0o755)
        }
        mkdir(directory, 0o700)
    }

    private static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws(Failure) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
            throw failure(path)
        }
    }

    private static func failure(_ path: String) -> Failure {
        Failure(description: "\(path): \(String(cString: strerror(errno)))")
    }
}

/// Makes certificates in the name of a local authority, on one thread.
package final class LocalIssuer {
    private let authority: OpaquePointer
    private let authorityKey: OpaquePointer
    /// The key of all certificates that are issued here: making one costs as much as signing.
    private let key: OpaquePointer
    private let library: CryptoLibrary?
    private var issued: [[UInt8]: ServerCertificate] = [:]

    /// Names that are remembered; a client can ask a site with `*` for any.
    private static let issuedMax = 256
    private static let lifetimeSeconds = 30 * 86_400
    /// A certificate that is good for less than this is replaced.
    private static let renewedSeconds: Int64 = 10 * 86_400

    /// Nil where OpenSSL refuses the authority's texts, or has no memory.
    package init?(_ authority: LocalAuthority, library: CryptoLibrary? = nil) {
        guard let certificate = try? PEMReader(authority.certificate).certificates(library).first else {
            return nil
        }
        guard let authorityKey = try? PEMReader(authority.key).privateKey(library) else {
            X509_free(certificate)
            return nil
        }
        guard let key = chimera_make_key(library?.handle) else {
            X509_free(certificate)
            EVP_PKEY_free(authorityKey)
            return nil
        }
        self.authority = certificate
        self.authorityKey = authorityKey
        self.key = key
        self.library = library
    }

    deinit {
        X509_free(authority)
        EVP_PKEY_free(authorityKey)
        EVP_PKEY_free(key)
    }

    /// A certificate for a host.
    ///
    /// - Parameter name: of a ClientHello; empty for who asks for no name, such as those who come by an address.
    /// - Returns: nil where the name is none that a certificate can have.
    package func certificate(for name: [UInt8]) -> ServerCertificate? {
        if let known = issued[name], known.secondsLeft > Self.renewedSeconds { return known }
        guard let names = Self.alternativeNames(name), let made = issue(names, commonName: name) else {
            return nil
        }
        if issued.count >= Self.issuedMax { issued.removeAll() }
        issued[name] = made
        return made
    }

    /// The text for OpenSSL, in whose language commas and colons mean something.
    private static func alternativeNames(_ name: [UInt8]) -> String? {
        if name.isEmpty { return "DNS:localhost,IP:127.0.0.1,IP:::1" }
        let isHost = name.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (48...57).contains(byte)
                || "-._".utf8.contains(byte)
        }
        guard isHost, name.count <= 253 else { return nil }
        return "DNS:" + String(decoding: name, as: UTF8.self)
    }

    private func issue(_ names: String, commonName: [UInt8]) -> ServerCertificate? {
        // X.520: a common name has at most 64 characters.
        let subject = commonName.count <= 64 ? String(decoding: commonName, as: UTF8.self) : ""
        let draft = CertificateDraft(
            subject: subject.isEmpty ? "Chimera" : subject, key: key, lifetimeSeconds: Self.lifetimeSeconds,
            library: library)
        let made = draft?.signed(
            by: (authority, authorityKey),
            extensions: [
                (NID_basic_constraints, "critical,CA:FALSE"),
                (NID_key_usage, "critical,digitalSignature"),
                (NID_ext_key_usage, "serverAuth"),
                (NID_subject_key_identifier, "hash"),
                (NID_authority_key_identifier, "keyid:always"),
                (NID_subject_alt_name, names),
            ])
        guard let made, let chain = chimera_chain_new() else { return nil }
        EVP_PKEY_up_ref(key)
        return ServerCertificate(leaf: made.take(), key: key, chain: chain, library: library)
    }
}

/// A certificate that is being made.
private final class CertificateDraft {
    private var handle: OpaquePointer?
    private let key: OpaquePointer

    /// Nil where there is no memory.
    init?(subject: String, key: OpaquePointer, lifetimeSeconds: Int, library: CryptoLibrary? = nil) {
        self.key = key
        handle = X509_new_ex(library?.handle, nil)
        guard let handle else { return nil }
        var serial = [UInt8](repeating: 0, count: 16)
        guard RAND_bytes(&serial, 16) == 1 else { return nil }
        // RFC 5280 §4.1.2.2: positive, and not zero.
        serial[0] = serial[0] & 0x7F | 0x40
        let number = BN_bin2bn(serial, 16, nil)
        defer { BN_free(number) }
        guard X509_set_version(handle, 2) == 1,
            BN_to_ASN1_INTEGER(number, X509_get_serialNumber(handle)) != nil,
            X509_gmtime_adj(X509_getm_notBefore(handle), -LocalAuthority.backdatedSeconds) != nil,
            X509_gmtime_adj(X509_getm_notAfter(handle), lifetimeSeconds) != nil,
            X509_set_pubkey(handle, key) == 1,
            X509_NAME_add_entry_by_txt(
                X509_get_subject_name(handle), "CN", MBSTRING_UTF8, Array(subject.utf8),
                Int32(subject.utf8.count), -1, 0) == 1
        else { return nil }
    }

    deinit { if let handle { X509_free(handle) } }

    /// The certificate, signed.
    ///
    /// - Parameter issuer: nil for one that signs itself.
    func signed(
        by issuer: (certificate: OpaquePointer, key: OpaquePointer)?, extensions: [(Int32, String)]
    ) -> CertificateDraft? {
        guard let handle else { return nil }
        let parent = issuer?.certificate ?? handle
        guard X509_set_issuer_name(handle, X509_get_subject_name(parent)) == 1 else { return nil }
        for (kind, value) in extensions where !chimera_add_extension(handle, parent, kind, value) {
            return nil
        }
        guard X509_sign(handle, issuer?.key ?? key, EVP_sha256()) > 0 else { return nil }
        return self
    }

    var pem: [UInt8]? { handle.flatMap { PEMText.of(certificate: $0) } }

    /// The certificate itself, which is the caller's.
    func take() -> OpaquePointer {
        guard let taken = handle else { preconditionFailure("a certificate is taken once") }
        handle = nil
        return taken
    }
}

/// PEM texts of what OpenSSL holds.
enum PEMText {
    static func of(certificate: OpaquePointer) -> [UInt8]? { text(chimera_pem_of_certificate(certificate)) }

    static func of(key: OpaquePointer) -> [UInt8]? { text(chimera_pem_of_key(key)) }

    /// What a BIO in memory holds; it is freed.
    static func text(_ bio: OpaquePointer?) -> [UInt8]? {
        guard let bio else { return nil }
        defer { BIO_free(bio) }
        var bytes: UnsafePointer<CChar>?
        let count = chimera_bio_bytes(bio, &bytes)
        guard let bytes, count > 0 else { return nil }
        return (0..<count).map { UInt8(bitPattern: bytes[$0]) }
    }
}
