internal import ChimeraBytes
package import ChimeraEventLoop
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
/// program that does not read has its client wait in the same way. Each direction holds one window at most.
package final class Session: PipeObserver {
    let exchange: any Exchange
    let worker: Worker
    let program: ProgramConnection
    let options: SessionOptions
    /// The client gets standard error as well.
    private let mixesErrors: Bool
    private let scratch: SessionScratch
    private let errors: ProgramErrors
    @exclusivity(unchecked) private var decoder: MessageDecoder
    @exclusivity(unchecked) private var encoder: MessageEncoder
    @exclusivity(unchecked) private var output: ProgramOutput
    @exclusivity(unchecked) private var errorOutput: ProgramOutput
    @exclusivity(unchecked) private var input: ProgramInput
    /// Nil where a client speaks plain messages.
    @exclusivity(unchecked) private var tagged: TaggedStreams?
    @exclusivity(unchecked) private var hasStarted = false
    /// Octets of the client that wait until the program takes what came before them.
    @exclusivity(unchecked) private var received: ByteBuffer?
    /// All that came was decoded, as far as it can be.
    @exclusivity(unchecked) private var isStarved = true
    @exclusivity(unchecked) private(set) var closing = ClosingHandshake(.server)
    /// Why it ends, once it does.
    @exclusivity(unchecked) private var end: SessionEnd?
    @exclusivity(unchecked) private var endsSending = false
    @exclusivity(unchecked) private var hasEndedSending = false
    @exclusivity(unchecked) private var isReleased = false
    /// The last look at the client found something, so there may be more.
    @exclusivity(unchecked) private var mayReadMore = false
    @exclusivity(unchecked) private var operatorWants = false
    @exclusivity(unchecked) var driving = Driving()

    // Times in milliseconds of the worker's clock.
    package let startedAt: Int64
    @exclusivity(unchecked) private var heardAt: Int64
    @exclusivity(unchecked) private var movedAt: Int64
    @exclusivity(unchecked) private var sendProgressAt: Int64
    @exclusivity(unchecked) private var inputProgressAt: Int64
    @exclusivity(unchecked) private var closingEndsAt = Int64.max
    @exclusivity(unchecked) private var awaitsPong = false

    /// Octets between client and program, without frames.
    @exclusivity(unchecked) package private(set) var octetsIn = 0
    @exclusivity(unchecked) package private(set) var octetsOut = 0
    @exclusivity(unchecked) package private(set) var messagesIn = 0

    /// How long a client may take to answer a Close, and then to end its side.
    private static let answerMilliseconds: Int64 = 5_000
    private static let transportMilliseconds: Int64 = 2_000
    /// The same where the gateway cuts its connections off: shorter than the moment that it gives them.
    private static let farewellMilliseconds: Int64 = 700
    /// Octets that are made of one turn's reading before they are passed on.
    private static let windowOctets = 64 * 1024

    /// - Parameters:
    ///   - deflate: what was agreed about compression; nil for none.
    ///   - isTagged: the subprotocol is `TaggedStreams`.
    package init(
        _ exchange: any Exchange, _ program: ProgramConnection, _ options: SessionOptions,
        deflate: DeflateParameters?, isTagged: Bool, scratch: SessionScratch, errors: ProgramErrors
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
        input = ProgramInput(options.framing)
        tagged = isTagged ? TaggedStreams(signals: options.signals) : nil
        mixesErrors = isTagged || options.errorOutput == .inline
        let now = exchange.worker.now
        (startedAt, heardAt, movedAt, sendProgressAt, inputProgressAt) = (now, now, now, now, now)
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
        program.leave(on: worker, scratch: scratch, ending: options.ending, errors: errors)
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
        if exchange.isBlocked, exchange.flush() { sendProgressAt = worker.now }
        if program.flush() { inputProgressAt = worker.now }
        if let lost = exchange.lost { clientLost(lost, frames) }
        if operatorWants { close(.goingAway, "ended by the operator", .operatorAsked, frames) }
        if !mixesErrors { readErrors() }
        readProgram(frames)
        readClient(frames)
        checkTimes(frames)
        send(frames)
        endSending()
    }

    /// Whether a turn now would do something.
    var hasWork: Bool {
        if isReleased || mayReadMore { return true }
        if program.unwritten != nil && program.input.isReady { return true }
        if !mixesErrors, let error = program.error, error.isOpen, error.isReady { return true }
        guard closing.maySend, !exchange.isBlocked else { return false }
        if program.output.isOpen && program.output.isReady { return true }
        if let error = program.error, error.isOpen, error.isReady { return true }
        return false
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

    private func readClient(_ frames: ByteBuffer) {
        guard closing.mayReceive else { return dropClient() }
        guard program.unwritten == nil, !exchange.isBlocked else { return }
        let read = scratch.input
        read.clear()
        if let kept = received {
            read.append(kept.readable)
            received = nil
        }
        var progress = BodyProgress.pending
        if isStarved || read.isEmpty { progress = exchange.readBody { read.append($0) } }
        if progress == .progressed {
            heardAt = worker.now
            awaitsPong = false
        }
        if !read.isEmpty {
            decode(read, frames)
            keep(read)
        }
        switch progress {
        case .progressed: mayReadMore = true
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
        case .progressed: mayReadMore = true
        case .pending: break
        case .ended, .refused, .aborted: transportEnded()
        }
    }

    private func decode(_ buffer: ByteBuffer, _ frames: ByteBuffer) {
        let lines = scratch.forProgram
        let inflated = scratch.inflated
        while closing.mayReceive {
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
        if !closing.mayReceive { buffer.clear() }
        program.write(lines)
        program.endInputIfDue()
        if program.unwritten == nil { inputProgressAt = worker.now }
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
                input.take(octets, isLast: part.isLast, to: lines)
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
            if end == nil { end = .failure(failure) }
            perform(closing.failed(failure), frames)
        }
    }

    /// What a client of the subprotocol wants.
    private func grant(_ wish: TaggedStreams.Wish, _ lines: ByteBuffer, _ frames: ByteBuffer) {
        switch wish {
        case .input(let bytes): lines.append(bytes.span)
        case .endOfInput: program.endsInput = true
        case .signal(let number): program.launch.signal(number)
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
                session: program.id, process: process, hasTerminal: program.error == nil, &encoder, to: frames
            )
        }
        read(.stdout, frames)
        if mixesErrors { read(.stderr, frames) }
        guard let ended = program.launch.end, program.outputHasEnded else { return }
        tagged?.exit(ended, &encoder, to: frames)
        let farewell = ProgramFarewell(ended)
        close(farewell.status, farewell.reason, .program(ended), frames)
    }

    /// Reads a pipe once. Of a program that has ended what it said is there, whether epoll has told so yet or not, and what
    /// is not there will not come, whoever else may have the pipe open.
    private func read(_ stream: TaggedStreams.Stream, _ frames: ByteBuffer) {
        let toTheEnd = program.launch.end != nil
        guard let pipe = stream == .stdout ? program.output : program.error, pipe.isOpen,
            pipe.isReady || toTheEnd
        else { return }
        let room = scratch.program
        room.clear()
        switch pipe.read(into: room.writable) {
        case .bytes(let count):
            room.commit(count)
            octetsOut += count
            movedAt = worker.now
            encode(stream, room.readable, frames)
            room.clear()
            if toTheEnd { mayReadMore = true }
        case .wouldBlock: if toTheEnd { endOutput(pipe, stream, frames) }
        case .end, .failed: endOutput(pipe, stream, frames)
        }
    }

    private func encode(_ stream: TaggedStreams.Stream, _ bytes: Span<UInt8>, _ frames: ByteBuffer) {
        if tagged != nil {
            tagged?.output(stream, bytes, &encoder, to: frames)
        } else if stream == .stdout {
            // A line of the one that is sent in parts gives way to the other, which may be all that the program waits for.
            if mixesErrors { errorOutput.breakOff(&encoder, to: frames) }
            output.take(bytes, &encoder, to: frames)
        } else {
            output.breakOff(&encoder, to: frames)
            errorOutput.take(bytes, &encoder, to: frames)
        }
    }

    private func endOutput(_ pipe: PipeEnd, _ stream: TaggedStreams.Stream, _ frames: ByteBuffer) {
        pipe.close()
        if tagged != nil {
            tagged?.end(stream, &encoder, to: frames)
        } else if stream == .stdout {
            if mixesErrors { errorOutput.breakOff(&encoder, to: frames) }
            output.end(&encoder, to: frames)
        } else {
            output.breakOff(&encoder, to: frames)
            errorOutput.end(&encoder, to: frames)
        }
    }

    /// Also while the client takes nothing: the log does.
    private func readErrors() {
        let toTheEnd = program.launch.end != nil
        guard let pipe = program.error, pipe.isOpen, pipe.isReady || toTheEnd else { return }
        let room = scratch.program
        room.clear()
        switch pipe.read(into: room.writable) {
        case .bytes(let count):
            room.commit(count)
            errors.take(room.readable)
            room.clear()
            if toTheEnd { mayReadMore = true }
        case .wouldBlock: if toTheEnd { pipe.close() }
        case .end, .failed: pipe.close()
        }
        if !pipe.isOpen { errors.end() }
    }

    // MARK: Closing

    /// Ends the WebSocket with a word to the client.
    private func close(_ status: CloseStatus, _ reason: String, _ why: SessionEnd, _ frames: ByteBuffer) {
        guard closing.maySend else { return }
        if end == nil { end = why }
        perform(closing.close(status), reason, frames)
    }

    private func perform(
        _ step: ClosingHandshake.Step, _ reason: String, _ frames: ByteBuffer
    ) {
        if step.sendsClose {
            // §5.4: control frames may stand between the fragments of a message.
            CloseFrame.append(step.status, reason: reason, maskingKey: nil, to: frames)
        }
        switch step.transport {
        case .asItIs: break
        case .endSending, .awaitEnd: endsSending = true
        case .release: isReleased = true
        }
        switch closing.deadline {
        case .answer: closingEndsAt = min(closingEndsAt, worker.now + Self.answerMilliseconds)
        case .transport: closingEndsAt = worker.now + Self.transportMilliseconds
        case nil: closingEndsAt = .max
        }
    }

    private func perform(_ step: ClosingHandshake.Step, _ frames: ByteBuffer) { perform(step, "", frames) }

    /// §7.1.1: a server ends its side first, once all is sent.
    private func endSending() {
        guard endsSending, !hasEndedSending, exchange.flush() else { return }
        hasEndedSending = true
        exchange.finishTunnel()
        mayReadMore = true
    }

    private func transportEnded() {
        if end == nil { end = .lost }
        if closing.transportEnded().transport == .release { isReleased = true }
        mayReadMore = false
    }

    private func clientLost(_ reason: CloseReason, _ frames: ByteBuffer) {
        guard reason == .draining else { return transportEnded() }
        guard closingEndsAt > worker.now + Self.farewellMilliseconds else { return }
        close(.serviceRestart, "", .draining, frames)
        closingEndsAt = worker.now + Self.farewellMilliseconds
    }

    private func conclude(_ end: SessionEnd) {
        exchange.setDeadline(after: nil)
        switch end {
        case .program, .client, .idle, .life, .operatorAsked:
            if closing.isClean { return exchange.finish(trailers: nil) }
            exchange.abort(exchange.lost ?? .clientClosed)
        case .failure: exchange.abort(.protocolViolated)
        case .lost: exchange.abort(exchange.lost ?? .clientClosed)
        case .unanswered: exchange.abort(.quietTimeout)
        case .sendTimeout: exchange.abort(.sendTimeout)
        case .draining: exchange.abort(.draining)
        }
    }

    // MARK: Time

    private func checkTimes(_ frames: ByteBuffer) {
        let now = worker.now
        if now >= closingEndsAt {
            if closing.expired().transport == .release { isReleased = true }
            return
        }
        if exchange.isBlocked {
            guard let sendMax = options.sendMax, now >= sendProgressAt + sendMax else { return }
            if exchange.clientHasProgressed() {
                sendProgressAt = now
            } else {
                give(up: .sendTimeout)
            }
            return
        }
        guard closing.maySend else { return }
        if let lifeMax = options.lifeMax, now >= startedAt + lifeMax {
            return close(.goingAway, "its time is over", .life, frames)
        }
        if let idleMax = options.idleMax, now >= movedAt + idleMax {
            return close(.goingAway, "idle", .idle, frames)
        }
        checkPresence(now, frames)
    }

    private func checkPresence(_ now: Int64, _ frames: ByteBuffer) {
        if program.unwritten != nil {
            // What a client that has left still had to say waits for a program that does not read.
            if exchange.clientHasEnded && now >= inputProgressAt + options.ending.terminate {
                give(up: .lost)
            }
            return
        }
        guard let pingAfter = options.pingAfter, now >= heardAt + pingAfter else { return }
        if !awaitsPong {
            awaitsPong = true
            ControlFrame.append(.ping, [UInt8]().span, maskingKey: nil, to: frames)
        } else if let pongWithin = options.pongWithin, now >= heardAt + pingAfter + pongWithin {
            give(up: .unanswered)
        }
    }

    private func give(up why: SessionEnd) {
        if end == nil { end = why }
        isReleased = true
    }

    func armDeadline() {
        var limit = closingEndsAt
        if exchange.isBlocked {
            if let sendMax = options.sendMax { limit = min(limit, sendProgressAt + sendMax) }
        } else if closing.maySend {
            if let lifeMax = options.lifeMax { limit = min(limit, startedAt + lifeMax) }
            if let idleMax = options.idleMax { limit = min(limit, movedAt + idleMax) }
            limit = min(limit, presenceLimit)
        }
        exchange.setDeadline(after: limit == .max ? nil : max(0, limit - worker.now))
    }

    private var presenceLimit: Int64 {
        if program.unwritten != nil {
            return exchange.clientHasEnded ? inputProgressAt + options.ending.terminate : .max
        }
        guard let pingAfter = options.pingAfter else { return .max }
        guard awaitsPong else { return heardAt + pingAfter }
        return options.pongWithin.map { heardAt + pingAfter + $0 } ?? .max
    }
}
