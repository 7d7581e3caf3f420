@testable import ChimeraBytes
@testable import ChimeraHTTP1
@testable import ChimeraHTTPCore

/// A response's head: the first byte chooses bounds and method, the others are what an upstream sent.
///
/// - The same is made of it in any pieces.
/// - It ends where it is said to, whatever follows.
/// - A slow reading by the grammar finds the same.
/// - What is passed on is read as a response that ends where the first one did.
func responseFailure(_ input: [UInt8]) -> String? {
    guard let choice = input.first else { return nil }
    let bytes = Array(input.dropFirst())
    let limits = limits(small: choice & 1 == 1)
    let method: Method = choice & 2 == 2 ? .head : .get
    let head = ResponseHead()
    var ways = cuts(bytes)[...]
    let outcome = ResponseFacts.parse(bytes, ways.removeFirst(), answering: method, limits, into: head)
    for way in ways where ResponseFacts.parse(bytes, way, answering: method, limits) != outcome {
        return "pieces give another response"
    }
    guard case .complete(let facts) = outcome else { return nil }
    if facts.consumed > bytes.count { return "more was taken than there is" }
    let (whole, short) = (Array(bytes.prefix(facts.consumed)), Array(bytes.prefix(facts.consumed - 1)))
    for (piece, expected) in [(whole, outcome), (short, .incomplete)] {
        if ResponseFacts.parse(piece, [piece.count], answering: method, limits) != expected {
            return "it does not end where it is said to"
        }
    }
    if !(100...999).contains(facts.status) { return "the status is \(facts.status)" }
    if let failure = slowFailure(whole, facts, method) ?? FieldFacts.failure(in: facts.fields) {
        return failure
    }
    if facts.framing == .untilClose && facts.persistence.keepAlive {
        return "nothing follows an endless body"
    }
    return facts.status < 200 ? nil : passedOnFailure(head, facts, method, isHTTP10: choice & 4 == 4)
}

/// What a slow reading finds otherwise.
private func slowFailure(_ bytes: [UInt8], _ facts: ResponseFacts, _ method: Method) -> String? {
    guard let head = SlowHead(bytes[...]) else { return "what is no head is accepted" }
    let words = head.startLine.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
    guard words.count > 1, words[0].count == 8, words[0].starts(with: "HTTP/1.".utf8),
        words[1].elementsEqual(String(facts.status).utf8), head.startLine.allSatisfy(\.isFieldValueCharacter)
    else { return "what is no status line is accepted" }
    if head.fields != facts.fields { return "the fields are other ones" }
    let isHTTP10 = words[0].last == UInt8(ascii: "0")
    if isHTTP10 != facts.persistence.isHTTP10 { return "the version is another one" }
    let (hasCoding, hasLength) = (head.contains("transfer-encoding"), head.contains("content-length"))
    if hasCoding && (hasLength || isHTTP10 || !head.isChunked) { return "a body in doubt is accepted" }
    if hasLength && head.length == nil { return "a length in doubt is accepted" }
    if method == .head || facts.status < 200 || facts.status == 204 || facts.status == 304 {
        return facts.framing == .none ? nil : "a response without content has some"
    }
    let framing = hasCoding ? .chunked : head.length.map { .length($0) } ?? WireFraming.untilClose
    return framing == facts.framing ? nil : "the body ends elsewhere"
}

/// Writes the response as a client gets it, and reads that.
private func passedOnFailure(
    _ head: ResponseHead, _ facts: ResponseFacts, _ method: Method, isHTTP10: Bool
) -> String? {
    HopByHop.remove(from: head)
    head.remove(.contentLength)
    let kept = FieldFacts.all(head)
    let output = ByteBuffer(capacity: 64)
    let context = HeadWriter.ResponseContext(
        method: method, keepAlive: true, isHTTP10: isHTTP10, date: InlineArray(repeating: UInt8(ascii: "0")))
    let framing = HeadWriter.writeResponse(head, context, into: output)
    let written = [UInt8](copying: output.readable)
    var limits = Limits()
    limits.headBytesMax = written.count
    limits.fieldsMax = written.count
    let again = ResponseFacts.parse(written, [written.count], answering: method, limits)
    guard case .complete(let second) = again else { return "what is passed on is refused: \(again)" }
    if second.consumed != written.count { return "what is passed on ends early" }
    if second.status != facts.status { return "the status changed" }
    if second.framing != framing && !(framing == .none && second.framing == .length(0)) {
        return "the body is framed as \(second.framing), and \(framing) was said"
    }
    let added: Set<String> = ["connection", "date", "transfer-encoding", "content-length"]
    let passed = second.fields.filter { !added.contains(String(decoding: $0.name, as: UTF8.self)) }
    let expected = kept.filter { !added.contains(String(decoding: $0.name, as: UTF8.self)) }
    return passed == expected ? nil : "the fields changed"
}
