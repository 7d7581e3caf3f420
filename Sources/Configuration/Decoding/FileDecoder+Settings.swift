/// What the rows of settings do beyond storing a value.
extension FileDecoder {
    // MARK: - Headers

    /// `N`, `+N`, `-N` or `?N`.
    func headerField(_ token: Token) -> Value? {
        var name = token.text
        var kind = HeaderOperation.Kind.set
        switch name.first {
        case "+": kind = .add
        case "-": kind = .remove
        case "?": kind = .setIfMissing
        default: break
        }
        if kind != .set { name.removeFirst() }
        if FieldName.isToken(name) { return .header(kind, name: name) }
        let withoutColon = name.hasSuffix(":") ? String(token.text.dropLast()) : ""
        report(
            token, "\"\(name)\" is not a field's name",
            FieldName.isToken(withoutColon) ? [withoutColon] : [])
        return nil
    }

    /// RFC 9110 §7.6.1 and RFC 9112 §6: fields that belong to one connection, which the codecs alone write.
    private static let framing: Set<String> = [
        "connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    ]

    func headerOperation(_ arguments: Arguments, onRequest: Bool) -> HeaderOperation? {
        guard let field = arguments.first("FIELD"), case .header(let kind, let name) = field.value else {
            return nil
        }
        let values = arguments.all("VALUE")
        let lowercase = name.lowercased()
        if Self.framing.contains(lowercase) {
            report(field.token, "`\(name)` belongs to the connection, which the gateway alone describes")
            return nil
        }
        if onRequest, lowercase == "host", kind != .set || values.isEmpty {
            report(field.token, "a request has exactly one Host: it can be set only", ["Host"])
            return nil
        }
        if kind == .remove, let value = values.first {
            report(value.token, "`-\(name)` removes the field and has no value")
            return nil
        }
        if kind != .remove, values.isEmpty {
            report(field.token, "`\(field.token.text)` needs a value", kind == .set ? ["-" + name] : [])
            return nil
        }
        return HeaderOperation(
            kind: kind, name: name, value: joined(values), position: current.position(arguments.keyword))
    }

    private func joined(_ values: [Arguments.Item]) -> Template {
        var joined = Template()
        for (index, item) in values.enumerated() {
            guard case .template(let template) = item.value else { continue }
            if index > 0 { joined.append(literal: " ") }
            joined.append(template)
        }
        return joined
    }

    // MARK: - Access

    /// The password file that `auth basic` names, after a message for each line that lets nobody in. The line itself is
    /// not shown, since it holds a password's hash or worse.
    func passwordFile(_ arguments: Arguments) -> ReferencedFile? {
        guard let item = arguments.first("FILE"), case .file(let file) = item.value else { return nil }
        guard checkedPasswordFiles.insert(file.path).inserted else { return file }
        do throws(PasswordFile.Faults) {
            _ = try PasswordFile(file.content.span)
        } catch {
            let name = shownPath(item.token.text)
            for fault in error.lines {
                report(
                    .error, at: SourcePosition(file: name, line: fault.line, column: 1), "\(fault)", [],
                    other: current.position(item.token))
            }
        }
        return file
    }

    func setAuth(_ kind: AuthSetting.Kind, _ arguments: Arguments, _ settings: inout Settings) {
        if let first = settings.auth {
            report(arguments.keyword, "`auth` stands here twice", other: first.position)
            return
        }
        settings.auth = AuthSetting(kind, owner: owner, position: current.position(arguments.keyword))
    }

    func addAccess(_ verdict: AccessRule.Verdict, _ arguments: Arguments, _ settings: inout Settings) {
        let rules = arguments.all("WHO").compactMap { item -> AccessRule? in
            guard case .subject(let subject) = item.value else { return nil }
            return AccessRule(verdict, subject, position: current.position(item.token))
        }
        accessGroup(&settings) { $0.rules += rules }
    }

    /// Changes the group of this file's rules.
    func accessGroup(_ settings: inout Settings, _ change: (inout AccessGroup) -> Void) {
        if settings.access.isEmpty { settings.access.append(AccessGroup(owner: owner)) }
        change(&settings.access[0])
    }

    // MARK: - Limits

    /// What `per=` of a limit names.
    ///
    /// - Parameter ofSessions: users can be told apart.
    func limitKey(_ token: Token, ofSessions: Bool) -> Value? {
        switch token.text {
        case "user" where ofSessions: return .limitKey(.user)
        case "client": return .limitKey(.client)
        case "site": return .limitKey(.site)
        case let text where text.hasPrefix("header:") && FieldName.isToken(String(text.dropFirst(7))):
            return .limitKey(.header(text.dropFirst(7).lowercased()))
        default:
            reportMismatch(
                token, (ofSessions ? ValueType.sessionKey : .limitKey).description,
                NearMiss.suggestions(
                    for: token.text, among: ["client", "site"] + (ofSessions ? ["user"] : [])))
            return nil
        }
    }

    // MARK: - Timeouts

    func setTimeouts(_ arguments: Arguments, _ timeouts: inout Timeouts) {
        let all: [(String, WritableKeyPath<Timeouts, TimeLimit?>)] = [
            ("head", \.head), ("body", \.body), ("idle", \.idle), ("send", \.send), ("response", \.response),
            ("connect", \.connect), ("answer", \.answer), ("read", \.read), ("quiet", \.quiet),
        ]
        var isEmpty = true
        for (key, path) in all {
            guard let limit = arguments.timeLimit(key), let token = arguments.first(key)?.token else {
                continue
            }
            isEmpty = false
            if key == "head" || key == "idle", !place.contains(.machine) {
                report(token, "`\(key)=` counts before a site is known, so it stands in the machine's file")
            } else if timeouts[keyPath: path] != nil {
                report(token, "`timeout \(key)=` stands here twice")
            } else if limit == .milliseconds(0) {
                report(token, "a timeout is longer than nothing", ["\(key)=none"])
            } else {
                timeouts[keyPath: path] = limit
            }
        }
        if isEmpty {
            let keys = all.map(\.0).joined(separator: "=, ")
            report(arguments.keyword, "`timeout` needs at least one of \(keys)=")
        }
    }
}
