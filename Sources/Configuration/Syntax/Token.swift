/// The smallest part of a configuration file that means something.
struct Token: Sendable, Hashable {
    enum Kind: Sendable {
        case word
        /// `{` as a word of its own.
        case open
        /// `}` as a word of its own.
        case close
        /// `;` as a word of its own.
        case semicolon
        case newline
        /// From `#` to the end of the line.
        case comment
        /// `\` alone at the end of a line, with the line end.
        case continuation
    }

    enum Quoting: Sendable { case bare, double, raw }

    var kind: Kind
    /// A word's meaning after quotes and escapes; a comment's text with its `#`.
    var text: String
    /// Of a word, or of the value of `key="…"`.
    var quoting: Quoting = .bare
    /// How many bytes of `text` stand before the `=` of a word that may be an option; 0 if it cannot be one.
    var keyBytes = 0
    /// From 1.
    var line: Int
    /// From 1, in Unicode scalars.
    var column: Int
    /// In Unicode scalars of the file.
    var length: Int
    /// Where it stands in the file's bytes.
    var start: Int
    var end: Int

    /// The part of `key=value` before the `=`.
    var key: String? {
        keyBytes == 0 ? nil : String(decoding: text.utf8.prefix(keyBytes), as: UTF8.self)
    }

    /// The part of `key=value` after the `=`, with its own place.
    var value: Token {
        var value = self
        value.text = String(decoding: text.utf8.dropFirst(keyBytes + 1), as: UTF8.self)
        value.keyBytes = 0
        value.column += keyBytes + 1
        value.length = max(length - keyBytes - 1, 1)
        return value
    }

    func isBare(_ text: String) -> Bool { quoting == .bare && self.text == text }
}

/// What the lexer or the parser has to say about the text, before anything is known of its meaning.
struct SyntaxError: Sendable {
    var token: Token
    var message: String
    var suggestions: [String] = []
}
