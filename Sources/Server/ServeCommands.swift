internal import ArgumentParser
internal import Chimera
internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraSessions
internal import Glibc
internal import Logging

/// `chimera files DIR`: serves a directory without any configuration.
struct FilesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "files", abstract: "Serve a directory, without a configuration.")

    @Argument(help: "The directory.", completion: .directory)
    var directory: String
    @OptionGroup var listen: ListenOption
    @OptionGroup var log: LogOption

    func run() throws {
        let (directory, addresses) = (directory, listen.addresses)
        try Service(log.logger()) { ConfigurationLoader().load(files: directory, listen: addresses) }.run()
    }
}

/// `chimera proxy ADDRESS…`: stands before a server without any configuration.
struct ProxyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "proxy", abstract: "Pass requests on to a server, without a configuration.")

    @Argument(help: "HOST:PORT, http://HOST or unix:/PATH; several are taken in turn.")
    var addresses: [String]
    @OptionGroup var listen: ListenOption
    @OptionGroup var log: LogOption

    func run() throws {
        let (targets, addresses) = (addresses, listen.addresses)
        try Service(log.logger()) { ConfigurationLoader().load(proxy: targets, listen: addresses) }.run()
    }
}

/// `chimera session -- COMMAND…`: a program for each WebSocket client, without any configuration.
struct SessionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "session", abstract: "Give each WebSocket client a program, without a configuration.",
        discussion: """
            Answers to the names of this machine alone: localhost, 127.0.0.1 and [::1]. Whoever runs this command is who \
            runs the programs. The command behind -- is run word by word, without a shell; for one, sh -c 'a | b'. \
            SIGTERM and SIGINT end it with all sessions and their programs. `chimera connect ws://localhost:8080` is a client.
            """)

    @Option(help: "How output becomes messages: lines, raw, length or typed; raw for a terminal.")
    var framing: String?
    @Option(help: "Where the program's standard error goes: log, inline or off.")
    var stderr: String?
    @Option(help: "A host whose pages may connect as well; may be repeated.")
    var origin: [String] = []
    @Flag(help: "Serve other machines too, by whatever name: whoever reaches the address runs the program.")
    var open = false
    @Flag(help: "Give the program a terminal.")
    var pty = false
    @Argument(parsing: .postTerminator, help: "The program and its arguments, behind --.")
    var command: [String]
    @OptionGroup var listen: ListenOption
    @OptionGroup var log: LogOption

    func run() throws {
        let (command, addresses) = (command, listen.addresses)
        var options = pty ? ["pty=on", "open=on"] : []
        if let framing { options.append("framing=\(framing)") }
        if let stderr { options.append("stderr=\(stderr)") }
        options += origin.map { "origin=\($0)" }
        // Whoever says it here has said it as who he is.
        if geteuid() == 0 { options.append("user=root") }
        let loaded = ConfigurationLoader().load(
            session: command, options: options, listen: addresses, isOpen: open)
        try checkReach(loaded)
        // Before there is another thread.
        let watch = ProgramWatch()
        let programs = LocalPrograms(begun: watch.tell)
        try Service(
            log.logger(), drainMilliseconds: 0, last: { programs.endAll(atMostMilliseconds: 10_000) },
            make: { configuration, logger, listeners in
                try Gateway(
                    configuration: configuration, logger: logger, listeners: listeners, programs: programs)
            }, load: { loaded }
        ).run()
    }

    /// A program is for others only where that is said.
    private func checkReach(_ loaded: LoadResult) throws {
        let reached = (loaded.configuration?.listeners ?? []).filter { listener in
            switch listener.address {
            case .anyAddress: true
            case .ip(let address, _): !address.isLoopback
            case .unix: false
            }
        }
        guard !open, let first = reached.first else { return }
        throw ValidationError(
            "\(first.address.text) is reached by other machines, and whoever reaches it runs the program; where that is meant, say --open"
        )
    }
}
