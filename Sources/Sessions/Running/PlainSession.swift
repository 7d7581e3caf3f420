internal import ChimeraBytes
internal import ChimeraEventLoop
package import ChimeraHTTPCore
internal import ChimeraWebSocket

/// How a client gets what a program writes, where no WebSocket is between them.
package enum PlainForm: Sendable {
    /// A connection that speaks nothing else: octets both ways, and each way has an end of its own.
    case stream
    /// The body of an answer, as it comes; trailers tell the program's end.
    case body
    /// Server-sent events.
    case events
}

/// One client joined to one program without a WebSocket: what it sends is standard input, and what the program writes is
/// sent as it comes.
///
/// ```
///   client ─── readBody ───▶ [ unwritten ] ───▶ program's standard input; the body's end is its end
///   client ◀──── send ────── as `form` says ◀── program's standard output, and error where that is wanted
/// ```
/// A client that does not take what it gets has its program wait, and a program that does not read has its client wait.
package final class PlainSession: PipeObserver, LiveSession {
    private let exchange: any Exchange
    private let worker: Worker
    package let program: any SessionProgram
    private let options: SessionOptions
    private let form: PlainForm
    private let scratch: SessionScratch
    private let errors: ProgramErrors
    /// The client gets standard error as well.
    private let mixesErrors: Bool
    /// Nil where no page can reach the program, or once the client has shown what it speaks.
    @exclusivity(unchecked) private var pageGuard: PageGuard?
    /// Of a program that has several clients, which is told whose line it reads; nil for one that has this one alone.
    @exclusivity(unchecked) private var lines: PlainLines?
    @exclusivity(unchecked) private var events = EventStream()
    @exclusivity(unchecked) private var errorEvents = EventStream(named: "stderr")
    /// Why it ends, once it does.
    @exclusivity(unchecked) private var end: SessionEnd?
    @exclusivity(unchecked) private var inputHasEnded = false
    @exclusivity(unchecked) private var hasEndedSending = false
    @exclusivity(unchecked) private var mayReadMore = false
    @exclusivity(unchecked) private var operatorWants = false

    // Times in milliseconds of the worker's clock.
    package let startedAt: Int64
    @exclusivity(unchecked) private var movedAt: Int64
    @exclusivity(unchecked) private var sentAt: Int64
    @exclusivity(unchecked) private var sendProgressAt: Int64
    @exclusivity(unchecked) private var inputProgressAt: Int64

    @exclusivity(unchecked) package private(set) var octetsIn = 0
    @exclusivity(unchecked) package private(set) var octetsOut = 0

    /// The trailer that tells a program's exit status, and the one that tells the number of its signal.
    package static let statusTrailer: StaticString = "exit-status"
    package static let signalTrailer: StaticString = "exit-signal"

    /// Joins a client whose answer has begun, or whose connection is a tunnel already, to its program.
    ///
    /// - Parameters:
    ///   - tag: how the program is told whose lines it reads; nil where it has one client.
    ///   - isGuarded: a request of HTTP is refused.
    package init(
        _ exchange: any Exchange, _ program: any SessionProgram, _ options: SessionOptions, _ form: PlainForm,
        scratch: SessionScratch, errors: ProgramErrors, tag: ClientTag? = nil, isGuarded: Bool = false
    ) {
        self.exchange = exchange
        worker = exchange.worker
        self.program = program
        self.options = options
        self.form = form
        self.scratch = scratch
        self.errors = errors
        mixesErrors = options.errorOutput == .inline
        lines = tag.map { PlainLines($0, octetsMax: options.messageBytesMax) }
        pageGuard = isGuarded ? PageGuard() : nil
        let now = exchange.worker.now
        startedAt = program.startedAt ?? now
        (movedAt, sentAt, sendProgressAt, inputProgressAt) = (now, now, now, now)
    }

    package func pipeReady() { exchange.scope.wake(.io) }

    package func endByOperator() {
        operatorWants = true
        exchange.scope.wake(.io)
    }

    // MARK: The whole way

    /// Serves the client until the program has ended and all is sent, or the client is gone. The program goes on by itself
    /// until it has ended too.
    package func run() async -> SessionEnd {
        program.observe(self)
        while true {
            if let end = advance() {
                conclude(end)
                program.leave(end, LeavingParts(worker, scratch, options.ending, errors))
                return end
            }
            if hasWork {
                await worker.yield()
            } else {
                armDeadline()
                _ = await exchange.scope.wait()
            }
        }
    }

    /// Does what can be done now, but not more than a few windows: then the others of the worker have a turn.
    private func advance() -> SessionEnd? {
        for _ in 0..<4 {
            turn()
            if end != nil || !hasWork { return end }
        }
        return end
    }

    private func turn() {
        mayReadMore = false
        if exchange.isBlocked, exchange.flush() { sendProgressAt = worker.now }
        if program.flush() { inputProgressAt = worker.now }
        if let lost = exchange.lost { return give(up: lost == .draining ? .draining : .lost) }
        if operatorWants { return give(up: .operatorAsked) }
        if let dismissal = program.dismissal { return give(up: SessionEnd(dismissal)) }
        if !mixesErrors, scratch.passErrors(of: program, to: errors) { mayReadMore = true }
        readOutput()
        if end == nil { readClient() }
        if !program.hasUnwritten { inputProgressAt = worker.now }
        if end == nil { checkTimes() }
        exchange.flush()
        endSending()
    }

    private func give(up why: SessionEnd) { if end == nil { end = why } }

    /// Whether a turn now would do something.
    private var hasWork: Bool {
        if mayReadMore { return true }
        if program.mayFlush { return true }
        if !mixesErrors && program.isReady(.stderr) { return true }
        guard !exchange.isBlocked else { return false }
        return program.isReady(.stdout) || program.isReady(.stderr)
    }

    // MARK: From the client

    private func readClient() {
        guard !program.hasUnwritten else { return }
        if inputHasEnded { return lookWhetherClientIsThere() }
        let room = scratch.forProgram
        room.clear()
        let progress = exchange.readBody { room.append($0) }
        octetsIn += room.count
        if !room.isEmpty { movedAt = worker.now }
        if !passes(room, isLast: progress == .ended) { return give(up: .lost) }
        if lines != nil, lines?.take(room, isLast: progress == .ended) == false { return give(up: .lost) }
        program.write(room)
        switch progress {
        case .progressed: mayReadMore = true
        case .pending: break
        case .ended:
            inputHasEnded = true
            // Of a program that others have as well it is the end of nothing.
            _ = program.endInput()
            program.endInputIfDue()
            lookWhetherClientIsThere()
        case .refused, .aborted: give(up: .lost)
        }
    }

    /// Whether the client may say what it says; what cannot be told yet is held back.
    private func passes(_ room: ByteBuffer, isLast: Bool) -> Bool {
        guard pageGuard != nil, isLast || !room.isEmpty else { return true }
        switch pageGuard?.take(room, isLast: isLast) {
        case .refuse: return false
        case .pass: pageGuard = nil
        case .hold, nil: break
        }
        return true
    }

    /// A connection that only carries octets may have one end of its own; of an answer nobody who has hung up sees more.
    private func lookWhetherClientIsThere() {
        if form != .stream && exchange.clientHasEnded { give(up: .lost) }
    }

    // MARK: From the program

    private func readOutput() {
        guard !exchange.isBlocked else { return }
        let frames = scratch.frames
        frames.clear()
        if program.takeLoss()?.isFatal == true { return give(up: .tooSlow) }
        read(.stdout, frames)
        if mixesErrors { read(.stderr, frames) }
        send(frames)
        // A stream's end is the client's to see first.
        guard let ended = program.end, program.outputHasEnded, form != .stream || hasEndedSending else {
            return
        }
        give(up: .program(ended))
    }

    private func read(_ stream: SessionProgram.Stream, _ frames: ByteBuffer) {
        switch scratch.read(stream, of: program) {
        case .nothing: break
        case .octets(let mayHaveMore):
            let room = scratch.program
            octetsOut += room.count
            movedAt = worker.now
            encode(stream, room.readable, frames)
            room.clear()
            if mayHaveMore { mayReadMore = true }
        case .ended: outputEnded(stream, frames)
        }
    }

    private func encode(_ stream: SessionProgram.Stream, _ bytes: Span<UInt8>, _ frames: ByteBuffer) {
        guard form == .events else { return frames.append(bytes) }
        if stream == .stderr {
            events.breakOff(to: frames)
            errorEvents.take(bytes, to: frames)
        } else {
            errorEvents.breakOff(to: frames)
            events.take(bytes, to: frames)
        }
    }

    private func outputEnded(_ stream: SessionProgram.Stream, _ frames: ByteBuffer) {
        guard form == .events else { return }
        if stream == .stderr {
            events.breakOff(to: frames)
            errorEvents.end(to: frames)
        } else {
            errorEvents.breakOff(to: frames)
            events.end(to: frames)
        }
    }

    private func send(_ frames: ByteBuffer) {
        guard !frames.isEmpty else { return }
        if !exchange.isBlocked { sendProgressAt = worker.now }
        sentAt = worker.now
        exchange.send(frames.readable)
        frames.clear()
    }

    /// A program that has closed its output while it runs has ended our side of the connection.
    private func endSending() {
        guard form == .stream, !hasEndedSending, end == nil, !program.isOpen(.stdout),
            !mixesErrors || !program.isOpen(.stderr), exchange.flush()
        else { return }
        hasEndedSending = true
        exchange.finishTunnel()
        mayReadMore = true
    }

    // MARK: The end

    private func conclude(_ end: SessionEnd) {
        exchange.setDeadline(after: nil)
        switch end {
        case .program(let ended): finish(ended)
        case .life, .idle, .operatorAsked, .tooSlow, .takenOver:
            // A stream has no other word for it than its end; an answer must not look whole.
            guard form == .stream else { return exchange.abort(.responseTimeout) }
            exchange.finishTunnel()
            exchange.finish(trailers: nil)
        case .sendTimeout: exchange.abort(.sendTimeout)
        case .draining, .handedOver: exchange.abort(.draining)
        default: exchange.abort(exchange.lost ?? .clientClosed)
        }
    }

    private func finish(_ ended: ProgramEnd) {
        switch form {
        case .stream: exchange.finish(trailers: nil)
        case .body:
            let trailers = FieldBlock(byteCapacity: 64, lineCapacity: 2)
            switch ended {
            case .exited(let status): Self.add(Self.statusTrailer, status, to: trailers)
            case .signalled(let number): Self.add(Self.signalTrailer, number, to: trailers)
            case .unknown: break
            }
            exchange.finish(trailers: trailers)
        case .events:
            let frames = scratch.frames
            frames.clear()
            EventStream.appendExit(ended, to: frames)
            send(frames)
            exchange.finish(trailers: nil)
        }
    }

    private static func add(_ name: StaticString, _ number: Int32, to trailers: FieldBlock) {
        let bytes = ByteBuffer(capacity: 32)
        bytes.append(name)
        let value = Array(String(number).utf8)
        trailers.add(name: bytes.readable, value: value.span)
    }

    // MARK: Time

    private func checkTimes() {
        let now = worker.now
        if let lifeMax = options.lifeMax, now >= startedAt + lifeMax { return give(up: .life) }
        if hasLeftUnheard, now >= inputProgressAt + options.ending.terminate { return give(up: .lost) }
        if exchange.isBlocked { return checkSending(now) }
        if let idleMax = options.idleMax, now >= movedAt + idleMax { return give(up: .idle) }
        guard form == .events, let pingAfter = options.pingAfter, now >= sentAt + pingAfter else { return }
        sayNothing()
    }

    /// What a client takes shows only when it is asked about.
    private func checkSending(_ now: Int64) {
        let isLate = options.sendMax.map { now >= sendProgressAt + $0 } ?? false
        guard isLate || now >= blockedIdleLimit else { return }
        if exchange.clientHasProgressed() {
            sendProgressAt = now
        } else {
            give(up: isLate ? .sendTimeout : .idle)
        }
    }

    /// When a client that takes nothing has been idle for too long.
    private var blockedIdleLimit: Int64 {
        options.idleMax.map { max(movedAt, sendProgressAt) + $0 } ?? .max
    }

    /// What a client that has hung up still had to say waits for a program that does not read.
    private var hasLeftUnheard: Bool {
        form != .stream && program.hasUnwritten && exchange.clientHasEnded
    }

    /// A client that has left shows when something is sent; in the middle of a line there is no place for it.
    private func sayNothing() {
        sentAt = worker.now
        guard !events.isInLine, !errorEvents.isInLine else { return }
        let frames = scratch.frames
        frames.clear()
        EventStream.appendComment(to: frames)
        send(frames)
    }

    private func armDeadline() {
        var limit = options.lifeMax.map { startedAt + $0 } ?? .max
        if hasLeftUnheard { limit = min(limit, inputProgressAt + options.ending.terminate) }
        if exchange.isBlocked {
            if let sendMax = options.sendMax { limit = min(limit, sendProgressAt + sendMax) }
            limit = min(limit, blockedIdleLimit)
        } else {
            if let idleMax = options.idleMax { limit = min(limit, movedAt + idleMax) }
            if form == .events, let pingAfter = options.pingAfter { limit = min(limit, sentAt + pingAfter) }
        }
        exchange.setDeadline(after: limit == .max ? nil : max(0, limit - worker.now))
    }
}

