/// Where `chimera connect` goes: `ws://HOST[:PORT][/PATH]`, or `wss://` over TLS.
struct WebSocketAddress: Equatable {
    /// Why a text is none; for the operator.
    struct Malformed: Error, Equatable {
        let reason: String
    }

    /// Without the brackets of an IPv6 address.
    var host: String
    var port: String
    /// As it stands in the URL: what Host says.
    var authority: String
    /// Path and query.
    var target: String
    /// Over TLS.
    var isSecure: Bool
    /// `NAME:PASSWORD` of the URL, decoded.
    var user: String?

    init(_ text: String) throws(Malformed) {
        isSecure = text.hasPrefix("wss://")
        guard isSecure || text.hasPrefix("ws://"), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Malformed(reason: "\"\(text)\" is no URL such as ws://localhost:8080/path")
        }
        let rest = text.dropFirst(isSecure ? "wss://".count : "ws://".count)
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        authority = String(rest[..<end])
        if let at = authority.lastIndex(of: "@") {
            guard let decoded = Self.decoded(authority[..<at]) else {
                throw Malformed(reason: "what stands before @ in the URL is no NAME:PASSWORD")
            }
            user = decoded
            authority = String(authority[authority.index(after: at)...])
        }
        let path = rest[end...].prefix { $0 != "#" }
        target = path.hasPrefix("/") ? String(path) : "/" + path
        var name = authority[...]
        var number = isSecure ? "443" : "80"
        if let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") {
            name = authority[..<colon]
            number = String(authority[authority.index(after: colon)...])
        }
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        guard !name.isEmpty, UInt16(number) != nil else {
            throw Malformed(reason: "\"\(text)\" names no host and port")
        }
        host = String(name)
        port = number
    }

    /// RFC 3986 §2.1; nil where a `%` has no two digits behind it.
    private static func decoded(_ text: Substring) -> String? {
        var octets: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let octet = rest.popFirst() {
            guard octet == UInt8(ascii: "%") else {
                octets.append(octet)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, digits.allSatisfy({ $0 != UInt8(ascii: "+") }),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else { return nil }
            octets.append(value)
            rest = rest.dropFirst(2)
        }
        return octets.isEmpty ? nil : String(decoding: octets, as: UTF8.self)
    }
}
