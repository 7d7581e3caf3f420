import ChimeraHTTP1
import ChimeraHTTPCore
import Testing

/// RFC 9112 §2 and §3: message format and request line.
@Suite struct `Request lines` {
    private func parse(
        _ bytes: [UInt8], _ limits: Limits = Limits(), sourceLocation: SourceLocation = #_sourceLocation
    ) -> Outcome<RequestPicture> {
        Chunking.same(bytes, { RequestPicture.parse($0, $1, limits) }, sourceLocation: sourceLocation)
    }

    @Test func `a plain request is read part by part`() throws {
        let head = wire("GET /a?b=c HTTP/1.1", "Host: example.com:8080", "Accept: */*")
        let picture = try #require(parse(head).picture)
        #expect(picture.method == .get)
        #expect(picture.methodText == "GET")
        #expect(picture.form == .origin)
        #expect(picture.target == "/a?b=c")
        #expect(picture.pathAndQuery == "/a?b=c")
        #expect(picture.authority == "example.com:8080")
        #expect(picture.body == .none)
        #expect(picture.minorVersion == 1)
        #expect(picture.persistence.keepAlive)
        #expect(!picture.persistence.isHTTP10)
        #expect(picture.fields == ["Host: example.com:8080", "Accept: */*"])
        #expect(picture.consumed == head.count)
    }

    @Test func `what follows a head is left for the next one`() throws {
        let first = wire("GET /1 HTTP/1.1", "Host: a")
        let picture = try #require(parse(first + wire("GET /2 HTTP/1.1", "Host: a")).picture)
        #expect(picture.consumed == first.count)
        #expect(picture.target == "/1")
    }

    @Test func `a parser that was reset reads the next request`() throws {
        var parser = RequestParser(limits: Limits())
        let head = RequestHead()
        let first = wire("POST /1 HTTP/1.0", "Content-Length: 3", "Connection: keep-alive")
        #expect(try parser.parse(first.span, into: head) == .complete(first.count))
        head.reset()
        parser.reset()
        let second = wire("GET /22 HTTP/1.1", "Host: b")
        #expect(try parser.parse(second.span, into: head) == .complete(second.count))
        let picture = RequestPicture(head, parser.persistence, consumed: second.count)
        #expect(Outcome.complete(picture) == RequestPicture.parse(second, [second.count]))
    }

    /// RFC 9112 §2.2: "a server SHOULD ignore at least one empty line (CRLF) received prior to the request-line".
    @Test(arguments: [1, 2, 4])
    func `empty lines before the request line are ignored`(_ count: Int) throws {
        let empty = String(repeating: "\r\n", count: count)
        let head = Array(empty.utf8) + wire("GET / HTTP/1.1", "Host: a")
        let picture = try #require(parse(head).picture)
        #expect(picture.target == "/")
        #expect(picture.authority == "a")
        #expect(picture.consumed == head.count)
    }

    @Test func `empty lines without end are refused`() {
        let empty = String(repeating: "\r\n", count: 5)
        #expect(parse(Array(empty.utf8) + wire("GET / HTTP/1.1", "Host: a")) == .refused(.methodMalformed))
    }

    /// RFC 9110 §9.1: any token is a method, and case counts.
    @Test(
        arguments: [
            ("GET", .get), ("HEAD", .head), ("POST", .post), ("PATCH", .patch), ("get", .other),
            ("PROPFIND", .propfind),
            ("M-SEARCH", .other), ("!#$%&'*+-.^_`|~09azAZ", .other), ("G", .other),
        ] as [(String, ChimeraHTTPCore.Method)])
    func `a method is any token`(_ token: String, _ method: ChimeraHTTPCore.Method) throws {
        let picture = try #require(parse(wire("\(token) / HTTP/1.1", "Host: a")).picture)
        #expect(picture.method == method)
        #expect(picture.methodText == token)
    }

