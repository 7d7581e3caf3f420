internal import ChimeraBytes
internal import ChimeraEventLoop
package import ChimeraHTTPCore
package import ChimeraWebSocket

/// One WebSocket joined to one program, from the agreed upgrade to the end of the WebSocket, without a task.
///
/// ```
///           readBody            decode                write
///   client ─────────▶ (scratch) ──────▶ [ unwritten ] ─────▶ program's standard input
///   client ◀───────── [ output ] ◀────── (scratch) ◀────── program's standard output, and error
///             send               encode                read
/// ```
/// A turn does whatever can be done in either direction, and then waits for news of either side or for the one deadline.
/// A client that does not take what it gets is not given more, so that the program's pipe fills and the program waits; a
/// program that does not read has its client wait in the same way. Each direction holds one window at most. What a client
/// says is read also while it takes nothing, since it may be its Close; only what would have to be answered has a bound
/// then.
package final class Session: PipeObserver {
    let exchange: any Exchange
    let worker: Worker
    package let program: any SessionProgram
    let options: SessionOptions
    /// The client gets standard error as well.
    private let mixesErrors: Bool
    private let scratch: SessionScratch
    private let errors: ProgramErrors
    @exclusivity(unchecked) private var decoder: MessageDecoder
    @exclusivity(unchecked) var encoder: MessageEncoder
    @exclusivity(unchecked) private var output: ProgramOutput
    @exclusivity(unchecked) private var errorOutput: ProgramOutput
    @exclusivity(unchecked) private var input: ProgramInput
    /// Nil where a client speaks plain messages.
    @exclusivity(unchecked) var tagged: TaggedStreams?
    @exclusivity(unchecked) private var hasStarted = false
    /// Octets of the client that wait until the program takes what came before them.
    @exclusivity(unchecked) private var received: ByteBuffer?
    /// All that came was decoded, as far as it can be.
    @exclusivity(unchecked) private var isStarved = true
    @exclusivity(unchecked) var closing = ClosingHandshake(.server)
    /// Why it ends, once it does.
    @exclusivity(unchecked) var end: SessionEnd?
    @exclusivity(unchecked) var endsSending = false
    @exclusivity(unchecked) var hasEndedSending = false
    @exclusivity(unchecked) var isReleased = false
    /// Octets of answers to what the client said while it took nothing.
    @exclusivity(unchecked) private var heldAnswers = 0
    /// The last look at the client found something, so there may be more.
    @exclusivity(unchecked) var mayReadMore = false
    @exclusivity(unchecked) private var operatorWants = false
    /// How the client broke the protocol.
    @exclusivity(unchecked) var failure: ConnectionFailure?
    /// When it is told of that at the latest.
    @exclusivity(unchecked) var failsAt = Int64.max
    @exclusivity(unchecked) var driving = Driving()

    // Times in milliseconds of the worker's clock.
    package let startedAt: Int64
    @exclusivity(unchecked) var heardAt: Int64
    @exclusivity(unchecked) var movedAt: Int64
    @exclusivity(unchecked) var sendProgressAt: Int64
    @exclusivity(unchecked) var inputProgressAt: Int64
    @exclusivity(unchecked) var closingEndsAt = Int64.max
    /// When the client was asked whether it is there, as long as it has not answered.
    @exclusivity(unchecked) var pingedAt: Int64?
    /// The last turn did not look whether something came of the client.
    @exclusivity(unchecked) var isDeaf = false

    /// Octets between client and program, without frames.
    @exclusivity(unchecked) package private(set) var octetsIn = 0
    @exclusivity(unchecked) package private(set) var octetsOut = 0
    @exclusivity(unchecked) package private(set) var messagesIn = 0

    /// How long a client may take to answer a Close, and then to end its side.
    static let answerMilliseconds: Int64 = 5_000
    static let transportMilliseconds: Int64 = 2_000
    /// The same where the gateway cuts its connections off: shorter than the moment that it gives them.
    static let farewellMilliseconds: Int64 = 700
    /// Octets that are made of one turn's reading before they are passed on; and those that may wait for the program.
    private static let windowOctets = 64 * 1024
    /// Octets of answers (a pong, an error) past which nothing is read of a client that takes none.
    private static let heldAnswersMax = 16 * 1024

    /// - Parameters:
    ///   - deflate: what was agreed about compression; nil for none.
    ///   - isTagged: the subprotocol is `TaggedStreams`.
    ///   - tag: how the program is told whose messages it reads; nil where it has one client.
    package init(
        _ exchange: any Exchange, _ program: any SessionProgram, _ options: SessionOptions,
        deflate: DeflateParameters?, isTagged: Bool, scratch: SessionScratch, errors: ProgramErrors,
        tag: ClientTag? = nil
    ) {
        self.exchange = exchange
        worker = exchange.worker
        self.program = program
        self.options = options
        self.scratch = scratch
        self.errors = errors
        let limits = MessageLimits(
            frameBytesMax: options.messageBytesMax, messageBytesMax: options.messageBytesMax)
        decoder = MessageDecoder(.client, limits: limits, deflate: deflate?.client)
        encoder = MessageEncoder(
            .server, deflate: deflate?.server, compression: MessageEncoder.Compression(octetsMin: 256))
        output = ProgramOutput(options.framing)
        errorOutput = ProgramOutput(options.framing)
        input = ProgramInput(options.framing, tag: tag)
        tagged = isTagged ? TaggedStreams(signals: options.signals) : nil
        mixesErrors = isTagged || options.errorOutput == .inline
        let now = exchange.worker.now
        startedAt = program.startedAt ?? now
        (heardAt, movedAt, sendProgressAt, inputProgressAt) = (now, now, now, now)
    }

    package var process: Int32 { program.process }

    /// The value of `CHIMERA_SESSION`.
    package var id: String { program.id }

    /// Ends the session, on an operator's word.
    package func endByOperator() {
        operatorWants = true
        exchange.scope.wake(.io)
    }

    // MARK: The whole way

    /// The WebSocket has ended. The program goes on by itself until it has ended too.
    func leave() -> SessionEnd {
        let end = end ?? .lost
        conclude(end)
        program.leave(end, LeavingParts(worker, scratch, options.ending, errors))
        return end
    }

    /// Does what can be done now, but not more than a few windows: then the others of the worker have a turn.
    ///
    /// - Returns: whether it is over.
    func advance() -> Bool {
        for _ in 0..<4 {
            turn()
            if isReleased { return true }
            if !hasWork { return false }
        }
        return false
    }

    private func turn() {
        let frames = scratch.frames
        frames.clear()
        mayReadMore = false
        if !exchange.isBlocked {
            heldAnswers = 0
        } else if exchange.flush() {
            heldAnswers = 0
            sendProgressAt = worker.now
        }
        if program.flush() { inputProgressAt = worker.now }
        if let lost = exchange.lost { clientLost(lost, frames) }
        if operatorWants { close(.goingAway, "ended by the operator", .operatorAsked, frames) }
        if let dismissal = program.dismissal { dismiss(dismissal, frames) }
        if !mixesErrors, scratch.passErrors(of: program, to: errors) { mayReadMore = true }
        readProgram(frames)
        tellFailure(frames)
        readClient(frames)
        checkTimes(frames)
        send(frames)
        endSending()
    }

    /// Whether a turn now would do something.
    var hasWork: Bool {
        if isReleased || mayReadMore { return true }
        if program.mayFlush { return true }
        if !mixesErrors && program.isReady(.stderr) { return true }
        guard closing.maySend, !exchange.isBlocked else { return false }
        return program.isReady(.stdout) || program.isReady(.stderr)
    }

    private func send(_ frames: ByteBuffer) {
        if !frames.isEmpty {
            if !exchange.isBlocked { sendProgressAt = worker.now }
            exchange.send(frames.readable)
            frames.clear()
        }
        exchange.flush()
    }

    // MARK: From the client

    /// The program does not read, and as much waits for it as may.
    var isHeldUp: Bool { program.unwrittenCount >= Self.windowOctets }

    private func readClient(_ frames: ByteBuffer) {
        guard closing.mayReceive, failure == nil else { return dropClient() }
        isDeaf = isHeldUp || heldAnswers >= Self.heldAnswersMax
        if isDeaf { return }
        let read = scratch.input
        read.clear()
        if let kept = received {
            read.append(kept.readable)
            received = nil
        }
        var progress = BodyProgress.pending
        if isStarved || read.isEmpty {
            progress = exchange.readBody { read.append($0) }
        } else {
            // Behind what came before there may be more, of which nobody tells again.
            isDeaf = true
            mayReadMore = true
        }
        if progress == .progressed {
            heardAt = worker.now
            pingedAt = nil
        }
        if !read.isEmpty {
            let before = frames.count
            decode(read, frames)
            keep(read)
            if frames.count > before, exchange.isBlocked { heldAnswers += frames.count - before }
        }
        switch progress {
        case .progressed: if exchange.mayHaveBody { mayReadMore = true }
        case .pending: break
        case .ended, .refused, .aborted: transportEnded()
        }
    }

    private func keep(_ read: ByteBuffer) {
        guard !read.isEmpty else { return }
        let kept = ByteBuffer(capacity: read.count)
        kept.append(read.readable)
        received = kept
        read.clear()
    }

    /// Behind its Close, or ours that it broke: what comes is nobody's.
    private func dropClient() {
        switch exchange.readBody(into: { _ in }) {
        case .progressed: if exchange.mayHaveBody { mayReadMore = true }
        case .pending: break
        case .ended, .refused, .aborted: transportEnded()
        }
    }

    private func decode(_ buffer: ByteBuffer, _ frames: ByteBuffer) {
        let lines = scratch.forProgram
        let inflated = scratch.inflated
        while closing.mayReceive, failure == nil {
            // What is left waits until this went on.
            if lines.count >= Self.windowOctets || frames.count >= Self.windowOctets {
                mayReadMore = true
                isStarved = false
                break
            }
            let event = decoder.next(buffer, inflated: inflated)
            if case .starved = event {
                isStarved = true
                break
            }
            take(event, buffer, inflated, lines, frames)
        }
        if !closing.mayReceive || failure != nil { buffer.clear() }
        program.write(lines)
        program.endInputIfDue()
        if !program.hasUnwritten { inputProgressAt = worker.now }
    }

    private func take(
        _ event: MessageDecoder.Event, _ buffer: ByteBuffer, _ inflated: ByteBuffer, _ lines: ByteBuffer,
        _ frames: ByteBuffer
    ) {
        switch event {
        case .starved: break
        case .data(let part):
            let bytes = part.buffer(input: buffer, inflated: inflated)
            octetsIn += part.count
            let octets = bytes.readable.extracting(first: part.count)
            if tagged != nil {
                if let wish = tagged?.take(octets, isLast: part.isLast) { grant(wish, lines, frames) }
            } else {
                input.take(octets, of: part.kind, isLast: part.isLast, to: lines)
            }
            bytes.consume(part.count)
            if part.isLast {
                messagesIn += 1
                movedAt = worker.now
            }
        case .ping(let count):
            if closing.maySend {
                ControlFrame.append(
                    .pong, buffer.readable.extracting(first: count), maskingKey: nil, to: frames)
            }
            buffer.consume(count)
        case .pong(let count): buffer.consume(count)
        case .close(let status, let reason):
            buffer.consume(reason)
            if end == nil { end = .client(status) }
            perform(closing.peerClosed(status), frames)
        case .failed(let failure):
            program.write(lines)
            fail(failure, frames)
        }
    }

    /// What a client of the subprotocol wants.
    private func grant(_ wish: TaggedStreams.Wish, _ lines: ByteBuffer, _ frames: ByteBuffer) {
        switch wish {
        case .input(let bytes):
            if input.isTagged {
                input.take(bytes.span, of: .text, isLast: true, to: lines)
            } else {
                lines.append(bytes.span)
            }
        case .endOfInput:
            // Behind what the client said before it.
            program.write(lines)
            if !program.endInput() { tell("the program's input is not this client's alone", frames) }
        case .signal(let number):
            if !program.signal(number) { tell("the program is not this client's alone", frames) }
        case .resize(let columns, let rows):
            if !program.resize(columns: columns, rows: rows) { tell("the program has no terminal", frames) }
        case .refused(let reason): tell(reason, frames)
        case .malformed:
            close(
                .policyViolation, "no message of \(TaggedStreams.subprotocol)", .client(.policyViolation),
                frames)
        }
    }

    private func tell(_ error: String, _ frames: ByteBuffer) {
        if closing.maySend { tagged?.error(error, &encoder, to: frames) }
    }

    // MARK: From the program

    private func readProgram(_ frames: ByteBuffer) {
        guard closing.maySend, !exchange.isBlocked else { return }
        if !hasStarted {
            hasStarted = true
            tagged?.start(
                session: program.id, process: process, hasTerminal: program.hasTerminal,
                resumption: program.resumption, &encoder, to: frames)
        }
        tellLoss(frames)
        read(.stdout, frames)
        if mixesErrors { read(.stderr, frames) }
        guard failure == nil, let ended = program.end, program.outputHasEnded else { return }
        tagged?.exit(ended, &encoder, to: frames)
        let farewell = ProgramFarewell(ended)
        close(farewell.status, farewell.reason, .program(ended), frames)
    }

    private func read(_ stream: TaggedStreams.Stream, _ frames: ByteBuffer) {
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

    private func encode(_ stream: TaggedStreams.Stream, _ bytes: Span<UInt8>, _ frames: ByteBuffer) {
        if tagged != nil {
            tagged?.output(stream, bytes, behind: program.resumption?.position, &encoder, to: frames)
        } else if stream == .stdout {
            // A line of the one that is sent in parts gives way to the other, which may be all that the program waits for.
            if mixesErrors { errorOutput.breakOff(&encoder, to: frames) }
            output.take(bytes, &encoder, to: frames)
        } else {
            output.breakOff(&encoder, to: frames)
            errorOutput.take(bytes, &encoder, to: frames)
        }
    }

    private func outputEnded(_ stream: TaggedStreams.Stream, _ frames: ByteBuffer) {
        if tagged != nil {
            tagged?.end(stream, behind: program.resumption?.position, &encoder, to: frames)
        } else if stream == .stdout {
            if mixesErrors { errorOutput.breakOff(&encoder, to: frames) }
            output.end(&encoder, to: frames)
        } else {
            output.breakOff(&encoder, to: frames)
            errorOutput.end(&encoder, to: frames)
        }
    }
}
