extension FileDecoder {
    /// Decodes the directives of one block, or of a file's top level.
    /// - Parameters:
    ///   - place: where these statements stand.
    ///   - other: takes statements that are no directives, such as routes; true if it did.
    ///   - apply: receives each directive whose words are right.
    func decode(
        _ statements: [Statement], in place: Places, other: (Statement) -> Bool = { _ in false },
        apply: (Directive, Arguments) -> Void
    ) {
        var seen: [String: SourcePosition] = [:]
        for statement in statements {
            within(statement) {
                if other(statement) { return }
                guard let (row, count) = row(for: statement, from: 0, in: place) else { return }
                let position = current.position(statement.first)
                if !row.isRepeatable, let first = seen[row.name] {
                    report(statement.first, "`\(row.name)` stands here twice", other: first)
                    return
                }
                seen[row.name] = position
                guard let arguments = arguments(of: statement, from: count, for: row) else {
                    // What is guarded by it cannot be told.
                    if Self.guards.contains(row.name) { hasBrokenGuard = true }
                    return
                }
                self.place = place
                apply(row, arguments)
            }
        }
    }

    private static let guards: Set<String> = ["auth basic", "allow", "deny"]

    /// Runs `body` with the statement's file as the current one.
    func within<Result>(_ statement: Statement, _ body: () -> Result) -> Result {
        let outer = current
        current = statement.source
        defer { current = outer }
        return body()
    }

    /// The row that a statement's words from `start` on name, and where its arguments begin; nil after a message.
    func row(for statement: Statement, from start: Int, in place: Places) -> (row: Directive, next: Int)? {
        let words = statement.words
        let first = words[start]
        var name = first.text
        var next = start + 1
        if Schema.rows(named: name).isEmpty, let seconds = Schema.secondWords(after: name) {
            guard next < words.count else {
                report(first, "`\(name)` needs a second word: \(Schema.knownSecondWords(after: name))")
                return nil
            }
            guard seconds.contains(words[next].text) else {
                let near = NearMiss.suggestions(for: words[next].text, among: seconds)
                let known = near.isEmpty ? "; known: " + Schema.knownSecondWords(after: name) : ""
                report(words[next], "unknown \(name) \"\(words[next].text)\"\(known)", near)
                return nil
            }
            name += " " + words[next].text
            next += 1
        }
        let rows = Schema.rows(named: name)
        guard let known = rows.first, first.quoting == .bare else {
            reportUnknown(first, statement, in: place)
            return nil
        }
        guard let row = rows.first(where: { !$0.places.isDisjoint(with: place) }) else {
            if known.since == .later {
                report(first, "this version does not have `\(name)` yet")
            } else {
                let places = rows.reduce(into: Places()) { $0.formUnion($1.places) }
                report(first, "`\(name)` stands in \(places.description), not in \(place.description)")
            }
            return nil
        }
        guard row.since == .first else {
            report(first, "this version does not have `\(name)` yet")
            return nil
        }
        return (row, next)
    }

    private func reportUnknown(_ word: Token, _ statement: Statement, in place: Places) {
        let text = word.text
        if place.isDisjoint(with: .site), text.hasPrefix("/") || text.hasPrefix("@") || text.hasPrefix("!@") {
            report(word, "a route stands in a site, not in \(place.description)")
            return
        }
        if !place.isDisjoint(with: .site), word.quoting == .bare {
            if statement.words.count > 1, statement.words[1].text.hasPrefix("/"),
                HTTPMethods.known.contains(text.uppercased())
            {
                report(
                    word, "unknown directive \"\(text)\"; methods are written in capitals",
                    [text.uppercased()])
                return
            }
            if text.contains("/") || text.hasPrefix("*") {
                report(word, "a pattern begins with /", ["/" + text])
                return
            }
        }
        report(
            word, "unknown directive \"\(text)\"",
            NearMiss.suggestions(for: text, among: Schema.firstWords(in: place)))
    }

    // MARK: - Arguments

    /// The words from `start` on as arguments and options of `row`; nil after a message.
    func arguments(of statement: Statement, from start: Int, for row: Directive) -> Arguments? {
        let keyword = statement.words[max(start - 1, 0)]
        let name =
            statement.words.count > start - row.wordCount ? statement.words[start - row.wordCount] : keyword
        var result = Arguments(statement: statement, keyword: name)
        guard isBlockRight(statement, for: row, name) else { return nil }
        var isRight = true
        var plain: [Token] = []
        guard let words = beforeCommand(statement.words[start...], of: row, name, &result) else { return nil }
        for word in words {
            switch option(word, of: row) {
            case .plain: plain.append(word)
            case .wrong: isRight = false
            case .option(let key, let value, let type):
                if result.first(key) != nil,
                    row.options.contains(where: { $0.key == key && !$0.isRepeatable })
                {
                    report(word, "`\(key)` is given twice")
                    isRight = false
                } else if let value = decode(value, as: type) {
                    result.append(Arguments.Item(token: word, value: value), to: key)
                } else {
                    isRight = false
                }
            }
        }
        guard let groups = distribute(plain, over: row, name) else { return nil }
        for (argument, words) in zip(row.arguments, groups) {
            for word in words {
                guard let value = decode(word, as: argument.type) else {
                    isRight = false
                    continue
                }
                result.append(Arguments.Item(token: word, value: value), to: argument.name)
            }
        }
        return isRight ? result : nil
    }

