import COpenSSL
import Testing

/// A certificate with its key, and others that it signs: what an authority does.
final class Issuer {
    let certificate: OpaquePointer
    let key: OpaquePointer
    /// PEM texts.
    let text: [UInt8]
    let keyText: [UInt8]

    private static nonisolated(unsafe) var serial = 100

    /// - Parameters:
    ///   - issuer: nil for one that signs itself.
    ///   - extensions: beside the host as an alternative name.
    init(
        _ host: String, by issuer: Issuer? = nil, begins: Int = -3_600, ends: Int = 86_400,
        _ extensions: [(Int32, String)] = []
    ) throws {
        key = try #require(chimera_make_key(nil))
        certificate = try #require(X509_new())
        Self.serial += 1
        X509_set_version(certificate, 2)
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), Self.serial)
        X509_gmtime_adj(X509_getm_notBefore(certificate), begins)
        X509_gmtime_adj(X509_getm_notAfter(certificate), ends)
        X509_set_pubkey(certificate, key)
        let name = X509_get_subject_name(certificate)
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, Array(host.utf8), Int32(host.utf8.count), -1, 0)
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer?.certificate ?? certificate))
        for (kind, value) in extensions + [(NID_subject_alt_name, "DNS:\(host)")] {
            #expect(chimera_add_extension(certificate, issuer?.certificate ?? certificate, kind, value))
        }
        #expect(X509_sign(certificate, issuer?.key ?? key, EVP_sha256()) > 0)
        text = try Texts.text(chimera_pem_of_certificate(certificate))
        keyText = try Texts.text(chimera_pem_of_key(key))
    }

    deinit {
        X509_free(certificate)
        EVP_PKEY_free(key)
    }

    /// An OCSP response about a certificate that it has signed, in DER form.
    ///
    /// - Parameters:
    ///   - since: seconds from now, as `until`, which is nil for a response that does not say.
    ///   - digest: what the certificate's issuer is named by.
    func response(
        about certificate: Issuer, since: Int = -60, until: Int? = 3_600,
        status: Int32 = V_OCSP_CERTSTATUS_GOOD,
        digest: OpaquePointer? = EVP_sha1()
    ) throws -> [UInt8] {
        let basic = try #require(OCSP_BASICRESP_new())
        defer { OCSP_BASICRESP_free(basic) }
        let identity = try #require(OCSP_cert_to_id(digest, certificate.certificate, self.certificate))
        defer { OCSP_CERTID_free(identity) }
        let (begins, ends) = (X509_gmtime_adj(nil, since), until.flatMap { X509_gmtime_adj(nil, $0) })
        defer {
            ASN1_TIME_free(begins)
            ASN1_TIME_free(ends)
        }
        let revoked = status == V_OCSP_CERTSTATUS_REVOKED ? begins : nil
        #expect(OCSP_basic_add1_status(basic, identity, status, 0, revoked, begins, ends) != nil)
        #expect(OCSP_basic_sign(basic, self.certificate, key, EVP_sha256(), nil, 0) == 1)
        return try Self.bytes(OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic))
    }

    /// A response that says why there is none.
    static func failure() throws -> [UInt8] {
        try bytes(OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, nil))
    }

    private static func bytes(_ response: OpaquePointer?) throws -> [UInt8] {
        let response = try #require(response)
        defer { OCSP_RESPONSE_free(response) }
        var bytes = [UInt8](repeating: 0, count: Int(i2d_OCSP_RESPONSE(response, nil)))
        bytes.withUnsafeMutableBufferPointer { room in
            var place = room.baseAddress
            #expect(i2d_OCSP_RESPONSE(response, &place) == room.count)
        }
        return bytes
    }
}
