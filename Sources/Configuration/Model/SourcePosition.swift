/// Where something stands in a configuration file.
package struct SourcePosition: Sendable, Hashable, CustomStringConvertible {
    /// The file's path as messages show it: relative where the machine's file was named by a relative path.
    package var file: String
    /// From 1; 0 where the file as a whole is meant, as with one that cannot be read.
    package var line: Int
    /// From 1, counted in Unicode scalars; 0 where the file as a whole is meant.
    package var column: Int

    package init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }

    /// The file as a whole, and no place in it.
    package static func whole(_ file: String) -> SourcePosition {
        SourcePosition(file: file, line: 0, column: 0)
    }

    /// Whether it names no place in the file.
    package var isWhole: Bool { line == 0 }

    /// `conf.d/shop.conf:7:12`, or the file's name alone.
    package var description: String { isWhole ? Shown.text(file) : "\(Shown.text(file)):\(line):\(column)" }
}

/// One thing that is wrong with a configuration, or that looks wrong.
package struct Diagnostic: Sendable, Hashable {
    package enum Severity: String, Sendable { case error, warning }

    package var severity: Severity
    package var position: SourcePosition
    /// One sentence without a full stop, for example `unknown verb "prxy"`.
    package var message: String
    /// What to write instead, for example `proxy`; empty where nothing can be proposed.
    package var suggestions: [String]
    /// A second place that takes part, for example the first claim of a host.
    package var other: SourcePosition?
    /// The line of the file, for display; nil where there is none (a missing file).
    package var sourceLine: String?
    /// How many columns the caret underlines, at least 1.
    package var length: Int

    package init(
        _ severity: Severity, at position: SourcePosition, _ message: String, suggestions: [String] = [],
        other: SourcePosition? = nil, sourceLine: String? = nil, length: Int = 1
    ) {
        self.severity = severity
        self.position = position
        self.message = message
        self.suggestions = suggestions
        self.other = other
        self.sourceLine = sourceLine
        self.length = length
    }
}
