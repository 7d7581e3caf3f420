internal import ChimeraBytes

extension Diagnostic {
    /// What to write instead, as a message says it; nil where nothing is proposed.
    package var suggestion: String? {
        suggestions.isEmpty ? nil : suggestions.map { "\"\($0)\"" }.joined(separator: " or ")
    }

    /// The message with its suggestion and its second place, without the position.
    package var text: String {
        var text = message
        if let suggestion { text += "; did you mean \(suggestion)?" }
        if let other { text += " (see \(other))" }
        return Shown.text(text)
    }

    /// As it is printed: the position and the text, then the line and a caret.
    package var rendered: String {
        var result = "\(position): \(severity == .warning ? "warning: " : "")\(text)"
        guard let sourceLine else { return result }
        result += "\n\(Shown.text(sourceLine, keepsTabs: true))\n"
        let before = sourceLine.unicodeScalars.prefix(position.column - 1)
        // A tab stays a tab, so that the caret stands under its column whatever a tab's width.
        for scalar in before { result += scalar == "\t" ? "\t" : " " }
        let shown = max(1, min(length, sourceLine.unicodeScalars.count - position.column + 1))
        return result + "^" + String(repeating: "~", count: shown - 1)
    }

    /// One object of the array that `check --json` prints.
    package var json: String {
        var fields = [
            "\"file\":" + JSONText.quoted(position.file),
            "\"line\":" + (position.isWhole ? "null" : "\(position.line)"),
            "\"column\":" + (position.isWhole ? "null" : "\(position.column)"),
            "\"severity\":" + JSONText.quoted(severity.rawValue),
            "\"message\":" + JSONText.quoted(message),
        ]
        fields.append("\"suggestion\":" + (suggestions.first.map(JSONText.quoted) ?? "null"))
        if suggestions.count > 1 {
            fields.append("\"suggestions\":[" + suggestions.map(JSONText.quoted).joined(separator: ",") + "]")
        }
        if let other {
            fields.append(
                "\"other\":{\"file\":\(JSONText.quoted(other.file)),\"line\":\(other.line),\"column\":\(other.column)}"
            )
        }
        return "{" + fields.joined(separator: ",") + "}"
    }
}

extension [Diagnostic] {
    /// Every message as it is printed, each with a line end.
    package var rendered: String { map { $0.rendered + "\n" }.joined() }

    /// The array that `check --json` prints.
    package var json: String {
        isEmpty ? "[]" : "[\n  " + map(\.json).joined(separator: ",\n  ") + "\n]"
    }
}

/// What stands in a file as it is printed: with a picture where a terminal would act on a character, so that no file
/// writes on the screen of whoever checks it.
enum Shown {
    /// For one line of output; a line of a file keeps its tabs, and is as wide as before.
    static func text(_ text: String, keepsTabs: Bool = false) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            result.append(isControl(scalar) && !(keepsTabs && scalar == "\t") ? picture(scalar) : scalar)
        }
        return String(result)
    }

    /// C0, DEL and C1.
    static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
    }

    /// The Unicode block "Control Pictures" has one for each of C0 and for DEL, but none for C1.
    private static func picture(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        let value: UInt32 =
            scalar.value < 0x20 ? 0x2400 + scalar.value : scalar.value == 0x7f ? 0x2421 : 0xfffd
        return Unicode.Scalar(value) ?? "\u{fffd}"
    }
}
