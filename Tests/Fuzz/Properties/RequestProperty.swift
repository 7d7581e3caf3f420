@testable import ChimeraBytes
@testable import ChimeraHTTP1
@testable import ChimeraHTTPCore

/// A request's head: the first byte chooses the bounds, the others are what came.
///
/// - The same is made of it in any pieces.
/// - It ends where it is said to, whatever follows.
/// - A slow reading by the grammar finds the same, and the body's end in one way.
/// - What is passed on is read by the same parser as the same request: nothing is smuggled.
func requestFailure(_ input: [UInt8]) -> String? {
    guard let choice = input.first else { return nil }
    let bytes = Array(input.dropFirst())
    let limits = limits(small: choice & 1 == 1)
    let head = RequestHead()
    var ways = cuts(bytes)[...]
    let outcome = RequestFacts.parse(bytes, ways.removeFirst(), limits, into: head)
    for way in ways where RequestFacts.parse(bytes, way, limits) != outcome {
        return "pieces give another request"
    }
    guard case .complete(let facts) = outcome else { return nil }
    if facts.consumed > bytes.count { return "more was taken than there is" }
    let (whole, short) = (Array(bytes.prefix(facts.consumed)), Array(bytes.prefix(facts.consumed - 1)))
    if RequestFacts.parse(whole, [whole.count], limits) != outcome {
        return "what follows changes the request"
    }
    if RequestFacts.parse(short, [short.count], limits) != .incomplete { return "it ends before its end" }
    if let failure = slowFailure(whole, facts) ?? FieldFacts.failure(in: facts.fields) { return failure }
    let names = facts.fields.map { String(decoding: $0.name, as: UTF8.self) }
    if names.filter({ $0 == "content-length" }).count > 1 { return "the length is said twice" }
    if names.contains("content-length") && names.contains("transfer-encoding") {
        return "the length is in doubt"
    }
    if names.filter({ $0 == "host" }).count > 1 { return "the host is said twice" }
    if facts.form == .origin || facts.form == .absolute {
        if facts.path.first != UInt8(ascii: "/") { return "the path does not begin with a slash" }
        return passedOnFailure(head, facts)
    }
    return nil
}

/// What a slow reading finds otherwise.
private func slowFailure(_ bytes: [UInt8], _ facts: RequestFacts) -> String? {
    guard let head = SlowHead(bytes[...]) else { return "what is no head is accepted" }
    let words = head.startLine.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
    guard words.count == 3, words[0].elementsEqual(facts.method), words[2].starts(with: "HTTP/1.".utf8) else {
        return "what is no request line is accepted"
    }
    let isHTTP10 = words[2].last == UInt8(ascii: "0")
    if isHTTP10 != facts.persistence.isHTTP10 { return "the version is another one" }
    if !isHTTP10 && head.fields.count(where: { $0.name == Array("host".utf8) }) != 1 {
        return "the host is in doubt"
    }
    // A length that is said twice is passed on once.
    func others(_ fields: [FieldFacts]) -> [FieldFacts] {
        fields.filter { $0.name != Array("content-length".utf8) }
    }
    if others(head.fields) != others(facts.fields) { return "the fields are other ones" }
    let body: BodyLength
    switch (head.contains("transfer-encoding"), head.contains("content-length")) {
    case (true, false) where head.isChunked && !isHTTP10: body = .unknown
    case (false, true):
        guard let length = head.length else { return "a length in doubt is accepted" }
        body = length == 0 ? .none : .known(length)
    case (false, false): body = .none
    default: return "a body in doubt is accepted"
    }
    return body == facts.body ? nil : "the body has another length"
}

/// Writes the request as an upstream gets it, and reads that.
private func passedOnFailure(_ head: RequestHead, _ facts: RequestFacts) -> String? {
    HopByHop.remove(from: head)
    let kept = FieldFacts.all(head)
    let output = ByteBuffer(capacity: 64)
    let framing = HeadWriter.writeRequest(
        head, target: head.pathAndQuery, upgrade: head.upgrade, into: output)
    let written = [UInt8](copying: output.readable)
    var limits = Limits()
    limits.startLineBytesMax = written.count
    limits.headBytesMax = written.count
    limits.fieldsMax = written.count
    // HTTP/1.0 without a host became HTTP/1.1 without one, which is whoever passes it on to repair.
    let again = RequestFacts.parse(written, [written.count], limits)
    if !kept.contains(where: { $0.name == Array("host".utf8) }) {
        return again == .refused(.hostMissing) ? nil : "a request without a host is read as \(again)"
    }
    guard case .complete(let second) = again else { return "what is passed on is refused: \(again)" }
    if second.consumed != written.count { return "what is passed on ends early" }
    if second.method != facts.method { return "the method changed" }
    if second.path != facts.path { return "the target changed" }
    if second.body != facts.body { return "the body's length changed" }
    switch (framing, second.body) {
    case (.none, .none), (.chunked, .unknown): break
    case (.length(let one), .known(let other)) where one == other: break
    default: return "the body is framed otherwise than said"
    }
    let added: Set<String> = ["connection", "upgrade", "transfer-encoding", "content-length"]
    let passed = second.fields.filter { !added.contains(String(decoding: $0.name, as: UTF8.self)) }
    let expected = kept.filter { !added.contains(String(decoding: $0.name, as: UTF8.self)) }
    return passed == expected ? nil : "the fields changed"
}
