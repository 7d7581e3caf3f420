import ChimeraBytes
import ChimeraHTTP1
import ChimeraHTTPCore
import Testing

private typealias Verb = ChimeraHTTPCore.Method

private func date() -> InlineArray<29, UInt8> {
    let text = Array("Sun, 06 Nov 1994 08:49:37 GMT".utf8)
    return InlineArray { text[$0] }
}

private func output(_ buffer: ByteBuffer) -> String { text(buffer.readable) }

private func head(_ status: Int, _ body: BodyLength, _ fields: (String, String)...) -> ResponseHead {
    let head = ResponseHead()
    head.reset(status: status)
    head.body = body
    for (name, value) in fields { head.add(name: Array(name.utf8).span, value: Array(value.utf8).span) }
    return head
}

/// RFC 9112 §4 to §6: what goes out for a response.
@Suite struct `Written responses` {
    private func write(
        _ head: ResponseHead, _ method: Verb = .get, keepAlive: Bool = true, isHTTP10: Bool = false
    ) -> (text: String, framing: WireFraming) {
        let buffer = ByteBuffer(capacity: 16)
        let context = HeadWriter.ResponseContext(
            method: method, keepAlive: keepAlive, isHTTP10: isHTTP10, date: date())
        let framing = HeadWriter.writeResponse(head, context, into: buffer)
        return (output(buffer), framing)
    }

    private let dateLine = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

    @Test func `a response of known length`() {
        let (text, framing) = write(head(200, .known(5), ("content-TYPE", "text/plain"), ("X-Own", "1")))
        #expect(
            text
                == "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Own: 1\r\n\(dateLine)Content-Length: 5\r\n\r\n"
        )
        #expect(framing == .length(5))
    }

    @Test func `lines that were taken out are not written`() {
        let response = head(404, .none, ("A", "1"), ("Server", "x"), ("B", "2"))
        response.remove(.server)
        #expect(
            write(response).text
                == "HTTP/1.1 404 Not Found\r\nA: 1\r\nB: 2\r\n\(dateLine)Content-Length: 0\r\n\r\n")
    }

    @Test func `a date that is there is kept`() {
        let text = write(head(200, .none, ("Date", "Mon, 07 Nov 1994 08:49:37 GMT"))).text
        #expect(text == "HTTP/1.1 200 OK\r\nDate: Mon, 07 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n")
    }

    /// RFC 9112 §4: the reason may be empty, the space before it not.
    @Test(arguments: [
        (200, "200 OK"), (304, "304 Not Modified"), (503, "503 Service Unavailable"), (299, "299 "),
        (799, "799 "),
    ])
    func `a status line has status and reason`(_ status: Int, _ line: String) {
        #expect(write(head(status, .none)).text.hasPrefix("HTTP/1.1 \(line)\r\nDate: "))
    }

    @Test(
        arguments: [
            // method, HTTP/1.0, status, body → framing, line
            (.get, false, 200, .none, .none, "Content-Length: 0\r\n"),
            (.get, false, 200, .known(7), .length(7), "Content-Length: 7\r\n"),
            (.get, false, 200, .unknown, .chunked, "Transfer-Encoding: chunked\r\n"),
            (.get, true, 200, .known(7), .length(7), "Content-Length: 7\r\n"),
            // RFC 9112 §6.1: no chunks for HTTP/1.0.
            (.get, true, 200, .unknown, .untilClose, ""),
            // RFC 9110 §9.3.2: HEAD is told what GET would get.
            (.head, false, 200, .known(7), .none, "Content-Length: 7\r\n"),
            (.head, false, 200, .unknown, .none, ""),
            (.head, true, 200, .unknown, .none, ""),
            (.head, false, 200, .none, .none, "Content-Length: 0\r\n"),
            // RFC 9110 §8.6: no Content-Length with 204; RFC 9112 §6.1: no Transfer-Encoding.
            (.get, false, 204, .none, .none, ""), (.get, false, 204, .known(7), .none, ""),
            (.get, false, 204, .unknown, .none, ""),
            (.get, false, 304, .known(7), .none, ""), (.get, false, 304, .unknown, .none, ""),
            (.post, true, 304, .none, .none, ""),
        ] as [(ChimeraHTTPCore.Method, Bool, Int, BodyLength, WireFraming, String)])
    func `each body is framed as client, method and status want it`(
        _ method: ChimeraHTTPCore.Method, _ isHTTP10: Bool, _ status: Int, _ body: BodyLength,
        _ framing: WireFraming,
        _ line: String
    ) {
        let written = write(head(status, body), method, isHTTP10: isHTTP10)
        #expect(written.framing == framing)
        let connection =
            framing == .untilClose ? "Connection: close\r\n" : isHTTP10 ? "Connection: keep-alive\r\n" : ""
        #expect(written.text.hasSuffix(dateLine + line + connection + "\r\n"))
    }

    /// RFC 9112 §9.3 and §9.6.
    @Test(
        arguments: [
            (true, false, ""), (false, false, "Connection: close\r\n"),
            (true, true, "Connection: keep-alive\r\n"),
            (false, true, "Connection: close\r\n"),
        ])
    func `the end of the connection is announced`(_ keepAlive: Bool, _ isHTTP10: Bool, _ line: String) {
        let text = write(head(200, .none), keepAlive: keepAlive, isHTTP10: isHTTP10).text
        #expect(text.hasSuffix("Content-Length: 0\r\n" + line + "\r\n"))
    }

    @Test func `an interim response has its fields and nothing else`() {
        let buffer = ByteBuffer(capacity: 16)
        HeadWriter.writeInformational(status: 100, nil, into: buffer)
        HeadWriter.writeInformational(
            status: 103, head(103, .none, ("Link", "</a>; rel=preload")), into: buffer)
        #expect(
            output(buffer)
                == "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")
    }

    /// RFC 9110 §15.2.2: a 101 names the protocol; §7.8: with Connection.
    @Test func `a switch of protocols names the protocol`() {
        let buffer = ByteBuffer(capacity: 16)
        let token = Array("websocket".utf8)
        HeadWriter.writeSwitch(
            head(101, .none, ("Sec-WebSocket-Accept", "x=")), upgrade: token.span, into: buffer)
        #expect(
            output(buffer)
                == "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x=\r\nConnection: Upgrade\r\n"
                + "Upgrade: websocket\r\n\r\n")
    }

    @Test func `a written response is read back as it was meant`() throws {
        for (body, framing) in [(.known(3), .length(3)), (.unknown, .chunked), (.none, .length(0))]
            as [(BodyLength, WireFraming)]
        {
            let bytes = Array(write(head(200, body, ("X", "y"))).text.utf8)
            let picture = try #require(ResponsePicture.parse(bytes, [bytes.count]).picture)
            #expect(picture.framing == framing)
            #expect(picture.fields.contains("X: y"))
            #expect(picture.persistence.keepAlive)
        }
    }
}

