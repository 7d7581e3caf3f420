/// A text with variables in it. How a value is encoded depends on where the template stands.
package struct Template: Sendable, Hashable {
    package enum Part: Sendable, Hashable {
        case literal(String)
        case variable(Variable)
    }

    /// No two literals stand side by side, and none is empty.
    package private(set) var parts: [Part] = []

    package init() {}

    package init(literal: String) { append(literal: literal) }

    package mutating func append(literal text: String) {
        guard !text.isEmpty else { return }
        if case .literal(let before) = parts.last {
            parts[parts.count - 1] = .literal(before + text)
        } else {
            parts.append(.literal(text))
        }
    }

    package mutating func append(_ variable: Variable) { parts.append(.variable(variable)) }

    package mutating func append(_ other: Template) {
        for part in other.parts {
            switch part {
            case .literal(let text): append(literal: text)
            case .variable(let variable): append(variable)
            }
        }
    }

    /// The whole text where no variable is in it; nil otherwise.
    package var literal: String? {
        switch parts.first {
        case nil: ""
        case .literal(let text) where parts.count == 1: text
        default: nil
        }
    }

    package var variables: [Variable] {
        parts.compactMap { if case .variable(let variable) = $0 { variable } else { nil } }
    }
}

extension Template: CustomStringConvertible {
    package var description: String {
        parts.map { part in
            switch part {
            case .literal(let text): text
            case .variable(let variable): "{\(variable)}"
            }
        }.joined()
    }
}

/// What `{…}` can stand for.
package enum Variable: Sendable, Hashable {
    /// The host without port.
    case host
    /// `{host.1}`: the first label of the host; counted from 1.
    case hostLabel(Int)
    case path
    /// Path and query.
    case uri
    case query
    case queryParameter(String)
    /// A lowercase field name.
    case header(String)
    case cookie(String)
    case method
    case scheme
    case client
    case user
    case id
    case site
    case tenant
    case route
    /// `TLSv1.3`, or nothing where the connection is without TLS.
    case tlsVersion
    /// The subject of the client's certificate, which was verified.
    case tlsClient
    /// `{name}` of the pattern: the path's segment with this number, from 0.
    case capture(String, segment: Int)
    /// What `*` or `*.ext` matched: the path from the segment with this number on, from 0, without the slash before it.
    case rest(fromSegment: Int)
}

extension Variable: CustomStringConvertible {
    package var description: String {
        switch self {
        case .host: "host"
        case .hostLabel(let number): "host.\(number)"
        case .path: "path"
        case .uri: "uri"
        case .query: "query"
        case .queryParameter(let name): "query.\(name)"
        case .header(let name): "header.\(name)"
        case .cookie(let name): "cookie.\(name)"
        case .method: "method"
        case .scheme: "scheme"
        case .client: "client"
        case .user: "user"
        case .id: "id"
        case .site: "site"
        case .tenant: "tenant"
        case .route: "route"
        case .tlsVersion: "tls.version"
        case .tlsClient: "tls.client"
        case .capture(let name, _): name
        case .rest: "rest"
        }
    }
}
