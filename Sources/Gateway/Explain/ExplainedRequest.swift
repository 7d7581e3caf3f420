/// A request as somebody describes it who wants to know what becomes of it.
package struct ExplainedRequest: Sendable, Equatable {
    package var method = "GET"
    /// `http` or `https`.
    package var scheme: String
    /// With its port, where the URL has one.
    package var authority: String
    /// Path and query.
    package var target: String
    package var fields: [(name: String, value: String)] = []
    /// The client's address; loopback where nothing is said.
    package var client = "127.0.0.1"
    /// The name of the listener; nil for those without one.
    package var listener: String?

    /// - Parameter url: `http://host[:port]/path[?query]`; `host/path` is one as well. Nil where it is none.
    package init?(url: String) {
        var rest = url[...]
        scheme = "http"
        for known in ["http", "https"] where rest.hasPrefix(known + "://") {
            scheme = known
            rest = rest.dropFirst(known.utf8.count + 3)
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

    package static func == (left: ExplainedRequest, right: ExplainedRequest) -> Bool {
        left.method == right.method && left.scheme == right.scheme && left.authority == right.authority
            && left.target == right.target && left.client == right.client && left.listener == right.listener
            && left.fields.elementsEqual(right.fields, by: ==)
    }
}
