import ChimeraBytes
import ChimeraTestSupport
import ChimeraWebSocket
import Testing

/// What a decoder says, whatever the pieces in which it says it.
enum Fact: Equatable {
    case text(String)
    case binary([UInt8])
    case ping([UInt8])
    case pong([UInt8])
    case close(CloseStatus?, [UInt8])
    case failed(ConnectionFailure)

    static func message(_ kind: MessageKind, _ octets: [UInt8]) -> Fact {
        guard kind == .text else { return .binary(octets) }
        guard let text = String(validating: octets, as: UTF8.self) else {
            Issue.record("text that is no UTF-8 was handed out: \(octets)")
            return .binary(octets)
        }
        return .text(text)
    }
}

/// A decoder with its buffers, and what it has said.
struct Reader: ~Copyable {
    var decoder: MessageDecoder
    var facts: [Fact] = []
    /// Parts handed out.
    var parts = 0
    /// Octets of the message that has begun.
    var open: [UInt8] = []
    let input = ByteBuffer(capacity: 1)
    let inflated = ByteBuffer(capacity: 1)

    init(_ role: Role, limits: MessageLimits = MessageLimits(), deflate: DeflateDirection? = nil) {
        decoder = MessageDecoder(role, limits: limits, deflate: deflate)
    }

    /// Appends bytes to the input and reads for as long as there is something.
    mutating func read(_ bytes: some Collection<UInt8>) {
        input.append(Array(bytes).span)
        while true {
            switch decoder.next(input, inflated: inflated) {
            case .starved: return
            case .data(let part): take(part)
            case .ping(let count): facts.append(.ping(consume(input, count)))
            case .pong(let count): facts.append(.pong(consume(input, count)))
            case .close(let status, let count): facts.append(.close(status, consume(input, count)))
            case .failed(let failure):
                facts.append(.failed(failure))
                #expect(input.isEmpty && inflated.isEmpty)
            }
        }
    }

    private mutating func take(_ part: MessagePart) {
        #expect(part.isFirst == open.isEmpty)
        #expect(part.count > 0 || part.isLast)
        #expect(!part.isInflated || part.count <= MessageDecoder.inflatedOctetsMax)
        parts += 1
        open += consume(part.buffer(input: input, inflated: inflated), part.count)
        guard part.isLast else { return }
        facts.append(.message(part.kind, open))
        open = []
    }

    private func consume(_ buffer: ByteBuffer, _ count: Int) -> [UInt8] {
        let octets = [UInt8](copying: buffer.readable.extracting(first: count))
        buffer.consume(count)
        return octets
    }
}

/// What a decoder says of these bytes, which is the same whole, octet by octet and at splits that depend on the bytes.
func messages(
    _ role: Role, _ bytes: [UInt8], limits: MessageLimits = MessageLimits(),
    deflate: DeflateDirection? = nil
) -> [Fact] {
    func facts(_ ends: [Int]) -> [Fact] {
        var reader = Reader(role, limits: limits, deflate: deflate)
        var taken = 0
        for end in ends {
            reader.read(bytes[taken..<end])
            taken = end
        }
        return reader.facts
    }
    let whole = facts([bytes.count])
    var random = SeededGenerator(seed: UInt64(bytes.count))
    for longest in bytes.count <= 3000 ? [1, 3, 40] : [500, 20_000] {
        var ends: [Int] = []
        while (ends.last ?? 0) < bytes.count {
            ends.append(min(bytes.count, (ends.last ?? 0) + Int.random(in: 1...longest, using: &random)))
        }
        #expect(facts(ends) == whole, "in pieces of up to \(longest)")
    }
    return whole
}

/// One frame with this payload, masked where a client sends it.
func frame(
    _ role: Role, _ opcode: UInt8, _ payload: [UInt8], final: Bool = true, reserved: UInt8 = 0
) -> [UInt8] {
    let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    guard role == .client else {
        return header(opcode, payload.count, final: final, reserved: reserved) + payload
    }
    return header(opcode, payload.count, final: final, key: key, reserved: reserved)
        + payload.enumerated().map { $1 ^ key[$0 & 3] }
}

func frame(
    _ role: Role, _ opcode: UInt8, _ payload: String, final: Bool = true, reserved: UInt8 = 0
) -> [UInt8] {
    frame(role, opcode, Array(payload.utf8), final: final, reserved: reserved)
}

/// What an encoder writes.
func written(_ body: (ByteBuffer) -> Void) -> [UInt8] {
    let output = ByteBuffer(capacity: 1)
    body(output)
    return [UInt8](copying: output.readable)
}
