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

        @Option(help: "At most so many of each data plane.")
        var limit = 1000
        @OptionGroup var admin: AdminOption

        func run() throws {
            var quiet = admin
            quiet.json = false
            let status = try quiet.ask(.of(["command": .string("status")])).last
            let planes = status?["supervisor"]?["data_planes"]?.array ?? []
            for plane in planes where plane["state"]?.string != "starting" {
                let lines = try admin.ask(
                    .of([
                        "command": .string("sessions"), "limit": .integer(Int64(limit)),
                        "generation": plane["generation"],
                    ]))
                if !admin.json { Stream.output.write(StatusText.sessions(lines)) }
            }
        }
    }

    /// `chimera sessions end ID`
    struct End: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "end", abstract: "End a session: its client is told, and its program ends.")

        @Argument(help: "As `chimera sessions` shows it.")
        var id: String
        @OptionGroup var admin: AdminOption

        func run() throws {
            let generation = id.split(separator: "-").first.flatMap { Int64($0) }
            _ = try admin.ask(
                .of([
                    "command": .string("end-session"), "id": .string(id),
                    "generation": generation.map { .integer($0) },
                ]))
            if !admin.json { Stream.output.write("ended\n") }
        }
    }
}
