internal import Chimera
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraSessions
internal import ChimeraTLS
internal import Glibc
internal import Synchronization

/// What a data plane is to do next.
enum DataPlaneOrder: Sendable {
    case drain(isLast: Bool)
    case stopNow
    case reload
    case reopenLogs
    /// A key or a certificate that only the supervisor can watch may be another one.
    case lookAgain
    case leave(Listener.Address)
    /// An operator's request: the connection on which it is answered and then closed, its line, and what the supervisor
    /// knows.
    case question(Int32, line: [UInt8], context: [UInt8])
    /// The supervisor is gone.
    case orphaned
    /// The gateway has stopped.
    case ended
}

/// A data plane's end of the line to its supervisor; its methods may be called from any thread.
final class SupervisorLine: ListenerSource {
    private let socket: PacketSocket
    private let orders: BlockingQueue<DataPlaneOrder>
    let programs = ProgramDesk()
    /// Sends what finds no room at once.
    private let sender = BlockingPool(threadsMax: 1)
    /// How much of that waits.
    private let queued = Atomic<Int>(0)
    private let state = Mutex(State())
    /// How long the supervisor has for an answer, in milliseconds, and for making room for a packet.
    private let patience: Int64
    /// The supervisor's, from the moment on in which the first socket is there.
    let tickets = TicketSecret(now: ProcessFigures.wallSeconds)

    /// It answers as fast as it can bind; what is asked for meanwhile waits.
    static let patienceMilliseconds: Int64 = 10_000

    private struct State {
        var requests: Int64 = 0
        var waiting: [Int64: Answer] = [:]
        /// Files of whose changes the supervisor tells.
        var watchedKeys: Set<String> = []
        var isOver = false
    }

    /// What a request waits for.
    private final class Answer: Sendable {
        let latch = Latch()
        /// What has come so far; nil when nobody waits for it any more.
        private let group = Mutex<ListeningGroup?>(ListeningGroup(descriptors: [], port: 0))
        let error = Mutex<SystemError?>(nil)

        func fail(_ error: SystemError) {
            self.error.withLock { $0 = error }
            latch.open()
        }

        /// - Returns: false where nobody waits; the descriptors are still the caller's then.
        func add(_ descriptors: [Int32], port: UInt16) -> Bool {
            group.withLock { group in
                guard let before = group else { return false }
                group = ListeningGroup(descriptors: before.descriptors + descriptors, port: port)
                return true
            }
        }

        /// What has come, which belongs to the caller then; empty the second time.
        func take() -> ListeningGroup {
            group.withLock { group in
                defer { group = nil }
                return group ?? ListeningGroup(descriptors: [], port: 0)
            }
        }
    }

    init(
        _ socket: PacketSocket, orders: BlockingQueue<DataPlaneOrder>,
        patience: Int64 = SupervisorLine.patienceMilliseconds
    ) {
        self.socket = socket
        self.orders = orders
        self.patience = patience
        socket.limitWaiting(milliseconds: patience)
    }

    /// Starts to take what the supervisor says, on a thread of its own, which `whenOver` gets when the supervisor is gone.
    ///
    /// - Returns: false where the system gives no thread.
    func start(whenOver: @escaping @Sendable () -> Void = {}) -> Bool {
        Thread.start(name: "chimera-line") { [self] in
            receiveAll()
            abandon(SystemError("listen", EPIPE), isOver: true)
            programs.supervisorEnded()
            orders.put(.orphaned)
            whenOver()
        }
    }

    private func receiveAll() {
        while true {
            switch socket.receive(wait: true) {
            case .packet(let packet): receive(packet)
            // It may have been the answer that somebody waits for.
            case .damaged: abandon(SystemError("recvmsg", EMFILE), isOver: false)
            case .nothing: continue
            case .end: return
            }
        }
    }

    /// A supervisor that takes nothing for too long misses the message, and one that is gone does not need it.
    func tell(_ message: ControlMessage) { try? send(message) }

    /// Sends a message now, or as soon as there is room, without waiting for that, and behind what was to be sent before it.
    ///
    /// - Returns: false where it cannot be sent.
    ///
    /// - Parameter descriptors: they stay the caller's.
    func tellSoon(_ message: ControlMessage, descriptors: [Int32] = []) -> Bool {
        let packet = PacketSocket.Packet(message.encoded, descriptors: descriptors)
        do throws(SystemError) {
            if queued.load(ordering: .acquiring) == 0, try socket.send(packet, wait: false) { return true }
        } catch {
            return false
        }
        queued.wrappingAdd(1, ordering: .relaxed)
        // By then the caller may have closed them.
        let later = PacketSocket.Packet(packet.bytes, descriptors: FileDescriptors.copies(of: descriptors))
        let isQueued = sender.submit { [self] in
            _ = try? socket.send(later, wait: true)
            queued.wrappingSubtract(1, ordering: .releasing)
            later.descriptors.forEach(FileDescriptors.close)
        }
        if !isQueued {
            queued.wrappingSubtract(1, ordering: .relaxed)
            later.descriptors.forEach(FileDescriptors.close)
        }
        return isQueued
    }

    private func send(_ message: ControlMessage) throws(SystemError) {
        _ = try socket.send(.init(message.encoded), wait: true)
    }

    /// Nobody gets an answer any more who waits for one.
    private func abandon(_ error: SystemError, isOver: Bool) {
        let waiting = state.withLock { state in
            if isOver { state.isOver = true }
            defer { state.waiting = [:] }
            return state.waiting
        }
        for answer in waiting.values { answer.fail(error) }
    }

