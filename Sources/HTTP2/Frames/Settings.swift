internal import ChimeraBytes

/// The identifiers of settings (RFC 9113 §6.5.2, RFC 8441 §3, RFC 9218 §2.1); others are ignored.
enum Setting: UInt16 {
    case headerTableSize = 1
    case enablePush = 2
    case maxConcurrentStreams = 3
    case initialWindowSize = 4
    case maxFrameSize = 5
    case maxHeaderListSize = 6
    case enableConnectProtocol = 8
    case noRFC7540Priorities = 9
}

/// What the peer has set, as far as we need it.
package struct PeerSettings: Equatable, Sendable {
    package var headerTableSize = 4096
    /// The smallest that the last frame said on the way there (RFC 7541 §4.2).
    var headerTableLow = 4096
    package var initialWindowSize = 65_535
    package var maxFrameSize = 16_384
    /// Advisory: what the peer says that it takes (RFC 9113 §6.5.2).
    package var maxHeaderListSize: Int?
    /// How many streams of ours may be there at once; nil where it does not say.
    package var maxConcurrentStreams: Int?
    /// RFC 8441 §3: a server takes extended CONNECT.
    package var allowsExtendedConnect = false

    /// Takes the payload of a SETTINGS frame, in its order.
    ///
    /// - Parameter role: whose they are.
    /// - Throws: what ends the connection.
    mutating func apply(_ payload: Span<UInt8>, entriesMax: Int, from role: ConnectionEnd.Role)
        throws(Violation)
    {
        guard payload.count % 6 == 0 else { throw .frameSizeWrong }
        guard payload.count / 6 <= entriesMax else { throw .tooManySettings }
        headerTableLow = headerTableSize
        for entry in 0..<(payload.count / 6) {
            let identifier = UInt16(payload[entry * 6]) << 8 | UInt16(payload[entry * 6 + 1])
            guard let setting = Setting(rawValue: identifier) else { continue }
            try apply(setting, payload.bigEndian32(at: entry * 6 + 2), role)
        }
    }

    private mutating func apply(_ setting: Setting, _ value: UInt32, _ role: ConnectionEnd.Role)
        throws(Violation)
    {
        switch setting {
        case .headerTableSize:
            headerTableSize = Int(value)
            headerTableLow = min(headerTableLow, headerTableSize)
        case .enablePush:
            // RFC 9113 §6.5.2: 0 or 1, and of a server 0; we push nothing in any case.
            guard value <= (role == .client ? 1 : 0) else { throw .settingInvalid }
        case .enableConnectProtocol:
            // RFC 8441 §3: 0 or 1, and it is not taken back.
            guard value <= 1, value == 1 || !allowsExtendedConnect else { throw .settingInvalid }
            allowsExtendedConnect = value == 1
        case .noRFC7540Priorities:
            // RFC 9218 §2.1.
            guard value <= 1 else { throw .settingInvalid }
        case .maxConcurrentStreams: maxConcurrentStreams = Int(value)
        case .initialWindowSize:
            guard value <= 0x7FFF_FFFF else { throw .initialWindowTooLarge }
            initialWindowSize = Int(value)
        case .maxFrameSize:
            guard value >= 16_384, value <= 16_777_215 else { throw .settingInvalid }
            maxFrameSize = Int(value)
        case .maxHeaderListSize: maxHeaderListSize = Int(value)
        }
    }
}
