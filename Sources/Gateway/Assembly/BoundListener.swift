internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop

/// A `listen` line that is bound, with the sockets that each worker accepts from.
struct BoundListener: Sendable {
    /// One worker's descriptor of one socket.
    struct Share: Sendable {
        let worker: Int
        let descriptor: Int32
    }

    let listener: Listener
    /// Each socket of the group with some worker, and each worker with some socket.
    let shares: [Share]
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

    /// Opens the listener for so many workers.
    init(_ listener: Listener, workers: Int, from source: any ListenerSource) throws(Failure) {
        self.listener = listener
        do throws(SystemError) {
            let group = try source.open(listener.address, count: workers)
            shares = try BoundListener.shares(of: group, among: workers)
            port = group.port
        } catch {
            throw Failure(listener: listener, error: error)
        }
    }

    /// The sockets of `bound`, whose address `listener` has as well, under what that says now.
    init(_ listener: Listener, socketsOf bound: BoundListener) {
        precondition(listener.address == bound.listener.address)
        self.listener = listener
        shares = bound.shares
        port = bound.port
    }

    /// A socket for each worker where there are as many. Where the group has more, because there were more workers
    /// when it was made, some workers have several; where it has fewer, some workers share one.
    private static func shares(of group: ListeningGroup, among workers: Int) throws(SystemError) -> [Share] {
        var shares = group.descriptors.enumerated().map { Share(worker: $0 % workers, descriptor: $1) }
        do throws(SystemError) {
            for worker in group.descriptors.count..<max(workers, group.descriptors.count) {
                let shared = group.descriptors[worker % group.descriptors.count]
                shares.append(Share(worker: worker, descriptor: try Sockets.duplicate(shared)))
            }
        } catch {
            for share in shares { FileDescriptors.close(share.descriptor) }
            throw error
        }
        return shares
    }

    /// Closes what no worker has got.
    func close() {
        for share in shares { FileDescriptors.close(share.descriptor) }
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
