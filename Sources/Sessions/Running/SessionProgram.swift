package import ChimeraBytes
package import ChimeraEventLoop

/// What a session joins its client to: the pipes of a program of its own, or a place at a program that is kept.
///
/// Its methods never block. News is told to the one observer.
package protocol SessionProgram: AnyObject {
    typealias Stream = TaggedStreams.Stream

    /// The value of `CHIMERA_SESSION`.
    var id: String { get }
    var process: Int32 { get }
    var hasTerminal: Bool { get }
    /// When it was started, in milliseconds of the monotonic clock; nil for now.
    var startedAt: Int64? { get }
    /// How it has ended, once all that it said can be read without waiting for more.
    var end: ProgramEnd? { get }
    /// What a client of `TaggedStreams` is told to come back with.
    var resumption: Resumption? { get }

    /// What outlives the client, or has several; nil for a program that is the client's own.
    var keptProgram: KeptProgram? { get }
    /// How the client's messages reach the program; nil for as they are.
    var tag: ClientTag? { get }
    /// What was lost before the client came back, known before it is told.
    var initialLoss: LostOutput? { get }
    /// Octets that the client has lost, as far as is known.
    var octetsLost: Int { get }

    func observe(_ observer: (any PipeObserver)?)

    // MARK: Input

    /// Octets that wait until the program takes what came before them.
    var unwrittenCount: Int { get }
    /// Something waits, and there may be room by now.
    var mayFlush: Bool { get }

    /// Writes what waits, as much as goes.
    ///
    /// - Returns: whether anything went.
    @discardableResult
    func flush() -> Bool

    /// Writes `bytes` behind what waits, keeps what does not go, and empties them.
    func write(_ bytes: ByteBuffer)

    /// The client says no more: the program's input ends behind all that was written so far. A terminal says it with a
    /// character, and goes on.
    ///
    /// - Returns: false where that is not the client's to say.
    func endInput() -> Bool

    /// Ends it where nothing waits any more.
    func endInputIfDue()

    /// - Returns: false where the client may not.
    func signal(_ number: Int32) -> Bool

    /// - Returns: false where there is no terminal.
    func resize(columns: Int, rows: Int) -> Bool

    // MARK: Output

    func isOpen(_ stream: Stream) -> Bool
    /// A read may bring something.
    func isReady(_ stream: Stream) -> Bool
    func read(_ stream: Stream, into room: UnsafeMutableRawBufferPointer) -> Transfer
    /// The stream has ended, and nobody reads it any more.
    func close(_ stream: Stream)

    /// How much is known of what was lost since the last question; nil where nothing was.
    func takeLoss() -> LostOutput?

    /// The client has to go, whatever the program does.
    var dismissal: Dismissal? { get }

    /// The client is gone.
    func leave(_ end: SessionEnd, _ parts: LeavingParts)
}

extension SessionProgram {
    package var keptProgram: KeptProgram? { nil }
    package var tag: ClientTag? { nil }
    package var initialLoss: LostOutput? { nil }
    package var octetsLost: Int { 0 }

    var hasUnwritten: Bool { unwrittenCount > 0 }

    /// What a terminal's client types at the end.
    static var endSign: ByteBuffer {
        let sign = ByteBuffer(capacity: 1)
        sign.append(4)
        return sign
    }

    var outputHasEnded: Bool { !isOpen(.stdout) && !isOpen(.stderr) }
}

/// Where a client stands in what a program wrote.
package struct Resumption: Equatable, Sendable {
    package var token: String
    /// Behind what was read last.
    package var position: Int64
    /// The client has come back.
    package var isBack: Bool

    package init(token: String, position: Int64, isBack: Bool) {
        self.token = token
        self.position = position
        self.isBack = isBack
    }
}

/// Output that a client does not get.
package struct LostOutput: Equatable, Sendable {
    /// Nil where nobody knows any more.
    package var octets: Int64?
    /// Where what follows begins.
    package var position: Int64
    /// The client cannot go on without.
    package var isFatal = false

    package init(octets: Int64?, position: Int64, isFatal: Bool = false) {
        self.octets = octets
        self.position = position
        self.isFatal = isFatal
    }
}

/// Why a client has to go.
package enum Dismissal: Equatable, Sendable {
    /// Somebody else has presented its token.
    case takenOver
    /// An operator has ended the program.
    case operatorAsked
    /// Another process serves it from now on.
    case handedOver
}

/// What is needed to see a program to its end.
package struct LeavingParts {
    let worker: Worker
    let scratch: SessionScratch
    let ending: EndingDelays
    let errors: ProgramErrors

    package init(
        _ worker: Worker, _ scratch: SessionScratch, _ ending: EndingDelays, _ errors: ProgramErrors
    ) {
        self.worker = worker
        self.scratch = scratch
        self.ending = ending
        self.errors = errors
    }
}

// MARK: - A program of its own

extension ProgramConnection: SessionProgram {
    package var hasTerminal: Bool { error == nil }
    package var startedAt: Int64? { nil }
    package var end: ProgramEnd? { launch.end }
    package var resumption: Resumption? { nil }
    package var unwrittenCount: Int { unwritten?.count ?? 0 }
    package var mayFlush: Bool { unwritten != nil && input.isReady }
    package var dismissal: Dismissal? { nil }

    package func endInput() -> Bool {
        if hasTerminal { write(Self.endSign) } else { endsInput = true }
        return true
    }

    package func signal(_ number: Int32) -> Bool {
        launch.signal(number)
        return true
    }

    private func pipe(_ stream: Stream) -> PipeEnd? { stream == .stdout ? output : error }

    package func isOpen(_ stream: Stream) -> Bool { pipe(stream)?.isOpen == true }

    package func isReady(_ stream: Stream) -> Bool {
        guard let pipe = pipe(stream) else { return false }
        return pipe.isOpen && pipe.isReady
    }

    package func read(_ stream: Stream, into room: UnsafeMutableRawBufferPointer) -> Transfer {
        pipe(stream)?.read(into: room) ?? .end
    }

    package func close(_ stream: Stream) { pipe(stream)?.close() }

    package func takeLoss() -> LostOutput? { nil }

    package func leave(_ end: SessionEnd, _ parts: LeavingParts) {
        leave(on: parts.worker, scratch: parts.scratch, ending: parts.ending, errors: parts.errors)
    }
}
