internal import COpenSSL

/// Why a connection never came to carry requests.
package enum HandshakeFailure: Int, CaseIterable, Error, Sendable {
    /// It was not over in time.
    case timeout
    /// The client left.
    case clientClosed
    /// The connection failed.
    case clientFailed
    /// A request came without TLS.
    case plainRequest
    /// The client asked for no name, or for one for which there is no certificate.
    case unknownName
    /// No version that both sides have.
    case version
    /// No cipher, group or signature that both sides have.
    case cipher
    /// No protocol of RFC 7301 that both sides have.
    case applicationProtocol
    /// The client has no certificate where one is asked for.
    case clientCertificateMissing
    /// The client's certificate is not one of those that are trusted.
    case clientCertificateInvalid
    /// The client does not trust the certificate that it was shown.
    case certificateRefused
    /// The client ended the handshake with another alert.
    case alert
    /// What the client sent is no TLS.
    case malformed
    /// The gateway had no memory or no certificate that could be used.
    case unavailable
    /// The gateway drains.
    case draining
    /// It gave way to a new connection, where there are as many as there may be.
    case makingRoom

    /// The token in logs and metrics.
    package var token: StaticString {
        switch self {
        case .timeout: "timeout"
        case .clientClosed: "client-closed"
        case .clientFailed: "client-failed"
        case .plainRequest: "plain-request"
        case .unknownName: "unknown-name"
        case .version: "version"
        case .cipher: "cipher"
        case .applicationProtocol: "application-protocol"
        case .clientCertificateMissing: "client-certificate-missing"
        case .clientCertificateInvalid: "client-certificate-invalid"
        case .certificateRefused: "certificate-refused"
        case .alert: "alert"
        case .malformed: "malformed"
        case .unavailable: "unavailable"
        case .draining: "draining"
        case .makingRoom: "making-room"
        }
    }

    /// The client was sent an alert that says so.
    package var isTold: Bool {
        switch self {
        case .unknownName, .version, .cipher, .applicationProtocol, .clientCertificateMissing,
            .clientCertificateInvalid, .malformed, .unavailable:
            true
        case .timeout, .clientClosed, .clientFailed, .plainRequest, .certificateRefused, .alert, .draining,
            .makingRoom:
            false
        }
    }

    /// What OpenSSL calls the reason.
    init(reason: Int32) {
        switch reason {
        case 0: self = .clientFailed
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_UNKNOWN_PROTOCOL,
            SSL_R_INAPPROPRIATE_FALLBACK:
            self = .version
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
            SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, SSL_R_NO_SHARED_GROUPS:
            self = .cipher
        case SSL_R_NO_APPLICATION_PROTOCOL: self = .applicationProtocol
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: self = .clientCertificateMissing
        case SSL_R_CERTIFICATE_VERIFY_FAILED: self = .clientCertificateInvalid
        // Our own certificate, or what a ticket is sealed with.
        case SSL_R_CERT_CB_ERROR, SSL_R_CALLBACK_FAILED, SSL_R_EE_KEY_TOO_SMALL, SSL_R_CA_KEY_TOO_SMALL,
            SSL_R_CA_MD_TOO_WEAK:
            self = .unavailable
        case let alert where alert >= SSL_AD_REASON_OFFSET:
            self =
                Self.certificateAlerts.contains(alert - SSL_AD_REASON_OFFSET) ? .certificateRefused : .alert
        default: self = .malformed
        }
    }

    /// RFC 8446 §6.2: alerts about a certificate.
    private static let certificateAlerts: Set<Int32> = [42, 43, 44, 45, 46, 48]
}
