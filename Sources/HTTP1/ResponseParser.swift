internal import ChimeraBytes
package import ChimeraHTTPCore

/// Parses the heads of an upstream's responses (RFC 9112 §4), as strictly as requests: what could be read in two
/// ways is refused, and the gateway answers 502.
package struct ResponseParser {
    private var scanner = LineScanner()
    private var seenStatusLine = false
    private let limits: Limits
    /// How the connection goes on, once the head is complete.
    package private(set) var persistence = Persistence()
    /// Connection names fields that belong to the connection alone.
    package private(set) var namesFields = false
    /// Where the body ends, once the head is complete.
    package private(set) var framing = WireFraming.none

    package init(limits: Limits) {
        self.limits = limits
    }

    /// Makes the parser ready for the next response, which may be the final one after an interim one.
    package mutating func reset() {
        scanner = LineScanner()
        seenStatusLine = false
        persistence = Persistence()
        namesFields = false
        framing = .none
    }

    /// Goes on with a head that begins at the start of `input`.
    ///
    /// - Parameters:
    ///   - head: was reset before the first call for this response.
    ///   - method: the request's method, which decides whether a body follows.
    package mutating func parse(
        _ input: Span<UInt8>, into head: ResponseHead, answering method: Method
    ) throws(Refusal) -> HeadProgress {
        while let line = try scanner.next(in: input, before: limits.headBytesMax, else: .headTooLarge) {
            if !seenStatusLine {
                try parseStatusLine(input.extracting(line), head)
                seenStatusLine = true
            } else if line.isEmpty {
                head.adopt(input.extracting(0..<scanner.lineStart))
                readConnection(head)
                framing = try bodyFraming(head, answering: method)
                return .complete(scanner.lineStart)
            } else {
                guard head.lineCount < limits.fieldsMax else { throw .fieldsTooMany }
                try FieldLineParser.parse(input, line, into: head)
            }
        }
        return .incomplete
    }

    /// `HTTP/1.x SP 3DIGIT [ SP reason ]`; many servers leave out the last space with the reason.
    private mutating func parseStatusLine(_ line: Span<UInt8>, _ head: ResponseHead) throws(Refusal) {
        guard line.count >= 12, line.starts(with: "HTTP/1."), line[7].isDigit, line[8] == 32,
            line[9].isDigit, line[10].isDigit, line[11].isDigit, line.count == 12 || line[12] == 32
        else { throw .statusLineMalformed }
        for index in 12..<line.count where !line[index].isFieldValueCharacter { throw .statusLineMalformed }
        head.status = Int(line[9] - 48) * 100 + Int(line[10] - 48) * 10 + Int(line[11] - 48)
        guard head.status >= 100 else { throw .statusLineMalformed }
        head.minorVersion = line[7] == 48 ? 0 : 1
        persistence.isHTTP10 = line[7] == 48
        persistence.keepAlive = line[7] != 48
    }

    private mutating func readConnection(_ head: ResponseHead) {
        guard head.contains(.connection) else { return }
        let options = Framing.connectionOptions(head)
        namesFields = options.contains(.otherField)
        if options.contains(.keepAlive) { persistence.keepAlive = true }
        if options.contains(.close) { persistence.keepAlive = false }
    }

    /// RFC 9112 §6.3, in its order.
    private mutating func bodyFraming(_ head: ResponseHead, answering method: Method) throws(Refusal)
        -> WireFraming
    {
        let length = try Framing.contentLength(head)
        if head.contains(.transferEncoding) {
            if length != nil { throw .lengthAndCoding }
            if head.minorVersion == 0 { throw .codingInHTTP10 }
            try Framing.checkChunked(head)
        }
        head.body = length.map { .known($0) } ?? .unknown
        if head.forbidsContent || method == .head {
            if head.forbidsContent { head.body = .none }
            // RFC 9112 §6.1, RFC 9110 §8.6: a 204 that announces content anyway may have it follow.
            if head.status == 204 && (head.contains(.transferEncoding) || length ?? 0 > 0) {
                persistence.keepAlive = false
            }
            return .none
        }
        if head.contains(.transferEncoding) { return .chunked }
        if let length { return .length(length) }
        persistence.keepAlive = false
        return .untilClose
    }
}
