internal import ChimeraBytes

/// What a program writes to standard error, as lines for the log: so many of it in a second, and the rest counted.
package final class ProgramErrors {
    private let report: ((String) -> Void)?
    private let clock: () -> Int64
    @exclusivity(unchecked) private var partial: [UInt8] = []
    @exclusivity(unchecked) private var second: Int64 = 0
    @exclusivity(unchecked) private var linesInSecond = 0
    @exclusivity(unchecked) private var skipped = 0

    static let lineBytesMax = 1024
    static let linesPerSecond = 50

    /// - Parameters:
    ///   - clock: milliseconds.
    ///   - report: gets each line; nil where nobody wants them.
    package init(clock: @escaping () -> Int64, report: ((String) -> Void)?) {
        self.clock = clock
        self.report = report
    }

    package func take(_ bytes: Span<UInt8>) {
        guard report != nil else { return }
        for index in 0..<bytes.count {
            if bytes[index] == UInt8(ascii: "\n") {
                endLine()
            } else if partial.count < Self.lineBytesMax {
                partial.append(bytes[index])
            }
        }
    }

    /// There is no more.
    package func end() {
        if !partial.isEmpty { endLine() }
        tellSkipped()
    }

    private func endLine() {
        defer { partial.removeAll(keepingCapacity: false) }
        let now = clock() / 1000
        if now != second {
            tellSkipped()
            second = now
            linesInSecond = 0
        }
        guard linesInSecond < Self.linesPerSecond else {
            skipped += 1
            return
        }
        linesInSecond += 1
        report?(String(decoding: partial, as: UTF8.self))
    }

    private func tellSkipped() {
        guard skipped > 0 else { return }
        report?("… and \(skipped) more lines")
        skipped = 0
    }
}
