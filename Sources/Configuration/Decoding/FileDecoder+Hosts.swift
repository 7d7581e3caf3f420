/// Host patterns.
extension FileDecoder {
    func host(_ token: Token) -> HostPattern? {
        let text = token.text
        if text == "*" { return .any }
        if text == "**" {
            report(token, "\"**\" is not a host; every host is \"*\"", ["*"])
            return nil
        }
        if text.hasPrefix("**.") { return name(text.dropFirst(3), token).map { .deepWildcard($0) } }
        if text.hasPrefix("*.") { return name(text.dropFirst(2), token).map { .wildcard($0) } }
        return name(text[...], token).map { .exact($0) }
    }

    func exactHost(_ token: Token) -> Value? {
        switch host(token) {
        case .exact(let name): return .text(name)
        case nil: return nil
        default:
            report(token, "\"\(token.text)\" is not a single host")
            return nil
        }
    }

    private func name(_ text: Substring, _ token: Token) -> String? {
        let prefix = token.text.prefix(token.text.count - text.count)
        switch HostName.normalized(String(text)) {
        case .success(let name): return name
        case .failure(.hasPort(let host)):
            report(token, "\"\(token.text)\" has a port, which belongs to `listen`", [prefix + host])
        case .failure(.empty): report(token, "\"\(token.text)\" is not a host")
        case .failure(.length):
            report(
                token, "\"\(token.text)\" is not a host: a label has 1 to 63 bytes, and all of it at most 253"
            )
        case .failure(.character): reportWrongHost(token)
        }
        return nil
    }

    private func reportWrongHost(_ token: Token) {
        let text = token.text
        if text.contains("://") {
            let host = text.split(separator: "/").dropFirst().first.map(String.init) ?? ""
            report(token, "\"\(text)\" is not a host: it has a scheme", host.isEmpty ? [] : [host])
        } else if text.hasSuffix(","), text.count > 1 {
            report(token, "hosts are separated by blanks", [String(text.dropLast())])
        } else if text.contains("*") {
            report(token, "\"\(text)\" is not a host: a star is a whole label at the start: *.x or **.x")
        } else {
            report(token, "\"\(text)\" is not a host")
        }
    }
}
