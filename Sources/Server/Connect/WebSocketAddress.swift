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

    init(_ text: String) throws(Malformed) {
        isSecure = text.hasPrefix("wss://")
        guard isSecure || text.hasPrefix("ws://"), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Malformed(reason: "\"\(text)\" is no URL such as ws://localhost:8080/path")
        }
        let rest = text.dropFirst(isSecure ? "wss://".count : "ws://".count)
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        authority = String(rest[..<end])
        let path = rest[end...].prefix { $0 != "#" }
        target = path.hasPrefix("/") ? String(path) : "/" + path
        var name = authority[...]
        var number = isSecure ? "443" : "80"
        if let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") {
            name = authority[..<colon]
            number = String(authority[authority.index(after: colon)...])
        }
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        guard !name.isEmpty, UInt16(number) != nil, !authority.contains("@") else {
            throw Malformed(reason: "\"\(text)\" names no host and port")
        }
        host = String(name)
        port = number
    }
}
