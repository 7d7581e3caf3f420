package import ChimeraBytes

/// What stands in front of a frame's payload (RFC 6455 §5.2).
package struct FrameHeader: Equatable, Sendable {
    /// The last frame of its message.
    package var isFinal = false
    /// The four bits of the opcode, reserved ones too.
    package var opcode: UInt8 = 0
    /// The three reserved bits, which belong to extensions: 4, 2 and 1.
    package var reserved: UInt8 = 0
    /// The key with which the payload is masked, its first octet the highest; nil where it is not.
    package var maskingKey: UInt32?
    /// In octets.
    package var payloadLength: UInt64 = 0

    /// Octets of the longest header.
    package static let octetsMax = 14
    /// Octets that the payload of a control frame may have (§5.5).
    package static let controlPayloadMax: UInt64 = 125

    package init() {}

    /// Close, ping or pong (§5.5).
    package var isControl: Bool { opcode & 0x8 != 0 }

    package var isClose: Bool { opcode == Opcode.close.rawValue }

    /// Octets that a header takes in front of a payload of so many.
    package static func octets(payload: Int, isMasked: Bool) -> Int {
        (payload < 126 ? 2 : payload <= 0xFFFF ? 4 : 10) + (isMasked ? 4 : 0)
    }

    /// Appends the header, its length in the shortest form (§5.2).
    package func append(to output: ByteBuffer) {
        output.reserve(Self.octetsMax)
        output.append((isFinal ? 0x80 : 0) | reserved << 4 | opcode)
        let mask: UInt8 = maskingKey == nil ? 0 : 0x80
        switch payloadLength {
        case 0..<126: output.append(mask | UInt8(truncatingIfNeeded: payloadLength))
        case 126...0xFFFF:
            output.append(mask | 126)
            append(payloadLength, octets: 2, to: output)
        default:
            output.append(mask | 127)
            append(payloadLength, octets: 8, to: output)
        }
        if let maskingKey { append(UInt64(maskingKey), octets: 4, to: output) }
    }

    private func append(_ number: UInt64, octets: Int, to output: ByteBuffer) {
        for index in (0..<octets).reversed() {
            output.append(UInt8(truncatingIfNeeded: number >> UInt64(index * 8)))
        }
    }
}

/// What a frame is (RFC 6455 §5.2); the other values are reserved.
package enum Opcode: UInt8, Sendable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA
}

/// Who sends: only a client masks what it sends (RFC 6455 §5.1).
package enum Role: Sendable, CaseIterable {
    case client, server
}
