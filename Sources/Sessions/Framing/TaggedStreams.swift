internal import ChimeraAdministration
package import ChimeraBytes
package import ChimeraWebSocket
internal import Glibc

/// The subprotocol `chimera.json.v1`: every message is a JSON object that says what it is.
///
/// ```
///  to the client                                     from the client
///  {"type":"start","session":ID,"process":PID,…}       {"type":"stdin","data":TEXT} or "base64" in the place of "data"
///  {"type":"stdout","data":TEXT}                     {"type":"eof"}
///  {"type":"stderr","data":TEXT}                     {"type":"signal","signal":"INT"}
///  {"type":"eof","stream":"stdout"}                  {"type":"resize","columns":80,"rows":24}
///  {"type":"exit","status":0} or "signal":9
///  {"type":"error","message":TEXT}
///  {"type":"lost","octets":N,"position":N}
/// ```
/// Output comes as it was written, and not by lines; a character is never cut. What is no UTF-8 has `base64` in the place
/// of `data`. A member that is not known here is passed over, so that later versions may have more.
package struct TaggedStreams: Sendable {
    package static let subprotocol = "chimera.json.v1"

    package enum Stream: String, Sendable { case stdout, stderr }

    /// What a client wants.
    package enum Wish: Equatable, Sendable {
        case input([UInt8])
        case endOfInput
        case signal(Int32)
        case resize(columns: Int, rows: Int)
        /// What it asks for is not done here; it is told so, and the session goes on.
        case refused(String)
        /// It is no message of this subprotocol.
        case malformed
    }

    /// The signals that a client may send, by their names.
    package static let signals: [String: Int32] = [
        "INT": SIGINT, "TERM": SIGTERM, "HUP": SIGHUP, "QUIT": SIGQUIT, "USR1": SIGUSR1, "USR2": SIGUSR2,
    ]

    private let allowed: Set<Int32>
    /// A message of the client that has begun.
    private var held: [UInt8] = []
    /// The octets of a character that is not whole, of each stream.
    private var cut: (stdout: [UInt8], stderr: [UInt8]) = ([], [])
    /// Where those began, where positions are told.
    private var cutAt: (stdout: Int64?, stderr: Int64?) = (nil, nil)

    /// - Parameter signals: those that a client may send.
    package init(signals: Set<Int32>) { allowed = signals }

    // MARK: From the client

    /// Takes a part of a message; nil as long as it is not whole.
    package mutating func take(_ bytes: Span<UInt8>, isLast: Bool) -> Wish? {
        held += Array(copying: bytes)
        guard isLast else { return nil }
        let message = held
        held = []
        return wish(message)
    }

    private func wish(_ message: [UInt8]) -> Wish {
        guard let json = JSON(message), let type = json["type"]?.string else { return .malformed }
        switch type {
        case "stdin": return input(json)
        case "eof": return .endOfInput
        case "signal": return signal(json)
        case "resize":
            guard let columns = json["columns"]?.integer, let rows = json["rows"]?.integer,
                (1...10_000).contains(columns), (1...10_000).contains(rows)
            else { return .malformed }
            return .resize(columns: Int(columns), rows: Int(rows))
        default: return .refused("there is no type \(type.prefix(40))")
        }
    }

    private func input(_ json: JSON) -> Wish {
        if let text = json["data"]?.string { return .input(Array(text.utf8)) }
        guard let text = json["base64"]?.string, let bytes = Base64.decode(Array(text.utf8).span) else {
            return .malformed
        }
        return .input(bytes)
    }

    private func signal(_ json: JSON) -> Wish {
        guard let name = json["signal"]?.string else { return .malformed }
        guard let number = Self.signals[name], allowed.contains(number) else {
            return .refused("the signal \(name.prefix(40)) may not be sent")
        }
        return .signal(number)
    }

    // MARK: To the client

    /// What a program wrote.
    ///
    /// - Parameter position: where the stream stands behind it, for a client that may come back.
    package mutating func output(
        _ stream: Stream, _ bytes: Span<UInt8>, behind position: Int64? = nil,
        _ encoder: inout MessageEncoder, to output: ByteBuffer
    ) {
        let before = stream == .stdout ? cut.stdout : cut.stderr
        var all = before + Array(copying: bytes)
        let whole = all.span.endOfWholeCharacters(holdsReturn: false)
        let rest = Array(all[whole...])
        // Nothing came but a further part of the same character.
        if whole > 0 || before.isEmpty {
            keep(rest, from: position.map { rest.isEmpty ? nil : $0 - Int64(rest.count) } ?? nil, of: stream)
        } else {
            keep(rest, from: stream == .stdout ? cutAt.stdout : cutAt.stderr, of: stream)
        }
        all.removeSubrange(whole...)
        if !all.isEmpty { send(stream, all, delivered(position), &encoder, output) }
    }

    /// Up to where a client has all of it: what waits for the rest of its character is still to come.
    private func delivered(_ position: Int64?) -> Int64? {
        position.map { min($0, cutAt.stdout ?? .max, cutAt.stderr ?? .max) }
    }

    /// A program has closed a stream.
    package mutating func end(
        _ stream: Stream, behind position: Int64? = nil, _ encoder: inout MessageEncoder,
        to output: ByteBuffer
    ) {
        let rest = stream == .stdout ? cut.stdout : cut.stderr
        keep([], from: nil, of: stream)
        if !rest.isEmpty { send(stream, rest, delivered(position), &encoder, output) }
        send(["type": .string("eof"), "stream": .string(stream.rawValue)], &encoder, output)
    }

    /// The first message: which program it is, and whether it has a terminal.
    package func start(
        session: String, process: Int32, hasTerminal: Bool, resumption: Resumption? = nil,
        _ encoder: inout MessageEncoder, to output: ByteBuffer
    ) {
        send(
            [
                "type": .string("start"), "session": .string(session), "process": .integer(Int64(process)),
                "terminal": .bool(hasTerminal), "resume": resumption.map { .string($0.token) },
                "position": resumption.map { .integer($0.position) },
                "resumed": resumption.map { .bool($0.isBack) },
            ], &encoder, output)
    }

    /// Output is missing before what follows. A character that had begun before it has no rest.
    package mutating func lost(
        _ loss: LostOutput, _ encoder: inout MessageEncoder, to output: ByteBuffer
    ) {
        for stream in [Stream.stdout, .stderr] { keep([], from: nil, of: stream) }
        send(
            [
                "type": .string("lost"), "octets": loss.octets.map { .integer($0) },
                "position": .integer(loss.position),
            ], &encoder, output)
    }

    package func exit(_ end: ProgramEnd, _ encoder: inout MessageEncoder, to output: ByteBuffer) {
        switch end {
        case .exited(let status):
            send(["type": .string("exit"), "status": .integer(Int64(status))], &encoder, output)
        case .signalled(let number):
            send(["type": .string("exit"), "signal": .integer(Int64(number))], &encoder, output)
        case .unknown: send(["type": .string("exit")], &encoder, output)
        }
    }

    package func error(_ message: String, _ encoder: inout MessageEncoder, to output: ByteBuffer) {
        send(["type": .string("error"), "message": .string(message)], &encoder, output)
    }

    private mutating func keep(_ bytes: [UInt8], from position: Int64?, of stream: Stream) {
        if stream == .stdout {
            (cut.stdout, cutAt.stdout) = (bytes, position)
        } else {
            (cut.stderr, cutAt.stderr) = (bytes, position)
        }
    }

    private func send(
        _ stream: Stream, _ bytes: [UInt8], _ position: Int64?, _ encoder: inout MessageEncoder,
        _ output: ByteBuffer
    ) {
        let place: JSON? = position.map { .integer($0) }
        if let text = String(validating: bytes, as: UTF8.self) {
            return send(
                ["type": .string(stream.rawValue), "data": .string(text), "position": place], &encoder, output
            )
        }
        let text = String(decoding: Base64.encode(bytes.span), as: UTF8.self)
        send(
            ["type": .string(stream.rawValue), "base64": .string(text), "position": place], &encoder, output)
    }

    private func send(
        _ members: KeyValuePairs<String, JSON?>, _ encoder: inout MessageEncoder, _ output: ByteBuffer
    ) {
        encoder.append(.text, Array(JSON.of(members).text.utf8).span, to: output)
    }
}
