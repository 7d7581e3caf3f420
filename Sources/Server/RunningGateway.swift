internal import Chimera
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
    /// The same, where another data plane has taken over: idle connections may begin one more exchange meanwhile.
    func drain(deadlineMilliseconds: Int64, idleMilliseconds: Int64)
    /// Gives up what is listened on at these addresses.
    func leave(_ addresses: [Listener.Address])
    /// Closes every connection and stops. Returns at once.
    func stopNow()
    /// Returns when the gateway has stopped, for whatever reason.
    func waitUntilStopped()
    /// The configuration was loaded, or could not be.
    func note(_ status: ReloadStatus)
    /// Opens the log's file again.
    func reopenLogs()
    /// What it serves.
    var configuration: MachineConfiguration { get }
    /// Connections that are open now.
    var openConnections: Int { get }
    /// How it is.
    func status() -> GatewayStatus
    /// The open connections, the oldest first, and how many there are.
    func connections(atMost limit: Int) -> (reports: [ConnectionReport], total: Int)
    /// The sessions, the oldest first, and how many there are.
    func sessions(atMost limit: Int) -> (reports: [SessionReport], total: Int)
    /// Ends a session; false where there is none with this id.
    func endSession(_ id: String) -> Bool
    /// Ends a connection; false where there is none with this id.
    func endConnection(_ id: String) -> Bool
}

/// How the command line gets its gateway.
typealias GatewayMaker =
    @Sendable (MachineConfiguration, Logger, any ListenerSource) throws -> any RunningGateway
