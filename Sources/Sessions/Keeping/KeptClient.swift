package import ChimeraBytes
package import ChimeraEventLoop
internal import ChimeraWebSocket
internal import Synchronization

/// A client's place at a program that is kept, on the client's worker. The program's news come by the worker's mail.
package final class KeptClient: SessionProgram {
    package let kept: KeptProgram
    /// Its number among the program's clients.
    package let number: Int
    private let worker: Worker
    private let isBack: Bool
    private let hasTags: Bool
    private unowned(unsafe) var observer: (any PipeObserver)?
    private var open: Set<TaggedStreams.Stream>
    private var news: Set<TaggedStreams.Stream>
    private var position: Int64
    private var unwritten: ByteBuffer?
    private var endsInput = false
    private var loss: LostOutput?
    /// As far as is known.
    package private(set) var octetsLost = 0
    private var isSeated = true

    fileprivate init(
        _ kept: KeptProgram, number: Int, position: Int64, loss: LostOutput?, isBack: Bool,
        getsErrors: Bool, on worker: Worker
    ) {
        self.kept = kept
        self.number = number
        self.position = position
        self.loss = loss
        self.isBack = isBack
        self.worker = worker
        hasTags = kept.isShared
        open = getsErrors && kept.keepsErrors && !kept.hasTerminal ? [.stdout, .stderr] : [.stdout]
        news = open
    }

    fileprivate func hasNews() {
        news = open
        observer?.pipeReady()
    }

    package var keptProgram: KeptProgram? { kept }
    package var id: String { kept.id }
    package var process: Int32 { kept.process }
    package var hasTerminal: Bool { kept.hasTerminal }
    package var startedAt: Int64? { kept.isShared ? nil : kept.startedAt }

    /// How its messages reach the program; nil for as they are.
    package var tag: ClientTag? {
        guard case .shared(let manner, _) = kept.manner else { return nil }
        return ClientTag(manner, client: number)
    }

    package var resumption: Resumption? {
        kept.token.map { Resumption(token: $0, position: position, isBack: isBack) }
    }

    /// What was lost before the client came back, known before it is told.
    package var initialLoss: LostOutput? { loss }

    package var end: ProgramEnd? {
        kept.state.withLock { $0.end != nil && position >= $0.log.end ? $0.end : nil }
    }

    package func observe(_ observer: (any PipeObserver)?) { self.observer = observer }

    // MARK: Input

    package var unwrittenCount: Int { unwritten?.count ?? 0 }

    package var mayFlush: Bool {
        guard unwritten != nil else { return false }
        return kept.state.withLock { $0.hasInputRoom || $0.isOver }
    }

    package func flush() -> Bool {
        guard let waiting = unwritten else { return false }
        guard deliver(waiting.pending) else { return false }
        unwritten = nil
        endInputIfDue()
        return true
    }

    package func write(_ bytes: ByteBuffer) {
        defer { bytes.clear() }
        guard !bytes.isEmpty, !endsInput else { return }
        if unwritten == nil && deliver(bytes.pending) { return }
        let waiting = unwritten ?? ByteBuffer(capacity: bytes.count)
        waiting.append(bytes.readable)
        unwritten = waiting
    }

    /// All of it or nothing: what another client says stands before it or behind it.
    ///
    /// - Returns: false where there is no room now; the client is told when there is.
    private func deliver(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var isDelivered = true
        kept.wake { state in
            guard state.hears(state.seats[number]) else { return [] }
            let hasRoom = state.hasInputRoom
            state.seats[number]?.waitsForRoom = !hasRoom
            guard hasRoom else {
                isDelivered = false
                return []
            }
            state.input.append(contentsOf: bytes)
            return []
        }
        return isDelivered
    }

    package func endInput() -> Bool {
        guard !kept.isShared else { return false }
        if kept.hasTerminal { write(Self.endSign) } else { endsInput = true }
        return true
    }

    package func endInputIfDue() {
        guard endsInput, unwritten == nil else { return }
        endsInput = false
        kept.wake { state in
            if state.hears(state.seats[number]) { state.endsInput = true }
            return []
        }
    }

    package func signal(_ number: Int32) -> Bool {
        guard !kept.isShared else { return false }
        kept.wake { state in
            if state.signals.count < 16 { state.signals.append(number) }
            return []
        }
        return true
    }

    package func resize(columns: Int, rows: Int) -> Bool {
        guard kept.hasTerminal else { return false }
        kept.wake { state in
            state.size = (columns, rows)
            return []
        }
        return true
    }

    // MARK: Output

    package func isOpen(_ stream: Stream) -> Bool { open.contains(stream) }

    package func isReady(_ stream: Stream) -> Bool { open.contains(stream) && news.contains(stream) }

    package func close(_ stream: Stream) { open.remove(stream) }

    package func read(_ stream: Stream, into room: UnsafeMutableRawBufferPointer) -> Transfer {
        var found = Transfer.wouldBlock
        let owner = kept.state.withLock { state -> (@Sendable () -> Void)? in
            guard state.seats[number] != nil else { return nil }
            noteLoss(state)
            skipErrors(state)
            if let piece = state.log.piece(at: position) {
                if piece.stream == stream {
                    let count = min(piece.count, room.count)
                    state.log.copy(
                        from: position, into: UnsafeMutableRawBufferPointer(rebasing: room.prefix(count)))
                    position += Int64(count)
                    found = .bytes(count)
                    news = open
                } else {
                    news.remove(stream)
                    news.insert(piece.stream)
                }
            } else {
                news.remove(stream)
                if !state.openStreams.contains(stream) { found = .end }
                state.seats[number]?.waitsForOutput = true
                state.seats[number]?.holdsSince = nil
                state.seats[number]?.isSlow = false
            }
            state.seats[number]?.position = position
            return state.ownerWaitsForRoom ? state.owner() : nil
        }
        owner?()
        return found
    }

    private func noteLoss(_ state: borrowing KeptProgram.State) {
        guard position < state.log.start else { return }
        let next = state.log.wholeCharacter(from: state.log.start)
        let known = loss.map { $0.octets.map { $0 + next - position } } ?? (next - position)
        loss = LostOutput(octets: known, position: next, isFatal: kept.isShared)
        position = next
    }

    /// What another client of the program could have had.
    private func skipErrors(_ state: borrowing KeptProgram.State) {
        guard !open.contains(.stderr) else { return }
        while let piece = state.log.piece(at: position), piece.stream == .stderr {
            position += Int64(piece.count)
        }
    }

    package func takeLoss() -> LostOutput? {
        if isSeated { kept.state.withLock { noteLoss($0) } }
        defer { loss = nil }
        octetsLost += Int(loss?.octets ?? 0)
        return loss
    }

    // MARK: Leaving

    package var dismissal: Dismissal? { kept.state.withLock { $0.seats[number]?.dismissal } }

    /// Whether the program has nobody to serve with a client that goes in this way: who says that all is done means it;
    /// a page that is left, or a connection that is lost, may come back.
    private func isFinal(_ end: SessionEnd) -> Bool {
        switch end {
        case .client(let status): status == nil || status == .normal
        case .idle, .life, .operatorAsked: true
        case .program, .failure, .lost, .unanswered, .sendTimeout, .draining, .takenOver, .tooSlow,
            .handedOver:
            false
        }
    }

    package func leave(_ end: SessionEnd, _ parts: LeavingParts) {
        guard isSeated else { return }
        isSeated = false
        observer = nil
        let last = unwritten
        unwritten = nil
        let now = worker.now
        let ends = !kept.isShared && isFinal(end)
        kept.wake { state in
            let seat = state.seats.removeValue(forKey: number)
            guard let seat else { return [] }
            // What it still said counts, as far as there is an end to it.
            if let last, state.hears(seat), state.hasLeavingRoom {
                state.input.append(contentsOf: last.pending)
            }
            if let tag { state.input += tag.closing }
            if ends && seat.dismissal != .takenOver { (state.isToEnd, state.isOver) = (true, true) }
            if state.seats.isEmpty {
                state.emptySince = now
                if state.isOver && !state.isToBeHandedOver { state.isToEnd = true }
            }
            return []
        }
    }
}