    @Test(
        arguments: [
            "", " GET / HTTP/1.1", "\tGET / HTTP/1.1", "GET", "GET/ HTTP/1.1", "GET\t/ HTTP/1.1",
            "G(T / HTTP/1.1",
            "G\u{0}T / HTTP/1.1", "G\u{7f}T / HTTP/1.1", "GÉT / HTTP/1.1", "\"GET\" / HTTP/1.1",
            "GET:/ HTTP/1.1",
            "GE\rT / HTTP/1.1", "\u{16}\u{3}\u{1}\u{2}", "{}",
        ])
    func `what is no token and one space is no method`(_ line: String) {
        // An empty line first would be skipped; behind four of them it is refused.
        let before = line.isEmpty ? "\r\n\r\n\r\n\r\n" : ""
        #expect(parse(Array(before.utf8) + wire(line, "Host: a")) == .refused(.methodMalformed))
    }

    /// RFC 9112 §3: single spaces; §3.2: "recipients […] SHOULD respond with either a 400 (Bad Request) error".
    @Test(
        arguments: [
            "GET  / HTTP/1.1", "GET /", "GET ", "GET /\tHTTP/1.1", "GET \t/ HTTP/1.1",
            "GET /a\u{0}b HTTP/1.1", "GET /a\u{b}b HTTP/1.1", "GET /a\u{7f} HTTP/1.1", "GET /ä HTTP/1.1",
            "GET /a#b HTTP/1.1", "GET # HTTP/1.1", "GET /\r HTTP/1.1", "GET a HTTP/1.1", "GET ?a HTTP/1.1",
            "GET example.com/ HTTP/1.1", "GET ftp://example.com/ HTTP/1.1", "GET http:/a HTTP/1.1",
            "GET http:///a HTTP/1.1", "GET http://?a HTTP/1.1", "GET https:// HTTP/1.1", "GET ://a/ HTTP/1.1",
            "GET * HTTP/1.1", "OPTIONS ** HTTP/1.1", "GET  HTTP/1.1", "GET javascript:alert(1) HTTP/1.1",
            "GET example.com:80 HTTP/1.1", "GET \\a HTTP/1.1", "GET httpx://a/ HTTP/1.1",
        ])
    func `a target in none of the four forms is refused`(_ line: String) {
        #expect(parse(wire(line, "Host: a")) == .refused(.targetMalformed))
    }

    /// RFC 9112 §2.3, RFC 9110 §2.5: HTTP-version is case-sensitive; a higher minor version is ours, a major one not.
    @Test(
        arguments: [
            ("HTTP/1.1", 1), ("HTTP/1.0", 0), ("HTTP/1.2", 1), ("HTTP/1.9", 1),
        ] as [(String, UInt8)])
    func `a minor version of HTTP 1 is understood`(_ version: String, _ minor: UInt8) throws {
        let picture = try #require(parse(wire("GET / \(version)", "Host: a")).picture)
        #expect(picture.minorVersion == minor)
        #expect(picture.persistence.isHTTP10 == (minor == 0))
    }

    @Test(
        arguments: [
            ("http/1.1", .versionMalformed), ("HTTP/1", .versionMalformed), ("HTTP/1.", .versionMalformed),
            ("HTTP/1.1 ", .versionMalformed), ("HTTP/1.10", .versionMalformed),
            ("HTTP/11", .versionMalformed),
            ("HTTP/01.1", .versionMalformed), ("HTTP/1.x", .versionMalformed),
            ("HTTP/1,1", .versionMalformed),
            ("HTTP /1.1", .versionMalformed), ("HTTPS/1.1", .versionMalformed), ("1.1", .versionMalformed),
            (" HTTP/1.1", .versionMalformed), ("HTTP/1.1\t", .versionMalformed),
            ("HTTP/-1.1", .versionMalformed),
            ("HTTP/1.1\r", .versionMalformed), ("", .versionMalformed), ("b HTTP/1.1", .versionMalformed),
            ("ICY/1.1", .versionMalformed), ("HTTP/x.1", .versionMalformed),
            ("HTTP/2.0", .versionUnsupported), ("HTTP/0.9", .versionUnsupported),
            ("HTTP/3.1", .versionUnsupported),
        ] as [(String, Refusal)])
    func `another version is refused`(_ version: String, _ refusal: Refusal) {
        #expect(parse(wire("GET / \(version)", "Host: a")) == .refused(refusal))
    }

