/// Follows one direction of a WebSocket from frame to frame, without looking at payloads (RFC 6455 §5.2).
///
/// ```
///  header ──whole──▶ payload ──its last octet──▶ header …
///    ╰── malformed ──▶ off
/// ```
/// It is for who passes a WebSocket on as it is, and has to know where a frame of its own may stand: between two frames,
/// and before the Close of the peer. What is no WebSocket turns it off, since nothing behind that can be known.
package struct FrameScanner: Sendable {
    private var parser: FrameHeaderParser
    /// Octets of the payload that have not come.
    private var payloadLeft: UInt64 = 0
    /// The peer has sent a Close frame, or begun to: it sends nothing behind that (§5.5.1).
    package private(set) var hasClosed = false
    /// What came was no WebSocket.
    package private(set) var isOff = false

    /// - Parameter role: who sends what is followed.
    package init(_ role: Role) { parser = FrameHeaderParser(role) }

    /// Between two frames, or before the first.
    package var isAtBoundary: Bool { !isOff && payloadLeft == 0 && parser.isAtStart }

    /// Whether a control frame of somebody else may stand behind what was followed: also between the frames of one
    /// message (§5.4).
    package var mayBeJoined: Bool { isAtBoundary && !hasClosed }

    /// Follows what the peer sent next, cut anywhere.
    package mutating func follow(_ bytes: Span<UInt8>) {
        var position = 0
        while position < bytes.count && !isOff {
            if payloadLeft > 0 {
                let here = min(payloadLeft, UInt64(bytes.count - position))
                payloadLeft -= here
                position += Int(here)
                continue
            }
            take(bytes[position])
            position += 1
        }
    }

    private mutating func take(_ octet: UInt8) {
        switch parser.take(octet) {
        case .incomplete: break
        case .malformed: isOff = true
        case .complete(let header):
            payloadLeft = header.payloadLength
            if header.isClose { hasClosed = true }
        }
    }
}
