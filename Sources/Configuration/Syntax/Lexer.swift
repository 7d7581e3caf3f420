/// Text → tokens. Never fails: what is wrong is reported, and a token that the author may have meant goes on.
struct Lexer {
    private let bytes: [UInt8]
    private let limits: ConfigurationLimits
    private var index = 0
    private var line = 1
    private var column = 1
    private(set) var tokens: [Token] = []
    private(set) var errors: [SyntaxError] = []

    init(_ bytes: [UInt8], limits: ConfigurationLimits) {
        self.bytes = bytes
        self.limits = limits
        // A byte order mark is no text.
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { index = 3 }
    }

    /// Reads everything.
    static func tokens(
        of bytes: [UInt8], limits: ConfigurationLimits
    ) -> (tokens: [Token], errors: [SyntaxError]) {
        var lexer = Lexer(bytes, limits: limits)
        lexer.tokens.reserveCapacity(bytes.count / 6)
        while lexer.index < bytes.count, lexer.errors.count < limits.diagnosticsPerFile { lexer.readNext() }
        return (lexer.tokens, lexer.errors)
    }

    private mutating func readNext() {
        switch bytes[index] {
        case UInt8(ascii: " "), UInt8(ascii: "\t"): advance()
        case UInt8(ascii: "\n"): newline(.newline)
        case UInt8(ascii: "\r"):
            if !isLineEnd(at: index) { reportControl(bytes[index]) }
            advance()
        case UInt8(ascii: "#"): comment()
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            var token = begin(.word)
            readQuoted(into: &token)
            endWord(&token)
        case UInt8(ascii: "\\") where isContinuation: continuation()
        default: bareWord()
        }
    }

    // MARK: - Lines and comments

    private mutating func newline(_ kind: Token.Kind) {
        var token = begin(kind)
        index += 1
        token.end = index
        tokens.append(token)
        line += 1
        column = 1
    }

    private mutating func comment() {
        var token = begin(.comment)
        while index < bytes.count, !isLineEnd(at: index) { advance() }
        var end = index
        while end > token.start, bytes[end - 1] == UInt8(ascii: " ") || bytes[end - 1] == UInt8(ascii: "\t") {
            end -= 1
        }
        token.text = text(token.start..<end)
        finish(&token)
        tokens.append(token)
    }

    /// At a line feed, or a carriage return before one.
    private func isLineEnd(at index: Int) -> Bool {
        guard index < bytes.count else { return true }
        if bytes[index] == UInt8(ascii: "\n") { return true }
        return bytes[index] == UInt8(ascii: "\r") && index + 1 < bytes.count
            && bytes[index + 1] == UInt8(ascii: "\n")
    }

    /// A backslash with nothing but blanks between it and the end of its line.
    private var isContinuation: Bool {
        var next = index + 1
        while next < bytes.count, bytes[next] == UInt8(ascii: " ") || bytes[next] == UInt8(ascii: "\t") {
            next += 1
        }
        return next < bytes.count && isLineEnd(at: next)
    }

    private mutating func continuation() {
        while bytes[index] != UInt8(ascii: "\n") { advance() }
        newline(.continuation)
    }

    // MARK: - Words

    private mutating func bareWord() {
        var token = begin(.word)
        var depth = 0
        var isUnbalanced = false
        while index < bytes.count, !isBlank(bytes[index]) {
            let byte = bytes[index]
            reportControl(byte)
            advance()
            if byte == UInt8(ascii: "{") { depth += 1 }
            if byte == UInt8(ascii: "}") { depth -= 1 }
            if depth < 0 { isUnbalanced = true }
            if byte == UInt8(ascii: "="), token.keyBytes == 0, let length = keyLength(from: token.start) {
                token.keyBytes = length
                if index < bytes.count,
                    bytes[index] == UInt8(ascii: "\"") || bytes[index] == UInt8(ascii: "'")
                {
                    token.text = text(token.start..<index)
                    readQuoted(into: &token)
                    endWord(&token)
                    return
                }
            }
        }
        token.text = text(token.start..<index)
        finish(&token)
        endBareWord(token, isUnbalanced: isUnbalanced || depth != 0)
    }

    /// The bytes between `start` and the `=` that was just read, if they can be an option's key.
    private func keyLength(from start: Int) -> Int? {
        let key = bytes[start..<(index - 1)]
        guard let first = key.first, isLowercase(first),
            key.allSatisfy({ isLowercase($0) || $0 == UInt8(ascii: "-") || (48...57).contains($0) })
        else { return nil }
        return key.count
    }

    private mutating func endBareWord(_ token: Token, isUnbalanced: Bool) {
        switch token.text {
        case "{": append(token, as: .open)
        case "}": append(token, as: .close)
        case ";": append(token, as: .semicolon)
        case "{}":
            report(token, "a block's braces are words of their own", ["{ }"])
            append(token, as: .open)
            append(token, as: .close)
        case let text where text.hasSuffix(";"):
            let rest = String(text.dropLast())
            report(token, "a \";\" that ends a statement is a word of its own", ["\(rest) ;", "'\(text)'"])
            split(token, from: rest, .semicolon)
        case let text where isUnbalanced && text.hasSuffix("{"):
            let rest = String(text.dropLast())
            report(token, "a \"{\" that opens a block is a word of its own", ["\(rest) {"])
            split(token, from: rest, .open)
        case let text where isUnbalanced && text.hasSuffix("}"):
            let rest = String(text.dropLast())
            report(token, "a \"}\" that closes a block is a word of its own", ["\(rest) }"])
            split(token, from: rest, .close)
        case let text where isUnbalanced:
            report(token, "the braces of \"\(text)\" do not match", ["'\(text)'"])
            // Taken as it stands, so that its braces are not complained of twice.
            var word = token
            word.quoting = .raw
            append(word, as: .word)
        default: append(token, as: .word)
        }
    }