/// What a client without messages says to a program that has several: each line is one.
private struct PlainLines: ~Copyable {
    private var input: ProgramInput
    private let octetsMax: Int
    /// Octets of a line that has not ended.
    private var count = 0
    private let whole = ByteBuffer(capacity: 256)

    init(_ tag: ClientTag, octetsMax: Int) {
        input = ProgramInput(.lines, tag: tag)
        self.octetsMax = octetsMax
    }

    /// Puts what the program is to read in the place of what came.
    ///
    /// - Returns: false for a line that is too long.
    mutating func take(_ buffer: ByteBuffer, isLast: Bool) -> Bool {
        whole.clear()
        let bytes = buffer.readable
        var start = 0
        while let end = bytes.firstIndex(of: UInt8(ascii: "\n"), from: start) {
            input.take(bytes.extracting(start..<end), of: .text, isLast: true, to: whole)
            (start, count) = (end + 1, 0)
        }
        count += bytes.count - start
        guard count <= octetsMax else { return false }
        let ends = isLast && count > 0
        if start < bytes.count || ends {
            input.take(bytes.extracting(start..<bytes.count), of: .text, isLast: ends, to: whole)
        }
        buffer.clear()
        buffer.append(whole.readable)
        return true
    }
}

extension SessionEnd {
    fileprivate init(_ dismissal: Dismissal) {
        self =
            switch dismissal {
            case .takenOver: .takenOver
            case .operatorAsked: .operatorAsked
            case .handedOver: .handedOver
            }
    }
}
