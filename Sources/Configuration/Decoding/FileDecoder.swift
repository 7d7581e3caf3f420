/// One file on its way from statements to the model: its names, its messages, and the place that is being decoded.
final class FileDecoder {
    let session: LoadSession
    /// Empty for the machine's file.
    let owner: String
    /// What binds a tenant's file; nil: nothing does.
    let rails: TenantRails?
    /// The file itself, which `current` is outside of shared blocks.
    let source: SourceFile
    /// Errors that are about what is not permitted.
    var denials = 0
    /// The decoder of the machine's file, whose shared names a tenant's file may use; nil for that one itself.
    let machine: FileDecoder?
    private let statements: [Statement]

    private(set) var diagnostics: [Diagnostic] = []
    /// Errors so far, those that are not shown included.
    private(set) var errorCount = 0
    var hasErrors: Bool { errorCount > 0 }
    private var reported: Set<Diagnostic> = []
    private var messageCounts: [Diagnostic.Severity: Int] = [:]

    var defines: [String: Statement] = [:]
    var pools: [String: UpstreamDraft] = [:]
    /// Matchers outside of sites.
    var matchers: [String: Matcher] = [:]
    /// Those of the site that is being decoded.
    var siteMatchers: [String: Matcher] = [:]
    /// The file in which the tokens being decoded stand: another one than the decoder's within a shared block.
    var current: SourceFile
    /// The pattern whose captures are in reach.
    var pattern: PathPattern?
    /// The paths of password files whose lines were looked at.
    var checkedPasswordFiles: Set<String> = []
    /// The names of the machine's listeners; the machine's decoder has them.
    var listenerNames: Set<String> = []
    /// Whom the machine's file names with `user`; the machine's decoder has it.
    var servesAs: UserName?
    /// The names of those that speak TLS, nil for those without a name; the machine's decoder has them.
    var secureListeners: Set<String?> = []
    /// Where the statements being decoded stand.
    var place = Places.machine
    /// A line that was to guard something has an error.
    var hasBrokenGuard = false
    /// How many statements `use` brought in so far.
    var usedStatements = 0

    init(
        _ source: SourceFile, owner: String, session: LoadSession, machine: FileDecoder?,
        rails: TenantRails? = nil
    ) {
        self.source = source
        self.rails = rails
        self.session = session
        self.owner = owner
        self.machine = machine
        current = source
        let (statements, errors) = Parser.parse(source, limits: session.limits)
        self.statements = statements
        if let invalid = Self.invalidText(in: source) {
            report(.error, at: invalid, "this is not UTF-8 text", [])
        }
        for error in errors { report(error.token, error.message, error.suggestions) }
    }

    /// For statements that no file holds.
    init(_ statements: [Statement], from source: SourceFile, session: LoadSession) {
        self.session = session
        self.source = source
        rails = nil
        owner = ""
        machine = nil
        current = source
        self.statements = statements
    }

    /// The top-level statements, with what `use` stands for in its place; names are gathered before anything uses them.
    func topLevel(in place: Places) -> [Statement] {
        for statement in statements where statement.first.isBare("define") {
            gatherDefine(statement, in: place)
        }
        let all = expanded(statements)
        for statement in all {
            if statement.first.isBare("pool") { gatherPool(statement, in: place) }
            if isMatcherDefinition(statement) { gatherMatcher(statement, into: \.matchers) }
        }
        return all
    }

    // MARK: - Messages

    /// An error about a token of the current file.
    func report(
        _ token: Token, _ message: String, _ suggestions: [String] = [], other: SourcePosition? = nil
    ) {
        report(
            .error, at: current.position(token), message, suggestions, other: other, length: token.length,
            line: current.line(token.line))
    }

    func warn(_ token: Token, _ message: String, _ suggestions: [String] = [], other: SourcePosition? = nil) {
        report(
            .warning, at: current.position(token), message, suggestions, other: other, length: token.length,
            line: current.line(token.line))
    }

    func report(
        _ severity: Diagnostic.Severity, at position: SourcePosition, _ message: String,
        _ suggestions: [String],
        other: SourcePosition? = nil, length: Int = 1, line: @autoclosure () -> String? = nil
    ) {
        if severity == .error { errorCount += 1 }
        // Errors and warnings are counted apart, so that no number of warnings hides an error. The line is looked for
        // only where it is shown, since that costs a walk through the file.
        guard messageCounts[severity, default: 0] < session.limits.diagnosticsPerFile else { return }
        var diagnostic = Diagnostic(
            severity, at: position, message, suggestions: suggestions, other: other, length: length)
        guard reported.insert(diagnostic).inserted else { return }
        messageCounts[severity, default: 0] += 1
        diagnostic.sourceLine = line()
        diagnostics.append(diagnostic)
    }

    /// The first line that is no UTF-8.
    private static func invalidText(in source: SourceFile) -> SourcePosition? {
        guard String(validating: source.bytes, as: UTF8.self) == nil else { return nil }
        let lines = source.bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where String(validating: line, as: UTF8.self) == nil {
            return SourcePosition(file: source.name, line: index + 1, column: 1)
        }
        return SourcePosition(file: source.name, line: 1, column: 1)
    }
}

// MARK: - Messages that are found later than their statement

extension FileDecoder {
    func warn(at position: SourcePosition, _ message: String, other: SourcePosition?) {
        report(.warning, at: position, message, [], other: other, line: line(at: position))
    }

    func reportHost(_ message: String, at position: SourcePosition, other: SourcePosition) {
        report(.error, at: position, message, [], other: other, length: 4, line: line(at: position))
    }

    /// An error of the file as a whole.
    func report(_ diagnostic: Diagnostic) {
        report(
            diagnostic.severity, at: diagnostic.position, diagnostic.message, diagnostic.suggestions,
            other: diagnostic.other)
    }

    func line(at position: SourcePosition) -> String? {
        if position.file == current.name { return current.line(position.line) }
        return machine.flatMap { $0.current.name == position.file ? $0.current.line(position.line) : nil }
    }

    /// In the order of their places.
    var sortedDiagnostics: [Diagnostic] {
        diagnostics.sorted {
            ($0.position.file, $0.position.line, $0.position.column)
                < ($1.position.file, $1.position.line, $1.position.column)
        }
    }

    /// Whether a listener has this name; a message if not.
    func checkListener(_ name: String, _ token: Token) {
        let names = machine?.listenerNames ?? listenerNames
        guard !names.contains(name) else { return }
        report(token, "no listener has `name=\(name)`", NearMiss.suggestions(for: name, among: names))
    }
}