    /// RFC 9113 §3.4: the connection preface of HTTP/2 is made to be refused by a server of HTTP/1.
    @Test func `a preface of HTTP 2 is refused for its version`() {
        #expect(parse(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)) == .refused(.versionUnsupported))
    }

    /// RFC 9112 §2.2: a bare CR is refused, and here a bare LF as well: not all take it for a line's end.
    @Test(
        arguments: [
            "GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\n2\r\n\r\n", "\n",
            "GET\n",
            "GET / HTTP/1.1\r\n\n",
        ])
    func `a line that ends in LF alone is refused`(_ text: String) {
        #expect(parse(Array(text.utf8)) == .refused(.lineEndBare))
    }

    @Test(
        arguments: [
            "GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r", "G", "\r\n", "\r", "GET / HTTP/1.1\r\n\r",
        ])
    func `a head without its end waits for more`(_ text: String) {
        #expect(parse(Array(text.utf8)) == .incomplete)
    }

    @Test func `an empty input waits for more`() {
        #expect(RequestPicture.parse([], [0]) == .incomplete)
    }

    @Test func `what was understood of a refused request is kept for the log`() {
        var parser = RequestParser(limits: Limits())
        let head = RequestHead()
        let bytes = wire("DELETE /here HTTP/1.1", "Host: a", "bad line")
        #expect(throws: Refusal.fieldNameMalformed) { try parser.parse(bytes.span, into: head) }
        #expect(head.method == .delete)
        #expect(text(head[head.target]) == "/here")
        #expect(fieldLines(head) == ["Host: a"])
    }
}

/// RFC 9112 §3.2: the four forms of a request target, and §3.2.2 and RFC 9110 §7.2: whom the request is for.
@Suite struct `Request targets` {
    private func parse(
        _ lines: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) -> Outcome<RequestPicture> {
        let bytes = Array((lines + ["", ""]).joined(separator: "\r\n").utf8)
        return Chunking.same(bytes, { RequestPicture.parse($0, $1) }, sourceLocation: sourceLocation)
    }

    @Test(
        arguments: [
            ("GET /", "a", .origin, "/", "a"),
            ("GET //b/c", "a", .origin, "//b/c", "a"),
            ("GET /http://b/?x=http://c/", "a", .origin, "/http://b/?x=http://c/", "a"),
            ("GET /a%20b;c=d?e?f\"<>\\^`{|}", "a", .origin, "/a%20b;c=d?e?f\"<>\\^`{|}", "a"),
            ("OPTIONS /", "a", .origin, "/", "a"),
            ("OPTIONS *", "a:80", .asterisk, "", "a:80"),
            ("GET http://a/b?c", "a", .absolute, "/b?c", "a"),
            ("GET HTTP://a:81/b", "a:81", .absolute, "/b", "a:81"),
            ("GET https://A.example/", "a.EXAMPLE", .absolute, "/", "A.example"),
            ("GET http://[::1]:8080/x", "[::1]:8080", .absolute, "/x", "[::1]:8080"),
            ("CONNECT a:443", "a:443", .authority, "", "a:443"),
        ] as [(String, String, TargetForm, String, String)])
    func `each form is told apart`(
        _ start: String, _ host: String, _ form: TargetForm, _ path: String, _ authority: String
    ) throws {
        let picture = try #require(parse(["\(start) HTTP/1.1", "Host: \(host)"]).picture)
        #expect(picture.form == form)
        #expect(picture.pathAndQuery == path)
        #expect(picture.authority == authority)
        #expect(picture.target == start.split(separator: " ")[1])
    }

