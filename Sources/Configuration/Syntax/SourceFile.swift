/// A configuration file while it is being read.
final class SourceFile {
    /// As messages show it.
    let name: String
    /// Absolute: what relative paths in the file are relative to.
    let directory: String
    let bytes: [UInt8]

    init(name: String, directory: String, bytes: [UInt8]) {
        self.name = name
        self.directory = directory
        self.bytes = bytes
    }

    func position(_ token: Token) -> SourcePosition {
        SourcePosition(file: name, line: token.line, column: token.column)
    }

    /// The text of a line, from 1, for a message.
    func line(_ number: Int) -> String? {
        var start = 0
        var current = 1
        while current < number {
            guard let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) else { return nil }
            start = end + 1
            current += 1
        }
        let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
        // A line of a megabyte helps nobody.
        let shown = bytes[start..<min(end, start + 400)].filter { $0 != UInt8(ascii: "\r") }
        return String(decoding: shown, as: UTF8.self)
    }
}
