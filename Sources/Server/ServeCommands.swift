internal import ArgumentParser
internal import Chimera
internal import ChimeraConfiguration
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
