import ChimeraBytes
import ChimeraEventLoop
import ChimeraHTTP1
import ChimeraHTTPCore
import ChimeraUpstream

/// What a client does, in the order in which the relay meets it.
enum ClientStep: Sendable {
    /// A piece of the request's body; one look at the body finds one piece.
    case body(String)
    /// The body ends, with these trailer fields.
    case end([String] = [])
    /// The body turns out to be malformed.
    case refuse(Refusal)
    /// A look at the body finds the client gone.
    case abort(CloseReason)
    /// The client is found to be gone, without a look at the body.
    case lose(CloseReason)
    /// The client ends its own side.
    case endSide
    /// The client takes nothing from now on.
    case block
    /// The client takes everything again.
    case unblock
    /// Opens the latch once the client has seen something that begins so.
    case tell(Latch, String)
}

/// A client without a network: its request's body comes from a script, and what it is sent is written down.
final class ScriptedExchange: Exchange, ProxyClient, TimerTarget, RelayOwner {
    let worker: Worker
    let scope = Scope()
    let request = RequestHead()
    let response = ResponseHead()
    private(set) var hasSentHead = false
    private(set) var requestTrailers: FieldBlock?
    private(set) var lost: CloseReason?
    private(set) var clientHasEnded = false
    private(set) var isBlocked = false
    var upstreamFigures = UpstreamFigures()
    /// What the client saw, piece by piece; bytes that follow each other are one piece.
    private(set) var seen: [String] = []
    /// How a relay without a task ended.
    private(set) var ended: (outcome: ProxyOutcome, mayRepeat: Bool)?
    private(set) var looks = 0
    private var pieces: [ClientStep]
    private var awaited: (latch: Latch, prefix: String)?
    private var bodyEnded: Bool
    private var isTunnel = false
    private var timer: Timer?
    private let endScope = Scope()

    init(_ worker: Worker, request lines: [String], body: [ClientStep]) throws {
        self.worker = worker
        let bytes = Array((lines + ["", ""]).joined(separator: "\r\n").utf8)
        var parser = RequestParser(limits: Limits())
        guard case .complete = try parser.parse(bytes.span, into: request) else {
            throw ScriptFailed("no whole head")
        }
        HopByHop.remove(from: request)
        pieces = []
        bodyEnded = request.body == .none
        timer = Timer(target: self)
        for piece in body { take(piece) }
    }

    /// What the client does next; wakes the relay.
    func feed(_ step: ClientStep) {
        take(step)
        scope.wake(.io)
    }

    private func take(_ step: ClientStep) {
        switch step {
        case .body, .end, .refuse, .abort: pieces.append(step)
        case .lose(let reason): lost = reason
        case .endSide: clientHasEnded = true
        case .block: isBlocked = true
        case .unblock: isBlocked = false
        case .tell(let latch, let prefix):
            awaited = (latch, prefix)
            tell()
        }
    }

    /// Lets go of the timer.
    func close() {
        if let timer { worker.cancel(timer) }
    }

    func deadlineReached(now: Int64) { scope.wake(.deadline) }

    private func tell() {
        guard let (latch, prefix) = awaited, seen.contains(where: { $0.hasPrefix(prefix) }) else { return }
        awaited = nil
        latch.open()
    }

    private func write(_ kind: String, _ rest: String) {
        defer { tell() }
        if kind == "body", let last = seen.last, last.hasPrefix("body ") {
            seen[seen.count - 1] = last + rest
        } else {
            seen.append(rest.isEmpty ? kind : kind + " " + rest)
        }
    }

    // MARK: ProxyClient and RelayOwner

    func upstreamAnswered() { seen.append("answered") }

    func relayEnded(_ outcome: ProxyOutcome, mayRepeat: Bool) {
        ended = (outcome, mayRepeat)
        endScope.wake(.done)
    }

    func waitForEnd() async -> (outcome: ProxyOutcome, mayRepeat: Bool) {
        if ended == nil { _ = await endScope.wait() }
        return ended ?? (.failed(.overloaded), false)
    }

    // MARK: Request body

    var bodyHasEnded: Bool { bodyEnded }

    func readBody(into sink: (Span<UInt8>) -> Void) -> BodyProgress {
        looks += 1
        if bodyEnded { return .ended }
        guard let piece = pieces.first else { return .pending }
        pieces.removeFirst()
        switch piece {
        case .body(let text):
            let bytes = Array(text.utf8)
            sink(bytes.span)
            return .progressed
        case .end(let trailers):
            bodyEnded = true
            if !trailers.isEmpty { requestTrailers = fieldBlock(trailers) }
            return .ended
        case .refuse(let refusal): return .refused(refusal)
        case .abort(let reason): return .aborted(reason)
        default: return .pending
        }
    }

    func continueBody() { seen.append("continue") }

    // MARK: Response

    func sendInformational(status: Int, _ fields: FieldBlock) {
        write("interim", ["\(status)", fieldText(fields)].filter { !$0.isEmpty }.joined(separator: " | "))
    }

    func sendHead() {
        precondition(!hasSentHead, "a second final response")
        hasSentHead = true
        write(
            "head",
            ["\(response.status)", fieldText(response), "\(response.body)"]
                .filter { !$0.isEmpty }.joined(separator: " | "))
    }

    func send(_ bytes: Span<UInt8>) {
        if bytes.count > 0 { write("body", String(decoding: [UInt8](copying: bytes), as: UTF8.self)) }
    }

    func sendFile(_ file: FileHandle, offset: Int64, count: Int) -> Int? { nil }

    func finish(trailers: FieldBlock?) { write("finish", trailers.map(fieldText) ?? "") }

    func flush() -> Bool { !isBlocked }

    func abort(_ reason: CloseReason) {
        if lost == nil { lost = reason }
        write("abort", "\(reason)")
    }

    func setDeadline(after milliseconds: Int64?) {
        guard let timer else { return }
        worker.set(timer, to: milliseconds.map { worker.now + $0 } ?? .max)
    }

    func acceptUpgrade(_ token: Span<UInt8>) {
        hasSentHead = true
        isTunnel = true
        bodyEnded = false
        let token = String(decoding: [UInt8](copying: token), as: UTF8.self)
        write("upgrade", [token, fieldText(response)].filter { !$0.isEmpty }.joined(separator: " | "))
    }

    func finishTunnel() {
        if seen.last != "tunnel end" { seen.append("tunnel end") }
    }
}

/// A test's own script is wrong.
struct ScriptFailed: Error {
    let message: String

    init(_ message: String) { self.message = message }
}

/// The lines that are present, in one text.
func fieldText(_ block: FieldBlock) -> String {
    (0..<block.lineCount).compactMap { index in
        let line = block.line(at: index)
        guard line.isPresent else { return nil }
        let name = String(decoding: [UInt8](copying: block.name(of: line)), as: UTF8.self)
        return name + ": " + String(decoding: [UInt8](copying: block[line.value]), as: UTF8.self)
    }.joined(separator: ", ")
}

func fieldBlock(_ lines: [String]) -> FieldBlock {
    let block = FieldBlock()
    for line in lines {
        let colon = line.firstIndex(of: ":") ?? line.endIndex
        let (name, value) = (Array(line[..<colon].utf8), Array(line[colon...].dropFirst(2).utf8))
        block.add(name: name.span, value: value.span)
    }
    return block
}
