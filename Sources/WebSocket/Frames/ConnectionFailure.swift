/// Why a WebSocket is failed (RFC 6455 §7.1.7): each reason once, with its status, and its token for log and counters.
package enum ConnectionFailure: UInt8, CaseIterable, Sendable, Error {
    // The frame's header, §5.2.
    case opcodeReserved, reservedBits, maskMissing, maskUnexpected, lengthMalformed
    // Control frames, §5.5.
    case controlFragmented, controlTooLong
    // Fragmentation, §5.4.
    case continuationUnexpected, messageInterrupted
    // Close frames, §5.5.1 and §7.4.
    case closeTooShort, closeStatusInvalid, closeReasonMalformed
    // What messages hold, §8.1 and RFC 7692 §7.2.2.
    case textMalformed, deflateMalformed
    // Bounds.
    case frameTooLong, messageTooLong, memoryExhausted

    /// What the peer is told.
    package var status: CloseStatus {
        switch self {
        case .closeReasonMalformed, .textMalformed, .deflateMalformed: .invalidData
        case .frameTooLong, .messageTooLong: .messageTooBig
        case .memoryExhausted: .internalError
        default: .protocolError
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
