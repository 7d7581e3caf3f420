package import ChimeraConfiguration
package import ChimeraEventLoop

/// Where a gateway's listening sockets come from: it binds them itself, or asks a supervisor that keeps them.
///
/// Its methods may block, and may be called from any thread.
package protocol ListenerSource: Sendable {
    /// Sockets that listen on an address, non-blocking; they are the caller's to close.
    ///
    /// - Parameter count: how many are wanted, to share the port. A group that is there already keeps its size,
    ///   and a Unix socket is always one.
    /// - Throws: when the address cannot be bound.
    func open(_ address: Listener.Address, count: Int) throws(SystemError) -> ListeningGroup

    /// The gateway serves this address no longer, and has accepted what waited there.
    func close(_ address: Listener.Address)

    /// The gateway accepts no more, anywhere.
    func closeAll()
}

/// The sockets of one address.
package struct ListeningGroup: Sendable {
    package var descriptors: [Int32]
    /// The port that was bound, which differs where the address asks for any; 0 for a Unix socket.
    package var port: UInt16

    package init(descriptors: [Int32], port: UInt16) {
        self.descriptors = descriptors
        self.port = port
    }
}
