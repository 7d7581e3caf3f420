import ChimeraBytes
import ChimeraHTTP2
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

/// What a connection said of its input, as values that can be compared: content in one piece, ends on their own.
enum Happening: Equatable {
    case head(UInt32, [String])
    case refused(UInt32, Refusal)
    case data(UInt32, String)
    case end(UInt32)
    case trailers(UInt32, [String])
    case reset(UInt32, ErrorCode)
    case streamFailed(UInt32, Violation)
    case requestFailed(UInt32, Violation)
    case goAway(ErrorCode)
    case failed(Violation)
}

/// A frame that a connection sent.
struct SentFrame: Equatable {
    var type: UInt8
    var flags: UInt8
    var stream: UInt32
    var payload: [UInt8]

    init(_ type: FrameType, flags: FrameFlags = [], stream: UInt32 = 0, _ payload: [UInt8] = []) {
        self.type = type.rawValue
        self.flags = flags.rawValue
        self.stream = stream
        self.payload = payload
    }

    var isEnd: Bool { flags & 1 != 0 }
    var text: String { String(decoding: payload, as: UTF8.self) }
}

/// Who writes frames by hand, and the end of the connection that it talks to.
class Peer {
    let end: ConnectionEnd
    var now: Int64 = 1000
    /// What was said of the input so far.
    var happenings: [Happening] = []
    /// The streams of heads, by identifier.
    var handles: [UInt32: StreamHandle] = [:]
    fileprivate var input: [UInt8] = []
    /// Content is consumed as it comes.
    var consumes = true
    private var decoder = FieldDecoder()

    fileprivate init(_ end: ConnectionEnd) { self.end = end }

    /// Gives octets to the connection, in pieces that end where `ends` says.
    func feed(_ bytes: [UInt8], _ ends: [Int]? = nil) {
        var taken = 0
        for end in ends ?? [bytes.count] {
            input += bytes[taken..<end]
            taken = end
            drainInput()
        }
    }

    private func drainInput() {
        while true {
            let received = receive()
            if let event = received.event { take(event) }
            input.removeFirst(received.consumed)
            end.checkInvariants()
            if received.event == nil { return }
            if case .failed = received.event { return }
        }
    }

    private func take(_ event: Event) {
        switch event {
        case .head(let stream, let endStream):
            happenings.append(.head(stream.id, picture()))
            keep(stream, endStream)
        case .headRefused(let stream, let refusal, let endStream):
            happenings.append(.refused(stream.id, refusal))
            keep(stream, endStream)
        case .data(let stream, let range, let endStream):
            add(String(decoding: input[range], as: UTF8.self), stream)
            if consumes { end.consume(stream, range.count) }
            if endStream { happenings.append(.end(stream.id)) }
        case .end(let stream): happenings.append(.end(stream.id))
        case .trailers(let stream):
            happenings.append(.trailers(stream.id, fieldLines(end.trailers)))
            happenings.append(.end(stream.id))
        case .reset(let stream, let code): happenings.append(.reset(stream.id, code))
        case .streamFailed(let stream, let violation): happenings.append(.streamFailed(stream.id, violation))
        case .requestFailed(let id, let violation): happenings.append(.requestFailed(id, violation))
        case .goAway(let code): happenings.append(.goAway(code))
        case .failed(let violation): happenings.append(.failed(violation))
        }
    }

    private func keep(_ stream: StreamHandle, _ endStream: Bool) {
        handles[stream.id] = stream
        keepHead(stream)
        if endStream { happenings.append(.end(stream.id)) }
    }

    private func add(_ text: String, _ stream: StreamHandle) {
        if case .data(stream.id, let before) = happenings.last {
            happenings[happenings.count - 1] = .data(stream.id, before + text)
        } else {
            happenings.append(.data(stream.id, text))
        }
    }

    /// Octets of content that were given on.
    var contentBytes: Int {
        happenings.reduce(0) { sum, happening in
            if case .data(_, let text) = happening { sum + text.utf8.count } else { sum }
        }
    }

    // MARK: What the roles differ in

    fileprivate func receive() -> Received { Received(consumed: input.count, event: nil) }
    fileprivate func picture() -> [String] { [] }
    fileprivate func keepHead(_ stream: StreamHandle) {}

    // MARK: What the connection sent

    /// The frames in the output, which is empty afterwards.
    func sent() -> [SentFrame] {
        let output = end.output
        let bytes = [UInt8](copying: output.readable)
        output.clear()
        return frames(in: bytes)
    }

    /// The fields of a block that the connection sent.
    func fields(_ frame: SentFrame) throws -> [String] { try fields(frame.payload) }

