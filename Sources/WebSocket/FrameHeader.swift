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

/// Why a connection is closed (RFC 6455 §7.4, and IANA's registry of close codes).
package enum CloseStatus: UInt16, Sendable {
    /// The service is restarted: whoever connects again is served.
    case serviceRestart = 1012
}
