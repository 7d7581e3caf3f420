/// `chimera fmt`: the same words and comments on the same lines, evenly spaced.
///
/// A block's content is indented by four blanks. What stands in neighbouring lines of a block is lined up: the verbs of
/// routes, the first arguments of directives, and comments behind them. Empty lines are kept, one at a time.
package enum Formatter {
    /// Why a text was left as it is: it has errors in its grammar.
    package struct Failure: Error, Sendable {
        package var diagnostics: [Diagnostic]
    }

    /// The formatted text. Formatting it again changes nothing.
    /// - Parameter file: the name that messages show.
    package static func format(_ text: String, file: String = "input") -> Result<String, Failure> {
        let limits = ConfigurationLimits()
        let source = SourceFile(name: file, directory: "/", bytes: Array(text.utf8))
        let (_, errors) = Parser.parse(source, limits: limits)
        guard errors.isEmpty else {
            let diagnostics = errors.map { error in
                Diagnostic(
                    .error, at: source.position(error.token), error.message, suggestions: error.suggestions,
                    sourceLine: source.line(error.token.line), length: error.token.length)
            }
            return .failure(Failure(diagnostics: diagnostics))
        }
        var layout = Layout(source.bytes, Lexer.tokens(of: source.bytes, limits: limits).tokens)
        return .success(layout.text())
    }
}

/// The lines of a file and how they are spaced.
private struct Layout {
    private struct Line {
        /// Words and punctuation as they were written.
        var head: [String] = []
        var rest: [String] = []
        var comment: String?
        var depth = 0
        var isRoute = false
        /// Lines with the same number are lined up.
        var group = 0
        /// Whether head and rest are set apart by the group's width.
        var isAligned = false

        var isEmpty: Bool { head.isEmpty && comment == nil }
        var headText: String { head.joined(separator: " ") }
        var restText: String { rest.joined(separator: " ") }
    }

    /// Heads that are wider do not push the others aside.
    private static let headWidthMax = 40

    private let bytes: [UInt8]
    private var lines: [Line] = []

    init(_ bytes: [UInt8], _ tokens: [Token]) {
        self.bytes = bytes
        read(tokens)
        squeeze()
        group()
    }

    // MARK: - Reading

    private mutating func read(_ tokens: [Token]) {
        var depth = 0
        var isContinued = false
        for line in tokens.split(omittingEmptySubsequences: false, whereSeparator: { $0.kind == .newline })
            .flatMap({ Self.split($0) })
        {
            var result = Line()
            let closing = line.prefix { $0.kind == .close }.count
            result.depth = max(depth - closing, 0) + (isContinued ? 1 : 0)
            let words = line.filter { $0.kind != .comment }
            let count = isContinued ? words.count : Self.headCount(words)
            result.head = words.prefix(count).map(text)
            result.rest = words.dropFirst(count).map(text)
            result.comment = line.last.flatMap { $0.kind == .comment ? $0.text : nil }
            result.isRoute = words.first.map(Self.isRouteWord) ?? false
            let opensBlock = Self.opensBlock(words)
            result.isAligned =
                !isContinued && closing == 0 && !result.rest.isEmpty && result.rest != ["{"]
                && (result.isRoute || !opensBlock && !Self.hasSecondWord(words))
                && result.headText.unicodeScalars.count <= Self.headWidthMax
            lines.append(result)
            for token in words {
                if token.kind == .open { depth += 1 }
                if token.kind == .close { depth = max(depth - 1, 0) }
            }
            isContinued = line.last?.kind == .continuation
        }
    }

    /// A continuation ends its line as well.
    private static func split(_ line: ArraySlice<Token>) -> [ArraySlice<Token>] {
        var parts: [ArraySlice<Token>] = []
        var start = line.startIndex
        for index in line.indices where line[index].kind == .continuation {
            parts.append(line[start...index])
            start = index + 1
        }
        return parts + [line[start...]]
    }

    private func text(_ token: Token) -> String {
        token.kind == .continuation ? "\\" : String(decoding: bytes[token.start..<token.end], as: UTF8.self)
    }