    /// Goes on as though the last byte of the word had been a word of its own.
    private mutating func split(_ token: Token, from rest: String, _ kind: Token.Kind) {
        var word = token
        word.text = rest
        if rest == "}" {
            append(word, as: .close)
        } else if !rest.isEmpty {
            append(word, as: .word)
        }
        append(token, as: kind)
    }

    /// Reads from the opening quote to the closing one and appends what stands between to the token's text.
    private mutating func readQuoted(into token: inout Token) {
        let quote = bytes[index]
        token.quoting = quote == UInt8(ascii: "'") ? .raw : .double
        advance()
        var content: [UInt8] = []
        while index < bytes.count, bytes[index] != quote, !isLineEnd(at: index) {
            if quote == UInt8(ascii: "\""), bytes[index] == UInt8(ascii: "\\") {
                escape(into: &content)
            } else {
                reportControl(bytes[index])
                content.append(bytes[index])
                advance()
            }
        }
        token.text += String(decoding: content, as: UTF8.self)
        guard index < bytes.count, bytes[index] == quote else {
            finish(&token)
            report(token, "the quote is not closed on its line")
            return
        }
        advance()
    }

    /// `\n`, `\t`, `\r`, `\"`, `\\` and `\u{1F600}`.
    private mutating func escape(into content: inout [UInt8]) {
        var token = begin(.word)
        advance()
        guard index < bytes.count, !isLineEnd(at: index) else { return }
        let byte = bytes[index]
        advance()
        switch byte {
        case UInt8(ascii: "n"): content.append(UInt8(ascii: "\n"))
        case UInt8(ascii: "t"): content.append(UInt8(ascii: "\t"))
        case UInt8(ascii: "r"): content.append(UInt8(ascii: "\r"))
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): content.append(byte)
        case UInt8(ascii: "u"):
            if let scalar = unicodeEscape() {
                content += Array(String(Character(scalar)).utf8)
                return
            }
            fallthrough
        default:
            finish(&token)
            report(
                token,
                "unknown escape \"\(text(token.start..<index))\"; known are \\n \\r \\t \\\" \\\\ \\u{…}")
        }
    }

    private mutating func unicodeEscape() -> Unicode.Scalar? {
        guard index < bytes.count, bytes[index] == UInt8(ascii: "{") else { return nil }
        advance()
        let start = index
        while index < bytes.count, index - start < 8, bytes[index] != UInt8(ascii: "}"),
            !isLineEnd(at: index),
            bytes[index] != UInt8(ascii: "\"")
        {
            advance()
        }
        guard index < bytes.count, bytes[index] == UInt8(ascii: "}"),
            let scalar = UInt32(text(start..<index), radix: 16).flatMap(Unicode.Scalar.init),
            scalar.value != 0
        else { return nil }
        advance()
        return scalar
    }

    /// A quoted word ends at its quote.
    private mutating func endWord(_ token: inout Token) {
        finish(&token)
        let end = index
        while index < bytes.count, !isBlank(bytes[index]) { advance() }
        if index > end {
            let rest = text(end..<index)
            report(
                token, "a word ends with its closing quote, but \"\(rest)\" follows",
                rest == ";" ? ["\(text(token.start..<end)) ;"] : [])
        }
        append(token, as: .word)
        if index == end + 1, bytes[end] == UInt8(ascii: ";") { append(token, as: .semicolon) }
    }

    // MARK: - Small steps

    private func begin(_ kind: Token.Kind) -> Token {
        Token(kind: kind, text: "", line: line, column: column, length: 1, start: index, end: index + 1)
    }

    private func finish(_ token: inout Token) {
        token.end = index
        token.length = max(column - token.column, 1)
    }

    private mutating func append(_ token: Token, as kind: Token.Kind) {
        var token = token
        token.kind = kind
        if kind == .word, token.text.utf8.count > limits.wordBytes {
            report(token, "a word has at most \(limits.wordBytes) bytes")
            token.text = ""
            token.keyBytes = 0
        }
        tokens.append(token)
    }

    private mutating func advance() {
        // Continuation bytes of UTF-8 belong to the column of their first byte.
        if index + 1 >= bytes.count || bytes[index + 1] & 0xc0 != 0x80 { column += 1 }
        index += 1
    }

    private mutating func report(_ token: Token, _ message: String, _ suggestions: [String] = []) {
        errors.append(SyntaxError(token: token, message: message, suggestions: suggestions))
    }

    /// Nothing that a terminal would act on stands in a file.
    private mutating func reportControl(_ byte: UInt8) {
        guard byte < 0x20 && byte != UInt8(ascii: "\t") || byte == 0x7f else { return }
        report(begin(.word), "a control character cannot stand here")
    }

    private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    /// What ends a bare word.
    private func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\n")
            || byte == UInt8(ascii: "\r")
    }

    private func isLowercase(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
}
