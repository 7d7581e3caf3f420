import ChimeraBytes
import ChimeraConfiguration
import ChimeraEventLoop
import Glibc
import Testing

@testable import Chimera

@Suite(.timeLimit(.minutes(1))) struct ListenerGroupTests {
    private static let loopback = IPAddress(v4: 0x7F00_0001)

    private static func canConnect(_ port: UInt16) -> Bool {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    @Test func `a group is kept: who asks again gets the same sockets, as many as there were`() throws {
        let groups = ListenerGroups()
        let address = Listener.Address.ip(Self.loopback, port: 0)
        let first = try groups.open(address, count: 2)
        let second = try groups.open(address, count: 5)
        #expect(first.descriptors.count == 2 && second.descriptors.count == 2)
        #expect(first.port != 0 && first.port == second.port)
        #expect(Set(first.descriptors).isDisjoint(with: second.descriptors))
        (first.descriptors + second.descriptors).forEach(FileDescriptors.close)
        // Nobody accepts, and still nobody is refused.
        #expect(Self.canConnect(first.port))
        groups.close(address)
        #expect(!Self.canConnect(first.port))
        #expect(groups.addresses.isEmpty)
    }

    @Test func `a port of somebody else is refused, and one of our own is not`() throws {
        let taken = try Sockets.listen(.ip(Self.loopback, port: 0))
        defer { close(taken) }
        let port = Sockets.localAddress(of: taken).port
        let groups = ListenerGroups()
        #expect(throws: SystemError("bind", EADDRINUSE)) {
            try groups.open(.ip(Self.loopback, port: port), count: 2)
        }
        let own = try groups.open(.ip(Self.loopback, port: 0), count: 1)
        let again = try groups.open(.ip(Self.loopback, port: own.port), count: 1)
        (own.descriptors + again.descriptors).forEach(FileDescriptors.close)
    }

    @Test func `a Unix socket is one, and its file goes with it`() throws {
        let path = "/tmp/chimera-group-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        let groups = ListenerGroups()
        let group = try groups.open(.unix(path: path), count: 4)
        #expect(group.descriptors.count == 1 && group.port == 0)
        #expect(access(path, F_OK) == 0)
        group.descriptors.forEach(FileDescriptors.close)
        groups.close(.unix(path: path))
        #expect(access(path, F_OK) != 0)
    }

    @Test(arguments: [(1, 1), (2, 1), (1, 3), (3, 2), (2, 5)])
    func `each socket has a worker, and each worker a socket`(sockets: Int, workers: Int) throws {
        let groups = ListenerGroups()
        let address = Listener.Address.ip(Self.loopback, port: 0)
        try groups.open(address, count: sockets).descriptors.forEach(FileDescriptors.close)
        let position = SourcePosition(file: "x", line: 1, column: 1)
        let bound = try BoundListener(
            Listener(address: address, position: position), workers: workers, from: groups)
        #expect(Set(bound.shares.map(\.worker)) == Set(0..<workers))
        #expect(bound.shares.count == max(sockets, workers))
        #expect(Set(bound.shares.map(\.descriptor)).count == bound.shares.count)
        bound.close()
    }
}
