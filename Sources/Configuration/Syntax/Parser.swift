/// Words and then, optionally, a block.
struct Statement {
    var source: SourceFile
    /// At least one.
    var words: [Token]
    var block: [Statement]?

    var first: Token { words[0] }
}

/// Tokens → statements. As the lexer, it reports what is wrong and goes on with what was probably meant.
struct Parser {
    private let source: SourceFile
    private let limits: ConfigurationLimits
    private let tokens: [Token]
    private var index = 0
    private var statementCount = 0
    private(set) var errors: [SyntaxError]

    private init(_ source: SourceFile, limits: ConfigurationLimits) {
        self.source = source
        self.limits = limits
        (tokens, errors) = Lexer.tokens(of: source.bytes, limits: limits)
    }

    static func parse(
        _ source: SourceFile, limits: ConfigurationLimits
    ) -> (statements: [Statement], errors: [SyntaxError]) {
        var parser = Parser(source, limits: limits)
        let statements = parser.statements(depth: 0)
        return (statements, parser.errors)
    }

    /// Up to the end of the block or of the file. The closing brace is taken by the caller.
    private mutating func statements(depth: Int) -> [Statement] {
        var result: [Statement] = []
        while index < tokens.count {
            let token = tokens[index]
            switch token.kind {
            case .newline, .comment, .continuation, .semicolon: index += 1
            case .close:
                if depth > 0 { return result }
                report(token, "this \"}\" closes nothing")
                index += 1
            case .open:
                report(
                    token,
                    "a \"{\" stands at the end of the statement whose block it opens, not at the start of a line"
                )
                let block = block(depth: depth)
                if let last = result.indices.last, result[last].block == nil { result[last].block = block }
            case .word:
                let statement = statement(depth: depth)
                statementCount += 1
                if statementCount <= limits.statements { result.append(statement) }
                if statementCount == limits.statements + 1 {
                    report(token, "a file has at most \(limits.statements) statements")
                }
            }
        }
        return result
    }

    private mutating func statement(depth: Int) -> Statement {
        var statement = Statement(source: source, words: words())
        if statement.words.count > limits.statementWords {
            report(statement.first, "a statement has at most \(limits.statementWords) words")
            statement.words.removeSubrange(max(limits.statementWords, 1)...)
        }
        if index < tokens.count, tokens[index].kind == .open { statement.block = block(depth: depth) }
        return statement
    }

    private mutating func words() -> [Token] {
        var words: [Token] = []
        while index < tokens.count {
            switch tokens[index].kind {
            case .word: words.append(tokens[index])
            case .continuation: break
            case .open, .newline, .semicolon, .close, .comment: return words
            }
            index += 1
        }
        return words
    }

    /// From the opening brace past the closing one.
    private mutating func block(depth: Int) -> [Statement] {
        let open = tokens[index]
        index += 1
        guard depth < limits.nestingDepth else {
            report(open, "blocks stand at most \(limits.nestingDepth) deep")
            skipBlock()
            return []
        }
        let block = statements(depth: depth + 1)
        if index < tokens.count {
            index += 1
        } else {
            report(open, "this block is not closed")
        }
        return block
    }

    private mutating func skipBlock() {
        var depth = 1
        while index < tokens.count, depth > 0 {
            if tokens[index].kind == .open { depth += 1 }
            if tokens[index].kind == .close { depth -= 1 }
            index += 1
        }
    }

    private mutating func report(_ token: Token, _ message: String) {
        guard errors.count < limits.diagnosticsPerFile else { return }
        errors.append(SyntaxError(token: token, message: message))
    }
}
