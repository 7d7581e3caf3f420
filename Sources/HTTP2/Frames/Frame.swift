internal import ChimeraBytes

/// The type of a frame (RFC 9113 §6); one that is not known is ignored (§4.1).
package enum FrameType: UInt8, CaseIterable, Sendable {
    case data = 0
    case headers = 1
    case priority = 2
    case resetStream = 3
    case settings = 4
    case pushPromise = 5
    case ping = 6
    case goAway = 7
    case windowUpdate = 8
    case continuation = 9
    /// RFC 9218 §7.1.
    case priorityUpdate = 16
}

/// The flags of a frame (RFC 9113 §6); those that its type does not define are ignored.
package struct FrameFlags: OptionSet, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// DATA and HEADERS.
    package static let endStream = FrameFlags(rawValue: 0x1)
    /// SETTINGS and PING.
    package static let ack = FrameFlags(rawValue: 0x1)
    /// HEADERS and CONTINUATION.
    package static let endHeaders = FrameFlags(rawValue: 0x4)
    /// DATA and HEADERS.
    package static let padded = FrameFlags(rawValue: 0x8)
    /// HEADERS.
    package static let priority = FrameFlags(rawValue: 0x20)
}

/// The head of a frame (RFC 9113 §4.1): nine octets.
struct FrameHeader {
    static let bytes = 9

    /// Octets of the payload.
    var length: Int
    /// Nil for a type that is not known.
    var type: FrameType?
    var flags: FrameFlags
    /// 0 for the connection; the reserved bit is left out.
    var stream: UInt32

    /// Reads the nine octets at `position`, which are there.
    init(_ input: Span<UInt8>, at position: Int) {
        precondition(position >= 0 && input.count - position >= FrameHeader.bytes)
        length =
            Int(input[unchecked: position]) << 16 | Int(input[unchecked: position + 1]) << 8
            | Int(input[unchecked: position + 2])
        type = FrameType(rawValue: input[unchecked: position + 3])
        flags = FrameFlags(rawValue: input[unchecked: position + 4])
        stream = input.bigEndian32(at: position + 5) & 0x7FFF_FFFF
    }
}

extension Span where Element == UInt8 {
    /// The 32 bits at `position`.
    func bigEndian32(at position: Int) -> UInt32 {
        precondition(position >= 0 && count - position >= 4)
        return UInt32(self[unchecked: position]) << 24 | UInt32(self[unchecked: position + 1]) << 16
            | UInt32(self[unchecked: position + 2]) << 8 | UInt32(self[unchecked: position + 3])
    }
}