// MARK: - Taking a seat

extension KeptProgram {
    /// Why a client gets no seat.
    package enum Refusal: Error, Equatable {
        /// It has ended, or is about to.
        case over
        /// It does not read what its clients have said.
        case congested
    }

    /// Seats a client. Of a program for one the client before has to go.
    ///
    /// - Parameters:
    ///   - claim: nil for a client that is new.
    ///   - getsErrors: it can tell standard error apart.
    ///   - wholeLines: where something is missing before what is kept, it begins with a line.
    ///   - request: `NAME=VALUE`, for a program that is told of its clients.
    package func seat(
        _ claim: ResumeClaim?, getsErrors: Bool, wholeLines: Bool = false, request: [String],
        on worker: Worker
    ) throws(Refusal) -> KeptClient {
        var result: Result<KeptClient, Refusal> = .failure(.over)
        let letterbox = Letterbox()
        let address = Confined(letterbox, to: worker)
        wake { state in
            guard !state.isOver else { return [] }
            if isShared && state.input.count >= Self.inputMax {
                result = .failure(.congested)
                return []
            }
            state.seatsGiven += 1
            let number = state.seatsGiven
            let (position, loss) = begin(claim, wholeLines, state)
            let client = KeptClient(
                self, number: number, position: position, loss: loss, isBack: claim != nil,
                getsErrors: getsErrors, on: worker)
            let news = isShared ? [] : state.dismissAll(.takenOver)
            letterbox.client = client
            state.seats[number] = Seat(position: position, news: { address.mail { $0.client?.hasNews() } })
            state.emptySince = nil
            if let tag = client.tag { state.input += tag.opening(request) }
            result = .success(client)
            return news
        }
        return try result.get()
    }

    /// Where a client begins to read, and what it has lost.
    private func begin(
        _ claim: ResumeClaim?, _ wholeLines: Bool, _ state: borrowing State
    ) -> (Int64, LostOutput?) {
        guard let claim else { return (isShared ? state.log.end : state.log.start, nil) }
        let first =
            wholeLines && state.log.start > 0
            ? state.log.line(behind: state.log.start) : state.log.wholeCharacter(from: state.log.start)
        guard let position = claim.position else {
            // All that is kept; that something was before it is told as well.
            return (first, first > 0 ? lost(state.forgottenBefore > 0 ? nil : first, first) : nil)
        }
        if position >= state.log.start && position <= state.log.end { return (position, nil) }
        let isForgotten = position < state.forgottenBefore || position > state.log.end
        return (first, lost(isForgotten ? nil : first - position, first))
    }

    private func lost(_ octets: Int64?, _ position: Int64) -> LostOutput {
        LostOutput(octets: octets, position: position)
    }
}

/// Where news go to: a client that has left gets none, though the program knows of its seat for a moment longer.
private final class Letterbox {
    weak var client: KeptClient?
}
