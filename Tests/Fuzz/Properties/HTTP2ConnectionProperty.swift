@testable import ChimeraBytes
@testable import ChimeraHTTP2
@testable import ChimeraHTTPCore

/// What a connection made of a client's octets.
private struct ConnectionFacts: Equatable {
    var happenings: [String] = []
    /// What was sent, but for content and windows, which go at other times where content comes in other pieces.
    var frames: [[UInt8]] = []
    var failure: String?

    /// Feeds octets as they come, and answers each request.
    init(_ bytes: [UInt8], _ ends: [Int], _ limits: ConnectionLimits, answers: Bool) {
        let connection = ServerConnection(limits: limits, output: ByteBuffer(capacity: 64))
        var (buffer, taken, head) = ([UInt8](), 0, RequestHead())
        for end in ends where failure == nil {
            buffer += bytes[taken..<end]
            taken = end
            var isDone = false
            while !isDone && failure == nil {
                let received = withExactMemory(buffer[...]) { connection.receive($0, into: head, at: 1000) }
                if received.consumed > buffer.count { failure = "more was taken than there is" }
                let before = buffer.count
                if let event = received.event { take(event, connection, &head, buffer, answers) }
                buffer.removeFirst(min(buffer.count, received.consumed))
                connection.checkInvariants()
                isDone = received.event == nil
                if !isDone, received.consumed == 0, before > 0, happenings.count > bytes.count {
                    failure = "it does not go on"
                }
                if case .failed = received.event { isDone = true }
            }
            if connection.failure == nil, buffer.count > limits.frameBytesMax + 9 {
                failure = "more than a frame is kept"
            }
        }
        var turns = 0
        while case let turn = connection.fillOutput(), turn != .idle, turn != .full, turns < 1000 {
            turns += 1
        }
        connection.checkInvariants()
        if turns == 1000 { failure = "turns do not end" }
        if connection.streamCount > limits.streamsMax { failure = "there are too many streams" }
        let output = connection.output
        read([UInt8](copying: output.readable))
    }

    private mutating func take(
        _ event: Event, _ connection: ServerConnection, _ head: inout RequestHead, _ buffer: [UInt8],
        _ answers: Bool
    ) {
        switch event {
        case .data(let stream, let range, let endStream):
            if range.upperBound > buffer.count { return failure = "content is not in the input" }
            let text = buffer[range].map { String($0, radix: 16) }.joined()
            connection.consume(stream, range.count)
            let line = "data \(stream.id) "
            if let last = happenings.last, last.hasPrefix(line) {
                happenings[happenings.count - 1] = last + text
            } else {
                happenings.append(line + text)
            }
            if endStream { happenings.append("end \(stream.id)") }
        case .end(let stream): happenings.append("end \(stream.id)")
        case .head(let stream, let endStream):
            let fields = FieldFacts.all(head)
            failure = FieldFacts.failure(in: fields) ?? failure ?? Self.failure(in: head)
            happenings.append("head \(stream.id) \(endStream) \(fields) \(head.form) \(head.body)")
            if answers { Self.answer(stream, connection, head) }
            head = RequestHead()
        case .headRefused(let stream, let refusal, _):
            happenings.append("refused \(stream.id) \(refusal)")
            head = RequestHead()
        case .trailers(let stream):
            let fields = FieldFacts.all(connection.trailers)
            failure = FieldFacts.failure(in: fields) ?? failure
            happenings.append("trailers \(stream.id) \(fields)")
        default: happenings.append("\(event)")
        }
    }

    private static func answer(_ stream: StreamHandle, _ connection: ServerConnection, _ head: RequestHead) {
        let response = ResponseHead()
        response.body = .unknown
        response.add(.server, "x")
        let date = InlineArray<29, UInt8>(repeating: 48)
        guard connection.sendHead(stream, response, answering: head.method, date: date) else { return }
        connection.send(stream, [UInt8](repeating: 120, count: 100 + head.byteCount % 400).span)
        // Some answers go on for ever.
        if stream.id % 4 == 1 { connection.finish(stream, trailers: stream.id % 8 == 1 ? response : nil) }
    }

