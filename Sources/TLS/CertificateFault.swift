internal import COpenSSL

/// What is wrong with a certificate, a key, or both beside each other.
package enum CertificateFault: Error, Equatable, Sendable {
    case noCertificate
    /// The certificate with this number, from 1, cannot be read; what OpenSSL says of it.
    case badCertificate(Int, String)
    case tooManyCertificates
    case noKey
    case badKey(String)
    /// A passphrase would be needed, which nobody is asked for.
    case encryptedKey
    /// The key is not that of the chain's first certificate.
    case keyMismatch
    /// OpenSSL shows it to no client; what it says.
    case unusable(String)
    /// What is to be sent with the certificate is no OCSP response.
    case badStatus
    /// No memory, or OpenSSL lacks what it needs.
    case unavailable

    /// What follows "the certificate" or "the key" in no message: a whole clause.
    package var reason: String {
        switch self {
        case .noCertificate: "holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)"
        case .badCertificate(let number, let text):
            "holds a certificate that cannot be read, number \(number): \(text)"
        case .tooManyCertificates: "holds more than \(ServerCertificate.chainMax) certificates"
        case .noKey: "holds no private key in PEM form (`-----BEGIN PRIVATE KEY-----`)"
        case .badKey(let text): "holds a key that cannot be read: \(text)"
        case .encryptedKey: "holds a key with a passphrase, which nobody is there to enter"
        case .keyMismatch: "holds the key of another certificate"
        case .unusable(let text): "holds a certificate that OpenSSL does not use: \(text)"
        case .badStatus: "is no OCSP response in DER form"
        case .unavailable: "cannot be read: OpenSSL has no memory left"
        }
    }

    /// The files that a certificate comes from.
    package enum File: Sendable { case chain, key, status }

    /// The one that is wrong.
    package var file: File {
        switch self {
        case .noKey, .badKey, .encryptedKey, .keyMismatch: .key
        case .badStatus: .status
        case .noCertificate, .badCertificate, .tooManyCertificates, .unusable, .unavailable: .chain
        }
    }

    /// The text of OpenSSL's oldest error on this thread, which is forgotten.
    static func takeText() -> String {
        var room = [CChar](repeating: 0, count: 256)
        chimera_error_text(&room, room.count)
        let text = room.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return text.isEmpty ? "it is malformed" : String(decoding: text, as: UTF8.self)
    }
}
