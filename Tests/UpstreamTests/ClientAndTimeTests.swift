import ChimeraEventLoop
import ChimeraHTTPCore
import ChimeraUpstream
import Testing

private let get = "GET /path?query HTTP/1.1\r\nHost: a\r\n\r\n"
private let chunkedLines = ["POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"]
private let chunkedWire = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

@Suite(.timeLimit(.minutes(1))) struct `Clients that fail` {
    /// RFC 9112 §8: the upstream must be able to tell that the request is not whole.
    @Test(arguments: Play.Driver.allCases)
    func `a body that turns out to be malformed is refused, and never ends for the upstream`(
        _ driver: Play.Driver
    ) async throws {
        let play = Play(
            request: chunkedLines, body: [.body("hello"), .refuse(.chunkMalformed)],
            upstream: [[.expect(chunkedWire + "5\r\nhello\r\n"), .expectEnd]], driver: driver)
        let result = try await play.perform()
        #expect(result.failures == [])
        #expect(result.outcome == .refused(.chunkMalformed))
        #expect(result.outcome.status == 400)
        #expect(result.seen == [])
        #expect(result.kept == 0)
    }

    @Test func `a body that is malformed behind the answer's head aborts the answer`() async throws {
        let play = Play(
            request: chunkedLines, body: [.body("hello")],
            upstream: [
                [
                    .expect(chunkedWire + "5\r\nhello\r\n"),
                    .send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"),
                    .clientSaw("body he"), .client(.refuse(.chunkMalformed)), .expectEnd,
                ]
            ])
        let result = try await play.perform()
        #expect(result.failures == [])
        #expect(result.outcome == .answered)
        #expect(result.seen == ["answered", "head 200 | known(5)", "body he", "abort refused"])
    }

    @Test func `a client that is gone in its body ends the exchange`() async throws {
        let play = Play(
            request: chunkedLines, body: [.body("hello"), .abort(.clientClosed)],
            upstream: [[.expect(chunkedWire + "5\r\nhello\r\n"), .expectEnd]])
        let result = try await play.perform()
        #expect(result.failures == [])
        #expect(result.outcome == .clientLost(.clientClosed))
        #expect(result.error == nil)
    }

    @Test(arguments: Play.Driver.allCases)
    func `a client that is gone while the upstream thinks ends the exchange`(_ driver: Play.Driver)
        async throws
    {
        let play = Play(
            upstream: [[.expect(get), .client(.lose(.clientFailed)), .expectEnd]], driver: driver)
        let result = try await play.perform()
        #expect(result.failures == [])
        #expect(result.outcome == .clientLost(.clientFailed))
        #expect(result.seen == [])
    }

    @Test func `a client that is gone while it is answered ends the exchange`() async throws {
        let play = Play(
            upstream: [
                [
                    .expect(get), .send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"),
                    .clientSaw("body he"),
                    .client(.lose(.clientFailed)), .expectEnd,
                ]
            ])
        let result = try await play.perform()
        #expect(result.failures == [])
        #expect(result.outcome == .answered)
        #expect(result.seen == ["answered", "head 200 | known(5)", "body he", "abort clientFailed"])
        #expect(result.kept == 0)
    }

    @Test func `a client that only ended its own side gets its answer`() async throws {
        let play = Play(
            upstream: [
                [.expect(get), .client(.endSide), .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]
            ])
        let result = try await play.perform()
        #expect(result.seen == ["answered", "head 200 | known(2)", "body ok", "finish"])
    }

    /// An event stream has no end of its own, so a client that ended its side has gone away.
    @Test func `a client that ended its side of an event stream has gone away`() async throws {
        let play = Play(
            upstream: [
                [
                    .expect(get),
                    .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"),
                    .clientSaw("body"), .client(.endSide), .expectEnd,
                ]
            ])
        let result = try await play.perform()
        #expect(result.failures == [])
        #expect(result.seen.suffix(2) == ["body data: 1\n\n", "abort clientClosed"])
    }

    @Test func `a client that takes nothing for a while gets everything in the end`() async throws {
        // Between the two lies more than one turn reads, and less than the kernel's buffers hold.
        let script: [UpstreamStep] = [
            .expect(get), .send("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"), .clientSaw("head"),
            .client(.block),
            .offer(100_000),
            .client(.unblock), .offer(100_000),
        ]
        let result = try await Play(upstream: [script]).perform()
        #expect(result.outcome == .answered)
        #expect(result.seen.last == "finish")
        #expect(result.seen[2].utf8.count == 200_005)
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Time` {
    private func perform(
        _ play: Play, _ change: (inout UpstreamTimeouts) -> Void
    ) async throws -> Performance {
        var play = play
        change(&play.timeouts)
        return try await play.perform()
    }

    @Test(arguments: Play.Driver.allCases)
    func `an upstream that does not answer in time gave no answer`(_ driver: Play.Driver) async throws {
        let result = try await perform(Play(upstream: [[.expect(get), .expectEnd]], driver: driver)) {
            $0.answer = 30
        }
        #expect(result.failures == [])
        #expect(result.outcome == .failed(.answerTimeout))
        #expect(result.outcome.status == 504)
        #expect(result.seen == [])
        #expect(result.kept == 0)
    }

    @Test func `half a head is no answer either`() async throws {
        let play = Play(upstream: [[.expect(get), .send("HTTP/1.1 200 OK\r\n"), .expectEnd]])
        let result = try await perform(play) { $0.answer = 30 }
        #expect(result.failures == [])
        #expect(result.outcome == .failed(.answerTimeout))
    }

    @Test(arguments: Play.Driver.allCases)
    func `an answer that stops is aborted`(_ driver: Play.Driver) async throws {
        let script: [UpstreamStep] = [
            .expect(get), .send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"), .expectEnd,
        ]
        let result = try await perform(Play(upstream: [script], driver: driver)) { $0.read = 30 }
        #expect(result.failures == [])
        #expect(result.outcome == .answered)
        #expect(result.seen == ["answered", "head 200 | known(5)", "body he", "abort upstreamTimeout"])
    }

    @Test func `an upstream that does not take the request is given up`() async throws {
        let piece = String(repeating: "x", count: 100_000)
        let play = Play(
            request: ["POST / HTTP/1.1", "Host: a", "Content-Length: 100000000"],
            body: Array(repeating: .body(piece), count: 1_000) + [.end()], upstream: [[.take(1)]])
        let result = try await perform(play) { $0.read = 50 }
        #expect(result.outcome == .failed(.writeTimeout))
        #expect(result.outcome.status == 504)
    }

    @Test(arguments: Play.Driver.allCases)
    func `a client that does not send its body is refused`(_ driver: Play.Driver) async throws {
        let play = Play(
            request: chunkedLines, body: [.body("hello")],
            upstream: [[.expect(chunkedWire + "5\r\nhello\r\n"), .expectEnd]], driver: driver)
        let result = try await perform(play) { $0.body = 30 }
        #expect(result.failures == [])
        #expect(result.outcome == .refused(.bodyTimeout))
        #expect(result.outcome.status == 408)
    }

    @Test func `a client that takes nothing is lost`() async throws {
        let before = try await perform(Play(body: [.block], upstream: [[.expect(get), .awaitEnd]])) {
            $0.send = 30
        }
        #expect(before.failures == [])
        #expect(before.outcome == .clientLost(.sendTimeout))
        let script: [UpstreamStep] = [
            .expect(get), .send("HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n"), .clientSaw("head"),
            .client(.block),
            .offer(90_000_000),
        ]
        let during = try await perform(Play(upstream: [script])) { $0.send = 100 }
        #expect(during.failures == [])
        #expect(during.outcome == .answered)
        #expect(during.seen.last == "abort sendTimeout")
    }

    @Test func `the whole response has its time`() async throws {
        let silent = try await perform(Play(upstream: [[.expect(get), .expectEnd]])) { $0.response = 30 }
        #expect(silent.outcome == .failed(.answerTimeout))
        let script: [UpstreamStep] = [
            .expect(get), .send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"), .expectEnd,
        ]
        let slow = try await perform(Play(upstream: [script])) { $0.response = 50 }
        #expect(slow.failures == [])
        #expect(slow.outcome == .answered)
        #expect(slow.seen.last == "abort responseTimeout")
    }

    @Test(arguments: Play.Driver.allCases)
    func `a quiet tunnel ends`(_ driver: Play.Driver) async throws {
        let play = Play(
            request: ["GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: x"],
            upstream: [[.take(20), .send("HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n"), .awaitEnd]], driver: driver)
        let result = try await perform(play) { $0.quiet = 30 }
        #expect(result.outcome == .answered)
        #expect(result.seen == ["answered", "upgrade x", "abort quietTimeout"])
    }

    @Test func `an event stream has the time of a tunnel`() async throws {
        let script: [UpstreamStep] = [
            .expect(get), .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"),
            .expectEnd,
        ]
        let result = try await perform(Play(upstream: [script])) {
            $0.read = 1
            $0.quiet = 60
        }
        #expect(result.failures == [])
        #expect(result.seen.last == "abort quietTimeout")
    }

    @Test func `without bounds nothing ends by itself`() async throws {
        var play = Play(upstream: [[.expect(get), .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]])
        play.timeouts.answer = nil
        play.timeouts.read = nil
        play.timeouts.connect = nil
        let result = try await play.perform()
        #expect(result.outcome == .answered)
    }
}
