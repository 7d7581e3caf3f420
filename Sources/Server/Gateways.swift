internal import Chimera
internal import ChimeraConfiguration
internal import Logging

/// Where the command line meets the library.
enum Gateways {
    static func make(_ configuration: MachineConfiguration, _ logger: Logger) throws -> any RunningGateway {
        try Gateway(configuration: configuration, logger: logger)
    }
}

extension Gateway: RunningGateway {}