    /// Takes the command of a row that has one; nil after a message.
    ///
    /// - Returns: the words before it.
    private func beforeCommand(
        _ words: ArraySlice<Token>, of row: Directive, _ name: Token, _ result: inout Arguments
    ) -> ArraySlice<Token>? {
        guard row.takesCommand else { return words }
        guard let dashes = words.firstIndex(where: { $0.isBare("--") }) else {
            let options = words.filter { $0.key != nil }.map(\.text)
            let command = words.filter { $0.key == nil }.map(\.text)
            let written = ([row.name] + options + ["--"] + command).joined(separator: " ")
            report(
                name, "`\(row.name)` needs `--` and the command behind it", command.isEmpty ? [] : [written])
            return nil
        }
        for word in words[(dashes + 1)...] {
            result.append(Arguments.Item(token: word, value: .text(word.text)), to: "COMMAND")
        }
        if dashes + 1 == words.endIndex {
            report(words[dashes], "a command stands behind `--`: \(row.usage)")
            return nil
        }
        return words[..<dashes]
    }

    private func isBlockRight(_ statement: Statement, for row: Directive, _ name: Token) -> Bool {
        if statement.block != nil, row.block == nil {
            report(name, "`\(row.name)` has no block")
            return false
        }
        if statement.block == nil, row.blockIsRequired {
            report(name, "`\(row.name)` needs a block: \(row.usage) { … }")
            return false
        }
        return true
    }

    private enum OptionOutcome {
        case plain
        case wrong
        case option(key: String, value: Token, type: ValueType)
    }

    private func option(_ word: Token, of row: Directive) -> OptionOutcome {
        guard !row.options.isEmpty else { return .plain }
        let key = word.key ?? (word.quoting == .bare ? word.text : "")
        if let option = row.options.first(where: { $0.key == key }), option.type.isFlag == (word.key == nil) {
            guard option.since == .first else {
                let shown = option.type.isFlag ? key : key + "="
                report(word, "this version does not have `\(shown)` yet")
                return .wrong
            }
            return .option(key: key, value: word.key == nil ? word : word.value, type: option.type)
        }
        guard word.key != nil else { return .plain }
        let near = NearMiss.suggestions(for: key, among: row.options.filter { !$0.type.isFlag }.map(\.key))
        guard let first = near.first else { return .plain }
        report(word, "`\(row.name)` has no option \"\(key)\"", [first + "=" + word.value.text])
        return .wrong
    }

    /// Gives each argument of the row its words: as many as it needs, and the spare ones to the first that takes more.
    private func distribute(_ words: [Token], over row: Directive, _ name: Token) -> [[Token]]? {
        let needed = row.arguments.count { $0.count == .one || $0.count == .oneOrMore }
        guard words.count >= needed else {
            let missing = row.arguments.filter { $0.count == .one || $0.count == .oneOrMore }[words.count]
            report(name, "`\(row.name)` needs \(missing.name), \(missing.type.description): \(row.usage)")
            return nil
        }
        var spare = words.count - needed
        var rest = words[...]
        var groups: [[Token]] = []
        for argument in row.arguments {
            var count = argument.count == .one || argument.count == .oneOrMore ? 1 : 0
            switch argument.count {
            case .one: break
            case .optional:
                count = min(spare, 1)
                spare -= count
            case .oneOrMore, .any:
                count += spare
                spare = 0
            }
            groups.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        guard let extra = rest.first else { return groups }
        let flags = row.options.filter { $0.since == .first && $0.type.isFlag }.map(\.key)
        let named = row.options.first { $0.since == .first && $0.key == extra.text && !$0.type.isFlag }
        let near = named.map { ["\($0.key)=\($0.type.example)"] }
        report(
            extra, "\"\(extra.text)\" is one word too many: \(row.shortUsage)",
            near ?? NearMiss.suggestions(for: extra.text, among: flags))
        return nil
    }
}

extension Directive {
    /// How many words the name has.
    var wordCount: Int { name.contains(" ") ? 2 : 1 }
}

/// The methods that a message can propose; any token of capitals is a method.
enum HTTPMethods {
    static let known: Set<String> = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND",
        "PROPPATCH", "MKCOL",
        "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "QUERY",
    ]
}
