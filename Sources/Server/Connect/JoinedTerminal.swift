internal import CLinux
internal import ChimeraAdministration
internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraSessions
internal import ChimeraWebSocket
internal import Glibc

/// This process's standard streams, joined to a WebSocket that is open; one thread and one loop.
///
/// What is typed is not read while the other side takes nothing.
final class JoinedTerminal {
    private let transport: ClientTransport
    private let isTagged: Bool
    private var decoder = MessageDecoder(
        .server, limits: MessageLimits(frameBytesMax: 64 << 20, messageBytesMax: 64 << 20))
    private var encoder = MessageEncoder(.client)
    private let received = ByteBuffer(capacity: 64 * 1024)
    private let inflated = ByteBuffer(capacity: 16)
    private let unsent = ByteBuffer(capacity: 16 * 1024)
    private var message: [UInt8] = []
    private var line: [UInt8] = []
    private var inputHasEnded = false
    private var hasSentClose = false
    /// The exit status, once it is known.
    private var status: Int32?
    private var before: termios?
    private var escape = TerminalEscape()
    /// When the wait for the other side's Close is over, once it is this side that goes.
    private var leavesAt = Int64.max
    private var signals: Int32 = -1

    init(_ opened: ClientHandshake.Opened) {
        transport = opened.transport
        isTagged = opened.isTagged
        received.append(opened.rest.span)
    }

    /// Serves until the end.
    ///
    /// - Returns: the exit status.
    func run() -> Int32 {
        watchSize()
        defer { leaveRawMode() }
        var isOpen = takeMessages()
        while isOpen {
            var polled = [
                pollfd(
                    fd: transport.descriptor, events: Int16(isBlocked ? POLLIN | POLLOUT : POLLIN), revents: 0
                ),
                pollfd(fd: takesInput ? STDIN_FILENO : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&polled, nfds_t(polled.count), waitMilliseconds) >= 0 || errno == EINTR else { break }
            if Clock.monotonicMilliseconds() >= leavesAt { break }
            if polled[1].revents != 0 { readInput() }
            if polled[2].revents != 0 { while chimera_next_signal(signals) != 0 { tellSize() } }
            flush()
            if polled[0].revents & ~Int16(POLLOUT) != 0 { isOpen = receive() && takeMessages() }
            flush()
        }
        return status ?? lost()
    }

    private var waitMilliseconds: Int32 {
        guard leavesAt != .max else { return -1 }
        return Int32(clamping: max(0, leavesAt - Clock.monotonicMilliseconds()))
    }

    /// Says something that is not the program's.
    private func tell(_ text: String) {
        Stream.error.write(before == nil ? "\(text)\n" : "\r\n\(text)\r\n")
    }

    private func lost() -> Int32 {
        leaveRawMode()
        Stream.error.write("the connection ended without a word\n")
        return CommandStatus.cannotServe.rawValue
    }

    // MARK: The terminal

    private func watchSize() {
        guard isTagged, isatty(STDIN_FILENO) == 1 else { return }
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGWINCH)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signals = chimera_signal_descriptor([SIGWINCH], 1)
    }

