internal import ChimeraBytes
package import ChimeraHTTPCore

/// What a parser made of the bytes that it was given.
package enum HeadProgress: Equatable {
    /// The head is not whole yet; call again when the buffer has grown.
    case incomplete
    /// The head is whole and took so many bytes.
    case complete(Int)
}

/// How the connection goes on after a message, as its head says (RFC 9112 §9.3).
package struct Persistence: Equatable, Sendable {
    /// The peer wants the connection to stay open.
    package var keepAlive = true
    /// The peer speaks HTTP/1.0, so it wants to be told `Connection: keep-alive`.
    package var isHTTP10 = false

    package init() {}
}

/// Parses request heads (RFC 9112), sans I/O: the same buffer is offered again when it has grown, and each byte
/// is looked at once.
///
/// ```
/// leading CRLFs ──▶ request line ──▶ field lines … ──▶ empty line ──▶ framing and routing checks ──▶ complete
/// ```
/// Strict where leniency lets two recipients differ: whatever is refused has a reason and is never passed on.
package struct RequestParser {
    private var scanner = LineScanner()
    private var seenRequestLine = false
    private var bytesBefore = 0
    private var limits: Limits
    /// How the connection goes on, once the head is complete.
    package private(set) var persistence = Persistence()

    package init(limits: Limits) {
        self.limits = limits
    }

    /// Makes the parser ready for the next request.
    package mutating func reset() {
        scanner = LineScanner()
        seenRequestLine = false
        bytesBefore = 0
        persistence = Persistence()
    }

    /// Goes on with a head that begins at the start of `input`.
    ///
    /// - Parameter head: was reset before the first call for this request; once the head is complete it holds a
    ///   copy of its bytes, and the input may be reused.
    /// - Throws: why the request is refused; the connection can carry no further request then.
    package mutating func parse(_ input: Span<UInt8>, into head: RequestHead) throws(Refusal) -> HeadProgress
    {
        do throws(Refusal) {
            return try parseLines(input, head)
        } catch {
            giveUp(input, head)
            throw error
        }
    }

    /// Ends with a head that is not whole, so that what was understood of it can be read, for the log and for an answer.
    package func giveUp(_ input: Span<UInt8>, _ head: RequestHead) {
        if head.byteCount == 0 { head.adopt(input) }
    }

    private mutating func parseLines(_ input: Span<UInt8>, _ head: RequestHead) throws(Refusal)
        -> HeadProgress
    {
        while let line = try nextLine(input) {
            if !seenRequestLine {
                // RFC 9112 §2.2: empty lines (CRLF) before the request line are ignored; here a few. A bare LF is no line
                // end here either.
                if line.isEmpty && bytesBefore < 8 {
                    bytesBefore = scanner.lineStart
                    continue
                }
                try parseRequestLine(input, line, head)
                seenRequestLine = true
            } else if line.isEmpty {
                head.adopt(input.extracting(0..<scanner.lineStart))
                try finish(head)
                return .complete(scanner.lineStart)
            } else {
                guard head.lineCount < limits.fieldsMax else { throw .fieldsTooMany }
                try FieldLineParser.parse(input, line, into: head)
            }
        }
        return .incomplete
    }

    private mutating func nextLine(_ input: Span<UInt8>) throws(Refusal) -> Range<Int>? {
        guard seenRequestLine else {
            // The line and its CRLF.
            let bound = bytesBefore + limits.startLineBytesMax + 2
            return try scanner.next(in: input, before: bound, else: .targetTooLong)
        }
        return try scanner.next(in: input, before: bytesBefore + limits.headBytesMax, else: .headTooLarge)
    }

    // MARK: Request line, RFC 9112 §3

    private mutating func parseRequestLine(
        _ input: Span<UInt8>, _ line: Range<Int>, _ head: RequestHead
    ) throws(Refusal) {
        let methodEnd = try token(input, line)
        let targetStart = methodEnd + 1
        let targetEnd = try target(input, targetStart..<line.upperBound)
        try version(input, (targetEnd + 1)..<line.upperBound, head)
        head.methodBytes = Slice(start: line.lowerBound, count: methodEnd - line.lowerBound)
        head.method = Method(input.extracting(head.methodBytes.range))
        head.target = Slice(start: targetStart, count: targetEnd - targetStart)
        try classify(input, head)
    }

    private func token(_ input: Span<UInt8>, _ line: Range<Int>) throws(Refusal) -> Int {
        let tokens = ByteSet.token
        var index = line.lowerBound
        while index < line.upperBound && tokens.contains(input[index]) { index += 1 }
        guard index > line.lowerBound, index < line.upperBound, input[index] == 32 else {
            throw .methodMalformed
        }
        return index
    }

    /// The end of a target of visible ASCII; RFC 3986 has no other bytes, and no fragment is sent.
    private func target(_ input: Span<UInt8>, _ range: Range<Int>) throws(Refusal) -> Int {
        var index = range.lowerBound
        while index < range.upperBound {
            let byte = input[index]
            if byte <= 32 || byte >= 127 || byte == 35 { break }
            index += 1
        }
        guard index > range.lowerBound, index < range.upperBound, input[index] == 32 else {
            throw .targetMalformed
        }
        return index
    }

    /// RFC 9112 §2.3: `HTTP/1.` and one digit; a higher minor version is treated as 1.1.
    private mutating func version(_ input: Span<UInt8>, _ range: Range<Int>, _ head: RequestHead)
        throws(Refusal)
    {
        guard range.count == 8, input.extracting(range).starts(with: "HTTP/") else { throw .versionMalformed }
        let (major, minor) = (input[range.lowerBound + 5], input[range.lowerBound + 7])
        guard major.isDigit, minor.isDigit, input[range.lowerBound + 6] == 46 else { throw .versionMalformed }
        guard major == 49 else { throw .versionUnsupported }
        head.minorVersion = minor == 48 ? 0 : 1
        persistence.isHTTP10 = minor == 48
        persistence.keepAlive = minor != 48
    }

    /// RFC 9112 §3.2: which of the four forms the target has, and its parts.
    private func classify(_ input: Span<UInt8>, _ head: RequestHead) throws(Refusal) {
        let target = input.extracting(head.target.range)
        if head.method == .connect {
            head.form = .authority
            head.authority = head.target
        } else if target[0] == 47 {
            head.form = .origin
            head.pathAndQuery = head.target
        } else if target.count == 1 && target[0] == 42 {
            guard head.method == .options else { throw .targetMalformed }
            head.form = .asterisk
        } else {
            head.form = .absolute
            try splitAbsolute(target, head)
        }
    }

    private func splitAbsolute(_ target: Span<UInt8>, _ head: RequestHead) throws(Refusal) {
        let prefix: Int
        if target.startsIgnoringCase(with: "http://") {
            prefix = 7
        } else if target.startsIgnoringCase(with: "https://") {
            prefix = 8
        } else {
            throw .targetMalformed
        }
        var end = prefix
        while end < target.count && target[end] != 47 && target[end] != 63 { end += 1 }
        let start = Int(head.target.start)
        head.authority = Slice(start: start + prefix, count: end - prefix)
        head.pathAndQuery = Slice(start: start + end, count: target.count - end)
        guard end > prefix, !head.authority.isEmpty else { throw .targetMalformed }
    }

    // MARK: What the fields say, RFC 9112 §6 and §9

    private mutating func finish(_ head: RequestHead) throws(Refusal) {
        if head.contains(.connection) { readConnection(head) }
        head.body = try Framing.requestBody(head)
        if head.contains(.expect) { try readExpectation(head) }
        try Framing.checkHost(head)
        if head.form == .absolute { completePath(head) }
    }

    /// RFC 9110 §4.2.3: an absolute target without a path means the root; with OPTIONS, and without a query, the server
    /// as a whole (RFC 9112 §3.2.4).
    private func completePath(_ head: RequestHead) {
        let rest = head.pathAndQuery
        if !rest.isEmpty && head[rest][0] == 47 { return }
        if rest.isEmpty && head.method == .options {
            head.form = .asterisk
            return
        }
        let root: InlineArray<1, UInt8> = [47]
        let slash = head.store(root.span)
        _ = head.store(head[rest])
        head.pathAndQuery = Slice(start: Int(slash.start), count: 1 + Int(rest.count))
    }

    private mutating func readConnection(_ head: RequestHead) {
        let options = Framing.connectionOptions(head)
        if options.contains(.keepAlive) { persistence.keepAlive = true }
        if options.contains(.close) { persistence.keepAlive = false }
        // RFC 9110 §7.8: Upgrade counts only when Connection names it, and never in HTTP/1.0.
        guard options.contains(.upgrade), head.minorVersion > 0, let line = head.index(of: .upgrade) else {
            return
        }
        let token = head.line(at: line).value
        // RFC 9113 §3.1 took the upgrade to HTTP/2 away; in its tunnel an upstream would get requests unseen.
        if !ListElements.contains("h2c", in: head[token]) { head.upgrade = token }
    }

    private func readExpectation(_ head: RequestHead) throws(Refusal) {
        guard let value = head[.expect], value.equalsIgnoringCase("100-continue"),
            head.occurrences(of: .expect) == 1
        else { throw .expectationFailed }
        // RFC 9110 §10.1.1: ignored from HTTP/1.0, and pointless without a body.
        head.expectsContinue = head.minorVersion > 0 && head.body != .none
    }
}
