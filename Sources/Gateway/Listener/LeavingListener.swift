internal import ChimeraEventLoop

/// A listener that is closed, as long as connections which it accepted are open: they go on to be told apart by its name.
struct RetiredListener {
    weak var facts: ListenerFacts?
}

/// A listening socket that is given up.
final class LeavingListener: TimerTarget {
    let socket: ListeningSocket
    private(set) lazy var timer = Timer(target: self)
    private let left: (LeavingListener) -> Void
    /// How often its end was put off since accepting pauses.
    var pauses = 0

    static let pausesMax = 20

    init(_ socket: ListeningSocket, left: @escaping (LeavingListener) -> Void) {
        self.socket = socket
        self.left = left
        socket.refuseHandshakes()
    }

    func deadlineReached(now: Int64) { leave() }

    func leave() { left(self) }

    /// Leaves, without waiting for room.
    func leaveNow() {
        pauses = Self.pausesMax
        leave()
    }
}

/// Goes on with accepting after a pause.
final class ResumeTimer: TimerTarget {
    private let resume: () -> Void
    private(set) lazy var timer = Timer(target: self)

    init(_ resume: @escaping () -> Void) {
        self.resume = resume
    }

    func deadlineReached(now: Int64) { resume() }
}
