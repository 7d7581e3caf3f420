internal import Glibc
internal import Logging

/// Diagnostics on standard error: one line each, one write each.
///
/// `2026-01-02T03:04:05.678Z INFO  listening on 127.0.0.1:8080 worker=0`
struct StderrLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    init(level: Logger.Level) { logLevel = level }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let own = event.metadata { all.merge(own) { $1 } }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        Stream.error.write(
            LogLine.text(
                seconds: now.tv_sec, nanoseconds: now.tv_nsec, level: event.level,
                message: event.message.description,
                metadata: all))
    }
}

/// How a diagnostic looks.
enum LogLine {
    /// - Returns: the line with its end; no text in it can end it before.
    static func text(
        seconds: Int, nanoseconds: Int, level: Logger.Level, message: String, metadata: Logger.Metadata
    ) -> String {
        var line = "\(timestamp(seconds, nanoseconds)) \(name(of: level)) \(escaped(message))"
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += " \(escaped(key))=\(word(value.description))"
        }
        return line + "\n"
    }

    private static func timestamp(_ seconds: Int, _ nanoseconds: Int) -> String {
        var time = seconds
        var parts = tm()
        gmtime_r(&time, &parts)
        let date = "\(parts.tm_year + 1900)-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))"
        let clock = "\(padded(parts.tm_hour)):\(padded(parts.tm_min)):\(padded(parts.tm_sec))"
        let fraction = String(nanoseconds / 1_000_000 + 1000).dropFirst()
        return "\(date)T\(clock).\(fraction)Z"
    }

    private static func padded(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }

    /// Five letters, so that messages stand below each other.
    private static func name(of level: Logger.Level) -> String {
        switch level {
        case .trace: "TRACE"
        case .debug: "DEBUG"
        case .info: "INFO "
        case .notice: "NOTE "
        case .warning: "WARN "
        case .error: "ERROR"
        case .critical: "FATAL"
        }
    }

    /// A value that reads as one: in quotes where it has a space, a quote or an equals sign, or is empty.
    private static func word(_ text: String) -> String {
        let isPlain = !text.isEmpty && !text.contains { " \"=".contains($0) }
        return isPlain ? escaped(text) : "\"\(escaped(text, quote: true))\""
    }

    private static func escaped(_ text: String, quote: Bool = false) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\"" where quote: result += "\\\""
            case _ where scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value):
                result += "\\x" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
