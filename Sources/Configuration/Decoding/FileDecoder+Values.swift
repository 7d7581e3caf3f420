internal import ChimeraBytes

/// Words → values, each by its type.
extension FileDecoder {
    /// Nil after a message.
    func decode(_ token: Token, as type: ValueType) -> Value? {
        switch type {
        case .flag: return .isOn(true)
        case .word: return .text(token.text)
        case .name(let noun): return name(token, noun)
        case .keyword(let noun, let words): return keyword(token, noun, words)
        case .template(let place): return template(token, place)
        case .file: return file(token)
        case .place: return place(token)
        case .host: return host(token).map { .host($0) }
        case .exactHost: return exactHost(token)
        case .path: return path(token)
        case .names: return names(token)
        case .subject: return subject(token)
        case .headerField: return headerField(token)
        case .listenAddress: return listenAddress(token)
        case .upstream: return upstream(token).map { .upstream($0) }
        case .outgoing: return outgoing(token)
        case .limitKey: return limitKey(token, ofSessions: false)
        case .sessionKey: return limitKey(token, ofSessions: true)
        case .text, .duration, .timeLimit, .size, .workers, .onOff, .status, .cidr, .rate, .count, .port:
            guard let text = resolved(token) else { return nil }
            return scalar(text, token, type)
        }
    }

    // MARK: - env: and file:

    /// The text of a word, or what its `env:NAME` or `file:PATH` stands for; nil after a message.
    func resolved(_ token: Token) -> String? {
        guard let source = secretSource(token) else { return token.text }
        switch source {
        case .environment(let name):
            guard isPermitted(environment: name, token) else { return nil }
            if let value = session.environment(name) { return value }
            report(token, "the environment has no \"\(name)\"")
            return nil
        case .file(let path):
            guard let file = referenced(path, token) else { return nil }
            guard let text = String(validating: file.content, as: UTF8.self) else {
                report(token, "\"\(path)\" is not UTF-8 text")
                return nil
            }
            // The line end that every editor writes is no part of a value.
            return text.hasSuffix("\n") ? String(text.dropLast()) : text
        }
    }

    enum SecretSource {
        case environment(String)
        case file(String)
    }

    /// Whether a word stands for a value that is never printed.
    func secretSource(_ token: Token) -> SecretSource? {
        guard token.quoting != .raw else { return nil }
        if token.text.hasPrefix("env:") { return .environment(String(token.text.dropFirst(4))) }
        if token.text.hasPrefix("file:") { return .file(String(token.text.dropFirst(5))) }
        return nil
    }

    /// Reports that a word is of the wrong type, without printing what `env:` or `file:` stand for.
    func reportMismatch(_ token: Token, _ expected: String, _ suggestions: [String] = []) {
        if secretSource(token) != nil {
            report(token, "what \"\(token.text)\" stands for is not \(expected)")
        } else {
            report(token, "\"\(token.text)\" is not \(expected)", suggestions)
        }
    }

    // MARK: - Scalars

    private func scalar(_ text: String, _ token: Token, _ type: ValueType) -> Value? {
        var suggestions: [String] = []
        switch type {
        case .text: return .text(text)
        case .timeLimit where text == "none": return .timeLimit(.unlimited)
        case .duration, .timeLimit:
            if let duration = Quantity.duration(text) { return .timeLimit(.milliseconds(duration)) }
            suggestions = Quantity.suggestions(for: text, isSize: false)
        case .size:
            if let size = Quantity.size(text) { return .bytes(size) }
            suggestions = Quantity.suggestions(for: text, isSize: true)
        case .workers:
            if text == "auto" { return .workers(.automatic) }
            if let count = Int(text), (1...1024).contains(count) { return .workers(.count(count)) }
            suggestions = NearMiss.suggestions(for: text, among: ["auto"])
        case .onOff:
            if text == "on" || text == "off" { return .isOn(text == "on") }
            if ["yes", "true", "1"].contains(text) { suggestions = ["on"] }
            if ["no", "false", "0"].contains(text) { suggestions = ["off"] }
        case .status(let range, let only):
            if let status = Int(text), range.contains(status), only.isEmpty || only.contains(status) {
                return .number(status)
            }
        case .rate:
            if let rate = Rate(text) { return .rate(rate) }
            suggestions = Rate.suggestions(for: text)
        case .count:
            if let count = Int(text), (1...1_000_000_000).contains(count) { return .number(count) }
        case .port:
            if let port = port(text), port > 0 { return .number(Int(port)) }
        case .cidr:
            if let block = CIDR(text) {
                warnOfHostBits(text, block, token)
                return .cidr(block)
            }
        default: break
        }
        reportMismatch(token, type.description, suggestions)
        return nil
    }

