internal import CLinux
internal import ChimeraAdministration
internal import ChimeraEventLoop
internal import Glibc

/// Takes operators' requests at the administration's socket, for the supervisor's loop: nothing here blocks.
final class AdminDesk {
    /// A request, and the connection on which it is answered, which is the taker's to close.
    struct Visit {
        let connection: Int32
        let line: [UInt8]
    }

    private struct Visitor {
        let connection: Int32
        var line: [UInt8] = []
        let deadline: Int64
    }

    private(set) var path: String?
    private var listener: Int32 = -1
    private var visitors: [Visitor] = []
    /// Lets the next one in: a connection, or less than 0 with `errno`.
    private let admit: (Int32) -> Int32
    /// When the next one is let in, where the system had no room for one; nil: at once.
    private var opensAgainAt: Int64?

    /// Visitors at a time, and how long one may take to say what it wants, in milliseconds. One more takes the place of
    /// whom says nothing for longest, so that nobody is kept out.
    static let visitorsMax = 32
    static let patience: Int64 = 5_000
    /// How often it looks for more of them at a time, as they come.
    private static let roundsMax = 4
    /// How long it lets nobody in where the system has no room, in milliseconds: who waits there would keep the loop
    /// awake.
    static let closedMilliseconds: Int64 = 1_000

    init(admit: @escaping (Int32) -> Int32 = AdminDesk.accept) { self.admit = admit }

    deinit { close() }

    /// Listens at the first of these places that can be had; where it does so already, nothing happens.
    ///
    /// - Throws: why the last one cannot be had.
    func listen(at places: [String], makesFolder: Bool) throws(SystemError) {
        if let path, places.contains(path) { return }
        var failure = SystemError("listen", ENOENT)
        for place in places {
            do throws(SystemError) {
                let descriptor = try AdminSocket.listen(place, makesFolder: makesFolder)
                close()
                (path, listener) = (place, descriptor)
                return
            } catch {
                failure = error
            }
        }
        throw failure
    }

    /// Listens no more, and removes the socket.
    func close() {
        for visitor in visitors { FileDescriptors.close(visitor.connection) }
        visitors = []
        guard let path else { return }
        FileDescriptors.close(listener)
        unlink(path)
        self.path = nil
        listener = -1
    }

    /// What the loop waits for.
    var descriptors: [Int32] {
        guard listener >= 0 else { return [] }
        return (opensAgainAt == nil ? [listener] : []) + visitors.map(\.connection)
    }

    /// When the next visitor has taken too long, or the next is let in again, in milliseconds; `Int64.max` for never.
    var deadline: Int64 { min(visitors.map(\.deadline).min() ?? .max, opensAgainAt ?? .max) }

    /// Takes what is there, and the requests that are whole.
    func visits(now: Int64) -> [Visit] {
        var visits: [Visit] = []
        if let time = opensAgainAt, time <= now { opensAgainAt = nil }
        // Whose request is there leaves room for the next.
        for _ in 0..<Self.roundsMax {
            visits += takeRequests(now)
            guard letIn(now) else { break }
        }
        return visits
    }

    private func takeRequests(_ now: Int64) -> [Visit] {
        var visits: [Visit] = []
        visitors = visitors.filter {
            $0.deadline > now || Self.refuse($0.connection, "the request took too long")
        }
        visitors = visitors.compactMap { visitor in
            var visitor = visitor
            switch Self.read(visitor.connection, &visitor.line) {
            case .line:
                visits.append(Visit(connection: visitor.connection, line: visitor.line))
                return nil
            case .open: return visitor
            case .over:
                FileDescriptors.close(visitor.connection)
                return nil
            }
        }
        return visits
    }

    /// Lets in who waits, as many as may be here at a time.
    ///
    /// - Returns: whether somebody came in.
    private func letIn(_ now: Int64) -> Bool {
        var hasCome = false
        for _ in 0..<Self.visitorsMax {
            guard listener >= 0, opensAgainAt == nil else { return hasCome }
            let connection = admit(listener)
            guard connection >= 0 else {
                if [EMFILE, ENFILE, ENOMEM, ENOBUFS].contains(errno) {
                    opensAgainAt = now + Self.closedMilliseconds
                }
                return hasCome
            }
            if visitors.count == Self.visitorsMax { makeRoom() }
            visitors.append(Visitor(connection: connection, deadline: now + Self.patience))
            hasCome = true
        }
        return hasCome
    }

    private static func accept(_ listener: Int32) -> Int32 {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return chimera_accept(listener, &address, &length)
    }

    /// They stand in the order in which they came.
    private func makeRoom() {
        let index = visitors.firstIndex { $0.line.isEmpty } ?? visitors.startIndex
        _ = Self.refuse(
            visitors.remove(at: index).connection, "others have come, and the request was not there yet")
    }

    private enum Reading { case line, open, over }

    private static func read(_ connection: Int32, _ line: inout [UInt8]) -> Reading {
        var room = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Glibc.read(connection, &room, room.count)
            if count < 0 { return errno == EAGAIN || errno == EINTR ? .open : .over }
            if count == 0 { return .over }
            line += room[..<count]
            if let end = line.firstIndex(of: UInt8(ascii: "\n")) {
                line.removeSubrange(end...)
                return .line
            }
            // What is too long is read as a line, so that it is answered.
            if line.count > AdminRequest.bytesMax { return .line }
        }
    }

    /// - Returns: false, for a visitor that is gone.
    private static func refuse(_ connection: Int32, _ reason: String) -> Bool {
        answer(connection, AdminRequest.failed(reason))
        return false
    }

    /// Answers with one line and closes the connection.
    static func answer(_ connection: Int32, _ line: JSON) {
        write(line, to: connection)
        FileDescriptors.close(connection)
    }

    /// Writes a line without waiting; a client that does not read loses what has no room.
    static func write(_ line: JSON, to connection: Int32) {
        let bytes = Array((line.text + "\n").utf8)
        _ = send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }
}
