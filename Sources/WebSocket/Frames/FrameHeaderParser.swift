/// Reads a frame's header, 2 to 14 octets that may be cut anywhere (RFC 6455 §5.2).
///
/// ```
///  octet 0        octet 1          0, 2 or 8 octets   0 or 4 octets
///  FIN RSV op     MASK length      extended length    masking key
/// ```
/// Refused is what no peer may send, whatever was negotiated: a mask from a server or none from a client, a length
/// not in its shortest form or of 2^63 and more, a control frame in pieces or of more than 125 octets, a reserved opcode.
package struct FrameHeaderParser: Sendable {
    /// What a further octet makes of the header.
    package enum Step: Equatable, Sendable {
        case incomplete
        case complete(FrameHeader)
        /// No header that the peer may send; nothing behind it can be told apart any more.
        case malformed(ConnectionFailure)
    }

    private let role: Role
    private var header = FrameHeader()
    /// Octets of the header that have come.
    private var taken: UInt8 = 0
    /// Octets of the whole header, once two of them have come.
    private var size: UInt8 = 2
    private var key: UInt32 = 0

    /// - Parameter role: who sends the frames.
    package init(_ role: Role) { self.role = role }

    /// Whether no octet of a header was taken since the last whole one.
    package var isAtStart: Bool { taken == 0 }

    /// Takes the header's next octet.
    package mutating func take(_ octet: UInt8) -> Step {
        let index = taken
        taken += 1
        switch index {
        case 0: return takeFirst(octet)
        case 1: return takeSecond(octet)
        default: return takeMore(octet)
        }
    }

    private mutating func takeFirst(_ octet: UInt8) -> Step {
        header.isFinal = octet & 0x80 != 0
        header.reserved = (octet >> 4) & 0x7
        header.opcode = octet & 0xF
        guard Opcode(rawValue: header.opcode) != nil else { return .malformed(.opcodeReserved) }
        return header.isControl && !header.isFinal ? .malformed(.controlFragmented) : .incomplete
    }

    private mutating func takeSecond(_ octet: UInt8) -> Step {
        let isMasked = octet & 0x80 != 0
        guard isMasked == (role == .client) else {
            return .malformed(isMasked ? .maskUnexpected : .maskMissing)
        }
        let length = octet & 0x7F
        if header.isControl && length > FrameHeader.controlPayloadMax { return .malformed(.controlTooLong) }
        header.payloadLength = length < 126 ? UInt64(length) : 0
        size = 2 + (length < 126 ? 0 : length == 126 ? 2 : 8) + (isMasked ? 4 : 0)
        return size == 2 ? completed() : .incomplete
    }

    private mutating func takeMore(_ octet: UInt8) -> Step {
        let lengthEnd = role == .client ? size - 4 : size
        if taken <= lengthEnd {
            header.payloadLength = header.payloadLength << 8 | UInt64(octet)
            if taken == lengthEnd && !isLengthShortest(octets: lengthEnd - 2) {
                return .malformed(.lengthMalformed)
            }
        } else {
            key = key << 8 | UInt32(octet)
        }
        return taken == size ? completed() : .incomplete
    }

    /// §5.2: the shortest form that holds the length, and the highest of 64 bits is 0.
    private func isLengthShortest(octets: UInt8) -> Bool {
        octets == 2
            ? header.payloadLength > 125
            : header.payloadLength > 0xFFFF && header.payloadLength <= UInt64(Int64.max)
    }

    private mutating func completed() -> Step {
        if role == .client { header.maskingKey = key }
        taken = 0
        return .complete(header)
    }
}
