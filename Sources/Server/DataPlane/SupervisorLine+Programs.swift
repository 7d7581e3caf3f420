internal import ChimeraEventLoop
internal import ChimeraSessions
internal import Glibc
internal import Synchronization

/// The programs that a data plane has asked its supervisor for; any thread may use it.
final class ProgramDesk: Sendable {
    typealias Started = @Sendable (Result<StartedProgram, SystemError>) -> Void
    typealias Ended = @Sendable (ProgramEnd) -> Void

    fileprivate struct State {
        var requests: Int64 = 0
        var waiting: [Int64: (started: Started, ended: Ended)] = [:]
        /// By id.
        var running: [String: Ended] = [:]
        /// The id of any program that ran.
        var known: String?
        var isOver = false
        /// Who waits for the program with a token.
        var finding: [Int64: @Sendable () -> Void] = [:]
        var receiver: (@Sendable (HandedProgram) -> Void)?
        var release: (@Sendable (String) -> Void)?
    }

    fileprivate let state = Mutex(State())

    /// Numbers a request; nil where the supervisor is gone. Requests for programs count down from -1, those for sockets up.
    func enter(_ started: @escaping Started, _ ended: @escaping Ended) -> Int64? {
        state.withLock { state in
            guard !state.isOver else { return nil }
            state.requests -= 1
            state.waiting[state.requests] = (started, ended)
            return state.requests
        }
    }

    /// A request could not be sent.
    func fail(_ request: Int64, _ error: SystemError) {
        let waiting = state.withLock { $0.waiting.removeValue(forKey: request) }
        waiting?.started(.failure(error))
    }

    /// - Returns: false where it is about no program.
    func refused(_ message: ControlMessage) -> Bool {
        guard let request = message.number(.request), request < 0 else { return false }
        let number = message.number(.count).flatMap { Int32(exactly: $0) } ?? EINVAL
        fail(request, SystemError(message.text(.text) ?? "execve", number))
        return true
    }

    /// Takes its descriptors out of `descriptors`; where they have not come, since this process has none left, the program
    /// is of no use.
    ///
    /// - Returns: the id of a program that nobody has.
    func started(_ message: ControlMessage, _ descriptors: inout [Int32]) -> String? {
        guard let request = message.number(.request), let id = message.text(.text),
            let process = message.number(.count).flatMap({ Int32(exactly: $0) })
        else { return nil }
        let waiting = state.withLock { state -> (started: Started, ended: Ended)? in
            let waiting = state.waiting.removeValue(forKey: request)
            if let waiting, (2...3).contains(descriptors.count) {
                state.running[id] = waiting.ended
                state.known = id
            }
            return waiting
        }
        guard (2...3).contains(descriptors.count) else {
            waiting?.started(.failure(SystemError("recvmsg", EMFILE)))
            return id
        }
        guard let waiting else { return id }
        let program = StartedProgram(
            id: id, process: process, input: descriptors[0], output: descriptors[1],
            error: descriptors.count > 2 ? descriptors[2] : nil)
        descriptors = []
        waiting.started(.success(program))
        return nil
    }

    func ended(_ message: ControlMessage) {
        guard let id = message.text(.text), let status = message.number(.count) else { return }
        let told = state.withLock { $0.running.removeValue(forKey: id) }
        told?(ProgramEnd(waitStatus: Int32(truncatingIfNeeded: status)))
    }

    /// Nobody sees to the programs any more: what the kernel has not ended with the supervisor is ended here.
    func supervisorEnded() {
        let (waiting, running, known, finding) = state.withLock { state in
            defer { (state.waiting, state.running, state.finding) = ([:], [:], [:]) }
            state.isOver = true
            return (state.waiting, state.running, state.known, state.finding)
        }
        for found in finding.values { found() }
        for (started, _) in waiting.values { started(.failure(SystemError("execve", EPIPE))) }
        for ended in running.values { ended(.unknown) }
        if let known { Leftovers.kill(ofSession: known) }
    }
}

// MARK: - Programs that outlive a data plane

extension ProgramDesk {
    func receive(
        _ receiver: @escaping @Sendable (HandedProgram) -> Void,
        release: @escaping @Sendable (String) -> Void
    ) {
        state.withLock { ($0.receiver, $0.release) = (receiver, release) }
    }

