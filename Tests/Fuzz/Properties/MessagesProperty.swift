@testable import ChimeraBytes
@testable import ChimeraWebSocket

/// What a decoder says of some bytes, whatever the pieces in which it says it.
private enum Fact: Equatable {
    case message(MessageKind, [UInt8])
    case ping([UInt8])
    case pong([UInt8])
    case close(CloseStatus?, [UInt8])
    case failed(ConnectionFailure)
}

/// What the first byte chooses: who sends, whether and how it may compress, and bounds that short inputs reach.
private struct Choice {
    var role: Role
    var deflate: DeflateDirection?
    var limits: MessageLimits

    init(_ byte: UInt8) {
        role = byte & 1 == 0 ? .server : .client
        // The largest window alone: with a smaller one zlib lets pass what refers further back, where it is still there.
        if byte & 2 != 0 { deflate = DeflateDirection(keepsContext: byte & 4 != 0) }
        limits =
            byte & 8 == 0
            ? MessageLimits(frameBytesMax: 1 << 20, messageBytesMax: 1 << 20)
            : MessageLimits(frameBytesMax: 40, messageBytesMax: 60)
    }
}

/// One direction of a WebSocket: the first byte is a ``Choice``, the others are what came.
///
/// - A decoder says the same of it in any pieces, and that is what the grammar says, read slowly, up to the first message
///   that is compressed.
/// - Its messages keep the bounds, its texts are UTF-8, and nothing follows a Close or a failure.
/// - What it says, written by an encoder, is read as the same.
func messagesFailure(_ input: [UInt8]) -> String? {
    guard let first = input.first else { return nil }
    let choice = Choice(first)
    let bytes = Array(input.dropFirst())
    var said: [Fact]?
    for way in cuts(bytes) {
        var reading = Reading(choice)
        var taken = 0
        for end in way {
            if let failure = reading.read(bytes[taken..<end]) { return failure }
            taken = end
        }
        if let said, said != reading.facts { return "other pieces, other messages" }
        said = reading.facts
    }
    guard let said else { return nil }
    return contentFailure(said, choice) ?? grammarFailure(said, bytes, choice) ?? writingFailure(said, choice)
}

/// A decoder at work.
private struct Reading: ~Copyable {
    var decoder: MessageDecoder
    var facts: [Fact] = []
    private var open: [UInt8] = []
    private let input = ByteBuffer(capacity: 1)
    private let inflated = ByteBuffer(capacity: 1)

    init(_ choice: Choice) {
        decoder = MessageDecoder(choice.role, limits: choice.limits, deflate: choice.deflate)
    }

    mutating func read(_ piece: ArraySlice<UInt8>) -> String? {
        withExactMemory(piece) { input.append($0) }
        while true {
            switch decoder.next(input, inflated: inflated) {
            case .starved: return nil
            case .data(let part):
                if part.isFirst != open.isEmpty || (part.count == 0 && !part.isLast) { return "a bad part" }
                open += take(part.buffer(input: input, inflated: inflated), part.count)
                guard part.isLast else { continue }
                facts.append(.message(part.kind, open))
                open = []
            case .ping(let count): facts.append(.ping(take(input, count)))
            case .pong(let count): facts.append(.pong(take(input, count)))
            case .close(let status, let count): facts.append(.close(status, take(input, count)))
            case .failed(let failure): facts.append(.failed(failure))
            }
        }
    }

    private func take(_ buffer: ByteBuffer, _ count: Int) -> [UInt8] {
        let octets = [UInt8](copying: buffer.readable.extracting(first: count))
        buffer.consume(count)
        return octets
    }
}

