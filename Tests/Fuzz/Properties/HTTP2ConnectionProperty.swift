@testable import ChimeraBytes
@testable import ChimeraHTTP2
@testable import ChimeraHTTPCore

/// One end of a connection, with what is done at its heads.
private protocol EndUnderTest: AnyObject {
    var end: ConnectionEnd { get }

    func receive(_ input: Span<UInt8>) -> Received

    /// Takes the head that was filled.
    ///
    /// - Returns: what it says, and what does not hold of it.
    func takeHead(_ stream: StreamHandle) -> (String, failure: String?)
}

/// What a connection made of its peer's octets.
private struct ConnectionFacts: Equatable {
    var happenings: [String] = []
    /// What was sent, but for content and windows, which go at other times where content comes in other pieces.
    var frames: [[UInt8]] = []
    var failure: String?

    /// Feeds octets as they come.
    init(_ bytes: [UInt8], _ ends: [Int], _ limits: ConnectionLimits, _ tested: any EndUnderTest) {
        let connection = tested.end
        let before = connection.output
        before.clear()
        var (buffer, taken) = ([UInt8](), 0)
        for end in ends where failure == nil {
            buffer += bytes[taken..<end]
            taken = end
            var isDone = false
            while !isDone && failure == nil {
                let received = withExactMemory(buffer[...]) { tested.receive($0) }
                if received.consumed > buffer.count { failure = "more was taken than there is" }
                let before = buffer.count
                if let event = received.event { take(event, tested, buffer) }
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

    private mutating func take(_ event: Event, _ tested: any EndUnderTest, _ buffer: [UInt8]) {
        switch event {
        case .data(let stream, let range, let endStream):
            if range.upperBound > buffer.count { return failure = "content is not in the input" }
            let text = buffer[range].map { String($0, radix: 16) }.joined()
            tested.end.consume(stream, range.count)
            let line = "data \(stream.id) "
            if let last = happenings.last, last.hasPrefix(line) {
                happenings[happenings.count - 1] = last + text
            } else {
                happenings.append(line + text)
            }
            if endStream { happenings.append("end \(stream.id)") }
        case .end(let stream): happenings.append("end \(stream.id)")
        case .head(let stream, let endStream):
            let (line, problem) = tested.takeHead(stream)
            failure = failure ?? problem
            happenings.append("head \(stream.id) \(endStream) \(line)")
        case .headRefused(let stream, let refusal, _):
            _ = tested.takeHead(stream)
            happenings.append("refused \(stream.id) \(refusal)")
        case .trailers(let stream):
            let fields = FieldFacts.all(tested.end.trailers)
            failure = FieldFacts.failure(in: fields) ?? failure
            happenings.append("trailers \(stream.id) \(fields)")
        default: happenings.append("\(event)")
        }
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

/// A server's end, which answers each request.
private final class AnsweringEnd: EndUnderTest {
    private let connection: ServerConnection
    private var head = RequestHead()
    private let answers: Bool
    var end: ConnectionEnd { connection }

    init(_ limits: ConnectionLimits, answers: Bool) {
        connection = ServerConnection(limits: limits, output: ByteBuffer(capacity: 64))
        self.answers = answers
    }

    func receive(_ input: Span<UInt8>) -> Received { connection.receive(input, into: head, at: 1000) }

    func takeHead(_ stream: StreamHandle) -> (String, failure: String?) {
        let fields = FieldFacts.all(head)
        let failure = FieldFacts.failure(in: fields) ?? Self.failure(in: head)
        let line = "\(fields) \(head.form) \(head.body)"
        if answers { answer(stream) }
        head = RequestHead()
        return (line, failure)
    }

    private func answer(_ stream: StreamHandle) {
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
}

/// A client's end, which has asked for something of each kind.
private final class AskingEnd: EndUnderTest {
    private let connection: RequestingConnection
    private var head = ResponseHead()
    var end: ConnectionEnd { connection }

    init(_ limits: ConnectionLimits, sends: Bool) {
        connection = RequestingConnection(limits: limits, output: ByteBuffer(capacity: 64))
        for (method, body) in [("GET", .none), ("HEAD", .none), ("POST", .unknown), ("CONNECT", .none)]
            as [(String, BodyLength)]
        {
            let request = RequestHead()
            request.methodBytes = request.store(Array(method.utf8).span)
            request.method = Method(request[request.methodBytes])
            request.body = body
            let target = request.store([47].span)
            guard
                let stream = connection.open(request, target: target, upgrade: .empty, isSecure: false),
                sends, method == "POST"
            else { continue }
            connection.send(stream, [UInt8](repeating: 120, count: 300).span)
            connection.finish(stream, trailers: request)
        }
    }

    func receive(_ input: Span<UInt8>) -> Received { connection.receive(input, into: head, at: 1000) }

    func takeHead(_ stream: StreamHandle) -> (String, failure: String?) {
        let fields = FieldFacts.all(head)
        return ("\(head.status) \(fields) \(head.body)", FieldFacts.failure(in: fields) ?? failure(stream))
    }

    /// What a head that is given on never has.
    private func failure(_ stream: StreamHandle) -> String? {
        if head.status < 100 || head.status > 999 || head.status == 101 { return "the status is none" }
        for name in [FieldName.connection, .transferEncoding, .upgrade, .keepAlive, .proxyConnection, .te]
        where head.contains(name) { return "a field of a connection is given on" }
        // RFC 9110 §9.3.6: any 2xx makes a tunnel of the fourth request, a CONNECT.
        if stream.id == 7 && head.status / 100 == 2 { return nil }
        return head.forbidsContent && head.body != .none ? "there is content where none may be" : nil
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

private let emptySettings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]

/// What a client sends on an HTTP/2 connection: the first octet chooses the bounds, and whether preface and settings are
/// put before the others.
///
/// - Nothing traps, and the invariants of the connection hold after each step.
/// - The same is made of it in any pieces, and the same is sent.
/// - A head that is given on means one thing: a host, at most one length, nothing of the connection.
/// - No more than a frame is kept, and what is sent is whole frames.
func http2ConnectionFailure(_ input: [UInt8]) -> String? {
    let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    return failure(of: input, behind: preface + emptySettings) { AnsweringEnd($0, answers: $1) }
}

/// What a server sends on an HTTP/2 connection to which four requests went: the first octet chooses as for
/// `http2ConnectionFailure`, and the same holds of it.
func http2AnswersFailure(_ input: [UInt8]) -> String? {
    failure(of: input, behind: emptySettings) { AskingEnd($0, sends: $1) }
}

private func failure(
    of input: [UInt8], behind beginning: [UInt8], _ end: (ConnectionLimits, Bool) -> any EndUnderTest
) -> String? {
    guard let choice = input.first else { return nil }
    let bytes = (choice & 2 == 0 ? beginning : []) + input.dropFirst()
    let limits = choice & 1 == 1 ? smallLimits() : ConnectionLimits()
    var ways = cuts(bytes)[...]
    let facts = ConnectionFacts(bytes, ways.removeFirst(), limits, end(limits, choice & 4 == 0))
    if let failure = facts.failure { return failure }
    for way in ways where ConnectionFacts(bytes, way, limits, end(limits, choice & 4 == 0)) != facts {
        return "pieces give something else"
    }
    return nil
}
