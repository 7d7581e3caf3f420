@testable import ChimeraBytes
@testable import ChimeraHTTPCore

/// A head read once more by the grammar of RFC 9112 §2 and §5, without regard to cost: what a parser accepts must be
/// one, and mean the same.
struct SlowHead {
    var startLine: [UInt8]
    var fields: [FieldFacts] = []

    /// - Parameter bytes: a head with its empty line, and nothing behind it.
    /// - Returns: nil where the bytes are no head.
    init?(_ bytes: ArraySlice<UInt8>) {
        guard var lines = Self.lines(bytes), lines.popLast() == [] else { return nil }
        lines = Array(lines.drop(while: \.isEmpty))
        guard let startLine = lines.first, !lines.contains([]) else { return nil }
        self.startLine = startLine
        for line in lines.dropFirst() {
            let name = line.prefix { $0 != UInt8(ascii: ":") }
            guard !name.isEmpty, name.count < line.count, name.allSatisfy(\.isTokenCharacter) else {
                return nil
            }
            let value = Self.trimmed(line.dropFirst(name.count + 1))
            guard value.allSatisfy(\.isFieldValueCharacter) else { return nil }
            fields.append(FieldFacts(name: name.map(\.lowercased), value: Array(value)))
        }
    }

    /// The values of a field, in its lines and in lists there, without blanks and in small letters.
    func elements(_ name: String) -> [String] {
        fields.filter { $0.name == Array(name.utf8) }
            .flatMap { $0.value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) }
            .map { String(decoding: Self.trimmed($0).map(\.lowercased), as: UTF8.self) }
    }

    /// The length that all Content-Length lines say; nil where there is none, or no one length.
    var length: Int? {
        let values = elements("content-length")
        guard let first = values.first, values.allSatisfy({ $0.utf8.allSatisfy(\.isDigit) }) else {
            return nil
        }
        return values.allSatisfy { Int($0) == Int(first) } ? Int(first) : nil
    }

    var isChunked: Bool { elements("transfer-encoding") == ["chunked"] }

    func contains(_ name: String) -> Bool { fields.contains { $0.name == Array(name.utf8) } }

    /// Nil where a CR or LF stands alone, or where the last line is not ended.
    private static func lines(_ bytes: ArraySlice<UInt8>) -> [[UInt8]]? {
        var lines: [[UInt8]] = []
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast() {
            guard line.last == UInt8(ascii: "\r") else { return nil }
            lines.append(Array(line.dropLast()))
        }
        guard bytes.last == UInt8(ascii: "\n"), !lines.joined().contains(UInt8(ascii: "\r")) else {
            return nil
        }
        return lines
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var text = text
        while text.first?.isOptionalWhitespace == true { text.removeFirst() }
        while text.last?.isOptionalWhitespace == true { text.removeLast() }
        return text
    }
}
