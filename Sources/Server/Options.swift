internal import ArgumentParser
internal import ChimeraConfiguration
internal import Glibc
internal import Logging

/// `--config FILE`, and where the file is without it.
struct ConfigurationOption: ParsableArguments {
    @Option(
        help: "The machine's file; ./chimera.conf, then /etc/chimera/chimera.conf, where it is not given.")
    var config: String?

    /// The places that are tried without the option.
    static let places = ["chimera.conf", "/etc/chimera/chimera.conf"]

    /// The machine's file; nil where none is given and none is there.
    static func path(given: String?, isFile: (String) -> Bool) -> String? {
        given ?? places.first(where: isFile)
    }

    /// The machine's file.
    ///
    /// - Throws: the exit code, having said what is missing.
    func path() throws(ExitCode) -> String {
        let files = SystemFileSystem()
        if let path = ConfigurationOption.path(given: config, isFile: { files.kind(of: $0) == .file }) {
            return path
        }
        Stream.error.write(
            """
            there is no configuration: neither ./chimera.conf nor /etc/chimera/chimera.conf is there
            name one with --config, or try `chimera files .`, which needs none

            """)
        throw CommandStatus.configuration.exitCode
    }
}

/// `--log-level LEVEL`, or CHIMERA_LOG_LEVEL in the environment.
struct LogOption: ParsableArguments {
    @Option(help: "The least level of diagnostics: trace, debug, info, notice, warning, error or critical.")
    var logLevel: Level?

    enum Level: String, ExpressibleByArgument, CaseIterable {
        case trace, debug, info, notice, warning, error, critical

        var level: Logger.Level {
            switch self {
            case .trace: .trace
            case .debug: .debug
            case .info: .info
            case .notice: .notice
            case .warning: .warning
            case .error: .error
            case .critical: .critical
            }
        }
    }

    /// What counts: the option, then the environment, then `info`.
    static func level(given: Level?, environment: String?) -> Logger.Level {
        (given ?? environment.flatMap { Level(rawValue: $0) } ?? .info).level
    }

    func logger() -> Logger {
        let environment = getenv("CHIMERA_LOG_LEVEL").map { String(cString: $0) }
        let level = LogOption.level(given: logLevel, environment: environment)
        return Logger(label: "chimera") { _ in StderrLogHandler(level: level) }
    }
}

/// `--listen ADDRESS`, of the commands that need no file.
struct ListenOption: ParsableArguments {
    @Option(
        help: "Where to accept connections: PORT, ADDRESS:PORT or unix:/PATH; may be given more than once.")
    var listen: [String] = []

    /// This machine alone reaches it, unless told otherwise.
    static let byDefault = ["127.0.0.1:8080"]

    var addresses: [String] { listen.isEmpty ? ListenOption.byDefault : listen }
}
