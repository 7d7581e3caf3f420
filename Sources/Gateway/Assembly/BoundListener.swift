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
    init(_ listener: Listener, workers: Int) throws(Failure) {
        self.listener = listener
        var made: [Int32] = []
        do throws(SystemError) {
            var (address, dualStack) = BoundListener.socketAddress(of: listener.address)
            if case .unix(let path) = address { Sockets.removeStale(path) }
            // The sockets of the workers share the port, and would share it with another process of the same user too.
            try Sockets.checkFree(address, dualStack: dualStack)
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
            for descriptor in made { FileDescriptors.close(descriptor) }
            throw Failure(listener: listener, error: error)
        }
        descriptors = made
    }

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

extension Listener {
    /// Whether both say the same, wherever they stand.
    func isSame(as other: Listener) -> Bool {
        address == other.address && tls == other.tls && name == other.name && publicPort == other.publicPort
    }
}

extension Listener.Address {
    /// As it is written in a configuration.
    var text: String {
        switch self {
        case .anyAddress(let port): "\(port)"
        case .ip(let ip, let port): ip.isV4 ? "\(ip):\(port)" : "[\(ip)]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