/// RFC 9112 §3 and §6: what goes out for a request.
@Suite struct `Written requests` {
    private func request(_ lines: String...) throws -> RequestHead {
        let bytes = Array((lines + ["", ""]).joined(separator: "\r\n").utf8)
        let head = RequestHead()
        var parser = RequestParser(limits: Limits())
        #expect(try parser.parse(bytes.span, into: head) == .complete(bytes.count))
        return head
    }

    private func write(_ head: RequestHead, target: Slice? = nil) -> (text: String, framing: WireFraming) {
        let buffer = ByteBuffer(capacity: 16)
        let framing = HeadWriter.writeRequest(
            head, target: target ?? head.pathAndQuery, upgrade: head.upgrade, into: buffer)
        return (output(buffer), framing)
    }

    @Test func `a request without a body`() throws {
        let (text, framing) = write(try request("GET /a?b HTTP/1.0", "Host: a", "x-y: z"))
        #expect(text == "GET /a?b HTTP/1.1\r\nHost: a\r\nx-y: z\r\n\r\n")
        #expect(framing == .none)
    }

    @Test func `a method that is not known goes out as it came`() throws {
        #expect(
            write(try request("M-Search / HTTP/1.1", "Host: a")).text.hasPrefix("M-Search / HTTP/1.1\r\n"))
    }

    @Test func `a target may be another one`() throws {
        let head = try request("GET http://a/b HTTP/1.1", "Host: a")
        #expect(write(head).text.hasPrefix("GET /b HTTP/1.1\r\n"))
        let other = head.store(Array("/else?".utf8).span)
        #expect(write(head, target: other).text.hasPrefix("GET /else? HTTP/1.1\r\n"))
    }

    @Test func `a length that is declared is declared once`() throws {
        let (text, framing) = write(try request("POST / HTTP/1.1", "Host: a", "Content-Length: 5, 5"))
        #expect(text == "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        #expect(framing == .length(5))
        let undeclared = try request("POST / HTTP/1.1", "Host: a")
        undeclared.body = .known(12)
        #expect(write(undeclared).text == "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n")
    }

    /// RFC 9110 §8.6: a POST without content says so.
    @Test func `a length of zero is passed on`() throws {
        let (text, framing) = write(try request("POST / HTTP/1.1", "Host: a", "Content-Length: 0"))
        #expect(text == "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        #expect(framing == .none)
    }

    @Test func `a body of unknown length goes out in chunks`() throws {
        let head = try request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked")
        HopByHop.remove(from: head)
        let (text, framing) = write(head)
        #expect(text == "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        #expect(framing == .chunked)
    }

    @Test func `an upgrade is asked for anew`() throws {
        let head = try request(
            "GET / HTTP/1.1", "Host: a", "Connection: x, Upgrade", "X: 1", "Upgrade: websocket")
        HopByHop.remove(from: head)
        #expect(
            write(head).text
                == "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    }

    @Test func `a written request is read back as it was meant`() throws {
        let first = try request("PUT /x?y HTTP/1.1", "Host: a:1", "Accept: b", "Content-Length: 9")
        let bytes = Array(write(first).text.utf8)
        let picture = try #require(RequestPicture.parse(bytes, [bytes.count]).picture)
        #expect(picture.methodText == "PUT")
        #expect(picture.target == "/x?y")
        #expect(picture.fields == ["Host: a:1", "Accept: b", "Content-Length: 9"])
        #expect(picture.body == .known(9))
    }
}
