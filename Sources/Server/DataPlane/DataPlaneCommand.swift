internal import ArgumentParser
internal import ChimeraConfiguration
internal import ChimeraEventLoop

/// `chimera data-plane`: what the supervisor starts, and nobody else.
struct DataPlaneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data-plane", abstract: "Serve, for a supervisor.", shouldDisplay: false)

    @Option(help: "The descriptor of the line to the supervisor.")
    var line: Int32
    @Option(help: "The data plane's number.")
    var generation: Int
    @Option(help: "The machine's file.")
    var config: String
    @Option(help: "Who serves, instead of whom the machine's file names.")
    var user: String?
    @OptionGroup var log: LogOption

    func run() throws {
        try DataPlane(
            line: PacketSocket(line), generation: generation, machineFile: config,
            user: user.flatMap { UserName($0) }, log.logger()
        ).run()
    }
}
