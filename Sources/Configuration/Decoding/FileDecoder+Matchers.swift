internal import ChimeraBytes

/// One kind of matcher line, for decoding and the reference page.
struct MatcherKind: Sendable {
    var name: String
    var usage: String
    var text: String
    var since: Release = .first

    static let all: [MatcherKind] = [
        MatcherKind(
            name: "header", usage: "header FIELD [VALUE…]",
            text: "a field of the request has one of these values (`*` is a glob); no value: it is present"),
        MatcherKind(name: "cookie", usage: "cookie NAME [VALUE…]", text: "as `header`, for a cookie"),
        MatcherKind(
            name: "query", usage: "query NAME [VALUE…]", text: "as `header`, for a parameter of the query"),
        MatcherKind(name: "client", usage: "client CIDR…", text: "the client's address lies in one of these"),
        MatcherKind(
            name: "method", usage: "method METHOD…", text: "the method is one of these; GET includes HEAD"),
        MatcherKind(name: "scheme", usage: "scheme http|https", text: "the scheme of the request"),
        MatcherKind(
            name: "tls.client", usage: "tls.client [SUBJECT…]",
            text:
                "the client has a certificate, whose subject is one of these (`*` is a glob, as in `CN=ann,*`)"
        ),
        MatcherKind(name: "host", usage: "host HOST…", text: "the host is one of these"),
        MatcherKind(name: "path", usage: "path PATTERN…", text: "the path matches one of these patterns"),
        MatcherKind(name: "time", usage: "time …", text: "the time of day", since: .later),
    ]

    /// The names that this version has.
    static let first = all.filter { $0.since == .first }.map(\.name)

    static func named(_ name: String) -> MatcherKind? { all.first { $0.name == name } }
}

extension FileDecoder {
    /// What follows `@name` in a matcher's line; nil after a message.
    func condition(of statement: Statement) -> Matcher.Condition? {
        let kind = statement.words[1]
        let values = Array(statement.words[2...])
        switch kind.text {
        case "header", "cookie", "query": return globs(kind, values)
        case "client": return all(values, kind) { word in cidr(word) }.map { .client($0) }
        case "method": return all(values, kind) { word in methods(word) }.map { .method($0.flatMap { $0 }) }
        case "scheme": return all(values, kind) { word in scheme(word) }.map { .scheme($0) }
        case "tls.client":
            let globs = values.map { resolved($0).map(Glob.init) }
            return globs.contains(nil) ? nil : .tlsClient(globs.compactMap { $0 })
        case "host": return all(values, kind) { word in host(word) }.map { .host($0) }
        case "path": return all(values, kind) { word in pathPattern(word) }.map { .path($0) }
        case _ where MatcherKind.named(kind.text) == nil:
            report(
                kind, "unknown kind of matcher \"\(kind.text)\"",
                NearMiss.suggestions(for: kind.text, among: MatcherKind.first))
            return nil
        default:
            report(kind, "this version does not have `\(kind.text)` in a matcher yet")
            return nil
        }
    }

    private func all<T>(_ words: [Token], _ kind: Token, _ value: (Token) -> T?) -> [T]? {
        guard !words.isEmpty else {
            report(kind, "`\(kind.text)` needs a value: \(MatcherKind.named(kind.text)?.usage ?? kind.text)")
            return nil
        }
        let values = words.map(value)
        return values.contains { $0 == nil } ? nil : values.compactMap { $0 }
    }

    private func globs(_ kind: Token, _ words: [Token]) -> Matcher.Condition? {
        guard let name = words.first else {
            report(kind, "`\(kind.text)` needs a name: \(MatcherKind.named(kind.text)?.usage ?? kind.text)")
            return nil
        }
        let values = words.dropFirst().map { resolved($0).map(Glob.init) }
        guard !values.contains(nil) else { return nil }
        let globs = values.compactMap { $0 }
        if kind.text == "query" {
            guard !name.text.isEmpty else {
                report(name, "a parameter's name has at least one byte")
                return nil
            }
            return .query(name.text, globs)
        }
        guard FieldName.isToken(name.text) else {
            report(
                name, "\"\(name.text)\" is not the name of a \(kind.text == "cookie" ? "cookie" : "field")")
            return nil
        }
        return kind.text == "cookie" ? .cookie(name.text, globs) : .header(name.text.lowercased(), globs)
    }

    private func cidr(_ word: Token) -> CIDR? {
        if case .cidr(let block)? = decode(word, as: .cidr) { block } else { nil }
    }

    private func scheme(_ word: Token) -> String? {
        if word.text == "http" || word.text == "https" { return word.text }
        report(word, "\"\(word.text)\" is not http or https")
        return nil
    }

    /// `GET,POST` with HEAD where GET is; nil after a message.
    func methods(_ word: Token) -> [String]? {
        var methods: [String] = []
        for part in word.text.split(separator: ",", omittingEmptySubsequences: false) {
            let method = String(part)
            guard isMethod(method) else {
                let known = HTTPMethods.known.contains(method.uppercased()) ? [method.uppercased()] : []
                report(
                    word,
                    part.isEmpty ? "methods are separated by single commas" : "\"\(part)\" is not a method",
                    known)
                return nil
            }
            if !methods.contains(method) { methods.append(method) }
            if method == "GET", !methods.contains("HEAD") { methods.append("HEAD") }
        }
        return methods
    }

    /// Capitals, perhaps with `-` and `_` between them.
    func isMethod(_ text: String) -> Bool {
        guard let first = text.utf8.first, (65...90).contains(first) else { return false }
        return text.utf8.allSatisfy {
            (65...90).contains($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
        }
    }
}
