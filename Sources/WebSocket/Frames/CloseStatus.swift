/// Why a connection is closed (RFC 6455 §7.4, and IANA's registry of close codes).
package struct CloseStatus: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// What the connection was for is done.
    package static let normal = CloseStatus(rawValue: 1000)
    /// The server goes down, or the page was left.
    package static let goingAway = CloseStatus(rawValue: 1001)
    package static let protocolError = CloseStatus(rawValue: 1002)
    /// A kind of message that is not taken here, such as a binary one.
    package static let unsupportedData = CloseStatus(rawValue: 1003)
    /// Never sent: what is reported of a Close frame without a status.
    package static let absent = CloseStatus(rawValue: 1005)
    /// Never sent: what is reported of a connection that ended without a Close frame.
    package static let abnormal = CloseStatus(rawValue: 1006)
    /// Text that is not UTF-8, or data that cannot be decompressed.
    package static let invalidData = CloseStatus(rawValue: 1007)
    package static let policyViolation = CloseStatus(rawValue: 1008)
    package static let messageTooBig = CloseStatus(rawValue: 1009)
    /// From a client: the server did not agree to an extension that it needs.
    package static let mandatoryExtension = CloseStatus(rawValue: 1010)
    package static let internalError = CloseStatus(rawValue: 1011)
    /// The service is restarted: whoever connects again is served.
    package static let serviceRestart = CloseStatus(rawValue: 1012)
    /// The server has too much to do, now.
    package static let tryAgainLater = CloseStatus(rawValue: 1013)
    /// A gateway got no good answer from what is behind it.
    package static let badGateway = CloseStatus(rawValue: 1014)

    /// Whether a Close frame may bear it: a registered one that is not for reports alone, or one of the ranges for
    /// libraries (3000) and applications (4000). §7.4.2 reserves all others.
    package var mayBeSent: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