    /// What a head that is given on always has, so that it means the same to every reader.
    private static func failure(in head: RequestHead) -> String? {
        if head.occurrences(of: .host) != 1 { return "the host is in doubt" }
        if head.occurrences(of: .contentLength) > 1 { return "the length is said twice" }
        if head.occurrences(of: .cookie) > 1 { return "cookies are in pieces" }
        for name in [FieldName.connection, .transferEncoding, .upgrade, .keepAlive, .proxyConnection] {
            if head.contains(name) { return "a field of a connection is given on" }
        }
        if head.form == .origin && head[head.pathAndQuery].first != UInt8(ascii: "/") {
            return "the path is none"
        }
        if head[head.target].allSatisfy(.pathOctets) == false { return "the target holds what no target may" }
        if !head[head.methodBytes].allSatisfy(.token) { return "the method is no token" }
        return nil
    }

    /// What was sent is whole frames.
    private mutating func read(_ bytes: [UInt8]) {
        var index = 0
        while bytes.count - index >= 9 {
            let header = FrameHeader(bytes.span, at: index)
            let end = index + 9 + header.length
            guard end <= bytes.count else { break }
            switch header.type {
            case .settings, .ping, .resetStream, .goAway: frames.append(Array(bytes[index..<end]))
            default: break
            }
            index = end
        }
        if index != bytes.count { failure = "half a frame was sent" }
    }
}

extension Span where Element == UInt8 {
    fileprivate var first: UInt8? { count > 0 ? self[0] : nil }
}

extension ByteSet {
    /// Visible ASCII.
    fileprivate static var pathOctets: ByteSet {
        ByteSet(low: 0xFFFF_FFFE_0000_0000, high: 0x7FFF_FFFF_FFFF_FFFF)
    }
}

/// Bounds that short inputs reach.
private func smallLimits() -> ConnectionLimits {
    var limits = ConnectionLimits()
    limits.message = ChimeraHTTP2Limits.small
    limits.streamsMax = 2
    limits.streamWindow = 100
    limits.connectionWindow = 65_535
    limits.blockBytesMax = 256
    limits.continuationsMax = 2
    limits.outputBytesMax = 200
    limits.dataBytesMax = 50
    limits.tableBytesMax = 128
    limits.resets = Budget(burst: 3, perSecond: 1)
    limits.emptyData = Budget(burst: 3, perSecond: 1)
    return limits
}

private enum ChimeraHTTP2Limits {
    static var small: Limits {
        var message = limits(small: true)
        message.headBytesMax = 400
        message.trailerBytesMax = 80
        message.fieldsMax = 8
        return message
    }
}

/// What a client sends on an HTTP/2 connection: the first octet chooses the bounds, and whether preface and settings are
/// put before the others.
///
/// - Nothing traps, and the invariants of the connection hold after each step.
/// - The same is made of it in any pieces, and the same is sent.
/// - A head that is given on means one thing: a host, at most one length, nothing of the connection.
/// - No more than a frame is kept, and what is sent is whole frames.
func http2ConnectionFailure(_ input: [UInt8]) -> String? {
    guard let choice = input.first else { return nil }
    var bytes = Array(input.dropFirst())
    if choice & 2 == 0 {
        bytes = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0] + bytes
    }
    let limits = choice & 1 == 1 ? smallLimits() : ConnectionLimits()
    let answers = choice & 4 == 0
    var ways = cuts(bytes)[...]
    let facts = ConnectionFacts(bytes, ways.removeFirst(), limits, answers: answers)
    if let failure = facts.failure { return failure }
    for way in ways where ConnectionFacts(bytes, way, limits, answers: answers) != facts {
        return "pieces give something else"
    }
    return nil
}