private func contentFailure(_ facts: [Fact], _ choice: Choice) -> String? {
    for (index, fact) in facts.enumerated() {
        switch fact {
        case .message(let kind, let octets):
            if octets.count > choice.limits.messageBytesMax { return "a message is too long" }
            if kind == .text && String(validating: octets, as: UTF8.self) == nil { return "text is no UTF-8" }
        case .ping(let octets), .pong(let octets):
            if octets.count > 125 { return "a control frame is too long" }
        case .close(let status, let reason):
            if status.map({ !$0.mayBeSent }) ?? !reason.isEmpty { return "a close that may not be" }
            if String(validating: reason, as: UTF8.self) == nil { return "a reason is no UTF-8" }
            if index != facts.count - 1 { return "something follows a close" }
        case .failed: if index != facts.count - 1 { return "something follows a failure" }
        }
    }
    return nil
}

private func writingFailure(_ facts: [Fact], _ choice: Choice) -> String? {
    let output = ByteBuffer(capacity: 1)
    let key: UInt32? = choice.role == .client ? 0x8142_2418 : nil
    var encoder = MessageEncoder(
        choice.role, deflate: choice.deflate, compression: MessageEncoder.Compression(octetsMin: 20))
    var meant = facts
    if case .failed = meant.last { meant.removeLast() }
    for fact in meant {
        switch fact {
        case .message(let kind, let octets):
            encoder.append(kind, octets.span, maskingKey: key, to: output)
        case .ping(let octets): ControlFrame.append(.ping, octets.span, maskingKey: key, to: output)
        case .pong(let octets): ControlFrame.append(.pong, octets.span, maskingKey: key, to: output)
        case .close(let status, let reason):
            let text = String(decoding: reason, as: UTF8.self)
            CloseFrame.append(status, reason: text, maskingKey: key, to: output)
        case .failed: return "something follows a failure"
        }
    }
    // What several frames brought may be too long for one, and what is compressed may grow.
    var generous = choice
    generous.limits = MessageLimits(frameBytesMax: .max, messageBytesMax: .max)
    var reading = Reading(generous)
    if let failure = reading.read([UInt8](copying: output.readable)[...]) { return failure }
    return reading.facts == meant ? nil : "what is written is read as something else"
}

// MARK: - The grammar once more, without regard to cost

private func grammarFailure(_ facts: [Fact], _ bytes: [UInt8], _ choice: Choice) -> String? {
    var slow = SlowFrames(choice)
    slow.read(bytes[...])
    if slow.metCompression {
        return facts.starts(with: slow.facts) ? nil : "other messages were meant before"
    }
    return facts == slow.facts ? nil : "other messages were meant"
}

/// RFC 6455 §5, read from bytes that are all there.
private struct SlowFrames {
    let choice: Choice
    var facts: [Fact] = []
    var metCompression = false
    private var kind: MessageKind?
    private var text: [UInt8] = []

    init(_ choice: Choice) { self.choice = choice }

    mutating func read(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while !rest.isEmpty {
            do throws(ConnectionFailure) {
                guard let frame = try header(&rest) else { return }
                if frame.isControl {
                    guard frame.reserved == 0 else { throw .reservedBits }
                    guard rest.count >= frame.length else { return }
                    try control(frame, frame.payload(rest.prefix(frame.length)))
                    if frame.opcode == 8 { return }
                } else {
                    try begin(frame)
                    if metCompression { return }
                    try data(frame, frame.payload(rest.prefix(frame.length)))
                    guard rest.count >= frame.length else { return }
                }
                rest = rest.dropFirst(frame.length)
            } catch {
                facts.append(.failed(error))
                return
            }
        }
    }

    private struct Frame {
        var isFinal: Bool
        var reserved: UInt8
        var opcode: UInt8
        var length: Int
        var key: [UInt8]
        var isControl: Bool { opcode >= 8 }

        func payload(_ octets: ArraySlice<UInt8>) -> [UInt8] {
            key.isEmpty ? Array(octets) : zip(0..., octets).map { $1 ^ key[$0 % 4] }
        }
    }

