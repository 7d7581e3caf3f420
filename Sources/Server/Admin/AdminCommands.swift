internal import ArgumentParser
internal import ChimeraAdministration

/// `chimera status`: how the gateway is.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Tell how the gateway is that runs.")

    @OptionGroup var admin: AdminOption

    func run() throws {
        let lines = try admin.ask(.of(["command": .string("status")]))
        if !admin.json, let status = lines.last { Stream.output.write(StatusText.of(status)) }
    }
}

/// `chimera reload`: loads the configuration again.
struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Load the configuration again, in the gateway that runs.",
        discussion: """
            Ends when the new configuration serves, or with 3 where the old one stays. Tenants whose files have errors \
            keep their last good versions; then it ends with 1, though the others serve what their files say.
            """)

    @OptionGroup var admin: AdminOption

    func run() throws {
        let lines = try admin.ask(.of(["command": .string("reload")]), quiet: nil)
        guard let answer = lines.last else { return }
        let outdated = StatusText.tenants(answer)
        if !admin.json {
            for text in answer["diagnostics"]?.array ?? [] { Stream.error.write((text.string ?? "") + "\n") }
            let changed = answer["changed"]?.integer ?? 0
            Stream.output.write("loaded: \(answer["sites"]?.integer ?? 0) sites, \(changed) changed\n")
            for line in outdated where !line.hasPrefix(" ") { Stream.error.write(line + "\n") }
        }
        if !outdated.isEmpty { throw CommandStatus.configuration.exitCode }
    }
}

/// `chimera upgrade`: a new binary takes over.
struct UpgradeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upgrade", abstract: "Let the binary that is at the gateway's path now take over.",
        discussion: """
            Connections are neither refused nor reset: the new data plane accepts when it is ready, and the old one \
            finishes what it has begun. Where the new one does not get ready, the old one goes on.
            """)

    @OptionGroup var admin: AdminOption

    func run() throws {
        let lines = try admin.ask(.of(["command": .string("upgrade")]), quiet: nil)
        guard !admin.json, let answer = lines.last else { return }
        Stream.output.write("upgraded: data plane \(answer["generation"]?.integer ?? 0) serves\n")
    }
}

/// `chimera stop`: ends the gateway.
struct StopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "End the gateway that runs, and wait for its end.")

    @Flag(help: "Do not let requests finish.")
    var now = false
    @OptionGroup var admin: AdminOption

    func run() throws {
        _ = try admin.ask(.of(["command": .string("stop"), "now": .bool(now)]), quiet: nil)
        if !admin.json { Stream.output.write("stopped\n") }
    }
}

/// `chimera connections`: who is connected.
struct ConnectionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connections", abstract: "List the gateway's connections, or end one.",
        subcommands: [List.self, End.self], defaultSubcommand: List.self)

    /// `chimera connections`
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Who is connected, since when, and doing what; the oldest first.")

        @Option(help: "At most so many of each data plane.", transform: ListBound.read)
        var limit = 1000
        @OptionGroup var admin: AdminOption

        func run() throws {
            try admin.list("connections", atMost: limit, as: StatusText.connections)
        }
    }

    /// `chimera connections end ID`
    struct End: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "end", abstract: "End a connection, whatever it does.")

        @Argument(help: "As `chimera connections` shows it.")
        var id: String
        @OptionGroup var admin: AdminOption

        func run() throws {
            try admin.end(id, by: "end")
        }
    }
}

extension AdminOption {
    /// Asks each data plane for a list, and prints it.
    ///
    /// - Parameter limit: at most so many of each data plane.
    func list(_ command: String, atMost limit: Int, as text: ([JSON]) -> String) throws(ExitCode) {
        for generation in try generations() {
            let lines = try ask(
                .of([
                    "command": .string(command), "limit": .integer(Int64(limit)), "generation": generation,
                ]))
            if !json { Stream.output.write(text(lines)) }
        }
    }

    /// The data planes that can be asked.
    private func generations() throws(ExitCode) -> [JSON?] {
        var quiet = self
        quiet.json = false
        let status = try quiet.ask(.of(["command": .string("status")])).last
        let planes = status?["supervisor"]?["data_planes"]?.array ?? []
        return planes.filter { $0["state"]?.string != "starting" }.map { $0["generation"] }
    }

    /// Ends a session, at whichever data plane has it.
    ///
    /// - Parameter id: as its program has it.
    func endSession(_ id: String) throws(ExitCode) {
        var quiet = self
        quiet.json = false
        let all = try generations()
        var found = all.first ?? nil
        for generation in all where all.count > 1 {
            let lines = try quiet.ask(
                .of([
                    "command": .string("sessions"), "limit": .integer(1_000_000), "generation": generation,
                ]))
            if lines.contains(where: { $0["id"]?.string == id }) { found = generation }
        }
        _ = try ask(
            .of(["command": .string("end-session"), "id": .string(id), "generation": found]))
        if !json { Stream.output.write("ended\n") }
    }

    /// Ends what a list names, at the data plane that its name begins with.
    func end(_ id: String, by command: String) throws(ExitCode) {
        let generation = id.split(separator: "-").first.flatMap { Int64($0) }
        _ = try ask(
            .of([
                "command": .string(command), "id": .string(id),
                "generation": generation.map { .integer($0) },
            ]))
        if !json { Stream.output.write("ended\n") }
    }
}
