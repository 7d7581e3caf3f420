internal import ChimeraBytes
package import ChimeraConfiguration
package import ChimeraEventLoop
internal import Synchronization

/// Binds listening sockets and keeps them: the sockets of one address are a group that shares the port, and the
/// kernel spreads connections over it. What it gives out are duplicates, so that connection attempts wait in the
/// kernel's queues where whoever accepts goes away, and whoever comes next accepts them.
///
/// The size of a group stays as long as the group: a socket that goes away would take its queue with it.
package final class ListenerGroups: ListenerSource {
    private let groups = Mutex<[Listener.Address: ListeningGroup]>([:])

    package init() {}

    deinit { closeAll() }

    /// The addresses that are bound.
    package var addresses: [Listener.Address] { groups.withLock { Array($0.keys) } }

    package func open(_ address: Listener.Address, count: Int) throws(SystemError) -> ListeningGroup {
        let result = groups.withLock { groups -> Result<ListeningGroup, SystemError> in
            do throws(SystemError) {
                let kept: ListeningGroup
                if let group = groups[address] {
                    kept = group
                } else {
                    // An address may give way to another one of the same port (`127.0.0.1:8080` to `8080`).
                    let isOurs = groups.values.contains { $0.port != 0 && $0.port == address.port }
                    kept = try ListenerGroups.bind(address, count: count, isOurs: isOurs)
                    groups[address] = kept
                }
                return .success(try ListenerGroups.duplicates(of: kept))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    package func close(_ address: Listener.Address) {
        guard let group = groups.withLock({ $0.removeValue(forKey: address) }) else { return }
        ListenerGroups.close(group, address)
    }

    package func closeAll() {
        let all = groups.withLock { groups in
            defer { groups = [:] }
            return groups
        }
        for (address, group) in all { ListenerGroups.close(group, address) }
    }

    private static func close(_ group: ListeningGroup, _ address: Listener.Address) {
        group.descriptors.forEach(FileDescriptors.close)
        if case .unix(let path) = address { Sockets.removeStale(path) }
    }

    private static func duplicates(of group: ListeningGroup) throws(SystemError) -> ListeningGroup {
        var made: [Int32] = []
        do throws(SystemError) {
            for descriptor in group.descriptors { made.append(try Sockets.duplicate(descriptor)) }
        } catch {
            made.forEach(FileDescriptors.close)
            throw error
        }
        return ListeningGroup(descriptors: made, port: group.port)
    }

    private static func bind(
        _ wanted: Listener.Address, count: Int, isOurs: Bool
    ) throws(SystemError) -> ListeningGroup {
        var (address, dualStack) = socketAddress(of: wanted)
        var count = count
        if case .unix(let path) = address {
            Sockets.removeStale(path)
            count = 1
        }
        // A group shares the port, and would share it with another process of the same user too.
        if !isOurs { try Sockets.checkFree(address, dualStack: dualStack) }
        var made: [Int32] = []
        do throws(SystemError) {
            for _ in 0..<count {
                let descriptor = try Sockets.listen(address, dualStack: dualStack)
                made.append(descriptor)
                if case .ip(let ip, 0) = address {
                    address = .ip(ip, port: Sockets.localAddress(of: descriptor).port)
                }
            }
        } catch {
            made.forEach(FileDescriptors.close)
            throw error
        }
        if case .ip(_, let port) = address { return ListeningGroup(descriptors: made, port: port) }
        return ListeningGroup(descriptors: made, port: 0)
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
}
