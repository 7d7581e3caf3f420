internal import ChimeraBytes

/// A host and an optional port, from `Host` or from a request target (RFC 9110 §7.2, RFC 3986 §3.2), as
/// places in the octets that were read.
///
/// It is stricter than RFC 3986 where names that differ for two readers would be one for a third: there is no
/// user information, a name has no percent escape, no comma (the mark of a repeated field that someone
/// joined) and no empty label, and an IP literal is an IPv6 address without a zone.
package struct Authority: Equatable, Sendable {
    /// What the host is. An IPv4 address is written as a name is, and looked up as one.
    package enum Kind: Sendable {
        case name, ipv6
    }

    /// Why an authority is refused, always with status 400.
    package enum Refusal: Error, Hashable, Sendable, CaseIterable {
        /// There is no host.
        case empty
        /// `user@host`.
        case userInformation
        /// An octet that no name has, an empty label, or more than 253 octets.
        case invalidName
        /// What stands in brackets is no IPv6 address, or the brackets do not pair.
        case invalidLiteral
        /// The port is not digits, or more than 65535.
        case invalidPort
    }

    package let kind: Kind
    /// The host without its port and without the one dot that may end a name; with brackets for IPv6.
    package let host: Range<Int>
    /// Nil where there is none, or nothing after the colon.
    package let port: UInt16?

    /// Reads all of `text`.
    package init(_ text: Span<UInt8>) throws(Refusal) {
        guard !text.isEmpty else { throw .empty }
        if text[0] == UInt8(ascii: "[") {
            let close = try Self.endOfLiteral(text)
            (kind, host) = (.ipv6, 0..<close)
        } else {
            let colon = text.firstIndex(of: UInt8(ascii: ":")) ?? text.count
            if text.firstIndex(of: UInt8(ascii: "@")) != nil { throw .userInformation }
            (kind, host) = (.name, try Self.name(text.extracting(0..<colon)))
        }
        let hasDot = kind != .ipv6 && host.upperBound < text.count && text[host.upperBound] == .dot
        port = try Self.port(text, from: host.upperBound + (hasDot ? 1 : 0))
    }

    /// - Returns: where the name stands, without a dot at its end.
    private static func name(_ text: Span<UInt8>) throws(Refusal) -> Range<Int> {
        guard !text.isEmpty else { throw .empty }
        let end = text[text.count - 1] == .dot ? text.count - 1 : text.count
        guard end > 0, end <= 253 else { throw .invalidName }
        var previousIsDot = true
        for index in 0..<end {
            let byte = text[index]
            guard ByteSet.registeredName.contains(byte), byte != UInt8(ascii: ","),
                byte != .dot || !previousIsDot
            else { throw .invalidName }
            previousIsDot = byte == .dot
        }
        guard !previousIsDot else { throw .invalidName }
        return 0..<end
    }

    private static func endOfLiteral(_ text: Span<UInt8>) throws(Refusal) -> Int {
        guard let close = text.firstIndex(of: UInt8(ascii: "]")) else { throw .invalidLiteral }
        let literal = text.extracting(1..<close)
        // RFC 3986 §3.2.2: an IPv4 address has no brackets.
        guard literal.firstIndex(of: UInt8(ascii: ":")) != nil, IPAddress(parsing: literal) != nil else {
            throw .invalidLiteral
        }
        return close + 1
    }

    private static func port(_ text: Span<UInt8>, from start: Int) throws(Refusal) -> UInt16? {
        guard start < text.count else { return nil }
        guard text[start] == UInt8(ascii: ":") else { throw .invalidPort }
        // RFC 3986 §3.2.3: the port may be left out after its colon.
        let digits = text.extracting((start + 1)..<text.count)
        if digits.isEmpty { return nil }
        guard let port = UInt16(decimal: digits) else { throw .invalidPort }
        return port
    }
}
