internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop

/// A `listen` line that is bound: one socket for each worker, so that the kernel spreads connections.
struct BoundListener: Sendable {
    let listener: Listener
    let descriptors: [Int32]
    /// The port that was bound, which differs where the line asks for any; 0 for a Unix socket.
    let port: UInt16

    /// Why a listener could not be bound, with its address and position.
    struct Failure: Error, CustomStringConvertible {
        let listener: Listener
        let error: SystemError

        var description: String {
            "\(listener.position): cannot listen on \(listener.address.text): \(error)"
        }
    }

    /// Binds the listener for so many workers.
    ///
    /// - Parameter ownPorts: ports that this gateway listens on already, under another address perhaps.
    init(_ listener: Listener, workers: Int, ownPorts: Set<UInt16> = []) throws(Failure) {
        self.listener = listener
        var made: [Int32] = []
        do throws(SystemError) {
            var (address, dualStack) = BoundListener.socketAddress(of: listener.address)
            if case .unix(let path) = address { Sockets.removeStale(path) }
            // The sockets of the workers share the port, and would share it with another process of the same user too.
            if !ownPorts.contains(listener.address.port) {
                try Sockets.checkFree(address, dualStack: dualStack)
            }
            for index in 0..<workers {
                if index > 0, case .unix = address {
                    made.append(try Sockets.duplicate(made[0]))
                    continue
                }
                let descriptor = try Sockets.listen(address, dualStack: dualStack)
                made.append(descriptor)
                if case .ip(let ip, 0) = address {
                    address = .ip(ip, port: Sockets.localAddress(of: descriptor).port)
                }
            }
            if case .ip(_, let bound) = address { port = bound } else { port = 0 }
        } catch {
            made.forEach(FileDescriptors.close)
            throw Failure(listener: listener, error: error)
        }
        descriptors = made
    }

    /// The sockets of `bound`, whose address `listener` has as well, under what that says now.
    init(_ listener: Listener, socketsOf bound: BoundListener) {
        precondition(listener.address == bound.listener.address)
        self.listener = listener
        descriptors = bound.descriptors
        port = bound.port
    }

    /// Closes the sockets, which no worker has been given.
    func close() { descriptors.forEach(FileDescriptors.close) }

    private static func socketAddress(of address: Listener.Address) -> (SocketAddress, dualStack: Bool) {
        switch address {
        case .anyAddress(let port):
            Sockets.hasIPv6
                ? (.ip(IPAddress(high: 0, low: 0), port: port), true)
                : (.ip(IPAddress(v4: 0), port: port), false)
        case .ip(let ip, let port): (.ip(ip, port: port), false)
        case .unix(let path): (.unix(path: path), false)
        }
    }

    /// What the log calls it.
    var text: String {
        switch listener.address {
        case .anyAddress: "*:\(port)"
        case .ip(let ip, _): ip.isV4 ? "\(ip):\(port)" : "[\(ip)]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}

extension Listener.Address {
    /// 0 where the line asks for any, and for a Unix socket.
    var port: UInt16 {
        switch self {
        case .anyAddress(let port), .ip(_, let port): port
        case .unix: 0
        }
    }

    /// As it is written in a configuration.
    var text: String {
        switch self {
        case .anyAddress(let port): "\(port)"
        case .ip(let ip, let port): ip.isV4 ? "\(ip):\(port)" : "[\(ip)]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
