internal import Chimera
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraTLS
internal import Glibc
internal import Synchronization

/// What a data plane is to do next.
enum DataPlaneOrder: Sendable {
    case drain(isLast: Bool)
    case stopNow
    case reload
    case reopenLogs
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
    private let state = Mutex(State())
    /// The supervisor's, from the moment on in which the first socket is there.
    let tickets = TicketSecret(now: ProcessFigures.wallSeconds)

    private struct State {
        var requests: Int64 = 0
        var waiting: [Int64: Answer] = [:]
        var isOver = false
    }

    /// What a request waits for.
    private final class Answer: Sendable {
        let latch = Latch()
        let group = Mutex(ListeningGroup(descriptors: [], port: 0))
        let error = Mutex<SystemError?>(nil)
    }

    init(_ socket: PacketSocket, orders: BlockingQueue<DataPlaneOrder>) {
        self.socket = socket
        self.orders = orders
    }

    /// Starts to take what the supervisor says, on a thread of its own.
    func start() {
        Thread.start(name: "chimera-line") { [self] in
            while true {
                switch socket.receive(wait: true) {
                case .packet(let packet): receive(packet)
                case .nothing: continue
                case .end: return end()
                }
            }
        }
    }

    func tell(_ message: ControlMessage) { _ = try? socket.send(.init(message.encoded), wait: true) }

    private func end() {
        let waiting = state.withLock { state in
            state.isOver = true
            defer { state.waiting = [:] }
            return state.waiting
        }
        for answer in waiting.values { answer.latch.open() }
        orders.put(.orphaned)
    }

    // MARK: Sockets

    func open(_ address: Listener.Address, count: Int) throws(SystemError) -> ListeningGroup {
        try ask(ControlMessage(.listen).with(.address, address.text).with(.count, Int64(count)), "listen")
    }

    /// Opens a file with a key or a certificate that only the supervisor may read; the caller closes it.
    func openKey(_ path: String) throws(SystemError) -> Int32 {
        let group = try ask(ControlMessage(.openKey).with(.text, path), "open")
        group.descriptors.dropFirst().forEach(FileDescriptors.close)
        return group.descriptors[0]
    }

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
        tell(message.with(.request, request))
        answer.latch.wait()
        if let error = answer.error.withLock({ $0 }) { throw error }
        let group = answer.group.withLock { $0 }
        guard !group.descriptors.isEmpty else { throw SystemError("\(call)", EPIPE) }
        return group
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
        case .refused: refuse(message)
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
        case .listen, .unlisten, .ready, .administer, .reloading, .reloaded, .openKey: break
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
        let passed = descriptors
        descriptors = []
        answer.group.withLock { group in
            group.descriptors += passed
            group.port = message.number(.count).flatMap { UInt16(exactly: $0) } ?? 0
        }
        guard message.number(.more) ?? 0 == 0 else { return }
        state.withLock { $0.waiting[request] = nil }
        answer.latch.open()
    }

    private func refuse(_ message: ControlMessage) {
        guard let request = message.number(.request),
            let answer = state.withLock({ $0.waiting.removeValue(forKey: request) })
        else { return }
        let number = message.number(.count).flatMap { Int32(exactly: $0) } ?? EINVAL
        answer.error.withLock { $0 = SystemError(message.text(.text) ?? "listen", number) }
        answer.latch.open()
    }
}
