/// Sites and their routes.
extension FileDecoder {
    /// One `site` block over the machine's settings.
    func site(_ arguments: Arguments, over machineSettings: Settings) -> Site {
        var site = Site(
            tenant: owner, name: "", hosts: [], position: current.position(arguments.keyword))
        for item in arguments.all("HOST") {
            guard case .host(let host) = item.value else { continue }
            if site.hosts.contains(host) {
                report(item.token, "\"\(host)\" stands here twice")
            } else {
                site.hosts.append(host)
            }
        }
        site.name = site.hosts.first?.description ?? ""
        let statements = expanded(arguments.statement.block ?? [])
        siteMatchers = [:]
        for statement in statements where isMatcherDefinition(statement) {
            gatherMatcher(statement, into: \.siteMatchers)
        }
        var own = Settings()
        var number = 0
        decode(
            statements, in: .site,
            other: { statement in
                if isMatcherDefinition(statement) { return true }
                guard isRoute(statement) else { return false }
                number += 1
                route(statement, number: number, into: &site)
                return true
            },
            apply: { row, arguments in
                switch row.effect {
                case .site(let effect): effect(arguments, self, &site)
                case .setting(let effect): effect(arguments, self, &own)
                default: break
                }
            })
        site.settings = machineSettings.merging(own)
        return site
    }

    // MARK: - The head of a route

    private struct RouteHead {
        var methods: [String] = []
        var patterns: [PathPattern] = []
        var matchers: [MatcherUse] = []
        /// Where the verb stands, or the number of words.
        var next = 0
    }

    private func isRoute(_ statement: Statement) -> Bool {
        let word = statement.first
        if word.text.hasPrefix("/") { return true }
        guard word.quoting == .bare else { return false }
        return isMatcherUse(word) || isMethodList(word) || Schema.verbs.contains(word.text)
    }

    private func isMatcherUse(_ word: Token) -> Bool {
        word.quoting == .bare && (word.text.hasPrefix("@") || word.text.hasPrefix("!@"))
    }

    private func isMethodList(_ word: Token) -> Bool {
        guard word.quoting == .bare, let first = word.text.utf8.first, (65...90).contains(first) else {
            return false
        }
        return word.text.utf8.allSatisfy { (65...90).contains($0) || "-_,".utf8.contains($0) }
    }

    /// Methods, patterns and matchers; nil after a message. All of a head's errors are reported.
    private func head(of statement: Statement) -> RouteHead? {
        let words = statement.words
        var head = RouteHead()
        var isRight = true
        if isMethodList(words[0]) {
            if let methods = methods(words[0]) { head.methods = methods } else { isRight = false }
            head.next = 1
        }
        while head.next < words.count, words[head.next].text.hasPrefix("/") {
            if let pattern = pathPattern(words[head.next]) {
                add(pattern, words[head.next], to: &head)
            } else {
                isRight = false
            }
            head.next += 1
        }
        while head.next < words.count, isMatcherUse(words[head.next]) {
            if let use = matcherUse(words[head.next]) { head.matchers.append(use) } else { isRight = false }
            head.next += 1
        }
        if head.patterns.isEmpty { head.patterns = [.everything] }
        if head.next < words.count, words[head.next].text.hasPrefix("/") {
            report(words[head.next], "patterns stand before matchers")
            return nil
        }
        return isRight ? head : nil
    }

    private func add(_ pattern: PathPattern, _ token: Token, to head: inout RouteHead) {
        if head.patterns.contains(where: { $0.order(pattern) == 0 }) {
            report(token, "\"\(pattern.text)\" stands here twice")
        } else {
            head.patterns.append(pattern)
        }
    }

    // MARK: - Routes and settings blocks

