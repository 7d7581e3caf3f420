/// What the rows of verbs make of their words.
extension FileDecoder {
    func filesTarget(_ arguments: Arguments) -> FilesTarget? {
        guard let item = arguments.first("DIR"), let written = arguments.template("DIR") else { return nil }
        var directory = Template()
        guard !written.parts.isEmpty else {
            report(item.token, "a path has at least one byte, and none of them is zero")
            return nil
        }
        if case .literal(let text)? = written.parts.first, text.hasPrefix("/") {
            directory = written
        } else {
            directory.append(literal: current.directory + "/")
            directory.append(written)
        }
        directory = normalized(directory)
        let fixed = fixedPart(of: directory)
        guard let top = top(holding: fixed, item.token), exists(directory, item.token) else { return nil }
        if let top, OwnedPlace(path: top).top(holding: fixed) == nil, let real = session.realPath(of: fixed) {
            // Spelled by way of a link from elsewhere: only the real path can be seen to stay inside.
            directory = directory.replacingHead(fixed, by: real)
        }
        var target = FilesTarget(directory: directory, strippedSegments: strippedSegments)
        target.confinement = top
        if let index = arguments.names("index") { target.index = index }
        target.hidden = arguments.isOn("hidden") ?? false
        target.fallback = arguments.text("fallback")
        if let fallback = target.fallback, let token = arguments.first("fallback")?.token,
            let path = directory.literal,
            session.kind(of: FilePath.resolve(path + fallback, in: "/")) != .file
        {
            warn(token, "\"\(fallback)\" is not a file in \"\(item.token.text)\"")
        }
        return target
    }

    /// The pattern's leading literals, but for the last of an exact pattern.
    private var strippedSegments: Int {
        let pattern = pattern ?? .everything
        let literals = pattern.leadingLiterals
        return literals == pattern.segments.count ? max(literals - 1, 0) : literals
    }

    /// Without `.` segments and doubled slashes in the literal parts.
    private func normalized(_ directory: Template) -> Template {
        if let path = directory.literal { return Template(literal: FilePath.resolve(path, in: "/")) }
        var result = Template()
        for (index, part) in directory.parts.enumerated() {
            switch part {
            case .variable(let variable): result.append(variable)
            case .literal(let text) where index == 0:
                // What follows the last slash is a part of a name.
                let end = text.lastIndex(of: "/").map { text.index(after: $0) } ?? text.startIndex
                let head = FilePath.resolve(String(text[..<end]), in: "/")
                result.append(literal: (head == "/" ? "" : head) + "/" + text[end...])
            case .literal(let text): result.append(literal: text)
            }
        }
        return result
    }

    /// Whether the directory exists, or the part of it before the first variable.
    private func exists(_ directory: Template, _ token: Token) -> Bool {
        let path = fixedPart(of: directory)
        switch session.kind(of: path) {
        case .directory: return true
        case nil: report(token, "the directory \"\(shown(path, token))\" does not exist")
        default: report(token, "\"\(shown(path, token))\" is not a directory")
        }
        return false
    }

    /// The directory, or what stands before the segment with its first variable.
    private func fixedPart(of directory: Template) -> String {
        if let path = directory.literal { return path }
        guard case .literal(let head)? = directory.parts.first else { return "" }
        return FilePath.directory(of: head)
    }

    /// What `env:` and `file:` stand for is never printed.
    private func shown(_ path: String, _ token: Token) -> String {
        secretSource(token) == nil ? path : token.text
    }

    // MARK: - Other verbs

    func proxyTarget(_ arguments: Arguments, _ block: UpstreamDraft) -> ProxyTarget? {
        var draft = UpstreamDraft()
        for item in arguments.all("TARGET") {
            if case .upstream(let target) = item.value { draft.append(target) }
        }
        draft.append(block)
        guard !draft.targets.isEmpty else {
            // A `to` or `use` that was wrong has its message already.
            let block = arguments.statement.block ?? []
            if !block.contains(where: { $0.first.isBare("to") || $0.first.isBare("use") }) {
                report(
                    arguments.keyword, "`proxy` needs a target: proxy TARGET…, or `to ADDRESS` in its block")
            }
            return nil
        }
        return ProxyTarget(targets: draft.targets, prefix: block.prefix, pools: draft.pools)
    }

    func respond(_ arguments: Arguments) -> Destination? {
        guard let status = arguments.number("STATUS") else { return nil }
        guard let item = arguments.first("BODY") else { return .respond(status: status, body: .none) }
        // RFC 9110 §15: these have no content.
        guard ![204, 205, 304].contains(status) else {
            report(item.token, "an answer with status \(status) has no body")
            return nil
        }
        switch item.value {
        case .template(let template): return .respond(status: status, body: .text(template))
        case .file(let file): return .respond(status: status, body: .file(file))
        default: return nil
        }
    }
}

extension Template {
    /// With another path in the place of the one that the template begins with.
    fileprivate func replacingHead(_ head: String, by other: String) -> Template {
        guard case .literal(let text)? = parts.first else { return self }
        var result = Template(
            literal: other + String(decoding: text.utf8.dropFirst(head.utf8.count), as: UTF8.self))
        for part in parts.dropFirst() {
            switch part {
            case .literal(let text): result.append(literal: text)
            case .variable(let variable): result.append(variable)
            }
        }
        return result
    }
}
