internal import ChimeraBytes
package import ChimeraHTTPCore

/// A field name of HTTP/2 as a small integer: a well-known field, one of the pseudo-fields (RFC 9113 §8.3), or
/// neither, whose octets then say it.
package struct WireName: Equatable, Sendable {
    /// That of `FieldName`, or from the top for pseudo-fields.
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package init(_ name: FieldName) { rawValue = name.rawValue }

    /// A name that is in no table.
    package static var other: WireName { WireName(rawValue: 0) }
    package static var authority: WireName { WireName(rawValue: 255) }
    package static var method: WireName { WireName(rawValue: 254) }
    package static var path: WireName { WireName(rawValue: 253) }
    package static var scheme: WireName { WireName(rawValue: 252) }
    package static var status: WireName { WireName(rawValue: 251) }
    /// RFC 8441 §4.
    package static var `protocol`: WireName { WireName(rawValue: 250) }
    /// Begins with a colon and is none of the above; its octets are kept like those of `other`.
    package static var unknownPseudo: WireName { WireName(rawValue: 249) }

    /// Begins with a colon.
    package var isPseudo: Bool { rawValue >= 249 }

    /// The octets are not in a table, so they go where the name goes.
    package var needsText: Bool { rawValue == 0 || rawValue == 249 }

    /// The well-known field, or `other`.
    package var field: FieldName { FieldName(rawValue: isPseudo ? 0 : rawValue) }

    /// The name that `text` is. Case does not count for fields: who reads them checks it.
    package init(_ text: Span<UInt8>, _ known: KnownNames) {
        if text.count > 0, text[0] == UInt8(ascii: ":") {
            self = WireName.pseudo(text)
        } else {
            self.init(FieldName(text, known))
        }
    }

    /// The name in small letters for a pseudo-field, in its usual case for another; empty for one that is in no table.
    var text: StaticString {
        switch self {
        case .path: ":path"
        case .method: ":method"
        case .scheme: ":scheme"
        case .authority: ":authority"
        case .status: ":status"
        case .protocol: ":protocol"
        default: field.text
        }
    }

    private static func pseudo(_ text: Span<UInt8>) -> WireName {
        if text.equals(":path") { return .path }
        if text.equals(":method") { return .method }
        if text.equals(":scheme") { return .scheme }
        if text.equals(":authority") { return .authority }
        if text.equals(":status") { return .status }
        if text.equals(":protocol") { return .protocol }
        return .unknownPseudo
    }

    /// How many octets the name has, for a name that is in a table.
    func count(_ known: KnownNames) -> Int {
        switch self {
        case .path: 5
        case .method, .scheme, .status: 7
        case .protocol: 9
        case .authority: 10
        default: Int((known.names + Int(rawValue)).pointee.count)
        }
    }
}
