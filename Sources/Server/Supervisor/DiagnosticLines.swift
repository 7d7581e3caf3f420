/// The last lines of what a data plane wrote to standard error.
struct DiagnosticLines {
    private(set) var lines: [String] = []
    private var open: [UInt8] = []

    static let linesMax = 20
    static let lineBytesMax = 500

    mutating func append(_ bytes: some Sequence<UInt8>) {
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                end()
            } else if open.count < Self.lineBytesMax {
                open.append(byte)
            }
        }
    }

    /// The lines with what has no end yet.
    var all: [String] { open.isEmpty ? lines : lines + [String(decoding: open, as: UTF8.self)] }

    private mutating func end() {
        lines.append(String(decoding: open, as: UTF8.self))
        open = []
        if lines.count > Self.linesMax { lines.removeFirst() }
    }
}
