internal import ArgumentParser
internal import CLinux
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Glibc
internal import Logging

/// `chimera run`: serves what the configuration says, until it is told to stop.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Serve what the configuration says.",
        discussion: """
            SIGTERM and SIGINT drain: idle connections close, the rest have 30 seconds, or as the configuration's \
            `drain` says; a second one ends at once. SIGHUP loads the configuration again, as a change in the \
            directory of the tenants' files does; a tenant whose file has errors keeps its last good version. \
            SIGUSR1 opens the access log's file again. SIGUSR2 lets the binary that is \
            at this one's path now take over.
            """)

    @OptionGroup var file: ConfigurationOption
    @Option(
        help: "Who serves where it is started as root, USER or USER:GROUP, instead of whom the file names.")
    var user: String?
    @OptionGroup var log: LogOption

    func validate() throws {
        if let user, UserName(user) == nil { throw ValidationError("\"\(user)\" is not USER or USER:GROUP") }
    }

    func run() throws {
        let path = try file.path()
        let logger = log.logger()
        StandardStreams.open()
        var arguments = ["--config", path]
        if let user { arguments += ["--user", user] }
        if let level = log.logLevel { arguments += ["--log-level", level.rawValue] }
        let settings = SupervisorSettings(
            arguments: arguments, machineFile: path, environment: ChildEnvironment.words(),
            notification: SystemdNotification { name in getenv(name).map { String(cString: $0) } })
        let status: Int32
        do throws(SystemError) {
            status = try Supervisor(settings, logger).run()
        } catch {
            logger.critical("cannot serve: \(error)")
            throw CommandStatus.cannotServe.exitCode
        }
        if status != 0 { throw ExitCode(status) }
    }
}

/// The environment of a data plane.
enum ChildEnvironment {
    /// This process's own, `NAME=VALUE`, without what only the supervisor is told. A crash must not start a backtracer:
    /// that takes seconds in which nobody serves.
    static func words() -> [String] {
        var words: [String] = []
        guard var next = chimera_environment() else { return from(words) }
        while let word = next.pointee {
            words.append(String(cString: word))
            next += 1
        }
        return from(words)
    }

    static func from(_ words: [String]) -> [String] {
        let hidden = ["NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=", "LISTEN_PID=", "LISTEN_FDS="]
        let kept = words.filter { word in !hidden.contains { word.hasPrefix($0) } }
        return kept.contains { $0.hasPrefix("SWIFT_BACKTRACE=") }
            ? kept : kept + ["SWIFT_BACKTRACE=enable=no"]
    }
}

/// Standard input, output and error are there: else a socket would get one of their numbers.
enum StandardStreams {
    static func open() {
        while true {
            let descriptor = Glibc.open("/dev/null", O_RDWR | O_CLOEXEC)
            guard (0...2).contains(descriptor) else {
                if descriptor > 2 { close(descriptor) }
                return
            }
            _ = fcntl(descriptor, F_SETFD, 0)
        }
    }
}
