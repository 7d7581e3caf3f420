package import ChimeraEventLoop

/// What a program is started with.
package struct ProgramOrder: Equatable, Sendable {
    /// An absolute path.
    package var path: String
    /// The words of the command; the first is what the program knows itself by.
    package var arguments: [String]
    /// `NAME=VALUE`. Whoever starts it adds `CHIMERA_SESSION`.
    package var environment: [String]
    /// An absolute path.
    package var directory: String
    package var ending = EndingDelays()
    /// It gets a terminal in the place of its pipes.
    package var hasTerminal = false
    /// It may run as root, where that is who serves.
    package var mayBeRoot = false
    package var limits = ProgramLimits()

    package init(path: String, arguments: [String], environment: [String], directory: String) {
        self.path = path
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
    }
}

/// How long a program whose client is gone has at each step of its end, in milliseconds.
package struct EndingDelays: Equatable, Sendable {
    /// From the end of its input to SIGTERM.
    package var terminate: Int64 = 2_000
    /// From SIGTERM to SIGKILL, for its whole process group.
    package var kill: Int64 = 5_000

    package init() {}
}

/// A program that runs, and our ends of its three pipes, or of its terminal.
package struct StartedProgram: Equatable, Sendable {
    /// Unique, also over restarts: the value of `CHIMERA_SESSION`.
    package var id: String
    package var process: Int32
    /// What is written here is read by the program.
    package var input: Int32
    /// What the program writes.
    package var output: Int32
    /// Nil where it has a terminal: what it writes to standard error comes as output.
    package var error: Int32?

    package init(id: String, process: Int32, input: Int32, output: Int32, error: Int32?) {
        self.id = id
        self.process = process
        self.input = input
        self.output = output
        self.error = error
    }
}

extension StartedProgram {
    /// Two of a terminal, three pipes.
    package var descriptors: [Int32] { [input, output] + (error.map { [$0] } ?? []) }
}

/// How a process has ended.
package enum ProgramEnd: Equatable, Sendable {
    case exited(Int32)
    case signalled(Int32)
    /// Whoever started it is gone, so nobody can tell.
    case unknown

    /// What `waitpid` says.
    package init(waitStatus: Int32) {
        let signal = waitStatus & 0x7F
        self = signal == 0 ? .exited(waitStatus >> 8 & 0xFF) : .signalled(signal)
    }
}

/// Who starts programs, tells of their end and sees to it that nothing of them is left: the supervisor, or in a
/// process without one a thread of its own.
///
/// Its methods may be called from any thread and never block.
package protocol ProgramSource: Sendable {
    /// Starts a program.
    ///
    /// - Parameters:
    ///   - started: told once, on any thread. Its descriptors belong to whoever is told.
    ///   - ended: told once behind that, on any thread, when the program's first process has ended.
    func start(
        _ order: ProgramOrder, started: @escaping @Sendable (Result<StartedProgram, SystemError>) -> Void,
        ended: @escaping @Sendable (ProgramEnd) -> Void)

    /// The program is to end, whose input has ended: SIGTERM and SIGKILL follow in their time.
    func end(_ id: String)

    /// Sends a signal to the program's process group.
    func signal(_ id: String, _ number: Int32)

    /// Which of these nothing is ever enforced of, where nobody else tells the operator so.
    func unenforced(_ wanted: Set<ControlGroups.Controller>) -> Set<ControlGroups.Controller>

    // MARK: Programs that outlive the process which serves them

    /// Keeps a program's descriptors, so that it goes on where this process ends without a word.
    func keep(_ program: StartedProgram, _ record: KeptRecord)

    /// The program's input ends, while it may go on: no copy of it must stay open.
    func endInput(_ id: String)

    /// Another process may have the program with this token. Where it is handed over, the receiver is told before `done`.
    func find(_ token: String, done: @escaping @Sendable () -> Void)

    /// From now on `receiver` gets the programs that others have left or handed over.
    func receive(
        _ receiver: @escaping @Sendable (HandedProgram) -> Void,
        release: @escaping @Sendable (String) -> Void)

    /// This process lets go of a program, whose descriptors are closed here by now.
    ///
    /// - Parameter log: what was kept of its output, and of its input; see `KeptRemains.encoded`.
    func release(_ id: String, log: [UInt8])
}

extension ProgramSource {
    package func unenforced(_ wanted: Set<ControlGroups.Controller>) -> Set<ControlGroups.Controller> { [] }
    package func keep(_ program: StartedProgram, _ record: KeptRecord) {}
    package func endInput(_ id: String) {}
    package func find(_ token: String, done: @escaping @Sendable () -> Void) { done() }
    package func receive(
        _ receiver: @escaping @Sendable (HandedProgram) -> Void,
        release: @escaping @Sendable (String) -> Void
    ) {}
    package func release(_ id: String, log: [UInt8]) { end(id) }
}

/// What is known of a program that outlives the process which serves it.
package struct KeptRecord: Equatable, Sendable {
    package var token: String
    /// Whatever the next process needs to know.
    package var facts: String
    /// How long it lives without a client.
    package var milliseconds: Int64

    package init(token: String, facts: String, milliseconds: Int64) {
        self.token = token
        self.facts = facts
        self.milliseconds = milliseconds
    }
}

/// A program that another process has left.
package struct HandedProgram: Sendable {
    package var running: RunningProgram
    package var record: KeptRecord
    /// How many processes have had it, this one included.
    package var handovers: Int64
    /// What was kept of its output and its input, as `KeptRemains.encoded`; nil where that is lost.
    package var log: [UInt8]?

    package init(_ running: RunningProgram, _ record: KeptRecord, handovers: Int64, log: [UInt8]?) {
        self.running = running
        self.record = record
        self.handovers = handovers
        self.log = log
    }
}
