import ChimeraEventLoop
import ChimeraHTTPCore
import Glibc

/// An exchange whose client takes as much as the test says.
final class TestExchange: Exchange {
    let worker: Worker
    let scope = Scope()
    let request: RequestHead
    let response = ResponseHead()
    var hasSentHead = false
    var requestTrailers: FieldBlock?
    var isFinished = false
    var abortReason: CloseReason?
    /// What reached the client.
    var body: [UInt8] = []
    /// What waits for the client.
    var queue: [UInt8] = []
    /// How many bytes the client takes before it has to be waited for.
    var room = Int.max
    /// How much room a wait brings; 0 for none, ever.
    var roomAfterWait = 0
    /// Called in place of a wait that brings room.
    var onBlocked: ((TestExchange) -> Void)?
    var deadlines: [Int64?] = []
    var fileCalls: [Int] = []

    init(_ worker: Worker, _ request: RequestHead) {
        self.worker = worker
        self.request = request
    }

    var bodyHasEnded: Bool { true }
    var lost: CloseReason? { abortReason }
    var clientHasEnded: Bool { false }
    var isBlocked: Bool { !queue.isEmpty }

    func readBody(into sink: (Span<UInt8>) -> Void) -> BodyProgress { .ended }
    func continueBody() {}
    func sendInformational(status: Int, _ fields: FieldBlock) {}
    func acceptUpgrade(_ token: Span<UInt8>) {}
    func finishTunnel() {}

    func sendHead() {
        precondition(!hasSentHead)
        hasSentHead = true
    }

    func send(_ bytes: Span<UInt8>) {
        precondition(hasSentHead && !isFinished)
        bytes.withUnsafeBufferPointer { queue.append(contentsOf: $0) }
        flush()
    }

    func sendFile(_ file: FileHandle, offset: Int64, count: Int) -> Int? {
        precondition(hasSentHead && !isFinished)
        guard flush() else { return 0 }
        let wanted = min(count, room)
        if wanted == 0 {
            blocked()
            return 0
        }
        var bytes = [UInt8](repeating: 0, count: wanted)
        let got = pread(file.descriptor, &bytes, wanted, off_t(offset))
        if got <= 0 { return nil }
        fileCalls.append(got)
        body += bytes.prefix(got)
        room -= got
        return got
    }

    @discardableResult
    func flush() -> Bool {
        let taken = min(queue.count, room)
        body += queue.prefix(taken)
        queue.removeFirst(taken)
        room -= taken
        if !queue.isEmpty { blocked() }
        return queue.isEmpty
    }

    private func blocked() {
        if let onBlocked { return onBlocked(self) }
        guard roomAfterWait > 0 else { return }
        room = roomAfterWait
        scope.wake(.io)
    }

    func finish(trailers: FieldBlock?) {
        precondition(!isFinished)
        isFinished = true
    }

    func abort(_ reason: CloseReason) { abortReason = reason }

    func setDeadline(after milliseconds: Int64?) { deadlines.append(milliseconds) }
}
