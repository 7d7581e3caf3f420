import Chimera
import ChimeraBytes
import ChimeraConfiguration
import ChimeraEventLoop
import Glibc
import Testing

@testable import ChimeraServer

/// A data plane's end of the line, with a supervisor that answers as a test wants.
@Suite(.timeLimit(.minutes(1))) struct SupervisorLineTests {
    private static let address = Listener.Address.unix(path: "/x")
    private let supervisor: PacketSocket
    private let line: SupervisorLine
    private let orders = BlockingQueue<DataPlaneOrder>()

    init() throws {
        let (ours, theirs) = try PacketSocket.pair()
        supervisor = ours
        line = SupervisorLine(theirs, orders: orders, patience: 100)
        let hasStarted = line.start()
        try #require(hasStarted)
    }

    /// Asks on a thread of its own, as the thread of reloads does.
    private func ask() -> Asked {
        Self.ask(line)
    }

    private static func ask(_ line: SupervisorLine) -> Asked {
        let asked = Asked()
        let hasStarted = Thread.start(name: "test-ask") {
            do throws(SystemError) {
                asked.group = try line.open(Self.address, count: 2)
            } catch {
                asked.error = error
            }
            asked.done.open()
        }
        #expect(hasStarted)
        return asked
    }

    private func next() -> ControlMessage? {
        guard case .packet(let packet) = supervisor.receive(wait: true) else { return nil }
        return ControlMessage(packet.bytes)
    }

    private func tell(_ message: ControlMessage, _ descriptors: [Int32] = []) throws {
        #expect(try supervisor.send(.init(message.encoded, descriptors: descriptors), wait: true))
    }

    @Test func `sockets come, in several packets too`() throws {
        let asked = ask()
        let request = try #require(next()?.number(.request))
        for more: Int64 in [1, 0] {
            try tell(
                ControlMessage(.sockets).with(.request, request).with(.count, 80).with(.more, more), [0])
        }
        #expect(asked.done.wait(milliseconds: 30_000))
        let group = try #require(asked.group)
        #expect(group.descriptors.count == 2 && group.port == 80)
        group.descriptors.forEach(FileDescriptors.close)
    }

    @Test func `a supervisor that does not answer is waited for no longer than it may be`() throws {
        let asked = ask()
        #expect(next()?.kind == .listen)
        #expect(asked.done.wait(milliseconds: 30_000))
        #expect(asked.error?.number == ETIMEDOUT)
        #expect(asked.error?.description.contains("the supervisor does not answer") == true)
        // It is not to keep what nobody accepts from.
        let given = next()
        #expect(given?.kind == .unlisten && given?.text(.address) == Self.address.text)
    }

    @Test func `what comes too late is closed, and the next question has its own answer`() throws {
        let late = ask()
        let first = try #require(next()?.number(.request))
        #expect(late.done.wait(milliseconds: 30_000))
        #expect(next()?.kind == .unlisten)
        var pipe: (Int32, Int32) = (-1, -1)
        withUnsafeMutableBytes(of: &pipe) {
            _ = Glibc.pipe($0.baseAddress?.assumingMemoryBound(to: Int32.self))
        }
        try tell(ControlMessage(.sockets).with(.request, first).with(.more, 0), [pipe.1])
        close(pipe.1)
        // Its end is seen when the last descriptor of the other side is closed.
        var byte: UInt8 = 0
        #expect(read(pipe.0, &byte, 1) == 0)
        close(pipe.0)
        let asked = ask()
        let second = try #require(next()?.number(.request))
        #expect(second != first)
        try tell(.refusal(second, SystemError("bind", EADDRINUSE)))
        #expect(asked.done.wait(milliseconds: 30_000))
        #expect(asked.error == SystemError("bind", EADDRINUSE))
    }

    @Test func `a supervisor that goes while somebody waits is noticed, on the line's own thread too`() throws
    {
        var pair: (PacketSocket, PacketSocket)? = try PacketSocket.pair()
        let socket = try #require(pair?.1)
        let orders = BlockingQueue<DataPlaneOrder>()
        let line = SupervisorLine(socket, orders: orders, patience: 30_000)
        let over = Latch()
        let hasStarted = line.start(whenOver: { over.open() })
        #expect(hasStarted)
        let asked = Self.ask(line)
        pair = nil
        #expect(asked.done.wait(milliseconds: 30_000))
        #expect(asked.error?.number == EPIPE)
        guard case .orphaned = orders.take() else {
            Issue.record("the data plane is not told")
            return
        }
        #expect(over.wait(milliseconds: 30_000))
        #expect(throws: SystemError("listen", EPIPE)) { try line.open(Self.address, count: 1) }
    }
}

/// What a question came to.
///
/// Sound: written before `done` opens, and read after that; a latch that opens orders the two.
private final class Asked: @unchecked Sendable {
    let done = Latch()
    var group: ListeningGroup?
    var error: SystemError?
}