    func warnOfHostBits(_ text: String, _ block: CIDR, _ token: Token) {
        guard secretSource(token) == nil, text.contains("/"),
            let address = IPAddress(String(text.prefix { $0 != "/" })), address != block.address
        else { return }
        warn(token, "\"\(text)\" has address bits past its prefix, which do not count", ["\(block)"])
    }

    private func name(_ token: Token, _ noun: String) -> Value? {
        if isName(token.text) { return .text(token.text) }
        report(token, "\"\(token.text)\" is not a \(noun); it has letters, digits, - and _")
        return nil
    }

    private func keyword(_ token: Token, _ noun: String, _ words: [ValueType.Keyword]) -> Value? {
        guard let word = words.first(where: { $0.name == token.text }) else {
            let near = NearMiss.suggestions(for: token.text, among: words.map(\.name))
            let known = near.isEmpty ? "; known: " + words.map(\.name).joined(separator: ", ") : ""
            report(token, "unknown \(noun) \"\(token.text)\"\(known)", near)
            return nil
        }
        guard word.since == .first else {
            report(token, "this version does not have the \(noun) `\(word.name)` yet")
            return nil
        }
        return .text(word.name)
    }

    private func names(_ token: Token) -> Value? {
        let names = token.text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        let isRight = names.allSatisfy { !$0.isEmpty && !$0.contains("/") && $0 != "." && $0 != ".." }
        if isRight { return .names(names) }
        report(token, "\"\(token.text)\" is not names with commas between them, each without /")
        return nil
    }

    private func path(_ token: Token) -> Value? {
        let text = token.text
        guard text.hasPrefix("/") else {
            report(token, "\"\(text)\" is not a path that begins with /", ["/" + text])
            return nil
        }
        guard !text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f || "?#{}*\\".utf8.contains($0) }) else {
            report(token, "\"\(text)\" is not a plain path: it has a blank or one of ? # { } * \\")
            return nil
        }
        guard !text.split(separator: "/").contains(where: { $0 == "." || $0 == ".." }) else {
            report(token, "\"\(text)\" has a dot segment")
            return nil
        }
        return .text(text)
    }

    private func subject(_ token: Token) -> Value? {
        if token.text == "all" { return .subject(.all) }
        if token.quoting == .bare, token.text.hasPrefix("@") || token.text.hasPrefix("!@") {
            return matcherUse(token).map { .subject(.matcher($0)) }
        }
        guard let text = resolved(token) else { return nil }
        guard let block = CIDR(text) else {
            reportMismatch(
                token, ValueType.subject.description,
                siteMatchers[text] == nil && matchers[text] == nil ? [] : ["@" + text])
            return nil
        }
        warnOfHostBits(text, block, token)
        return .subject(.clients(block))
    }

    // MARK: - Files

    /// The absolute path of what a word of the current file names.
    func resolve(_ path: String) -> String { FilePath.resolve(path, in: current.directory) }

    /// What a word of the current file names, as messages show it: relative to where the current file's own name is.
    func shownPath(_ path: String) -> String {
        let directory = FilePath.directory(of: current.name)
        if path.hasPrefix("/") || directory.isEmpty { return path }
        return directory == "/" ? "/" + path : directory + "/" + path
    }

    /// The content of a file; nil after a message.
    /// - Parameter isKept: its content is part of the last good version.
    func referenced(_ path: String, _ token: Token, isKept: Bool = true) -> ReferencedFile? {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            report(token, "a path has at least one byte, and none of them is zero")
            return nil
        }
        switch session.referenced(resolve(path), of: owner, within: confinement, isKept: isKept) {
        case .success(let file): return file
        case .failure(.outside):
            denyPlace(token)
            return nil
        case .failure(let failure):
            report(token, "\"\(path)\" \(failure.reason)")
            return nil
        }
    }

    private func file(_ token: Token) -> Value? {
        guard let path = plainPath(token) else { return nil }
        return referenced(path, token).map { .file($0) }
    }

    private func place(_ token: Token) -> Value? {
        plainPath(token).map { .text($0) }
    }

    /// Where a file is what is asked for, its path is written plainly.
    private func plainPath(_ token: Token) -> String? {
        if case .file(let path)? = secretSource(token) {
            report(token, "a file's path is written plainly here", [path])
            return nil
        }
        guard !token.text.isEmpty, !token.text.utf8.contains(0) else {
            report(token, "a path has at least one byte, and none of them is zero")
            return nil
        }
        return token.text
    }
}
