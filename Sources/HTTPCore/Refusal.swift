/// Why a message is refused: each reason once, with its status, its token for log and counters, and the side
/// that is at fault by where it was found. An upstream's answer that is refused for any of these is a 502.
package enum Refusal: UInt8, CaseIterable, Sendable, Error {
    // The request line, RFC 9112 §3.
    case methodMalformed, targetMalformed, targetTooLong, versionMalformed, versionUnsupported
    // Field lines, RFC 9112 §5 and RFC 9110 §5.
    case lineEndBare, fieldNameMalformed, fieldValueMalformed, fieldFolded, headTooLarge, fieldsTooMany
    // Routing, RFC 9110 §7.2 and RFC 9112 §3.2.
    case hostMissing, hostRepeated, hostMalformed, hostMismatched
    /// No site answers to the host, RFC 9110 §15.5.20.
    case hostUnknown
    // What TLS has to do with it, RFC 9110 §7.4: http asked for over TLS or the other way round, a site that asks for something
    // else than the one that the connection was made for, a client without the certificate that the site wants.
    case schemeMismatched, siteMismatched, clientCertificateMissing
    // Framing, RFC 9112 §6 and §7.
    case lengthMalformed, lengthsDiffer, lengthAndCoding, codingMalformed, codingUnsupported, codingInHTTP10
    case chunkMalformed, chunkTooLarge, chunkExtensionTooLong, trailerMalformed, trailersTooLarge
    // Path, and what RFC 9110 §10.1.1 says of expectations.
    case pathMalformed, expectationFailed
    // Bounds on bodies and time.
    case bodyTooLarge, headTimeout, bodyTimeout
    // Handshakes of WebSockets, RFC 6455 §4.2 and §10.2.
    case handshakeMalformed, originForeign
    // Status lines of upstreams, RFC 9112 §4.
    case statusLineMalformed

    /// The status that the refused peer is told.
    package var status: Int {
        switch self {
        case .targetTooLong: 414
        case .headTooLarge, .fieldsTooMany, .trailersTooLarge: 431
        case .versionUnsupported: 505
        case .codingUnsupported: 501
        case .expectationFailed: 417
        case .bodyTooLarge: 413
        case .headTimeout, .bodyTimeout: 408
        case .hostUnknown, .schemeMismatched, .siteMismatched: 421
        case .clientCertificateMissing, .originForeign: 403
        default: 400
        }
    }

    /// The token in logs and metrics.
    package var token: String {
        var token = ""
        for character in "\(self)" {
            if character.isUppercase { token += "-" }
            token += character.lowercased()
        }
        return token
    }
}
