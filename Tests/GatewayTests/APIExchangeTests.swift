import ChimeraEventLoop
import HTTPTypes
import Testing

@testable import Chimera

/// A handler from a closure.
struct Answering: Handler {
    typealias Body =
        @Sendable (
            HTTPRequest, ExchangeContext, consuming sending RequestBody, consuming sending ResponseSender
        )
        async throws -> Void
    let body: Body

    init(_ body: @escaping Body) { self.body = body }

    func handle(
        _ request: HTTPRequest, context: ExchangeContext, body: consuming sending RequestBody,
        response: consuming sending ResponseSender
    ) async throws {
        try await self.body(request, context, body, response)
    }
}

/// Sends back what comes, as it comes, trailers and all.
struct Echo: Handler {
    func handle(
        _ request: HTTPRequest, context: ExchangeContext, body: consuming sending RequestBody,
        response: consuming sending ResponseSender
    ) async throws {
        var body = body
        var head = HTTPResponse(status: .ok)
        if let length = body.length { head.headerFields[.contentLength] = "\(length)" }
        var writer = try await response.send(head)
        while let bytes = try await body.read() { try await writer.write(bytes) }
        try await writer.finish(trailers: body.trailers)
    }
}

@Suite struct APIExchangeTests {
    @Test func `a request comes as HTTPRequest, normalised and without what concerns the connection`()
        async throws
    {
        let handler = Answering { request, context, _, response in
            let fields = request.headerFields.map { "\($0.name.rawName)=\($0.value)" }.joined(separator: ",")
            let text = [
                request.method.rawValue, request.scheme ?? "-", request.authority ?? "-", request.path ?? "-",
                fields,
                "\(context.id.count)", context.client ?? "-", "\(context.isSecure)",
                "\(context.deadline == nil)",
            ]
            try await response.send(HTTPResponse(status: .ok), content: text.joined(separator: "|"))
        }
        let response = try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send(
                "PROPFIND /a/%2e%2e/b?c=d HTTP/1.1\r\nHost: a.example\r\nX-One: 1\r\n"
                    + "Connection: X-Two\r\nX-Two: 2\r\n\r\n"
            )
            return try client.response()
        }
        #expect(response.text == "PROPFIND|http|a.example|/b?c=d|X-One=1|32|127.0.0.1|false|true")
        #expect(response.head.contains("\r\nDate: "))
    }

    @Test func `a body with a length comes back with it`() async throws {
        let content = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let response = try await serving(Echo()) { address in
            let client = try RawClient(address)
            try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(content.count)\r\n\r\n")
            let sender = Note<Bool>()
            nonisolated(unsafe) let shared = client
            _ = Thread.start(name: "sender") { sender.set((try? shared.send(content)) != nil) }
            let response = try shared.response()
            #expect(sender.wait() == true)
            return response
        }
        #expect(response.content == content)
        #expect(response.head.contains("Content-Length: 1000000"))
    }

    @Test(arguments: [1, 3, 1_000])
    func `a chunked body and its trailers come back, however it is cut`(piece: Int) async throws {
        let message = Array(
            """
            POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
            5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 11\r\n\r\n
            """.utf8)
        let response = try await serving(Echo()) { address in
            let client = try RawClient(address)
            for start in stride(from: 0, to: message.count, by: piece) {
                try client.send(Array(message[start..<min(message.count, start + piece)]))
            }
            return try client.response()
        }
        #expect(response.text == "hello world")
        #expect(response.trailers == ["X-Sum: 11"])
        #expect(response.head.contains("Transfer-Encoding: chunked"))
    }

    @Test func `one connection carries many exchanges, and an unread body is dropped`() async throws {
        let handler = Answering { request, _, _, response in
            try await response.send(HTTPResponse(status: .ok), content: request.path ?? "")
        }
        let texts = try await serving(handler) { address in
            let client = try RawClient(address)
            return try (0..<5).map { number in
                try client.send("POST /\(number) HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
                return try client.response().text
            }
        }
        #expect(texts == ["/0", "/1", "/2", "/3", "/4"])
    }

    @Test func `pipelined requests are answered in their order`() async throws {
        let texts = try await serving(Echo()) { address in
            let client = try RawClient(address)
            let requests = (0..<40).map { "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n\($0 + 10)" }
            try client.send(requests.joined())
            return try requests.map { _ in try client.response().text }
        }
        #expect(texts == (10..<50).map { "\($0)" })
    }

    @Test func `interim responses go out before the final one`() async throws {
        let mayGoOn = Note<Void>()
        let handler = Answering { _, _, _, response in
            var response = response
            for link in ["</a.css>; rel=preload", "</b.css>; rel=preload"] {
                var hints = HTTPResponse(status: .init(code: 103))
                hints.headerFields[HTTPField.Name("Link")!] = link
                try await response.sendInformational(hints)
            }
            try await blocking { _ = mayGoOn.wait() }
            try await response.send(HTTPResponse(status: .ok), content: "late")
        }
        let heads = try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            let first = try client.read(until: "\r\n\r\n")
            let second = try client.read(until: "\r\n\r\n")
            mayGoOn.set(())
            return [first, second, try client.response().text]
        }
        #expect(heads[0].hasPrefix("HTTP/1.1 103 "))
        #expect(heads[0].contains("</a.css>"))
        #expect(heads[1].contains("</b.css>"))
        #expect(heads[2] == "late")
    }

    @Test func `a head goes out before the handler writes anything`() async throws {
        let mayGoOn = Note<Void>()
        let handler = Answering { _, _, _, response in
            var writer = try await response.send(HTTPResponse(status: .accepted))
            try await blocking { _ = mayGoOn.wait() }
            try await writer.write("done")
            try await writer.finish()
        }
        let text = try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            let head = try client.read(until: "\r\n\r\n")
            mayGoOn.set(())
            return head + (try client.read(until: "0\r\n\r\n"))
        }
        #expect(text.hasPrefix("HTTP/1.1 202 "))
        #expect(text.hasSuffix("4\r\ndone\r\n0\r\n\r\n"))
    }

    @Test func `an expectation is met by the first read alone`() async throws {
        let text = try await serving(Echo()) { address in
            let client = try RawClient(address)
            try client.send(
                "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
            // Echo sends its head before it reads, so the client is told by that alone.
            let head = try client.read(until: "\r\n\r\n")
            return head
        }
        #expect(text.hasPrefix("HTTP/1.1 "))
        let handler = Answering { _, _, body, response in
            var body = body
            let content = try await body.collect(upTo: 100)
            try await response.send(HTTPResponse(status: .ok), content: content)
        }
        let answer = try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            let interim = try client.read(until: "\r\n\r\n")
            try client.send("abc")
            return interim + (try client.response().text)
        }
        #expect(answer == "HTTP/1.1 100 Continue\r\n\r\nabc")
    }

    @Test(arguments: ["HEAD /", "GET /204", "GET /304"])
    func `content is dropped where a response has none`(line: String) async throws {
        let handler = Answering { request, _, _, response in
            let code = Int(request.path?.dropFirst() ?? "") ?? 200
            try await response.send(HTTPResponse(status: .init(code: code)), content: "content")
        }
        let texts = try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("\(line) HTTP/1.1\r\nHost: a\r\n\r\nGET /201 HTTP/1.1\r\nHost: a\r\n\r\n")
            return [try client.read(until: "\r\n\r\n"), try client.response().text]
        }
        #expect(texts[0].contains("Content-Length: 7") == line.hasPrefix("HEAD"))
        #expect(texts[1] == "content")
    }

    @Test func `a body is read while the response is written, by child tasks`() async throws {
        let handler = Answering { _, _, body, response in
            let writer = try await response.send(HTTPResponse(status: .ok))
            let (lines, feed) = AsyncStream<[UInt8]>.makeStream()
            let halves = Halves(body, writer)
            async let reading: Void = halves.read(feed)
            async let writing: Void = halves.write(lines)
            _ = try await (reading, writing)
        }
        let texts = try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            _ = try client.read(until: "\r\n\r\n")
            var texts: [String] = []
            for word in ["one", "two", "six"] {
                try client.send("3\r\n\(word)\r\n")
                texts.append(try client.read(until: "\(word)\r\n"))
            }
            try client.send("0\r\n\r\n")
            texts.append(try client.read(until: "0\r\n\r\n"))
            return texts
        }
        #expect(texts == ["3\r\none\r\n", "3\r\ntwo\r\n", "3\r\nsix\r\n", "0\r\n\r\n"])
    }
}

/// Body and writer for two child tasks; each is used by one of them.
private final class Halves: @unchecked Sendable {
    private var body: RequestBody?
    private var writer: ResponseWriter?

    init(_ body: consuming sending RequestBody, _ writer: consuming sending ResponseWriter) {
        self.body = consume body
        self.writer = consume writer
    }

    func read(_ feed: AsyncStream<[UInt8]>.Continuation) async throws {
        defer { feed.finish() }
        guard var body = body.take() else { return }
        while let bytes = try await body.read() { feed.yield(bytes) }
    }

    func write(_ lines: AsyncStream<[UInt8]>) async throws {
        guard var writer = writer.take() else { return }
        for await line in lines { try await writer.write(line) }
        try await writer.finish()
    }
}