    private func route(_ statement: Statement, number: Int, into site: inout Site) {
        guard let head = head(of: statement) else { return }
        let position = current.position(statement.first)
        guard head.next < statement.words.count else {
            guard let block = statement.block else {
                report(
                    statement.first,
                    "\"\(statement.first.text)\" needs a verb such as `files` or `proxy`, or a block of settings"
                )
                return
            }
            for pattern in head.patterns {
                let (settings, _) = routeBlock(block, under: pattern, in: .route)
                warnIfClosed(pattern, settings, statement)
                site.settingsBlocks.append(
                    SettingsBlock(
                        methods: head.methods, pattern: pattern, matchers: head.matchers, settings: settings,
                        statement: number, position: position))
            }
            return
        }
        guard let (row, next) = verb(statement, at: head.next), case .verb(let effect) = row.effect else {
            return
        }
        guard isPermitted(verb: row.name, statement.words[head.next]) else { return }
        for pattern in head.patterns {
            let (settings, draft) = routeBlock(statement.block ?? [], under: pattern, in: row.block ?? .route)
            self.pattern = pattern
            defer { self.pattern = nil }
            guard let arguments = arguments(of: statement, from: next, for: row),
                let destination = effect(arguments, self, draft)
            else { continue }
            // Below a session there is nothing.
            if case .session = destination {} else { warnIfClosed(pattern, settings, statement) }
            site.routes.append(
                Route(
                    methods: head.methods, pattern: pattern, matchers: head.matchers,
                    destination: destination,
                    settings: settings, statement: number, position: position))
        }
    }

    private func verb(_ statement: Statement, at index: Int) -> (row: Directive, next: Int)? {
        let word = statement.words[index]
        if Schema.verbs.contains(word.text), word.quoting == .bare {
            return row(for: statement, from: index, in: .site)
        }
        let head = statement.words[..<index].map(\.text).joined(separator: " ")
        let isSetting =
            Schema.rows(named: word.text).contains { $0.family != .verb }
            || Schema.secondWords(after: word.text) != nil
        if isSetting, word.quoting == .bare {
            let rest = statement.words[index...].map(\.text).joined(separator: " ")
            report(word, "`\(word.text)` is not a verb: settings stand in a block", ["\(head) { \(rest) }"])
            return nil
        }
        if isMethodList(word), index > 0 {
            report(word, "methods stand before the pattern", ["\(word.text) \(head)"])
            return nil
        }
        report(
            word, "unknown verb \"\(word.text)\"", NearMiss.suggestions(for: word.text, among: Schema.verbs))
        return nil
    }

    private func routeBlock(
        _ block: [Statement], under pattern: PathPattern, in place: Places
    ) -> (Settings, UpstreamDraft) {
        var settings = Settings()
        var draft = UpstreamDraft()
        usedStatements += block.count
        guard usedStatements <= session.limits.statements else {
            if let first = block.first {
                report(
                    first.first,
                    "the blocks of this file's routes have more than \(session.limits.statements) statements")
            }
            return (settings, draft)
        }
        self.pattern = pattern
        defer { self.pattern = nil }
        decode(
            expanded(block), in: place,
            other: { statement in
                guard isRoute(statement) || isMatcherDefinition(statement) else { return false }
                let what = isMatcherDefinition(statement) ? "a matcher is defined" : "a route stands"
                report(statement.first, "\(what) in a site, not in the block of another route")
                return true
            },
            apply: { row, arguments in
                switch row.effect {
                case .setting(let effect): effect(arguments, self, &settings)
                case .upstream(let effect): effect(arguments, self, &draft)
                default: break
                }
            })
        return (settings, draft)
    }

    /// A guard on a pattern that does not reach below itself is seldom what is meant.
    private func warnIfClosed(_ pattern: PathPattern, _ settings: Settings, _ statement: Statement) {
        guard !pattern.isOpen, let name = settings.guardName else { return }
        let token = statement.words.first { $0.text == pattern.text } ?? statement.first
        let slash = pattern.segments.isEmpty ? "" : pattern.text.hasSuffix("/") ? "" : "/"
        warn(
            token, "`\(name)` under \"\(pattern.text)\" guards nothing below it",
            [pattern.segments.isEmpty ? "/*" : pattern.text + slash + "*"])
    }
}

extension Settings {
    /// `auth`, `allow` or `deny`, whichever these settings restrict by; nil if they restrict nothing.
    var guardName: String? {
        if let auth, auth.kind != .off { return "auth" }
        for rule in access.flatMap(\.rules) where rule.verdict == .deny || rule.subject != .all {
            return rule.verdict.rawValue
        }
        return nil
    }
}
