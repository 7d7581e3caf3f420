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
        if !isPlain(head) {
            // RFC 9110 §8.6: a length that is said more than once is passed on once, and in its usual form: some
            // take zeros before a number for another base.
            head.remove(.contentLength)
            head.add(.contentLength, decimal: length)
        }
        return length == 0 ? .none : .known(length)
    }

    /// Whether the length is said once, in the one form that every recipient writes itself.
    private static func isPlain(_ head: RequestHead) -> Bool {
        guard let value = head[.contentLength] else { return true }
        if value.count > 1 && value[0] == UInt8(ascii: "0") { return false }
        return head.occurrences(of: .contentLength) == 1 && value.firstIndex(of: UInt8(ascii: ",")) == nil
    }

    /// The one value of all Content-Length lines, or nil where there is none.
    static func contentLength(_ head: FieldBlock) throws(Refusal) -> Int? {
        guard head.contains(.contentLength) else { return nil }
        var length = ContentLength()
        for index in 0..<head.lineCount {
            let line = head.line(at: index)
            guard line.isPresent, line.name == .contentLength else { continue }
            do throws(ContentLength.Refusal) {
                try length.add(head[line.value])
            } catch {
                throw error == .differing ? .lengthsDiffer : .lengthMalformed
            }
        }
        return length.value.map { Int($0) }
    }

    /// RFC 9112 §6.1: chunked once, and last; other transfer codings are not implemented here, and one that follows
    /// chunked would hide the message's end.
    static func checkChunked(_ head: FieldBlock) throws(Refusal) {
        var coding = TransferEncoding()
        do throws(TransferEncoding.Refusal) {
            for index in 0..<head.lineCount {
                let line = head.line(at: index)
                guard line.isPresent, line.name == .transferEncoding else { continue }
                try coding.add(head[line.value])
            }
            _ = try coding.isChunked()
        } catch {
            throw error == .unsupported ? .codingUnsupported : .codingMalformed
        }
    }

    /// The options of all Connection lines (RFC 9110 §7.6.1).
    static func connectionOptions(_ head: FieldBlock) -> ConnectionOptions {
        var options = ConnectionOptions()
        for index in 0..<head.lineCount {
            let line = head.line(at: index)
            if line.isPresent && line.name == .connection { options.add(head[line.value]) }
        }
        return options
    }

    /// RFC 9112 §3.2: exactly one Host in HTTP/1.1, and the same as the authority of an absolute target.
    static func checkHost(_ head: RequestHead) throws(Refusal) {
        guard let index = head.index(of: .host) else {
            if head.minorVersion > 0 { throw .hostMissing }
            return
        }
        if head.occurrences(of: .host) > 1 { throw .hostRepeated }
        let host = head.line(at: index).value
        // RFC 9110 §4.2.1: an http URI without a host is invalid.
        if host.isEmpty { throw .hostMalformed }
        switch head.form {
        case .origin, .asterisk:
            head.authority = host
        case .absolute, .authority:
            if !head[host].equalsIgnoringCase(head[head.authority]) { throw .hostMismatched }
        }
    }
}
