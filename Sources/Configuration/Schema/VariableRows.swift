/// One variable of the language, for decoding, messages and the reference page.
struct VariableRow: Sendable {
    enum Meaning: Sendable {
        case plain(Variable)
        /// `{header.N}`
        case named(@Sendable (String) -> Variable?)
        case later
    }

    /// As it is documented: `header.N`.
    var name: String
    var text: String
    var meaning: Meaning

    /// `header` of `header.N`.
    var family: String { String(name.prefix { $0 != "." }) }

    static let all: [VariableRow] = [
        VariableRow(name: "host", text: "the request's host without its port", meaning: .plain(.host)),
        VariableRow(
            name: "host.1", text: "a label of the host: 1 is the first",
            meaning: .named { name in
                guard let number = Int(name), (1...127).contains(number), name == String(number) else {
                    return nil
                }
                return .hostLabel(number)
            }),
        VariableRow(name: "path", text: "the path", meaning: .plain(.path)),
        VariableRow(name: "uri", text: "path and query", meaning: .plain(.uri)),
        VariableRow(name: "query", text: "the query, without its `?`", meaning: .plain(.query)),
        VariableRow(
            name: "query.N", text: "one parameter of the query",
            meaning: .named { $0.isEmpty ? nil : .queryParameter($0) }),
        VariableRow(
            name: "header.N", text: "a field of the request",
            meaning: .named { FieldName.isToken($0) ? .header($0.lowercased()) : nil }),
        VariableRow(
            name: "cookie.N", text: "a cookie of the request",
            meaning: .named { FieldName.isToken($0) ? .cookie($0) : nil }),
        VariableRow(name: "method", text: "the method", meaning: .plain(.method)),
        VariableRow(name: "scheme", text: "`http` or `https`", meaning: .plain(.scheme)),
        VariableRow(name: "client", text: "the client's address", meaning: .plain(.client)),
        VariableRow(name: "user", text: "the user that `auth` accepted", meaning: .plain(.user)),
        VariableRow(name: "id", text: "the request's id, as the access log has it", meaning: .plain(.id)),
        VariableRow(name: "site", text: "the site's first host", meaning: .plain(.site)),
        VariableRow(name: "tenant", text: "the stem of the site's file", meaning: .plain(.tenant)),
        VariableRow(name: "route", text: "the route's pattern", meaning: .plain(.route)),
        VariableRow(
            name: "tls.version", text: "`TLSv1.2` or `TLSv1.3`; nothing where the connection is without TLS",
            meaning: .plain(.tlsVersion)),
        VariableRow(
            name: "tls.client",
            text: "the subject of the client's certificate, as `CN=ann,O=shop`; nothing without one",
            meaning: .plain(.tlsClient)),
    ]

    /// The names that no capture may have.
    static let families = Set(all.map(\.family))
}

/// RFC 9110 §5.6.2.
enum FieldName {
    static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }
}
