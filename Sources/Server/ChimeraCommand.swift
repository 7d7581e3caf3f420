internal import ArgumentParser
internal import Chimera

/// `chimera`: the command line. What it does is in the commands; here is how it ends.
@main
struct ChimeraCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chimera",
        abstract: "An HTTP gateway for many tenants.",
        discussion: """
            Ends with 0 when all went well, 1 when a configuration has errors, 2 when the command line has, \
            and 3 when it cannot serve: an address is in use, or the system refuses something.
            """,
        version: "chimera \(Version.text)",
        subcommands: [
            RunCommand.self, CheckCommand.self, FormatCommand.self, FilesCommand.self, ProxyCommand.self,
            SessionCommand.self, ConnectCommand.self,
            ExplainCommand.self, DiffCommand.self,
            StatusCommand.self, ConnectionsCommand.self, SessionsCommand.self, ReloadCommand.self,
            UpgradeCommand.self,
            StopCommand.self, TrustCommand.self, ReferenceCommand.self, VersionCommand.self,
            DataPlaneCommand.self,
        ])

    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            end(with: error)
        }
    }

    private static func end(with error: any Error) -> Never {
        let status = CommandStatus(exitCode(for: error).rawValue)
        let text = fullMessage(for: error)
        if !text.isEmpty { (status == .clean ? Stream.output : Stream.error).write(text + "\n") }
        exit(withError: ExitCode(status.rawValue))
    }
}

/// How the process ends; documented for those who call it.
enum CommandStatus: Int32, Error {
    case clean = 0
    /// The configuration has errors, or `fmt --check` found files that it would change.
    case configuration = 1
    case usage = 2
    /// An address cannot be bound, a file cannot be written, the system refuses something.
    case cannotServe = 3

    /// The status for an exit code of the argument parser, whose own are those of sysexits.h.
    init(_ code: Int32) { self = CommandStatus(rawValue: code) ?? .usage }

    /// What a command throws to end that way, having said why.
    var exitCode: ExitCode { ExitCode(rawValue) }
}

/// The version of this program.
enum Version {
    static let text = Product.version
}

/// Prints the version.
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    func run() { Stream.output.write("chimera \(Version.text)\n") }
}