    /// Each key goes to the program as it is.
    private func enterRawMode() {
        var mode = termios()
        guard isatty(STDIN_FILENO) == 1, tcgetattr(STDIN_FILENO, &mode) == 0 else { return }
        before = mode
        // Who is ended by a signal leaves the terminal as it was.
        chimera_restore_terminal_at_end(STDIN_FILENO, &mode)
        cfmakeraw(&mode)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &mode)
        tellSize()
    }

    private func leaveRawMode() {
        guard var mode = before else { return }
        before = nil
        tcsetattr(STDIN_FILENO, TCSADRAIN, &mode)
    }

    private func tellSize() {
        var (columns, rows): (UInt16, UInt16) = (0, 0)
        guard before != nil, chimera_terminal_size(STDIN_FILENO, &columns, &rows) == 0, columns > 0, rows > 0
        else { return }
        say([
            "type": .string("resize"), "columns": .integer(Int64(columns)), "rows": .integer(Int64(rows)),
        ])
    }

    // MARK: To the other side

    private var takesInput: Bool { !inputHasEnded && !hasSentClose && unsent.count < 64 * 1024 }

    private func readInput() {
        var room = [UInt8](repeating: 0, count: 16 * 1024)
        let count = read(STDIN_FILENO, &room, room.count)
        if count < 0 && (errno == EINTR || errno == EAGAIN) { return }
        guard count > 0 else { return endInput() }
        let bytes = Array(room[..<count])
        if before != nil { return typed(bytes) }
        if isTagged { return sayInput(bytes) }
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                sendLine()
            } else {
                line.append(byte)
            }
        }
    }

    private func typed(_ bytes: [UInt8]) {
        let (keys, leaves) = escape.take(bytes)
        if !keys.isEmpty { sayInput(keys) }
        guard leaves else { return }
        leaveRawMode()
        Stream.error.write("\nthe connection is closed\n")
        status = 0
        sendClose(.normal)
        leavesAt = Clock.monotonicMilliseconds() + Self.leaveMilliseconds
    }

    /// How long the other side has to answer a Close.
    private static let leaveMilliseconds: Int64 = 1_000

    private func sayInput(_ bytes: [UInt8]) {
        if let text = String(validating: bytes, as: UTF8.self) {
            return say(["type": .string("stdin"), "data": .string(text)])
        }
        let text = String(decoding: Base64.encode(bytes.span), as: UTF8.self)
        say(["type": .string("stdin"), "base64": .string(text)])
    }

    private func endInput() {
        inputHasEnded = true
        if isTagged { return say(["type": .string("eof")]) }
        if !line.isEmpty { sendLine() }
        sendClose(.normal)
    }

    private func sendLine() {
        let text = Array(String(decoding: line, as: UTF8.self).utf8)
        line = []
        encoder.append(.text, text.span, maskingKey: key, to: unsent)
    }

    private func say(_ members: KeyValuePairs<String, JSON?>) {
        guard !hasSentClose else { return }
        encoder.append(.text, Array(JSON.of(members).text.utf8).span, maskingKey: key, to: unsent)
    }

    private func sendClose(_ status: CloseStatus?) {
        guard !hasSentClose else { return }
        hasSentClose = true
        CloseFrame.append(status, maskingKey: key, to: unsent)
    }

    /// RFC 6455 §5.3: nobody can foresee it.
    private var key: UInt32 { UInt32.random(in: .min ... .max) }

    private var isBlocked: Bool { !unsent.isEmpty || transport.isBlocked }

    private func flush() { transport.send(unsent) }

    // MARK: From the other side

    /// - Returns: false for the end.
    private func receive() -> Bool { transport.receive(into: received) != .end }

    /// - Returns: false for the end.
    private func takeMessages() -> Bool {
        let received = received
        while true {
            switch decoder.next(received, inflated: inflated) {
            case .starved: return true
            case .data(let part):
                message += Array(copying: received.readable.extracting(first: part.count))
                received.consume(part.count)
                if part.isLast { take(part.kind) }
            case .ping(let count):
                let payload = received.readable.extracting(first: count)
                if !hasSentClose { ControlFrame.append(.pong, payload, maskingKey: key, to: unsent) }
                received.consume(count)
            case .pong(let count): received.consume(count)
            case .close(let code, let count):
                let reason = String(
                    decoding: Array(copying: received.readable.extracting(first: count)), as: UTF8.self)
                closed(code, reason)
                return false
            case .failed(let failure):
                sendClose(failure.status)
                flush()
                leaveRawMode()
                Stream.error.write("the other side breaks the protocol: \(failure.token)\n")
                status = CommandStatus.cannotServe.rawValue
                return false
            }
        }
    }

    private func closed(_ code: CloseStatus?, _ reason: String) {
        sendClose(code)
        flush()
        guard status == nil else { return }
        status = Self.exitStatus(code)
        guard let code, status == nil else { return }
        status = CommandStatus.cannotServe.rawValue
        leaveRawMode()
        Stream.error.write("closed with \(code.rawValue)\(reason.isEmpty ? "" : ": \(reason)")\n")
    }

    /// What a Close says of the program's end; nil for one that is about something else.
    static func exitStatus(_ code: CloseStatus?) -> Int32? {
        switch code?.rawValue {
        case nil, 1000: 0
        case .some(let code) where (4001...4255).contains(code): Int32(code) - 4000
        case .some(let code) where (4301...4399).contains(code): 128 + Int32(code) - 4300
        default: nil
        }
    }

    private func take(_ kind: MessageKind) {
        let bytes = message
        message = []
        guard isTagged else {
            return write(kind == .text ? bytes + [UInt8(ascii: "\n")] : bytes, STDOUT_FILENO)
        }
        guard let json = JSON(bytes), let type = json["type"]?.string else { return }
        switch type {
        case "start": if json["terminal"]?.bool == true { enterRawMode() }
        case "stdout": write(output(json), STDOUT_FILENO)
        case "stderr": write(output(json), STDERR_FILENO)
        case "exit":
            if let number = json["status"]?.integer { status = Int32(truncatingIfNeeded: number & 0xFF) }
            if let number = json["signal"]?.integer {
                status = Int32(truncatingIfNeeded: 128 + number & 0xFF)
            }
        case "lost":
            let count = json["octets"]?.integer
            tell("output is missing here: \(count.map { "\($0) octets" } ?? "nobody knows how much")")
        case "error": tell("the gateway: \(json["message"]?.string?.printable ?? "an error")")
        default: break
        }
    }

    private func output(_ json: JSON) -> [UInt8] {
        if let text = json["data"]?.string { return Array(text.utf8) }
        return json["base64"]?.string.flatMap { Base64.decode(Array($0.utf8).span) } ?? []
    }

    private func write(_ bytes: [UInt8], _ descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && (errno == EINTR || errno == EAGAIN) {
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&ready, 1, -1)
                continue
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
