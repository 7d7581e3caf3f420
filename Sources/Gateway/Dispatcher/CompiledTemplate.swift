internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore

/// Where a template stands, which decides how the values in it are encoded.
enum TemplatePlace {
    /// A field value: no line end, no other control character.
    case field
    /// `redirect`: a URI reference; see `CompiledTemplate.Encoding`.
    case redirect
    /// `rewrite` and `prefix`: a path, perhaps with a query.
    case path
    /// The body of an answer.
    case text
    /// `files`: each value is one segment, never `.`, `..` or hidden.
    case directory
    /// A name of an upstream: each value is a part of it.
    case hostName
}

/// A template in the form in which one worker expands it: its literals in one run of bytes, and for each
/// value how it is encoded there.
final class CompiledTemplate {
    /// How a value is encoded.
    enum Encoding {
        /// As it is.
        case none
        /// Octets that no field value holds become escapes.
        case field
        /// It is part of a URI as it was written: only what no URI holds becomes escapes.
        case written
        /// Octets that no path holds become escapes; the semicolon too, which would begin parameters.
        case path
        /// All but unreserved octets become escapes: a query's value, or a part of an authority.
        case component
        /// Must be a segment that can be a directory's name.
        case segment
        /// Must be letters, digits, hyphens and underscores.
        case nameLabel
    }

    struct Part {
        enum Source {
            case literal
            case host, path, uri, query, method, scheme, client, user, id, site, tenant, route,
                tlsVersion, tlsClient
            /// These three have a name, in `bytes`.
            case queryParameter, header, cookie
            /// These have a number.
            case hostLabel, capture, rest
        }

        var source: Source
        var encoding = Encoding.none
        /// The literal, or the name that is looked up, in `bytes`.
        var slice = Slice.empty
        var number = 0
        /// The name that is looked up, where it is a field's.
        var field = FieldName.other
    }

    let place: TemplatePlace
    let parts: ContiguousArray<Part>
    let bytes: Blob
    /// There is no variable in it: `bytes` is all of it.
    let isLiteral: Bool
    /// A redirect that begins with a variable other than `{scheme}`: its result stays on this host.
    let beginsWithValue: Bool
    /// It has a `?` of its own.
    let hasQuery: Bool

    init(_ template: Template, for place: TemplatePlace) {
        var builder = Builder(place)
        for part in template.parts {
            switch part {
            case .literal(let text): builder.add(literal: text)
            case .variable(let variable): builder.add(variable)
            }
        }
        self.place = place
        parts = ContiguousArray(builder.parts)
        bytes = Blob(builder.bytes.span)
        isLiteral = template.literal != nil
        hasQuery = builder.hasQuery
        beginsWithValue = parts.first.map { $0.source != .literal && $0.source != .scheme } ?? false
    }

    /// The bytes of a literal or a name.
    subscript(_ slice: Slice) -> Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let blob = bytes
            return _overrideLifetime(blob.span.extracting(slice.range), borrowing: self)
        }
    }
}

extension CompiledTemplate {
    /// Reads a template from left to right and keeps in mind in which part of a URI it is.
    private struct Builder {
        enum Region { case scheme, authority, path, query }

        let place: TemplatePlace
        var parts: [Part] = []
        var bytes: [UInt8] = []
        var region: Region
        var hasQuery = false

        init(_ place: TemplatePlace) {
            self.place = place
            region = place == .redirect ? .scheme : .path
        }

        mutating func add(literal text: String) {
            let literal = Array(text.utf8)
            parts.append(Part(source: .literal, slice: append(literal)))
            if place == .redirect || place == .path { advance(literal) }
        }

        mutating func add(_ variable: Variable) {
            // Path and URI begin with a slash, so they end an authority; any other value at the start is a
            // path too.
            let isWhole = variable == .path || variable == .uri
            if (region == .scheme && variable != .scheme) || (region == .authority && isWhole) {
                region = .path
            }
            if region == .authority, case .rest = variable {
                // The rest is a path; behind a host it must not become a part of that.
                add(literal: "/")
            }
            var part = Part(source: .literal)
            switch variable {
            case .host: part.source = .host
            case .path: part.source = .path
            case .uri: part.source = .uri
            case .query: part.source = .query
            case .method: part.source = .method
            case .scheme: part.source = .scheme
            case .client: part.source = .client
            case .user: part.source = .user
            case .id: part.source = .id
            case .site: part.source = .site
            case .tenant: part.source = .tenant
            case .route: part.source = .route
            case .tlsVersion: part.source = .tlsVersion
            case .tlsClient: part.source = .tlsClient
            case .hostLabel(let number): (part.source, part.number) = (.hostLabel, number)
            case .capture(_, let segment): (part.source, part.number) = (.capture, segment)
            case .rest(let segment): (part.source, part.number) = (.rest, segment)
            case .queryParameter(let name):
                (part.source, part.slice) = (.queryParameter, append(Array(name.utf8)))
            case .cookie(let name): (part.source, part.slice) = (.cookie, append(Array(name.utf8)))
            case .header(let name):
                let field = Array(name.utf8)
                (part.source, part.slice, part.field) = (.header, append(field), FieldName(field.span))
            }
            part.encoding = encoding(of: variable)
            parts.append(part)
            if variable == .uri, region == .path {
                // The request's query comes with it.
                region = .query
                hasQuery = true
            }
        }

        private mutating func append(_ text: [UInt8]) -> Slice {
            bytes += text
            return Slice(start: bytes.count - text.count, count: text.count)
        }

        private mutating func advance(_ literal: [UInt8]) {
            var index = 0
            while index < literal.count {
                switch literal[index] {
                case UInt8(ascii: ":") where region == .scheme && literal[index...].starts(with: "://".utf8):
                    region = .authority
                    index += 2
                case UInt8(ascii: "/") where region == .scheme || region == .authority: region = .path
                case UInt8(ascii: "?"):
                    region = .query
                    hasQuery = true
                case UInt8(ascii: "#"): region = .query
                default: break
                }
                index += 1
            }
        }

        private func encoding(of variable: Variable) -> Encoding {
            switch place {
            case .field: return .field
            case .text: return .none
            case .directory: return .segment
            case .hostName: return .nameLabel
            case .redirect, .path: break
            }
            switch (variable, region) {
            case (.scheme, _), (.host, .authority): return .none
            case (.path, .path), (.uri, .path), (.query, .query): return .written
            case (_, .path), (_, .scheme): return .path
            case (_, .authority), (_, .query): return .component
            }
        }
    }
}