    /// RFC 9110 §4.2.3: "an empty path component is equivalent to an absolute path of "/"".
    @Test(
        arguments: [
            ("http://a", "/"), ("http://a?", "/?"), ("http://a?b=/c", "/?b=/c"), ("https://a:443", "/"),
        ])
    func `an absolute target without a path means the root`(_ target: String, _ path: String) throws {
        let host = target.contains(":443") ? "a:443" : "a"
        let picture = try #require(parse(["GET \(target) HTTP/1.1", "Host: \(host)", "Accept: x"]).picture)
        #expect(picture.form == .absolute)
        #expect(picture.pathAndQuery == path)
        #expect(picture.target == target)
        #expect(picture.authority == host)
        #expect(picture.fields == ["Host: \(host)", "Accept: x"])
    }

    /// RFC 9112 §3.2.4: that is how a client writes `OPTIONS *` to a proxy.
    @Test func `OPTIONS with an absolute target without path and query is for the server as a whole`() throws
    {
        let picture = try #require(parse(["OPTIONS http://a:81 HTTP/1.1", "Host: a:81"]).picture)
        #expect(picture.form == .asterisk)
        #expect(picture.pathAndQuery == "")
        #expect(picture.authority == "a:81")
        let other = try #require(parse(["OPTIONS http://a:81? HTTP/1.1", "Host: a:81"]).picture)
        #expect(other.form == .absolute)
        #expect(other.pathAndQuery == "/?")
    }

    /// RFC 9112 §3.2: "A server MUST respond with a 400 […] to any HTTP/1.1 request message that lacks a Host header
    /// field and to any request message that contains more than one Host header field line".
    @Test(
        arguments: [
            ("GET / HTTP/1.1", [], .hostMissing), ("GET http://a/ HTTP/1.1", [], .hostMissing),
            ("OPTIONS * HTTP/1.1", [], .hostMissing), ("CONNECT a:443 HTTP/1.1", [], .hostMissing),
            ("GET / HTTP/1.1", ["Host: a", "Host: a"], .hostRepeated),
            ("GET / HTTP/1.1", ["Host: a", "X: y", "HOST: b"], .hostRepeated),
            ("GET / HTTP/1.0", ["Host: a", "Host: b"], .hostRepeated),
            ("GET http://a/ HTTP/1.1", ["Host: b"], .hostMismatched),
            ("GET http://a:80/ HTTP/1.1", ["Host: a"], .hostMismatched),
            ("GET http://a HTTP/1.1", ["Host: b"], .hostMismatched),
            ("OPTIONS http://a HTTP/1.1", ["Host: b"], .hostMismatched),
            ("GET http://user@a/ HTTP/1.1", ["Host: a"], .hostMismatched),
            ("CONNECT a:443 HTTP/1.1", ["Host: a"], .hostMismatched),
            ("GET http://a/ HTTP/1.0", ["Host: b"], .hostMismatched),
        ] as [(String, [String], Refusal)])
    func `a request whose host is in doubt is refused`(
        _ start: String, _ fields: [String], _ refusal: Refusal
    ) {
        #expect(parse([start] + fields) == .refused(refusal))
    }

    /// RFC 9110 §4.2.1: "A recipient that processes such a URI reference MUST reject it as invalid."
    @Test(arguments: ["GET / HTTP/1.1", "GET / HTTP/1.0", "OPTIONS * HTTP/1.1", "GET http://a/ HTTP/1.1"])
    func `a host without a name is refused`(_ start: String) {
        #expect(parse([start, "Host:  "]) == .refused(.hostMalformed))
    }

    @Test func `HTTP 1_0 needs no host`() throws {
        #expect(try #require(parse(["GET / HTTP/1.0"]).picture).authority == "")
        #expect(try #require(parse(["GET http://a:1/ HTTP/1.0"]).picture).authority == "a:1")
        #expect(try #require(parse(["GET / HTTP/1.0", "Host: b"]).picture).authority == "b")
    }
}
