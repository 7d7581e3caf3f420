internal import ArgumentParser
internal import Chimera
internal import ChimeraConfiguration
internal import Logging

/// `chimera run`: serves what the configuration says, until it is told to stop.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Serve what the configuration says.",
        discussion: """
            SIGTERM and SIGINT drain: idle connections close, the rest have 30 seconds; \
            a second one ends at once. SIGHUP loads the configuration again, as a change \
            in the directory of the tenants' files does; a tenant whose file has errors \
            keeps its last good version. SIGUSR1 opens the access log's file again.
            """)

    @OptionGroup var file: ConfigurationOption
    @OptionGroup var log: LogOption

    func run() throws {
        let path = try file.path()
        let logger = log.logger()
        do {
            let live = LiveConfiguration(
                machineFile: path, storeDirectory: DataDirectory.path(machineFile: path))
            let reloader = try Reloader(live, logger: logger)
            try Service(logger, reloader: reloader).run()
        } catch let code as ExitCode {
            throw code
        } catch {
            logger.critical("cannot serve: \(error)")
            throw CommandStatus.cannotServe.exitCode
        }
    }
}

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
