import ChimeraAdministration
import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Synchronization
import Testing

@testable import ChimeraServer

/// The supervisor's desk, without its loop.
@Suite(.timeLimit(.minutes(1))) struct AdminDeskTests {
    private let folder: Folder
    private let desk = AdminDesk()

    init() throws {
        folder = try Folder()
        try desk.listen(at: [folder("s")], makesFolder: false)
    }

    private func connect(_ text: String = "") throws -> Int32 {
        let (connection, _) = try Sockets.connect(.unix(path: folder("s")))
        if !text.isEmpty { send(connection, text, text.utf8.count, Int32(MSG_NOSIGNAL)) }
        return connection
    }

    private func isClosed(_ connection: Int32) -> Bool {
        var room = [UInt8](repeating: 0, count: 256)
        while case let count = read(connection, &room, room.count), count >= 0 {
            if count == 0 { return true }
        }
        return false
    }

    private func answered(_ visits: [AdminDesk.Visit]) -> [String] {
        for visit in visits { close(visit.connection) }
        return visits.map { String(decoding: $0.line, as: UTF8.self) }
    }

    @Test(arguments: [1, AdminDesk.visitorsMax, 64])
    func `however many say nothing, a request is answered at once`(silent: Int) throws {
        var others: [Int32] = []
        // The kernel's queue holds 64.
        for _ in 0..<(silent - 1) { others.append(try connect()) }
        #expect(desk.visits(now: 0).isEmpty)
        others.append(try connect())
        let asking = try connect("status\n")
        #expect(answered(desk.visits(now: 0)) == ["status"])
        close(asking)
        // Who waited for longest gave way, and no more than had to.
        let closed = others.map(isClosed)
        let given = max(0, silent + 1 - AdminDesk.visitorsMax)
        #expect(closed == others.indices.map { $0 < given })
        #expect(desk.descriptors.count <= 1 + AdminDesk.visitorsMax)
        others.forEach { close($0) }
    }

    @Test func `who has begun to speak stays before who says nothing`() throws {
        let speaking = try connect("sta")
        #expect(desk.visits(now: 0).isEmpty)
        let others = try (0..<AdminDesk.visitorsMax).map { _ in try connect() }
        #expect(desk.visits(now: 0).isEmpty)
        send(speaking, "tus\n", 4, Int32(MSG_NOSIGNAL))
        #expect(answered(desk.visits(now: 0)) == ["status"])
        #expect(others.filter(isClosed).count == 1)
        for connection in others + [speaking] { close(connection) }
    }

    @Test(arguments: [EMFILE, ENFILE, ENOMEM, ENOBUFS])
    func `where there is no room for a connection, nobody is let in for a while`(number: Int32) throws {
        let tries = Mutex(0)
        let desk = AdminDesk(admit: { _ in
            tries.withLock { $0 += 1 }
            errno = number
            return -1
        })
        try desk.listen(at: [folder("full")], makesFolder: false)
        #expect(desk.descriptors.count == 1)
        #expect(desk.visits(now: 5).isEmpty)
        #expect(desk.descriptors.isEmpty)
        let again = 5 + AdminDesk.closedMilliseconds
        #expect(desk.deadline == again)
        #expect(desk.visits(now: again - 1).isEmpty)
        #expect(tries.withLock { $0 } == 1)
        #expect(desk.visits(now: again).isEmpty)
        #expect(tries.withLock { $0 } == 2)
    }

    @Test func `a listener on which nobody waits stays open`() {
        #expect(desk.visits(now: 5).isEmpty)
        #expect(desk.descriptors.count == 1)
        #expect(desk.deadline == .max)
    }

    @Test func `an answer waits for no reader`() throws {
        var pair: (Int32, Int32) = (-1, -1)
        let made = withUnsafeMutableBytes(of: &pair) { bytes in
            socketpair(
                AF_UNIX, Int32(SOCK_STREAM.rawValue), 0,
                bytes.baseAddress?.assumingMemoryBound(to: Int32.self))
        }
        try #require(made == 0)
        // Its reader stands still.
        let room = [UInt8](repeating: 0, count: 1 << 16)
        while send(pair.1, room, room.count, Int32(MSG_DONTWAIT)) > 0 {}
        AdminDesk.answer(pair.1, .of(["text": .string(String(repeating: "x", count: 1 << 20))]))
        // It was closed, and what was sent before is there.
        #expect(isClosed(pair.0))
        close(pair.0)
    }

    @Test func `who takes too long is told`() throws {
        let silent = try connect()
        #expect(desk.visits(now: 0).isEmpty)
        #expect(desk.deadline == AdminDesk.patience)
        #expect(desk.visits(now: AdminDesk.patience).isEmpty)
        #expect(isClosed(silent))
        close(silent)
    }
}