    func fields(_ block: [UInt8]) throws -> [String] {
        var sink = ListSink()
        _ = try decoder.decode(block.span, into: &sink, listBytesMax: 1 << 20, fieldsMax: 1000)
        return sink.lines
    }
}

/// A client that writes frames by hand, and the connection that it talks to.
final class Client: Peer {
    let connection: ServerConnection
    var heads: [UInt32: RequestHead] = [:]
    private var spare = RequestHead()

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    /// - Parameter greets: the preface and empty settings are exchanged.
    init(_ limits: ConnectionLimits = ConnectionLimits(), greets: Bool = true) {
        connection = ServerConnection(limits: limits, output: ByteBuffer(capacity: 1024))
        super.init(connection)
        guard greets else { return }
        feed(Self.preface + frame(.settings) + frame(.settings, .ack))
        connection.output.clear()
    }

    fileprivate override func receive() -> Received { connection.receive(input.span, into: spare, at: now) }

    fileprivate override func picture() -> [String] { ChimeraHTTP2Tests.picture(spare) }

    fileprivate override func keepHead(_ stream: StreamHandle) {
        heads[stream.id] = spare
        spare = RequestHead()
    }

    /// Opens a stream with a GET, as `request` writes it, and forgets the event.
    @discardableResult
    func open(_ id: UInt32, endStream: Bool = true) -> StreamHandle {
        feed(request(id, endStream: endStream))
        happenings.removeAll()
        return handles[id] ?? StreamHandle(slot: -1, id: id)
    }

    /// Sends a plain head for a stream.
    @discardableResult
    func answer(_ id: UInt32, _ body: BodyLength = .unknown, status: Int = 200) -> Bool {
        let head = ResponseHead()
        head.reset(status: status)
        head.body = body
        return connection.sendHead(handles[id]!, head, answering: heads[id]!.method, date: date)
    }
}

/// A server that writes frames by hand, and the connection that asks it.
final class Server: Peer {
    let connection: RequestingConnection
    private var spare = ResponseHead()

    /// - Parameters:
    ///   - settings: what is in the server's first frame.
    ///   - greets: settings are exchanged.
    init(
        _ limits: ConnectionLimits = ConnectionLimits(), settings: [UInt8] = [], greets: Bool = true,
        lastStream: UInt32 = 0
    ) {
        connection = RequestingConnection(
            limits: limits, output: ByteBuffer(capacity: 1024), lastStream: lastStream)
        super.init(connection)
        guard greets else { return }
        feed(frame(.settings, settings) + frame(.settings, .ack))
        connection.output.clear()
    }

    fileprivate override func receive() -> Received { connection.receive(input.span, into: spare, at: now) }

    fileprivate override func picture() -> [String] { ["\(spare.status) \(spare.body)"] + fieldLines(spare) }

    /// Has the connection send a request.
    @discardableResult
    func ask(
        _ method: String = "GET", _ target: String = "/", _ body: BodyLength = .none, upgrade: String = "",
        isSecure: Bool = true, _ fields: [String] = ["Host: a.example"]
    ) -> StreamHandle? {
        let head = RequestHead()
        head.methodBytes = head.store(Array(method.utf8).span)
        head.method = Method(head[head.methodBytes])
        head.body = body
        let place = head.store(Array(target.utf8).span)
        let token = upgrade.isEmpty ? Slice.empty : head.store(Array(upgrade.utf8).span)
        for field in fields {
            let parts = field.split(separator: ": ", maxSplits: 1).map { Array($0.utf8) }
            let (name, value) = (parts[0], parts[1])
            head.add(name: name.span, value: value.span)
        }
        let stream = connection.open(head, target: place, upgrade: token, isSecure: isSecure)
        connection.checkInvariants()
        if let stream { handles[stream.id] = stream }
        return stream
    }
}

/// Takes fields as lines.
struct ListSink: FieldSink {
    let block = FieldBlock()
    var lines: [String] = []
    var isValid = true

    mutating func add(_ field: DecodedField) {
        var name = text(block[field.nameBytes])
        if name.isEmpty { name = pseudoNames[field.name.rawValue] ?? "\(field.name.field.text)".lowercased() }
        lines.append(name + ": " + text(block[field.value]))
        if !field.isValid { isValid = false }
    }
}

private let pseudoNames: [UInt8: String] = [
    255: ":authority", 254: ":method", 253: ":path", 252: ":scheme", 251: ":status", 250: ":protocol",
]

let date = InlineArray<29, UInt8>(repeating: UInt8(ascii: "d"))

func text(_ span: Span<UInt8>) -> String { String(decoding: [UInt8](copying: span), as: UTF8.self) }