    private func header(_ rest: inout ArraySlice<UInt8>) throws(ConnectionFailure) -> Frame? {
        guard let first = rest.popFirst() else { return nil }
        let opcode = first & 0xF
        guard [0, 1, 2, 8, 9, 10].contains(opcode) else { throw .opcodeReserved }
        guard opcode < 8 || first >= 0x80 else { throw .controlFragmented }
        guard let second = rest.popFirst() else { return nil }
        let isClient = choice.role == .client
        guard (second >= 0x80) == isClient else { throw isClient ? .maskMissing : .maskUnexpected }
        let short = Int(second & 0x7F)
        guard opcode < 8 || short < 126 else { throw .controlTooLong }
        let size = short < 126 ? 0 : short == 126 ? 2 : 8
        guard rest.count >= size else { return nil }
        let long = rest.prefix(size).reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        let isShortest = size == 0 || (size == 2 ? long > 125 : long > 65535 && long >> 63 == 0)
        guard isShortest else { throw .lengthMalformed }
        rest = rest.dropFirst(size)
        guard rest.count >= (isClient ? 4 : 0) else { return nil }
        let key = Array(rest.prefix(isClient ? 4 : 0))
        rest = rest.dropFirst(key.count)
        return Frame(
            isFinal: first >= 0x80, reserved: first >> 4 & 7, opcode: opcode,
            length: size == 0 ? short : Int(long), key: key)
    }

    private mutating func control(_ frame: Frame, _ payload: [UInt8]) throws(ConnectionFailure) {
        if frame.opcode == 9 { return facts.append(.ping(payload)) }
        if frame.opcode == 10 { return facts.append(.pong(payload)) }
        guard payload.count != 1 else { throw .closeTooShort }
        guard payload.count > 1 else { return facts.append(.close(nil, [])) }
        let status = CloseStatus(rawValue: UInt16(payload[0]) * 256 + UInt16(payload[1]))
        guard status.mayBeSent else { throw .closeStatusInvalid }
        let reason = Array(payload[2...])
        guard String(validating: reason, as: UTF8.self) != nil else { throw .closeReasonMalformed }
        facts.append(.close(status, reason))
    }

    private mutating func begin(_ frame: Frame) throws(ConnectionFailure) {
        let mayCompress = choice.deflate != nil && frame.opcode != 0
        guard frame.reserved == 0 || (frame.reserved == 4 && mayCompress) else { throw .reservedBits }
        guard (frame.opcode == 0) == (kind != nil) else {
            throw frame.opcode == 0 ? .continuationUnexpected : .messageInterrupted
        }
        metCompression = frame.reserved == 4
        if frame.opcode != 0 { kind = frame.opcode == 1 ? .text : .binary }
        guard frame.length <= choice.limits.frameBytesMax else { throw .frameTooLong }
        guard frame.length <= choice.limits.messageBytesMax - text.count || metCompression else {
            throw .messageTooLong
        }
    }

    private mutating func data(_ frame: Frame, _ payload: [UInt8]) throws(ConnectionFailure) {
        guard let kind else { return }
        text += payload
        let ends = frame.isFinal && payload.count == frame.length
        if kind == .text {
            guard canBeText(text, ends: ends) else { throw .textMalformed }
        }
        guard ends else { return }
        facts.append(.message(kind, text))
        self.kind = nil
        text = []
    }

    /// Swift's own word on the whole, or on the whole with its last character completed somehow.
    private func canBeText(_ octets: [UInt8], ends: Bool) -> Bool {
        if String(validating: octets, as: UTF8.self) != nil { return true }
        if ends { return false }
        let second: [UInt8] = [0x80, 0x90, 0xA0]
        return [[0x80], [0x80, 0x80]].contains { String(validating: octets + $0, as: UTF8.self) != nil }
            || second.contains {
                String(validating: octets + [$0, 0x80], as: UTF8.self) != nil
                    || String(validating: octets + [$0, 0x80, 0x80], as: UTF8.self) != nil
                    || String(validating: octets + [$0], as: UTF8.self) != nil
            }
    }
}
