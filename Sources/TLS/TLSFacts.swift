/// What one connection's handshake came to, for logs and handlers.
package final class TLSFacts: Sendable {
    /// `TLSv1.3`
    package let version: StaticString
    /// The name of RFC 8446 §B.4 or of IANA's registry: `TLS_AES_128_GCM_SHA256`.
    package let cipher: StaticString
    /// The session is one of an earlier connection.
    package let isResumed: Bool
    /// The name that the client asked for (RFC 6066 §3), in small letters; empty where it asked for none.
    package let serverName: [UInt8]
    /// The subject of the client's certificate that was verified, as RFC 2253 writes it; empty where it has none.
    package let clientSubject: [UInt8]

    package init(
        version: StaticString, cipher: StaticString, isResumed: Bool, serverName: [UInt8],
        clientSubject: [UInt8]
    ) {
        self.version = version
        self.cipher = cipher
        self.isResumed = isResumed
        self.serverName = serverName
        self.clientSubject = clientSubject
    }

    /// The cipher suite with this number; all that `TLSEndpoint` offers are there.
    static func cipherName(_ number: UInt16) -> StaticString {
        switch number {
        case 0x1301: "TLS_AES_128_GCM_SHA256"
        case 0x1302: "TLS_AES_256_GCM_SHA384"
        case 0x1303: "TLS_CHACHA20_POLY1305_SHA256"
        case 0xC02B: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
        case 0xC02C: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
        case 0xC02F: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
        case 0xC030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
        case 0xCCA8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
        case 0xCCA9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
        default: "unknown"
        }
    }
}
