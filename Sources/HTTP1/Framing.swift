internal import ChimeraBytes
internal import ChimeraHTTPCore

/// What decides where a message ends (RFC 9112 §6.3), and whom a request is for (§3.2). Where two recipients could
/// read a message differently it is refused.
enum Framing {
    /// The length of a request's body.
    static func requestBody(_ head: RequestHead) throws(Refusal) -> BodyLength {
        if head.contains(.transferEncoding) {
            // RFC 9112 §6.1: a message with both may be an attempt at smuggling.
            if head.contains(.contentLength) { throw .lengthAndCoding }
            if head.minorVersion == 0 { throw .codingInHTTP10 }
            try checkChunked(head)
            return .unknown
        }
        guard let length = try contentLength(head) else { return .none }
        return length == 0 ? .none : .known(length)
    }

    /// The one value of all Content-Length lines, or nil where there is none.
    ///
    /// RFC 9110 §8.6: a list of identical values may be taken as one; anything else is refused.
    static func contentLength(_ head: FieldBlock) throws(Refusal) -> Int? {
        guard head.contains(.contentLength) else { return nil }
        var length: Int?
        for index in 0..<head.lineCount {
            let line = head.line(at: index)
            guard line.isPresent, line.name == .contentLength else { continue }
            try merge(head[line.value], into: &length)
        }
        return length
    }

    private static func merge(_ value: Span<UInt8>, into length: inout Int?) throws(Refusal) {
        var start = 0
        while start <= value.count {
            let end = value.firstIndex(of: 44, from: start) ?? value.count
            let next = try digits(value.extracting(value.trimmingWhitespace(start..<end)))
            if let length, length != next { throw .lengthsDiffer }
            length = next
            start = end + 1
        }
    }

    private static func digits(_ text: Span<UInt8>) throws(Refusal) -> Int {
        guard text.count > 0, text.count <= 18 else { throw .lengthMalformed }
        var value = 0
        for index in text.indices {
            guard text[index].isDigit else { throw .lengthMalformed }
            value = value * 10 + Int(text[index] - 48)
        }
        return value
    }

    /// RFC 9112 §6.1: chunked once, alone; other transfer codings are not implemented here, and one that follows
    /// chunked would hide the message's end.
    static func checkChunked(_ head: FieldBlock) throws(Refusal) {
        guard head.occurrences(of: .transferEncoding) == 1, let value = head[.transferEncoding],
            value.equalsIgnoringCase("chunked")
        else { throw .codingUnsupported }
    }

    /// RFC 9112 §3.2: exactly one valid Host in HTTP/1.1, and the same as the authority of an absolute target.
    static func checkHost(_ head: RequestHead) throws(Refusal) {
        guard let index = head.index(of: .host) else {
            if head.minorVersion > 0 { throw .hostMissing }
            return
        }
        if head.occurrences(of: .host) > 1 { throw .hostRepeated }
        let host = head.line(at: index).value
        switch head.form {
        case .origin, .asterisk:
            head.authority = host
        case .absolute, .authority:
            if !head[host].equalsIgnoringCase(head[head.authority]) { throw .hostMismatched }
        }
    }
}
