internal import ChimeraBytes

/// A request as somebody describes it who wants to know what becomes of it.
package struct ExplainedRequest: Sendable, Equatable {
    package private(set) var method = "GET"
    /// `http` or `https`.
    package var scheme: String
    /// With its port, where the URL has one.
    package var authority: String
    /// Path and query.
    package var target: String
    package private(set) var fields: [(name: String, value: String)] = []
    /// The client's address; loopback where nothing is said.
    package private(set) var client = "127.0.0.1"
    /// The name of the listener; nil for those without one.
    package var listener: String?

    /// - Parameter url: `http://host[:port]/path[?query]`; `host/path` is one as well, and so is one with `ws` or `wss`. Nil where it is none.
    package init?(url: String) {
        var rest = url[...]
        scheme = "http"
        // The handshake of a WebSocket is a request of HTTP (RFC 6455 §3).
        for (known, meant) in [("http", "http"), ("https", "https"), ("ws", "http"), ("wss", "https")] {
            guard rest.hasPrefix(known + "://") else { continue }
            scheme = meant
            rest = rest.dropFirst(known.utf8.count + 3)
            break
        }
        let bytes = rest.utf8
        let end = bytes.firstIndex { "/?#".utf8.contains($0) } ?? bytes.endIndex
        authority = String(decoding: bytes[..<end], as: UTF8.self)
        var target = String(decoding: bytes[end...].prefix { $0 != UInt8(ascii: "#") }, as: UTF8.self)
        if !target.utf8.starts(with: "/".utf8) { target = "/" + target }
        self.target = target
        guard !authority.isEmpty, authority.utf8.last != UInt8(ascii: ":"),
            (authority + target).utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f })
        else { return nil }
    }

    /// The port of the URL, or the usual one of its scheme.
    var port: UInt16 {
        if let colon = authority.lastIndex(of: ":"),
            let port = UInt16(authority[authority.index(after: colon)...])
        {
            return port
        }
        return scheme == "https" ? 443 : 80
    }

    /// Sets the method.
    ///
    /// - Returns: false where the text is none (RFC 9110 §9.1), and nothing has changed.
    package mutating func set(method text: String) -> Bool {
        guard !text.isEmpty, text.utf8.allSatisfy(\.isTokenCharacter) else { return false }
        method = text
        return true
    }

    /// Sets the client's address.
    ///
    /// - Returns: false where the text is none, and nothing has changed.
    package mutating func set(client text: String) -> Bool {
        guard IPAddress(text) != nil else { return false }
        client = text
        return true
    }

    /// Adds a field that is written as `Name: value` (RFC 9110 §5).
    ///
    /// - Returns: false where it is not, and nothing has changed.
    package mutating func add(field text: String) -> Bool {
        let bytes = text.utf8
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), colon != bytes.startIndex,
            bytes[..<colon].allSatisfy(\.isTokenCharacter)
        else { return false }
        let value = bytes[bytes.index(after: colon)...].drop { $0 == UInt8(ascii: " ") }
        guard value.allSatisfy(\.isFieldValueCharacter) else { return false }
        fields.append(
            (String(decoding: bytes[..<colon], as: UTF8.self), String(decoding: value, as: UTF8.self)))
        return true
    }

    package static func == (left: ExplainedRequest, right: ExplainedRequest) -> Bool {
        left.method == right.method && left.scheme == right.scheme && left.authority == right.authority
            && left.target == right.target && left.client == right.client && left.listener == right.listener
            && left.fields.elementsEqual(right.fields, by: ==)
    }
}
