import ChimeraEventLoop
import ChimeraHTTPCore
import ChimeraUpstream
import Testing

private let get = "GET /path?query HTTP/1.1\r\nHost: a\r\n\r\n"
private let fiveHead = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
private let chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
private let noContent = "HTTP/1.1 204 No Content\r\n\r\n"

/// How a connection ends before its time.
private let endings: [UpstreamStep] = [.close, .reset]

@Suite(.timeLimit(.minutes(1))) struct `Upstreams that fail` {
    @Test(arguments: [
        "", "HTTP", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
    ])
    func `an upstream that ends before its head is whole gave no answer`(_ text: String) async throws {
        for ending in [UpstreamStep.close, .endSide] {
            let result = try await Play(upstream: [[.expect(get), .send(text), ending]]).perform()
            #expect(result.failures == [])
            #expect(result.outcome == .failed(text.isEmpty ? .connectionTerminated : .answerIncomplete))
            #expect(result.seen == [])
            #expect(result.kept == 0)
            #expect(result.error == (text.isEmpty ? .connectionTerminated : .answerIncomplete))
        }
    }

    @Test func `an upstream that resets before it answers ended the connection`() async throws {
        let result = try await Play(upstream: [[.expect(get), .reset]]).perform()
        #expect(result.failures == [])
        #expect(result.outcome == .failed(.connectionTerminated))
        #expect(result.outcome.status == 502)
    }

    /// The client must be able to tell that the answer is not whole, RFC 9112 §8.
    @Test(
        arguments: [
            (fiveHead + "hel", "known(5)", "hel"), (fiveHead, "known(5)", ""),
            (chunkedHead + "3\r\nhel\r\n", "unknown", "hel"),
            (chunkedHead + "5\r\nhel", "unknown", "hel"),
            (chunkedHead + "3\r\nhel\r\n0\r\n", "unknown", "hel"),
            (chunkedHead, "unknown", ""),
        ])
    func `an answer that breaks off is aborted`(_ text: String, _ body: String, _ content: String)
        async throws
    {
        for (index, ending) in endings.enumerated() {
            for driver in Play.Driver.allCases {
                let play = Play(upstream: [[.expect(get), .send(text), ending]], driver: driver)
                let result = try await play.perform()
                #expect(result.failures == [], "ending \(index), \(driver)")
                #expect(result.outcome == .answered)
                let bodies = content.isEmpty ? [] : ["body \(content)"]
                #expect(
                    result.seen == ["answered", "head 200 | \(body)"] + bodies + ["abort upstreamBroken"])
                #expect(result.kept == 0)
            }
        }
    }

    /// RFC 9112 §6.3: a body that ends with the connection is whole when that ends well, and only then.
    @Test func `an answer until close is not whole after a reset`() async throws {
        let play = Play(upstream: [[.expect(get), .send("HTTP/1.0 200 OK\r\n\r\nhel"), .reset]])
        let result = try await play.perform()
        #expect(result.failures == [])
        #expect(result.seen == ["answered", "head 200 | unknown", "body hel", "abort upstreamBroken"])
    }

    @Test(arguments: [
        "x\r\n", "3\r\nhello\r\n", "-1\r\n", "5\nhello", "fffffffffffffffff\r\n", "0\r\nno colon\r\n\r\n",
    ])
    func `an answer with malformed chunks is aborted`(_ chunks: String) async throws {
        let result = try await Play(upstream: [[.expect(get), .send(chunkedHead + chunks), .awaitEnd]])
            .perform()
        #expect(result.failures == [])
        #expect(result.outcome == .answered)
        #expect(result.seen.last == "abort upstreamBroken")
        #expect(!result.seen.contains { $0.hasPrefix("finish") })
        #expect(result.kept == 0)
    }

    /// What follows an answer belongs to none, and must never be taken for the next one.
    @Test(
        arguments: [
            (fiveHead + "hello!", ["head 200 | known(5)", "body hello", "finish"]),
            (fiveHead + "hello" + fiveHead + "wrong", ["head 200 | known(5)", "body hello", "finish"]),
            (chunkedHead + "0\r\n\r\n\r\n", ["head 200 | unknown", "finish"]),
            (noContent + "x", ["head 204 | none", "finish"]),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", ["head 204 | none", "finish"]),
            ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", ["head 204 | none", "finish"]),
        ])
    func `an answer with something behind it ends the connection`(_ text: String, _ seen: [String])
        async throws
    {
        for driver in Play.Driver.allCases {
            let play = Play(upstream: [[.expect(get), .send(text), .awaitEnd]], driver: driver)
            let result = try await play.perform()
            #expect(result.failures == [])
            #expect(result.seen == ["answered"] + seen)
            #expect(result.kept == 0)
        }
    }

    @Test(
        arguments: [
            "garbage\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 99 X\r\n\r\n", "HTTP/1.1 200 OK\n\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        ])
    func `a malformed head is no answer`(_ text: String) async throws {
        for driver in Play.Driver.allCases {
            let play = Play(upstream: [[.expect(get), .send(text), .awaitEnd]], driver: driver)
            let result = try await play.perform()
            #expect(result.failures == [])
            #expect(result.outcome == .failed(.answerMalformed))
            #expect(result.outcome.status == 502)
            #expect(result.seen == [])
            #expect(result.kept == 0)
        }
    }

    @Test func `a head past its bound is no answer`() async throws {
        var play = Play(
            upstream: [
                [
                    .expect(get), .send("HTTP/1.1 200 OK\r\nA: " + String(repeating: "x", count: 300)),
                    .awaitEnd,
                ]
            ])
        play.limits.headBytesMax = 200
        let result = try await play.perform()
        #expect(result.failures == [])
        #expect(result.outcome == .failed(.answerMalformed))
    }

    /// A head may be larger than the worker's buffer for one read.
    @Test func `a head of more than one read is understood`() async throws {
        let line = "X-Long: " + String(repeating: "x", count: 150_000)
        var play = Play(
            upstream: [[.expect(get), .send("HTTP/1.1 200 OK\r\n\(line)\r\nContent-Length: 5\r\n\r\nhello")]])
        play.limits.headBytesMax = 1_000_000
        let result = try await play.perform()
        #expect(result.failures == [])
        #expect(result.outcome == .answered)
        #expect(result.seen == ["answered", "head 200 | \(line) | known(5)", "body hello", "finish"])
    }

    @Test func `a large answer comes through whole`() async throws {
        for driver in Play.Driver.allCases {
            let play = Play(
                upstream: [
                    [
                        .expect(get), .send("HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n"),
                        .offer(5_000_000),
                    ]
                ],
                driver: driver)
            let result = try await play.perform()
            #expect(result.outcome == .answered)
            #expect(result.seen.count == 4)
            #expect(result.seen[2].utf8.count == "body ".utf8.count + 5_000_000)
            #expect(result.seen.last == "finish")
        }
    }
}

/// RFC 9112 §9.3.1, RFC 9110 §9.2.2: a request may be sent once more where that does no harm.
@Suite(.timeLimit(.minutes(1))) struct `Sending a request again` {
    private func perform(
        _ request: RequestKind, _ scripts: [[UpstreamStep]], _ driver: Play.Driver = .task
    ) async throws -> Performance {
        try await Play(
            request: request.lines, body: request.body, upstream: scripts, driver: driver, isWarm: true
        ).perform()
    }

    @Test(arguments: Play.Driver.allCases)
    func `a kept connection that turns out to be closed is replaced by a new one`(_ driver: Play.Driver)
        async throws
    {
        for request in [RequestKind.none, .empty] {
            for ending in endings {
                let scripts: [[UpstreamStep]] = [
                    [.expect(request.wire), ending], [.expect(request.wire), .send(noContent)],
                ]
                let result = try await perform(request, scripts, driver)
                #expect(result.failures == [])
                #expect(result.outcome == .answered)
                #expect(result.seen == ["answered", "head 204 | none", "finish"])
                #expect(result.retries == 1)
                #expect(result.connections == 2)
                #expect(result.kept == 1)
            }
        }
    }

    @Test(arguments: Play.Driver.allCases)
    func `a request is sent again once, not for ever`(_ driver: Play.Driver) async throws {
        let wire = RequestKind.none.wire
        let result = try await perform(.none, [[.expect(wire), .close], [.expect(wire), .close]], driver)
        #expect(result.failures == [])
        #expect(result.outcome == .failed(.connectionTerminated))
        #expect(result.retries == 1)
        #expect(result.connections == 2)
    }

    @Test func `a new connection that is closed is not replaced`() async throws {
        let result = try await Play(upstream: [[.expect(get), .close]]).perform()
        #expect(result.outcome == .failed(.connectionTerminated))
        #expect(result.retries == 0)
    }

    @Test(arguments: Play.Driver.allCases)
    func `a method that does something twice is not sent twice`(_ driver: Play.Driver) async throws {
        let post = RequestKind(
            testDescription: "POST", lines: ["POST / HTTP/1.1", "Host: a"], body: [],
            wire: "POST / HTTP/1.1\r\nHost: a\r\n\r\n")
        let result = try await perform(post, [[.expect(post.wire), .close]], driver)
        #expect(result.failures == [])
        #expect(result.outcome == .failed(.connectionTerminated))
        #expect(result.retries == 0)
        #expect(result.connections == 1)
    }

    @Test(arguments: Play.Driver.allCases)
    func `a request of whose body something is gone is not sent again`(_ driver: Play.Driver) async throws {
        let put = RequestKind(
            testDescription: "PUT", lines: ["PUT / HTTP/1.1", "Host: a", "Content-Length: 5"],
            body: [.body("hello"), .end()],
            wire: "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        let result = try await perform(put, [[.expect(put.wire), .close]], driver)
        #expect(result.failures == [])
        #expect(result.outcome == .failed(.connectionTerminated))
        #expect(result.retries == 0)
    }

    @Test(arguments: ["H", "HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 200 OK\r\n"])
    func `a request that the upstream began to answer is not sent again`(_ text: String) async throws {
        let wire = RequestKind.none.wire
        let result = try await perform(.none, [[.expect(wire), .send(text), .close]])
        #expect(result.failures == [])
        #expect(result.outcome == .failed(.answerIncomplete))
        #expect(result.retries == 0)
    }
}

/// RFC 9112 §9.6, RFC 9110 §15.5.14: an upstream that answers before it has the whole request.
@Suite(.timeLimit(.minutes(1))) struct `Early answers` {
    private let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n"
    private let lines = ["POST / HTTP/1.1", "Host: a", "Content-Length: 10000000"]

    @Test(arguments: Play.Driver.allCases)
    func `an answer before the body's end is passed on, and the connection is not kept`(_ driver: Play.Driver)
        async throws
    {
        let play = Play(
            request: lines, body: [.body("hello")],
            upstream: [
                [
                    .expect(head + "hello"), .send("HTTP/1.1 413 Big\r\nContent-Length: 2\r\n\r\nno"),
                    .expectEnd,
                ]
            ],
            driver: driver)
        let result = try await play.perform()
        #expect(result.failures == [])
        #expect(result.outcome == .answered)
        #expect(result.seen == ["answered", "head 413 | known(2)", "body no", "finish"])
        #expect(result.kept == 0)
    }

    /// The upstream closes with unread bytes of the request, so that our writing fails while its answer lies ready.
    @Test(arguments: [2, 40_000], Play.Driver.allCases)
    func `an answer of an upstream that refuses the rest of the request counts`(
        _ count: Int, _ driver: Play.Driver
    ) async throws {
        let piece = String(repeating: "x", count: 100_000)
        let play = Play(
            request: lines, body: Array(repeating: .body(piece), count: 100) + [.end()],
            upstream: [
                [
                    .take(1_000), .send("HTTP/1.1 413 Big\r\nContent-Length: \(count)\r\n\r\n"),
                    .offer(count), .close,
                ]
            ],
            driver: driver)
        let result = try await play.perform()
        #expect(result.failures == [])
        #expect(result.outcome == .answered)
        #expect(result.seen.first == "answered")
        #expect(result.seen.last == "finish")
        #expect(result.kept == 0)
    }

    @Test func `an answer that comes while the body is still sent does not stop it`() async throws {
        let play = Play(
            request: ["POST / HTTP/1.1", "Host: a", "Content-Length: 10"], body: [.body("hello")],
            upstream: [
                [
                    .expect("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"),
                    .send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst"), .client(.body("world")),
                    .client(.end()), .expect("world"), .send("after"),
                ]
            ])
        let result = try await play.perform()
        #expect(result.failures == [])
        #expect(result.seen == ["answered", "head 200 | known(10)", "body firstafter", "finish"])
        #expect(result.kept == 1)
    }
}

extension ProxyOutcome {
    /// What the client is told.
    var status: Int? {
        switch self {
        case .answered, .clientLost: nil
        case .failed(let error): error.status
        case .refused(let refusal): refusal.status
        }
    }
}
