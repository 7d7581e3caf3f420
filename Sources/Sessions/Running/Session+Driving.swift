package import ChimeraEventLoop
internal import ChimeraHTTPCore

/// A session goes on by the news of either side instead of by a task: a task that waits twice for each message costs as much
/// as all else that a session does with one, and its frames are most of what an idle session would hold.
extension Session: ScopeObserver, TurnTarget {
    /// Where it is between its turns.
    struct Driving {
        /// Is told of the end; nil before the start and behind that.
        var whenEnded: ((SessionEnd) -> Void)?
        /// It lives until its end, as a task would: also where the worker ends first.
        var session: Session?
        var isInTurn = false
        /// Something came while a turn was under way.
        var isWoken = false
        /// It has another turn without being woken.
        var isPostponed = false
    }

    /// Serves the session until its WebSocket has ended. The program goes on by itself until it has ended too.
    ///
    /// - Parameter whenEnded: told once, with the worker's next events at the earliest.
    package func begin(whenEnded: @escaping (SessionEnd) -> Void) {
        driving.whenEnded = whenEnded
        driving.session = self
        exchange.scope.observe(self)
        program.observe(self)
        // What had come before it was listened to.
        postpone()
    }

    package func woken(_ reason: Wake) { goOn() }

    package func pipeReady() { goOn() }

    package func takeTurn() {
        driving.isPostponed = false
        goOn()
    }

    private func goOn() {
        guard driving.whenEnded != nil else { return }
        if driving.isInTurn {
            driving.isWoken = true
            return
        }
        driving.isInTurn = true
        driving.isWoken = false
        let isOver = advance()
        driving.isInTurn = false
        if isOver { return finish() }
        if hasWork || driving.isWoken { return postpone() }
        armDeadline()
    }

    private func postpone() {
        guard !driving.isPostponed else { return }
        driving.isPostponed = true
        worker.postpone(self)
    }

    private func finish() {
        exchange.scope.observe(nil)
        let told = driving.whenEnded
        driving.whenEnded = nil
        told?(leave())
        driving.session = nil
    }
}