    // MARK: Sockets

    /// - Throws: `ETIMEDOUT` too, where the supervisor does not answer in time. What it answers later is closed.
    func open(_ address: Listener.Address, count: Int) throws(SystemError) -> ListeningGroup {
        do throws(SystemError) {
            return try ask(
                ControlMessage(.listen).with(.address, address.text).with(.count, Int64(count)), "listen")
        } catch {
            // It may have bound it all the same.
            close(address)
            throw error
        }
    }

    /// Opens a file with a key or a certificate that only the supervisor may read; the caller closes it.
    func openKey(_ path: String) throws(SystemError) -> Int32 {
        let group = try ask(ControlMessage(.openKey).with(.text, path), "open")
        group.descriptors.dropFirst().forEach(FileDescriptors.close)
        if group.port == 1 { state.withLock { _ = $0.watchedKeys.insert(path) } }
        return group.descriptors[0]
    }

    /// Whether the supervisor tells of changes of a file that it has opened.
    func watchesKey(_ path: String) -> Bool { state.withLock { $0.watchedKeys.contains(path) } }

    /// Sends a request that is answered with descriptors, at least one.
    private func ask(_ message: ControlMessage, _ call: StaticString) throws(SystemError) -> ListeningGroup {
        let answer = Answer()
        let request = state.withLock { state -> Int64? in
            guard !state.isOver else { return nil }
            state.requests += 1
            state.waiting[state.requests] = answer
            return state.requests
        }
        guard let request else { throw SystemError("\(call)", EPIPE) }
        do throws(SystemError) {
            try send(message.with(.request, request))
            if !answer.latch.wait(milliseconds: patience) {
                throw SystemError("the supervisor does not answer", ETIMEDOUT)
            }
            if let error = answer.error.withLock({ $0 }) { throw error }
            let group = answer.take()
            guard !group.descriptors.isEmpty else { throw SystemError("\(call)", EPIPE) }
            return group
        } catch {
            state.withLock { $0.waiting[request] = nil }
            answer.take().descriptors.forEach(FileDescriptors.close)
            throw error
        }
    }

    func close(_ address: Listener.Address) {
        tell(ControlMessage(.unlisten).with(.address, address.text))
    }

    /// The supervisor knows when nobody accepts any more: it said so.
    func closeAll() {}

    // MARK: What the supervisor says

    private func receive(_ packet: PacketSocket.Packet) {
        var descriptors = packet.descriptors
        if let message = ControlMessage(packet.bytes) { receive(message, &descriptors) }
        descriptors.forEach(FileDescriptors.close)
    }

    /// Takes out of `descriptors` what it keeps.
    private func receive(_ message: ControlMessage, _ descriptors: inout [Int32]) {
        switch message.kind {
        case .sockets: answer(message, &descriptors)
        case .refused: if !programs.refused(message) { refuse(message) }
        case .programStarted:
            if let unwanted = programs.started(message, &descriptors) { end(unwanted) }
        case .programEnded: programs.ended(message)
        case .programKept:
            guard let unwanted = programs.kept(message, &descriptors) else { return }
            _ = tellSoon(ControlMessage(.releaseProgram).with(.text, unwanted).with(.failure, "descriptors"))
        case .programFound: programs.found(message)
        case .release: programs.release(message)
        case .drain: orders.put(.drain(isLast: message.number(.count) != 1))
        case .stopNow: orders.put(.stopNow)
        case .reload: orders.put(.reload)
        case .reopenLogs: orders.put(.reopenLogs)
        case .leave:
            if let address = message.text(.address).flatMap({ Listener.Address(text: $0) }) {
                orders.put(.leave(address))
            }
        case .question:
            guard let connection = descriptors.popLast() else { return }
            orders.put(
                .question(
                    connection, line: message.fields[.text] ?? [], context: message.fields[.context] ?? []))
        case .tickets: adoptTickets(message)
        case .changed: orders.put(.lookAgain)
        case .listen, .unlisten, .ready, .administer, .reloading, .reloaded, .openKey, .startProgram,
            .endProgram, .signalProgram, .keepProgram, .endInput, .findProgram, .releaseProgram,
            .takesPrograms, .programLimits:
            break
        }
    }

    private func adoptTickets(_ message: ControlMessage) {
        guard let period = message.number(.count), let text = message.text(.text),
            let secret = [UInt8](hexadecimal: text),
            let seed = TicketSecret.Seed(period: period, secret: secret)
        else { return }
        tickets.adopt(seed)
    }

    private func answer(_ message: ControlMessage, _ descriptors: inout [Int32]) {
        guard let request = message.number(.request), let answer = state.withLock({ $0.waiting[request] })
        else {
            return
        }
        guard !descriptors.isEmpty else {
            state.withLock { $0.waiting[request] = nil }
            return answer.fail(SystemError("recvmsg", EMFILE))
        }
        let port = message.number(.count).flatMap { UInt16(exactly: $0) } ?? 0
        if answer.add(descriptors, port: port) { descriptors = [] }
        guard message.number(.more) ?? 0 == 0 else { return }
        state.withLock { $0.waiting[request] = nil }
        answer.latch.open()
    }

    private func refuse(_ message: ControlMessage) {
        guard let request = message.number(.request),
            let answer = state.withLock({ $0.waiting.removeValue(forKey: request) })
        else { return }
        let number = message.number(.count).flatMap { Int32(exactly: $0) } ?? EINVAL
        answer.fail(SystemError(message.text(.text) ?? "listen", number))
    }
}
