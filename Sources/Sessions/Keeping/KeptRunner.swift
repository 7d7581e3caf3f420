internal import ChimeraBytes
internal import ChimeraEventLoop
internal import Synchronization

/// The owner of a program that is kept: it moves octets between the pipes and the `KeptProgram`, on one worker and in
/// one task, until the program has ended or another process has it. Others wake it by the worker's mail.
package final class KeptRunner {
    /// How it has ended.
    package enum Outcome: Sendable {
        case ended(ProgramEnd)
        /// It was told to end, since nobody was there any more.
        case left
        /// Another process takes it over, with what was kept of its output and what it has not read.
        case handedOver(KeptRemains)
    }

    private let kept: KeptProgram
    private let program: ProgramConnection
    private let parts: LeavingParts
    private let scope = Scope()
    private let waker: ScopeWaker
    private let timer: ScopeTimer
    /// Standard error is the log's.
    private var logsErrors: Bool { !kept.keepsErrors }

    private var worker: Worker { parts.worker }

    /// Turns without a pause, before others of the worker have theirs.
    private static let turnsMax = 4

    package init(_ kept: KeptProgram, _ program: ProgramConnection, _ parts: LeavingParts) {
        self.kept = kept
        self.program = program
        self.parts = parts
        waker = ScopeWaker(scope)
        timer = ScopeTimer(scope)
    }

    /// Starts it, on the worker's thread.
    ///
    /// - Parameters:
    ///   - inputEnds: told when the program's input is about to be closed, while the program may go on.
    ///   - done: told behind all.
    package func start(inputEnds: @escaping () -> Void, done: @escaping (Outcome) -> Void) {
        let (worker, own) = (worker, Confined(scope, to: worker))
        kept.state.withLock { state in
            state.wakeOwner = { own.mail { $0.wake(.io) } }
            state.ownerIsAwake = true
        }
        program.launch.tell(scope)
        program.observe(waker)
        worker.start { [self] in
            let outcome = await run(inputEnds)
            worker.cancel(timer.timer)
            done(outcome)
        }
        scope.wake(.io)
    }

    private func run(_ inputEnds: () -> Void) async -> Outcome {
        while true {
            for _ in 0..<Self.turnsMax {
                if let outcome = turn(inputEnds) { return outcome }
                if !hasWork { break }
            }
            if hasWork {
                await worker.yield()
            } else {
                worker.set(timer.timer, to: deadline)
                _ = await scope.wait()
            }
        }
    }

    /// What clients want of the program.
    private struct Wishes {
        var input: [UInt8] = []
        var endsInput = false
        var signals: [Int32] = []
        var size: (columns: Int, rows: Int)?
        var isToEnd = false
        var isToBeHandedOver = false
        /// Clients have something to say that is not here yet.
        var hasWaiting = false
        var room = 0
        /// Nobody is there for whom the program writes.
        var isUnattended = false
    }

    private func turn(_ inputEnds: () -> Void) -> Outcome? {
        program.flush()
        let wishes = takeWishes()
        for number in wishes.signals { _ = program.signal(number) }
        if let size = wishes.size { _ = program.resize(columns: size.columns, rows: size.rows) }
        write(wishes)
        endInputIfDue(inputEnds)
        if wishes.isToEnd { return leave() }
        if wishes.isToBeHandedOver, mayHandOver(wishes) { return handOver() }
        isPaused = wishes.isUnattended && isAtBound
        read(room: isPaused ? 0 : wishes.room)
        guard let end = program.end, program.outputHasEnded else { return nil }
        conclude(end)
        return .ended(end)
    }

    private func takeWishes() -> Wishes {
        let takesInput = !program.hasUnwritten
        let now = worker.now
        let (limit, lifeEnds) = (kept.milliseconds, kept.lifeEnds)
        let (wishes, news) = kept.state.withLock { state in
            var wishes = Wishes()
            if takesInput {
                swap(&wishes.input, &state.input)
                wishes.endsInput = state.endsInput
            }
            (wishes.signals, state.signals) = (state.signals, [])
            (wishes.size, state.size) = (state.size, nil)
            wishes.isToBeHandedOver = state.isToBeHandedOver
            wishes.hasWaiting = state.seats.values.contains { $0.waitsForRoom }
            if let since = state.emptySince, (limit != .max && now - since >= limit) || now >= lifeEnds {
                state.isToEnd = true
            }
            if state.isToEnd { state.isOver = true }
            wishes.isToEnd = state.isToEnd
            if kept.isShared { state.giveUpOnSlow(now: now) }
            wishes.room = state.room
            wishes.isUnattended = state.pace == nil
            state.ownerWaitsForRoom = wishes.room == 0
            state.ownerIsAwake = false
            guard !wishes.input.isEmpty else { return (wishes, [@Sendable () -> Void]()) }
            state.octetsIn += wishes.input.count
            let waiting = state.seats.filter { $0.value.waitsForRoom }
            // Who is to hand its input over as well says itself that it has.
            if !wishes.isToBeHandedOver {
                for number in waiting.keys { state.seats[number]?.waitsForRoom = false }
            }
            return (wishes, waiting.values.map(\.news))
        }
        for tell in news { tell() }
        return wishes
    }

    // MARK: Input

    private func write(_ wishes: Wishes) {
        if !wishes.input.isEmpty {
            let bytes = ByteBuffer(capacity: wishes.input.count)
            bytes.append(wishes.input.span)
            program.write(bytes)
        }
        if wishes.endsInput { endsInput = true }
    }

    /// Once all of it is written: what is not goes to the next process, where there is one.
    private func endInputIfDue(_ inputEnds: () -> Void) {
        guard endsInput, !inputHasEnded, !program.hasUnwritten, program.input.isOpen else { return }
        inputHasEnded = true
        inputEnds()
        _ = program.endInput()
        program.endInputIfDue()
    }

    private var endsInput = false
    private var inputHasEnded = false

    // MARK: Output

    private func read(room: Int) {
        if logsErrors, parts.scratch.passErrors(of: program, to: parts.errors) { hasMore = true }
        readOutput(.stdout, room)
        if !logsErrors { readOutput(.stderr, isPaused ? 0 : kept.state.withLock { $0.room }) }
    }

    private func readOutput(_ stream: TaggedStreams.Stream, _ room: Int) {
        switch parts.scratch.read(stream, of: program, atMost: room) {
        case .nothing: break
        case .octets(let mayHaveMore):
            keep(stream, parts.scratch.program.pending)
            parts.scratch.program.clear()
            if mayHaveMore { hasMore = true }
        case .ended: tellClients { $0.openStreams.remove(stream) }
        }
    }

    /// A program that has ended may have left more to read.
    private var hasMore = false

    // What nobody gets is read no faster than this, so that a program that writes all the time does not keep its worker
    // busy for nobody.
    private static let unattendedOctets = 256 * 1024
    private static let unattendedMilliseconds: Int64 = 10
    private var windowBegins: Int64 = 0
    private var windowOctets = 0
    private var isPaused = false

    /// As much as may be was read in this moment.
    private var isAtBound: Bool {
        if worker.now >= windowBegins + Self.unattendedMilliseconds {
            (windowBegins, windowOctets) = (worker.now, 0)
        }
        return windowOctets >= Self.unattendedOctets
    }

    private func keep(_ stream: TaggedStreams.Stream, _ bytes: UnsafeRawBufferPointer) {
        windowOctets += bytes.count
        tellClients { state in
            state.log.append(stream, bytes)
            state.octetsOut += bytes.count
        }
    }

    private func conclude(_ end: ProgramEnd) {
        parts.errors.end()
        tellClients { state in
            state.openStreams = []
            state.end = end
            state.isOver = true
        }
        program.leave(
            on: worker, scratch: parts.scratch, ending: parts.ending, errors: parts.errors)
    }

    private func tellClients(_ change: (inout KeptProgram.State) -> Void) {
        let news = kept.state.withLock { state in
            change(&state)
            let waiting = state.seats.filter { $0.value.waitsForOutput }
            for number in waiting.keys { state.seats[number]?.waitsForOutput = false }
            return waiting.values.map(\.news)
        }
        for tell in news { tell() }
    }

    // MARK: Waiting

    private var hasWork: Bool {
        if hasMore {
            hasMore = false
            return true
        }
        if program.mayFlush { return true }
        if logsErrors && program.isReady(.stderr) { return true }
        if isPaused { return false }
        let isBlocked = kept.state.withLock { state in
            state.ownerWaitsForRoom = state.room == 0
            return state.ownerWaitsForRoom
        }
        guard !isBlocked else { return false }
        return program.isReady(.stdout) || (!logsErrors && program.isReady(.stderr))
    }

    private var deadline: Int64 {
        let (limit, lifeEnds) = (kept.milliseconds, kept.lifeEnds)
        let isShared = kept.isShared
        let pause = isPaused ? windowBegins + Self.unattendedMilliseconds : .max
        return min(
            pause, handOverAt ?? .max,
            kept.state.withLock { state in
                let patience = isShared && state.ownerWaitsForRoom ? state.patienceEnds : .max
                guard let since = state.emptySince else { return patience }
                return min(patience, lifeEnds, limit == .max ? .max : since + limit)
            })
    }

    // MARK: Ending

    /// Nobody is there any more: the rest of the input, the end of it, and the usual steps.
    private func leave() -> Outcome {
        let rest = ByteBuffer(capacity: 1024)
        tellClients { state in
            rest.append(state.input.span)
            state.input = []
            state.openStreams = []
            state.end = state.end ?? .unknown
        }
        program.write(rest)
        program.leave(
            on: worker, scratch: parts.scratch, ending: parts.ending, errors: parts.errors)
        return .left
    }

    /// When nobody is waited for any more who has something to say.
    private var handOverAt: Int64?
    private static let handOverMilliseconds: Int64 = 500

    /// Clients for whose input there was no room bring it now, and have been told so.
    private func mayHandOver(_ wishes: Wishes) -> Bool {
        guard wishes.hasWaiting else { return true }
        let limit = handOverAt ?? worker.now + Self.handOverMilliseconds
        handOverAt = limit
        return worker.now >= limit
    }

    private func handOver() -> Outcome {
        let unwritten = program.unwritten.map { Array(copying: $0.readable) } ?? []
        let inputHasEnded = inputHasEnded
        let remains = kept.state.withLock { state in
            state.isHandedOver = true
            var remains = KeptRemains(state.log)
            remains.input = unwritten + state.input
            remains.endsInput = state.endsInput && !inputHasEnded
            return remains
        }
        parts.errors.end()
        program.handOver()
        return .handedOver(remains)
    }
}
