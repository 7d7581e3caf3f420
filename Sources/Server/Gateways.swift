internal import Chimera
internal import ChimeraConfiguration
internal import Logging

/// Where the command line meets the library.
enum Gateways {
    static func make(
        _ configuration: MachineConfiguration, _ logger: Logger, _ listeners: any ListenerSource
    ) throws -> any RunningGateway {
        try Gateway(configuration: configuration, logger: logger, listeners: listeners)
    }
}

extension Gateway: RunningGateway {}