    /// What stands before the verb of a route, or a directive's name.
    private static func headCount(_ words: [Token]) -> Int {
        guard let first = words.first else { return 0 }
        guard isRouteWord(first) else { return 1 }
        // `@name header …` defines a matcher: its name alone is the head.
        if first.text.hasPrefix("@"), words.count > 1, MatcherKind.named(words[1].text) != nil { return 1 }
        return words.prefix(while: isRouteWord).count
    }

    /// `limit body` and the like have no column to put their arguments into.
    private static func hasSecondWord(_ words: [Token]) -> Bool {
        guard let first = words.first else { return false }
        return Schema.rows(named: first.text).isEmpty && Schema.secondWords(after: first.text) != nil
    }

    private static func isRouteWord(_ token: Token) -> Bool {
        guard token.kind == .word else { return false }
        let text = token.text
        if text.hasPrefix("/") || text.hasPrefix("@") || text.hasPrefix("!@") { return true }
        guard let first = text.utf8.first, (65...90).contains(first) else { return false }
        return text.utf8.allSatisfy { (65...90).contains($0) || "-_,".utf8.contains($0) }
    }

    /// Whether a block that the line opens goes on in the next one.
    private static func opensBlock(_ words: [Token]) -> Bool {
        var depth = 0
        for token in words {
            if token.kind == .open { depth += 1 }
            if token.kind == .close { depth = max(depth - 1, 0) }
        }
        return depth > 0
    }

    // MARK: - Empty lines

    /// One empty line at a time, and none at the start or the end of a file or a block.
    private mutating func squeeze() {
        var result: [Line] = []
        var isPending = false
        for line in lines {
            if line.isEmpty {
                isPending = true
                continue
            }
            let afterOpening = result.last.map { ($0.rest.last ?? $0.head.last) == "{" } ?? true
            if isPending, !afterOpening, line.head.first != "}" { result.append(Line()) }
            isPending = false
            result.append(line)
        }
        lines = result
    }

    // MARK: - Groups

    /// Numbers the groups: a block within does not end its surrounding group; an empty line, a comment of its own, or
    /// a change between routes and directives does.
    private mutating func group() {
        var next = 0
        var current: [Int: (group: Int, isRoute: Bool)] = [:]
        var lastDepth = 0
        for index in lines.indices {
            let line = lines[index]
            if line.isEmpty || line.head.isEmpty {
                current[line.isEmpty ? lastDepth : line.depth] = nil
                if line.isEmpty { current = current.filter { $0.key < lastDepth } }
                continue
            }
            if line.depth > lastDepth { current[line.depth] = nil }
            lastDepth = line.depth
            guard line.isAligned || line.comment != nil else { continue }
            if current[line.depth]?.isRoute != line.isRoute {
                next += 1
                current[line.depth] = (next, line.isRoute)
            }
            lines[index].group = current[line.depth]?.group ?? 0
        }
    }

    // MARK: - Writing

    mutating func text() -> String {
        var headWidths: [Int: Int] = [:]
        for line in lines where line.isAligned {
            headWidths[line.group] = max(headWidths[line.group] ?? 0, line.headText.unicodeScalars.count)
        }
        let bodies = lines.map { line in
            let head = line.headText
            guard !line.rest.isEmpty else { return head }
            let width = line.isAligned ? headWidths[line.group] ?? 0 : 0
            return Self.padded(head, to: width) + " " + line.restText
        }
        var bodyWidths: [Int: Int] = [:]
        for (line, body) in zip(lines, bodies) where line.comment != nil && !line.head.isEmpty {
            bodyWidths[line.group] = max(bodyWidths[line.group] ?? 0, body.unicodeScalars.count)
        }
        var result = ""
        for (line, body) in zip(lines, bodies) {
            var text = body
            if let comment = line.comment {
                text =
                    line.head.isEmpty
                    ? comment : Self.padded(body, to: bodyWidths[line.group] ?? 0) + "  " + comment
            }
            if !text.isEmpty { result += String(repeating: "    ", count: line.depth) + text }
            result += "\n"
        }
        return result
    }

    private static func padded(_ text: String, to width: Int) -> String {
        text + String(repeating: " ", count: max(width - text.unicodeScalars.count, 0))
    }
}
