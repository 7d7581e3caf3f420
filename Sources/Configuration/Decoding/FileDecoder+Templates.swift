/// Texts with variables.
extension FileDecoder {
    func template(_ token: Token, _ place: TemplatePlace) -> Value? {
        if case .body = place, case .file(let path)? = secretSource(token) {
            return referenced(path, token).map { .file($0) }
        }
        guard let text = resolved(token) else { return nil }
        let template: Template
        if token.quoting == .raw || secretSource(token) != nil {
            template = Template(literal: text)
        } else {
            guard let read = templateText(text, token, place) else { return nil }
            template = read
        }
        return isRight(template, token, place) ? .template(template) : nil
    }

    /// Reads the variables of a word, or of the part of a word that `text` is; nil after a message.
    func templateText(_ text: String, _ token: Token, _ place: TemplatePlace) -> Template? {
        var template = Template()
        var isRight = true
        var rest = text[...]
        while let brace = rest.firstIndex(of: "{") {
            template.append(literal: String(rest[..<brace]))
            let after = rest.index(after: brace)
            if after < rest.endIndex, rest[after] == "{" {
                template.append(literal: "{")
                rest = rest[rest.index(after: after)...]
                continue
            }
            guard let end = rest[after...].firstIndex(of: "}") else {
                report(token, "a \"{\" is not closed; a literal brace is written {{")
                return nil
            }
            if let variable = variable(String(rest[after..<end]), token, place) {
                template.append(variable)
            } else {
                isRight = false
            }
            rest = rest[rest.index(after: end)...]
        }
        template.append(literal: String(rest))
        return isRight ? template : nil
    }

    // MARK: - Variables

    private func variable(_ name: String, _ token: Token, _ place: TemplatePlace) -> Variable? {
        guard let variable = known(name, token) else { return nil }
        switch (place, variable) {
        case (.target, .hostLabel), (.target, .capture), (.target, .rest): return variable
        case (.target, _):
            report(token, "a target has only {host.N} and captures as variables, not {\(name)}")
            return nil
        case (.directory, .path), (.directory, .uri), (.directory, .query), (.directory, .rest):
            report(token, "{\(name)} is not one segment, which is all that a variable is in a directory")
            return nil
        default: return variable
        }
    }

    private func known(_ name: String, _ token: Token) -> Variable? {
        if name == "rest" { return rest(token) }
        if let captured = captured(name) { return captured }
        for row in VariableRow.all {
            switch row.meaning {
            case .plain(let variable) where row.name == name: return variable
            case .later where row.name == name:
                report(token, "this version does not have {\(name)} yet")
                return nil
            case .named(let variable):
                guard name.hasPrefix(row.family + ".") else { continue }
                if let variable = variable(String(name.dropFirst(row.family.count + 1))) { return variable }
            default: continue
            }
        }
        reportUnknownVariable(name, token)
        return nil
    }

    private func captured(_ name: String) -> Variable? {
        guard let index = pattern?.segments.firstIndex(of: .capture(name)) else { return nil }
        return .capture(name, segment: index)
    }

    private func rest(_ token: Token) -> Variable? {
        guard let pattern else {
            report(token, "{rest} needs a pattern to stand under")
            return nil
        }
        guard pattern.isOpen else {
            report(token, "{rest} is what `*` matches, and \"\(pattern.text)\" has none")
            return nil
        }
        return .rest(fromSegment: pattern.segments.count - 1)
    }

    private func reportUnknownVariable(_ name: String, _ token: Token) {
        if name.isEmpty {
            report(token, "{} is not a variable; a literal brace is written {{")
            return
        }
        let captures = (pattern?.segments ?? []).compactMap { segment in
            if case .capture(let name) = segment { name } else { nil }
        }
        let names = VariableRow.all.map(\.name) + captures + ["rest"]
        let near = NearMiss.suggestions(for: name, among: names).map { "{\($0)}" }
        let under = pattern.map { $0 == .everything ? "" : ", and \"\($0.text)\" does not capture it" } ?? ""
        report(token, "unknown variable {\(name)}\(under)", near)
    }

    // MARK: - What a place demands

    private func isRight(_ template: Template, _ token: Token, _ place: TemplatePlace) -> Bool {
        switch place {
        case .body, .directory, .target: return true
        case .header: return isHeaderValue(template, token)
        case .redirect: return isRedirect(template, token)
        case .rewrite, .prefix: return beginsAsPath(template, token)
        }
    }

    /// RFC 9110 §5.5: no control character but a tab.
    private func isHeaderValue(_ template: Template, _ token: Token) -> Bool {
        for case .literal(let text) in template.parts
        where text.utf8.contains(where: { $0 < 0x20 && $0 != 9 || $0 == 0x7f }) {
            reportMismatch(token, "a field's value: it has a line end or another control character")
            return false
        }
        return true
    }

    private func isRedirect(_ template: Template, _ token: Token) -> Bool {
        guard isHeaderValue(template, token) else { return false }
        switch template.parts.first {
        case .literal(let text)?:
            if text.hasPrefix("//") || text.hasPrefix("/\\") {
                reportMismatch(token, "a safe redirect: what begins with // or /\\ leads to another host")
                return false
            }
            if text.hasPrefix("/") || Self.hasScheme(text) { return true }
            let isHost = text.contains(".") && !text.contains("://")
            reportMismatch(
                token, "a URL: it begins with / or a scheme such as https://",
                [isHost ? "https://" + token.text : "/" + token.text])
        case .variable(.scheme)?, .variable(.path)?, .variable(.uri)?: return true
        case .variable?:
            reportMismatch(token, "a safe redirect: a variable at its start could name any host")
        case nil: reportMismatch(token, "a URL")
        }
        return false
    }

    private static func hasScheme(_ text: String) -> Bool {
        let scheme = text.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }
        return scheme.first?.isLetter == true && text.dropFirst(scheme.count).hasPrefix(":")
    }

    private func beginsAsPath(_ template: Template, _ token: Token) -> Bool {
        switch template.parts.first {
        case .literal(let text)? where text.hasPrefix("/"):
            if text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f || $0 == UInt8(ascii: "#") }) {
                reportMismatch(token, "a path: it has a blank or a #")
                return false
            }
            return true
        case .variable(.path)?, .variable(.uri)?: return true
        default:
            reportMismatch(
                token, "a path that begins with /", token.text.hasPrefix("{") ? [] : ["/" + token.text])
            return false
        }
    }
}
