@testable import ChimeraAdministration
@testable import ChimeraBytes
@testable import ChimeraSessions
@testable import ChimeraWebSocket

/// The subprotocol of sessions, both ways: the bytes as a client's message, and as what a program writes.
///
/// - A message means the same in any pieces, and no wish is one that may not be granted.
/// - What a program writes reaches the client whole and in order, however it was cut, in JSON of which each is one line.
func taggedStreamsFailure(_ bytes: [UInt8]) -> String? {
    let whole = wish(bytes, [bytes.count])
    for way in cuts(bytes) {
        let cut = wish(bytes, way)
        guard cut == whole else { return "cut at \(way) it is \(String(describing: cut))" }
        if let failure = outputFailure(bytes, way) { return "cut at \(way): \(failure)" }
    }
    switch whole {
    case nil: return "a whole message means nothing"
    case .signal(let number)? where number != 2: return "signal \(number) is granted"
    case .resize(let columns, let rows)?
    where !(1...10_000).contains(columns) || !(1...10_000).contains(rows):
        return "a terminal of \(columns) by \(rows)"
    default: return nil
    }
}

private func wish(_ bytes: [UInt8], _ ends: [Int]) -> TaggedStreams.Wish? {
    var streams = TaggedStreams(signals: [2])
    var start = 0
    for end in ends.isEmpty ? [0] : ends {
        let found = withExactMemory(bytes[start..<end]) { streams.take($0, isLast: end == bytes.count) }
        if let found { return found }
        start = end
    }
    return nil
}

private func outputFailure(_ bytes: [UInt8], _ ends: [Int]) -> String? {
    var streams = TaggedStreams(signals: [])
    var encoder = MessageEncoder(.server)
    let frames = ByteBuffer(capacity: 64)
    var start = 0
    for end in ends {
        withExactMemory(bytes[start..<end]) { streams.output(.stdout, $0, &encoder, to: frames) }
        start = end
    }
    streams.end(.stdout, &encoder, to: frames)
    var decoder = MessageDecoder(
        .server, limits: MessageLimits(frameBytesMax: 1 << 26, messageBytesMax: 1 << 26))
    let inflated = ByteBuffer(capacity: 16)
    var message: [UInt8] = []
    var received: [UInt8] = []
    var hasEnded = false
    while case let event = decoder.next(frames, inflated: inflated), event != .starved {
        guard case .data(let part) = event, part.kind == .text else { return "the client reads \(event)" }
        message += Array(copying: frames.readable.extracting(first: part.count))
        frames.consume(part.count)
        guard part.isLast else { continue }
        guard let json = JSON(message), !message.contains(UInt8(ascii: "\n")) else {
            return "\(message) is no line"
        }
        message = []
        if json["type"]?.string == "eof" {
            hasEnded = true
        } else if let text = json["data"]?.string {
            received += Array(text.utf8)
        } else if let text = json["base64"]?.string, let octets = Base64.decode(Array(text.utf8).span) {
            received += octets
        } else {
            return "\(json.text) is no output"
        }
    }
    guard hasEnded else { return "no end of the stream" }
    return received == bytes ? nil : "\(received) came"
}
