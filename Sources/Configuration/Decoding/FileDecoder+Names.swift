/// Names that a file declares: shared blocks, pools and matchers.
extension FileDecoder {
    // MARK: - define and use

    func gatherDefine(_ statement: Statement, in place: Places) {
        within(statement) {
            guard let (row, next) = row(for: statement, from: 0, in: place),
                let arguments = arguments(of: statement, from: next, for: row),
                let name = arguments.text("NAME")
            else { return }
            if let first = defines[name] {
                report(
                    statement.words[1], "`define \(name)` stands here twice",
                    other: current.position(first.first))
                return
            }
            defines[name] = statement
        }
    }

    /// The statements with the content of shared blocks in the place of each `use`.
    func expanded(_ statements: [Statement]) -> [Statement] {
        guard statements.contains(where: { $0.first.isBare("use") }) else {
            return statements
        }
        var result: [Statement] = []
        expand(statements, into: &result, within: [])
        return result
    }

    private func expand(_ statements: [Statement], into result: inout [Statement], within active: [String]) {
        for statement in statements {
            guard statement.first.isBare("use") else {
                result.append(statement)
                continue
            }
            guard let (name, shared) = shared(statement) else { continue }
            guard !active.contains(name) else {
                within(statement) {
                    report(statement.first, "`use \(name)` stands within the block that it names")
                }
                continue
            }
            usedStatements += shared.count
            guard usedStatements <= session.limits.statements else {
                within(statement) {
                    report(
                        statement.first, "`use` brings in more than \(session.limits.statements) statements")
                }
                return
            }
            expand(shared, into: &result, within: active + [name])
        }
    }

    private func shared(_ statement: Statement) -> (name: String, block: [Statement])? {
        var found: (String, [Statement])?
        within(statement) {
            guard statement.words.count == 2, statement.block == nil else {
                report(statement.first, "`use` needs one NAME and no block: use NAME")
                return
            }
            let word = statement.words[1]
            if let define = defines[word.text] ?? machine?.defines[word.text] {
                found = (word.text, define.block ?? [])
                return
            }
            let names = Array(defines.keys) + Array((machine?.defines ?? [:]).keys)
            report(
                word, "no `define \(word.text)` is in this file or the machine's",
                NearMiss.suggestions(for: word.text, among: names))
        }
        return found
    }

    // MARK: - Pools

    func gatherPool(_ statement: Statement, in place: Places) {
        within(statement) {
            guard let (row, next) = row(for: statement, from: 0, in: place),
                let arguments = arguments(of: statement, from: next, for: row),
                let name = arguments.text("NAME")
            else { return }
            if let first = pools[name] {
                report(
                    statement.words[1], "`pool \(name)` stands here twice",
                    other: first.targets.first?.position)
                return
            }
            var draft = UpstreamDraft()
            let errorsBefore = errorCount
            decode(expanded(statement.block ?? []), in: .pool) { row, arguments in
                if case .upstream(let effect) = row.effect { effect(arguments, self, &draft) }
            }
            if draft.targets.isEmpty, errorCount == errorsBefore {
                report(statement.first, "`pool \(name)` has no `to ADDRESS`")
            }
            draft.pools = ["\(owner)/\(name)"]
            pools[name] = draft
        }
    }

    /// The pool of this name, this file's own before the machine's.
    func pool(_ name: String) -> UpstreamDraft? { pools[name] ?? machine?.pools[name] }

    var poolNames: [String] { Array(pools.keys) + Array((machine?.pools ?? [:]).keys) }

    // MARK: - Matchers

    /// `@name KIND …`
    func isMatcherDefinition(_ statement: Statement) -> Bool {
        guard statement.words.count >= 2, statement.block == nil, statement.first.quoting == .bare,
            statement.first.text.hasPrefix("@")
        else { return false }
        let kind = statement.words[1]
        if MatcherKind.named(kind.text) != nil { return true }
        // A slip in the kind is one where no verb, pattern or matcher can be meant, as in a route.
        return kind.quoting == .bare && !Schema.verbs.contains(kind.text)
            && NearMiss.suggestions(for: kind.text, among: Schema.verbs).isEmpty
            && !NearMiss.suggestions(for: kind.text, among: MatcherKind.first).isEmpty
    }

    func gatherMatcher(
        _ statement: Statement, into matchers: ReferenceWritableKeyPath<FileDecoder, [String: Matcher]>
    ) {
        within(statement) {
            let name = String(statement.first.text.dropFirst())
            guard isName(name) else {
                report(
                    statement.first, "\"@\(name)\" is not a matcher's name; it has letters, digits, - and _")
                return
            }
            // The name is known even where its condition is wrong, so that one slip is one message.
            var matcher =
                self[keyPath: matchers][name]
                ?? Matcher(name: name, conditions: [], position: current.position(statement.first))
            if let condition = condition(of: statement) { matcher.conditions.append(condition) }
            self[keyPath: matchers][name] = matcher
        }
    }

    /// `@name` or `!@name`; nil after a message.
    func matcherUse(_ token: Token) -> MatcherUse? {
        let isNegated = token.text.hasPrefix("!")
        let name = String(token.text.dropFirst(isNegated ? 2 : 1))
        if let matcher = siteMatchers[name] ?? matchers[name] ?? machine?.matchers[name] {
            return MatcherUse(matcher, isNegated: isNegated)
        }
        let names =
            Array(siteMatchers.keys) + Array(matchers.keys) + Array((machine?.matchers ?? [:]).keys)
        let near = NearMiss.suggestions(for: name, among: names).map { (isNegated ? "!@" : "@") + $0 }
        report(token, "unknown matcher \"@\(name)\"", near)
        return nil
    }

    func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 64
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }
}
