internal import ChimeraConfiguration
internal import Logging

/// What the command line needs of a gateway.
protocol RunningGateway: Sendable {
    /// Binds the listeners and starts the workers.
    func start() throws
    /// Serves another configuration from now on; connections stay.
    ///
    /// - Throws: why it cannot be served; nothing changes then.
    func reload(_ configuration: MachineConfiguration) throws
    /// Closes idle connections, gives the rest so long to finish, and stops. Returns at once.
    func drain(deadlineMilliseconds: Int64)
    /// Closes every connection and stops. Returns at once.
    func stopNow()
    /// Returns when the gateway has stopped, for whatever reason.
    func waitUntilStopped()
    /// Opens the log's file again.
    func reopenLogs()
}

/// How the command line gets its gateway.
typealias GatewayMaker = (MachineConfiguration, Logger) throws -> any RunningGateway