/// The lines that are present, as `name: value`, known names in small letters.
func fieldLines(_ block: FieldBlock) -> [String] {
    (0..<block.lineCount).compactMap { index in
        let line = block.line(at: index)
        return line.isPresent ? text(block.name(of: line)).lowercased() + ": " + text(block[line.value]) : nil
    }
}

/// What a request's head says, beside its fields.
func picture(_ head: RequestHead) -> [String] {
    ["\(text(head[head.methodBytes])) \(text(head[head.target])) \(head.form) \(head.body)"]
        + fieldLines(head)
}

/// Where pieces of so many octets end: octet by octet for seed 0, else of sizes that depend on it.
func randomEnds(_ count: Int, _ seed: Int) -> [Int] {
    var generator = SeededGenerator(seed: UInt64(seed))
    var ends: [Int] = []
    while ends.last ?? 0 < count {
        let step = seed == 0 ? 1 : Int.random(in: 1...[2, 9, 30, 100][seed % 4], using: &generator)
        ends.append(min(count, (ends.last ?? 0) + step))
    }
    return ends
}

// MARK: Frames by hand

func frame(_ type: UInt8, _ flags: FrameFlags = [], stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
    let count = payload.count
    return [UInt8(count >> 16), UInt8(count >> 8 & 255), UInt8(count & 255), type, flags.rawValue]
        + number(stream) + payload
}

func frame(_ type: FrameType, _ flags: FrameFlags = [], stream: UInt32 = 0, _ payload: [UInt8] = [])
    -> [UInt8]
{
    frame(type.rawValue, flags, stream: stream, payload)
}

func frame(_ type: FrameType, stream: UInt32 = 0, _ payload: [UInt8]) -> [UInt8] {
    frame(type.rawValue, [], stream: stream, payload)
}

func frame(_ type: UInt8, _ payload: [UInt8]) -> [UInt8] { frame(type, [], payload) }

/// 32 bits, the highest first.
func number(_ value: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
}

func setting(_ identifier: UInt16, _ value: UInt32) -> [UInt8] {
    [UInt8(identifier >> 8), UInt8(identifier & 255)] + number(value)
}

/// A block of literal fields, as `name: value`; nothing goes into a table.
func block(_ lines: [String]) -> [UInt8] {
    lines.flatMap { line -> [UInt8] in
        let colon = line.dropFirst().firstIndex(of: ":")!
        let (name, value) = (Array(line[..<colon].utf8), Array(line[line.index(colon, offsetBy: 2)...].utf8))
        return [0] + length(name.count) + name + length(value.count) + value
    }
}

private func length(_ count: Int) -> [UInt8] {
    if count < 127 { return [UInt8(count)] }
    var (rest, octets) = (count - 127, [UInt8(127)])
    while rest >= 128 {
        octets.append(UInt8(rest & 127 | 128))
        rest >>= 7
    }
    return octets + [UInt8(rest)]
}

let plainHead = [":method: GET", ":scheme: https", ":authority: a.example", ":path: /"]

/// HEADERS with a whole block.
func headers(_ id: UInt32, _ lines: [String], endStream: Bool = true) -> [UInt8] {
    frame(.headers, endStream ? [.endHeaders, .endStream] : .endHeaders, stream: id, block(lines))
}

/// A GET, or a POST whose content is to follow, with more fields.
func request(_ id: UInt32, endStream: Bool = true, _ fields: [String] = []) -> [UInt8] {
    let method = endStream ? ":method: GET" : ":method: POST"
    return headers(id, [method] + plainHead.dropFirst() + fields, endStream: endStream)
}

func data(_ id: UInt32, _ text: String, endStream: Bool = false) -> [UInt8] {
    frame(.data, endStream ? .endStream : [], stream: id, Array(text.utf8))
}

func frames(in bytes: [UInt8]) -> [SentFrame] {
    var frames: [SentFrame] = []
    var index = 0
    while bytes.count - index >= 9 {
        let count = Int(bytes[index]) << 16 | Int(bytes[index + 1]) << 8 | Int(bytes[index + 2])
        guard bytes.count - index - 9 >= count else { break }
        var frame = SentFrame(.data, Array(bytes[(index + 9)..<(index + 9 + count)]))
        frame.type = bytes[index + 3]
        frame.flags = bytes[index + 4]
        frame.stream = bytes[(index + 5)..<(index + 9)].reduce(0) { $0 << 8 | UInt32($1) }
        frames.append(frame)
        index += 9 + count
    }
    #expect(index == bytes.count, "half a frame")
    return frames
}

func hex(_ text: String) -> [UInt8] {
    let digits = text.filter { !$0.isWhitespace }.map { UInt8($0.hexDigitValue!) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}
