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

/// What the client has set, as far as a server needs it.
package struct PeerSettings: Equatable, Sendable {
    package var headerTableSize = 4096
    /// The smallest that the last frame said on the way there (RFC 7541 §4.2).
    var headerTableLow = 4096
    package var initialWindowSize = 65_535
    package var maxFrameSize = 16_384
    /// Advisory: what the client says that it takes (RFC 9113 §6.5.2).
    package var maxHeaderListSize: Int?

    /// Takes the payload of a SETTINGS frame, in its order.
    ///
    /// - Throws: what ends the connection.
    mutating func apply(_ payload: Span<UInt8>, entriesMax: Int) throws(Violation) {
        guard payload.count % 6 == 0 else { throw .frameSizeWrong }
        guard payload.count / 6 <= entriesMax else { throw .tooManySettings }
        headerTableLow = headerTableSize
        for entry in 0..<(payload.count / 6) {
            let identifier = UInt16(payload[entry * 6]) << 8 | UInt16(payload[entry * 6 + 1])
            guard let setting = Setting(rawValue: identifier) else { continue }
            try apply(setting, payload.bigEndian32(at: entry * 6 + 2))
        }
    }

    private mutating func apply(_ setting: Setting, _ value: UInt32) throws(Violation) {
        switch setting {
        case .headerTableSize:
            headerTableSize = Int(value)
            headerTableLow = min(headerTableLow, headerTableSize)
        case .enablePush, .enableConnectProtocol, .noRFC7540Priorities:
            // RFC 9113 §6.5.2, RFC 8441 §3, RFC 9218 §2.1: 0 or 1; we push nothing in any case.
            guard value <= 1 else { throw .settingInvalid }
        case .maxConcurrentStreams: break
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