    /// Numbers a question; nil where the supervisor is gone.
    func enter(_ found: @escaping @Sendable () -> Void) -> Int64? {
        state.withLock { state in
            guard !state.isOver else { return nil }
            state.requests -= 1
            state.finding[state.requests] = found
            return state.requests
        }
    }

    func found(_ message: ControlMessage) {
        guard let request = message.number(.request) else { return }
        let found = state.withLock { $0.finding.removeValue(forKey: request) }
        found?()
    }

    func release(_ message: ControlMessage) {
        guard let id = message.text(.text) else { return }
        let release = state.withLock { $0.release }
        release?(id)
    }

    /// Takes its descriptors out of `descriptors`.
    ///
    /// - Returns: the id of a program that this process cannot have.
    func kept(_ message: ControlMessage, _ descriptors: inout [Int32]) -> String? {
        guard let id = message.text(.text), let token = message.text(.token),
            let facts = message.text(.facts), let milliseconds = message.number(.milliseconds),
            let process = message.number(.count).flatMap({ Int32(exactly: $0) })
        else { return message.text(.text) }
        var log: [UInt8]?
        if message.number(.log) == 1, let file = descriptors.popLast() {
            log = MemoryFile.content(of: file)
            FileDescriptors.close(file)
        }
        guard descriptors.count == (message.number(.terminal) == 1 ? 2 : 3) else { return id }
        let program = StartedProgram(
            id: id, process: process, input: descriptors[0], output: descriptors[1],
            error: descriptors.count > 2 ? descriptors[2] : nil)
        let running = RunningProgram(program)
        let receiver = state.withLock { state in
            guard state.receiver != nil else { return state.receiver }
            state.running[id] = { running.ended($0) }
            state.known = id
            return state.receiver
        }
        guard let receiver else { return id }
        descriptors = []
        receiver(
            HandedProgram(
                running, KeptRecord(token: token, facts: facts, milliseconds: milliseconds),
                handovers: message.number(.more) ?? 1, log: log))
        return nil
    }
}

extension SupervisorLine: ProgramSource {
    func start(
        _ order: ProgramOrder, started: @escaping @Sendable (Result<StartedProgram, SystemError>) -> Void,
        ended: @escaping @Sendable (ProgramEnd) -> Void
    ) {
        guard let request = programs.enter(started, ended) else {
            return started(.failure(SystemError("execve", EPIPE)))
        }
        let message = ControlMessage(order, request: request)
        guard message.encoded.count <= PacketSocket.packetBytesMax else {
            return programs.fail(request, SystemError("execve", E2BIG))
        }
        if !tellSoon(message) { programs.fail(request, SystemError("execve", EAGAIN)) }
    }

    func end(_ id: String) { _ = tellSoon(ControlMessage(.endProgram).with(.text, id)) }

    func signal(_ id: String, _ number: Int32) {
        _ = tellSoon(ControlMessage(.signalProgram).with(.text, id).with(.count, Int64(number)))
    }

    func keep(_ program: StartedProgram, _ record: KeptRecord) {
        _ = tellSoon(
            ControlMessage(.keepProgram).with(.text, program.id).with(.token, record.token)
                .with(.facts, record.facts).with(.milliseconds, record.milliseconds),
            descriptors: program.descriptors)
    }

    func endInput(_ id: String) { _ = tellSoon(ControlMessage(.endInput).with(.text, id)) }

    func find(_ token: String, done: @escaping @Sendable () -> Void) {
        guard let request = programs.enter(done) else { return done() }
        let message = ControlMessage(.findProgram).with(.request, request).with(.token, token)
        if !tellSoon(message) { programs.found(message) }
    }

    func receive(
        _ receiver: @escaping @Sendable (HandedProgram) -> Void,
        release: @escaping @Sendable (String) -> Void
    ) {
        programs.receive(receiver, release: release)
        tell(ControlMessage(.takesPrograms))
    }

    func release(_ id: String, log: [UInt8]) {
        let file = MemoryFile.make(log)
        _ = tellSoon(
            ControlMessage(.releaseProgram).with(.text, id), descriptors: file.map { [$0] } ?? [])
        if let file { FileDescriptors.close(file) }
    }
}
