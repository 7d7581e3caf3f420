internal import ChimeraConfiguration
internal import Logging

/// Where the command line meets the library.
enum Gateways {
    /// Why there is no gateway.
    struct Missing: Error, CustomStringConvertible {
        let description = "this build has no gateway"
    }

    static func make(_ configuration: MachineConfiguration, _ logger: Logger) throws -> any RunningGateway {
        throw Missing()
    }
}
