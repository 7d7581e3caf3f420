import ChimeraHTTPCore
import ChimeraUpstream
import Testing

/// Requests as a client sends them, and as they reach the upstream.
struct RequestKind: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let lines: [String]
    let body: [ClientStep]
    let wire: String

    static let none = RequestKind(
        testDescription: "without a body", lines: ["GET /path?query HTTP/1.1", "Host: a", "X-Own: b"],
        body: [],
        wire: "GET /path?query HTTP/1.1\r\nHost: a\r\nX-Own: b\r\n\r\n")
    static let head = RequestKind(
        testDescription: "HEAD", lines: ["HEAD / HTTP/1.0"], body: [], wire: "HEAD / HTTP/1.1\r\n\r\n")
    static let length = RequestKind(
        testDescription: "with a length", lines: ["POST / HTTP/1.1", "Host: a", "Content-Length: 10"],
        body: [.body("hello"), .body("world"), .end()],
        wire: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhelloworld")
    static let empty = RequestKind(
        testDescription: "with no content", lines: ["PUT / HTTP/1.1", "Host: a", "Content-Length: 0"],
        body: [],
        wire: "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    static let chunked = RequestKind(
        testDescription: "in chunks", lines: ["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"],
        body: [.body("hello"), .body("0123456789abcdef"), .end()],
        wire: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n")
    /// RFC 9110 §6.5.1: a trailer that frames is not passed on.
    static let trailers = RequestKind(
        testDescription: "in chunks with trailers",
        lines: ["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"],
        body: [.body("x"), .end(["Digest: y", "Content-Length: 5", "X-Own: z"])],
        wire: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "1\r\nx\r\n0\r\nDigest: y\r\nX-Own: z\r\n\r\n")

    static let withContent: [RequestKind] = [none, length, empty, chunked, trailers]
}

/// Answers as an upstream sends them, and as the client gets them.
struct AnswerKind: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let wire: String
    let seen: [String]
    /// The connection can carry another exchange.
    var isKept = true
    /// The upstream ends the connection behind it.
    var closes = false

    static let all: [AnswerKind] = [
        AnswerKind(
            testDescription: "a length",
            wire: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: s\r\n\r\nhello",
            seen: ["head 200 | Server: s | known(5)", "body hello", "finish"]),
        AnswerKind(
            testDescription: "no content",
            wire: "HTTP/1.1 201 Created\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
            seen: ["head 201 | Location: /x | known(0)", "finish"]),
        AnswerKind(
            testDescription: "chunks",
            wire:
                "HTTP/1.1 404 Gone\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n",
            seen: ["head 404 | unknown", "body hello!", "finish"]),
        AnswerKind(
            testDescription: "chunks and trailers",
            wire: "HTTP/1.1 200 OK\r\nTrailer: Digest\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "3\r\nabc\r\n0\r\nDigest: d\r\nHost: evil\r\n\r\n",
            seen: ["head 200 | unknown", "body abc", "finish Digest: d"]),
        AnswerKind(
            testDescription: "no chunk",
            wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            seen: ["head 200 | unknown", "finish"]),
        AnswerKind(
            testDescription: "until close", wire: "HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello",
            seen: ["head 200 | X: y | unknown", "body hello", "finish"], isKept: false, closes: true),
        AnswerKind(
            testDescription: "until close by HTTP 1.0", wire: "HTTP/1.0 200 OK\r\n\r\nhello",
            seen: ["head 200 | unknown", "body hello", "finish"], isKept: false, closes: true),
        AnswerKind(
            testDescription: "a length by HTTP 1.0", wire: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            seen: ["head 200 | known(2)", "body ok", "finish"], isKept: false),
        AnswerKind(
            testDescription: "a length by HTTP 1.0 that stays",
            wire:
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok",
            seen: ["head 200 | known(2)", "body ok", "finish"]),
        AnswerKind(
            testDescription: "a length and close",
            wire: "HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nok",
            seen: ["head 200 | known(2)", "body ok", "finish"], isKept: false),
        AnswerKind(
            testDescription: "204", wire: "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
            seen: ["head 204 | X: y | none", "finish"]),
        AnswerKind(
            testDescription: "304",
            wire: "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nContent-Length: 99\r\n\r\n",
            seen: ["head 304 | ETag: \"e\" | none", "finish"]),
        AnswerKind(
            testDescription: "100 and an answer",
            wire: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            seen: ["head 200 | known(1)", "body x", "finish"]),
        AnswerKind(
            testDescription: "103, 103 and an answer",
            wire:
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"
                + "HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            seen: [
                "interim 103 | Link: </a>", "interim 103 | Link: </b>", "head 200 | known(1)", "body x",
                "finish",
            ]),
    ]

    static let toHead: [AnswerKind] = [
        AnswerKind(
            testDescription: "a length", wire: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            seen: ["head 200 | known(5)", "finish"]),
        AnswerKind(
            testDescription: "chunks", wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            seen: ["head 200 | unknown", "finish"]),
        AnswerKind(
            testDescription: "neither", wire: "HTTP/1.1 404 No\r\nX: y\r\n\r\n",
            seen: ["head 404 | X: y | unknown", "finish"]),
    ]

    /// What the client sees, with the moment at which the final head is announced.
    var expected: [String] {
        seen.flatMap { $0.hasPrefix("head") ? ["answered", $0] : [$0] }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Requests and answers` {
    /// Every kind of request meets every kind of answer, in pieces and whole, driven both ways.
    @Test(arguments: RequestKind.withContent, AnswerKind.all)
    func `a request and its answer are passed on`(_ request: RequestKind, _ answer: AnswerKind) async throws {
        try await check(request, answer)
    }

    /// RFC 9112 §6.3: an answer to HEAD ends with its head.
    @Test(arguments: AnswerKind.toHead)
    func `an answer to HEAD has no content`(_ answer: AnswerKind) async throws {
        try await check(.head, answer)
    }

    private func check(_ request: RequestKind, _ answer: AnswerKind) async throws {
        for (driver, isBytewise) in [(.task, false), (.task, true), (.wakes, false), (.wakes, true)]
            as [(Play.Driver, Bool)]
        {
            let script: [UpstreamStep] =
                [.expect(request.wire), .send(answer.wire)] + (answer.closes ? [.close] : [])
            let play = Play(
                request: request.lines, body: request.body, upstream: [script], driver: driver,
                isBytewise: isBytewise)
            let result = try await play.perform()
            #expect(result.failures == [], "\(driver), bytewise: \(isBytewise)")
            #expect(result.outcome == .answered, "\(driver), bytewise: \(isBytewise)")
            #expect(result.seen == answer.expected, "\(driver), bytewise: \(isBytewise)")
            #expect(result.kept == (answer.isKept ? 1 : 0), "\(driver), bytewise: \(isBytewise)")
            #expect(result.error == nil)
            #expect(result.retries == 0)
        }
    }
}
