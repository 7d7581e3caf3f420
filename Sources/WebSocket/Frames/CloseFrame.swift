package import ChimeraBytes

/// The frame that says why a connection is closed (RFC 6455 §5.5.1).
package enum CloseFrame {
    /// Octets that a reason may have, beside those of the status.
    package static let reasonOctetsMax = 123

    /// Appends one.
    ///
    /// - Parameters:
    ///   - status: one that ``CloseStatus/mayBeSent``; nil for a frame without payload, which answers one such.
    ///   - reason: for people who read logs; what does not fit is cut off between two characters.
    ///   - maskingKey: nil from a server; from a client what nobody can foresee (§5.3), its first octet the highest.
    package static func append(
        _ status: CloseStatus?, reason: String = "", maskingKey: UInt32?, to output: ByteBuffer
    ) {
        var payload: [UInt8] = []
        if let status {
            precondition(status.mayBeSent)
            payload.append(UInt8(truncatingIfNeeded: status.rawValue >> 8))
            payload.append(UInt8(truncatingIfNeeded: status.rawValue))
            payload.append(contentsOf: fitting(reason))
        }
        ControlFrame.append(.close, payload.span, maskingKey: maskingKey, to: output)
    }

    private static func fitting(_ reason: String) -> Substring.UTF8View {
        var end = reason.startIndex
        var octets = 0
        for scalar in reason.unicodeScalars.indices {
            let next = reason.unicodeScalars.index(after: scalar)
            octets += reason.utf8.distance(from: scalar, to: next)
            guard octets <= reasonOctetsMax else { break }
            end = next
        }
        return reason[..<end].utf8
    }

    /// What a received payload, unmasked, says.
    ///
    /// - Returns: nil for an empty one; else a status that may be on the wire, with a reason in UTF-8 behind its two
    ///   octets.
    static func status(of payload: Span<UInt8>) throws(ConnectionFailure) -> CloseStatus? {
        guard payload.count > 0 else { return nil }
        guard payload.count >= 2 else { throw .closeTooShort }
        let status = CloseStatus(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
        guard status.mayBeSent else { throw .closeStatusInvalid }
        var text = UTF8Validator()
        guard text.take(payload.extracting(droppingFirst: 2)), text.isComplete else {
            throw .closeReasonMalformed
        }
        return status
    }
}
