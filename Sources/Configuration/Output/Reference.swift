/// The reference page of the language, from the schema.
package enum Reference {
    /// `docs/reference.md`
    package static func markdown() -> String {
        var page = Self.opening
        for (family, title) in sections {
            let rows = Schema.directives.filter { $0.family == family && $0.since == .first }
            page += "\n## \(title)\n"
            for row in rows { page += "\n" + section(row) }
        }
        return page + variables + matchers + later
    }

    private static let opening = """
        # Reference of the configuration language

        This page is made from the table that also decodes and checks configuration files. A file is statements, one on \
        a line or with `;` between them; a statement is words and perhaps a block in `{ }`. `#` starts a comment. \
        `env:NAME` and `file:PATH` stand for a value that is never printed.

        A route is `[METHOD,METHOD] PATTERN… [@matcher …] VERB …`; without a verb, its block holds settings for all that \
        the pattern covers. The last segment of a pattern may be `*` (the rest of the path) or `*.ext`, and `{name}` \
        captures a segment. The most specific route wins.

        """

    private static let sections: [(Directive.Family, String)] = [
        (.machine, "The machine's file"), (.structure, "Sites and names"), (.verb, "Verbs"),
        (.upstream, "Upstreams"), (.setting, "Settings"),
    ]

    private static func section(_ row: Directive) -> String {
        var text = "### `\(row.shortUsage)`\n\n\(row.meaning)\n\n"
        text += "Stands in \(row.places.description).\(row.isRepeatable ? " May be repeated." : "")"
        if let value = row.defaultText { text += " Default: \(value)." }
        text += "\n"
        if !row.arguments.isEmpty {
            text += "\n" + row.arguments.map { "- `\($0.name)`: \($0.type.description)\n" }.joined()
        }
        let options = row.options.filter { $0.since == .first }
        guard !options.isEmpty else { return text }
        text += "\n| option | meaning | default |\n|---|---|---|\n"
        for option in options {
            let key = option.type.isFlag ? option.key : "\(option.key)=\(option.type.placeholder)"
            text +=
                "| `\(key.replacingBars)` | \(option.meaning) | \(option.defaultText.map { "`\($0)`" } ?? "–") |\n"
        }
        return text
    }

    private static var variables: String {
        var text = "\n## Variables\n\n| variable | what it stands for |\n|---|---|\n"
        for row in VariableRow.all {
            if case .later = row.meaning { continue }
            text += "| `{\(row.name)}` | \(row.text) |\n"
        }
        text += "| `{name}` | what `{name}` of the pattern captured |\n"
        return text + "| `{rest}` | what `*` of the pattern matched |\n\nA literal brace is `{{`.\n"
    }

    private static var matchers: String {
        var text = "\n## Matchers\n\n"
        text +=
            "`@name KIND …` defines a matcher; several lines with one name must all hold, and of several values in a "
        text += "line one suffices. `!@name` negates where it is used.\n\n| kind | holds if |\n|---|---|\n"
        for kind in MatcherKind.all where kind.since == .first {
            text += "| `\(kind.usage.replacingBars)` | \(kind.text) |\n"
        }
        return text
    }

    private static var later: String {
        let names = Schema.directives.filter { $0.since == .later }.map { "`\($0.name)`" }.sorted()
        return
            "\n## Later versions\n\nKnown by name and refused by this version: \(names.joined(separator: ", ")).\n"
    }
}

extension String {
    /// A bar would end a table's cell.
    fileprivate var replacingBars: String { split(separator: "|").joined(separator: "\\|") }
}
