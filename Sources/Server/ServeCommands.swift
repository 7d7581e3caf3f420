internal import ArgumentParser
internal import Chimera
internal import ChimeraConfiguration
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
            runs the programs.
            """)

    @Option(help: "How output becomes messages: lines, raw or length; raw for a terminal.")
    var framing: String?
    @Option(help: "Where the program's standard error goes: log, inline or off.")
    var stderr: String?
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
        // Whoever says it here has said it as who he is.
        if geteuid() == 0 { options.append("user=root") }
        try Service(log.logger()) { [options] in
            ConfigurationLoader().load(session: command, options: options, listen: addresses)
        }.run()
    }
}
