internal import ArgumentParser
internal import ChimeraAdministration

/// `chimera sessions`: which programs have clients.
struct SessionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions", abstract: "List the gateway's sessions, or end one.",
        subcommands: [List.self, End.self], defaultSubcommand: List.self)

    /// `chimera sessions`
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Which program serves whom, since when; the oldest first.")

        @Option(help: "At most so many of each data plane.", transform: ListBound.read)
        var limit = 1000
        @OptionGroup var admin: AdminOption

        func run() throws {
            try admin.list("sessions", atMost: limit, as: StatusText.sessions)
        }
    }

    /// `chimera sessions end ID`
    struct End: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "end", abstract: "End a session: its client is told, and its program ends.")

        @Argument(help: "As `chimera sessions` shows it, the log, and the program's CHIMERA_SESSION.")
        var id: String
        @OptionGroup var admin: AdminOption

        func run() throws {
            try admin.endSession(id)
        }
    }
}
