import ChimeraEventLoop
import Glibc
import HTTPTypes
import Synchronization
import Testing

@testable import Chimera

@Suite struct APIFailureTests {
    private struct Broken: Error {}

    private func answer(_ request: String, directives: String = "", _ handler: Answering) async throws
        -> RawResponse
    {
        try await serving(handler, directives: directives) { address in
            let client = try RawClient(address)
            try client.send(request)
            return try client.response()
        }
    }

    @Test(arguments: ["throw", "return"])
    func `a handler that sends nothing is a 500, and the connection stays`(way: String) async throws {
        let handler = Answering { request, _, _, response in
            if request.path == "/good" {
                return try await response.send(HTTPResponse(status: .ok), content: "good")
            }
            if way == "throw" { throw Broken() }
        }
        let responses = try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /good HTTP/1.1\r\nHost: a\r\n\r\n")
            return [try client.response(), try client.response()]
        }
        #expect(responses[0].status == 500)
        #expect(responses[1].text == "good")
    }

    @Test(arguments: ["throw", "return"])
    func `a response that its handler does not finish is cut off`(way: String) async throws {
        let handler = Answering { _, _, _, response in
            var writer = try await response.send(HTTPResponse(status: .ok))
            try await writer.write("half")
            if way == "throw" { throw Broken() }
        }
        let text = try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return try client.readToEnd()
        }
        #expect(text.hasSuffix("\r\n\r\n4\r\nhalf\r\n"))
    }

    @Test func `more than Content-Length promised is refused, and less is cut off`() async throws {
        let errors = Note<[ExchangeError]>()
        let handler = Answering { _, _, _, response in
            var head = HTTPResponse(status: .ok)
            head.headerFields[.contentLength] = "6"
            var writer = try await response.send(head)
            var met: [ExchangeError] = []
            try await writer.write("abc")
            do { try await writer.write("defg") } catch let error as ExchangeError { met.append(error) }
            do { try await writer.finish() } catch let error as ExchangeError { met.append(error) }
            errors.set(met)
        }
        let text = try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return try client.readToEnd()
        }
        #expect(errors.wait() == [.contentLengthUnmet, .contentLengthUnmet])
        #expect(text.hasSuffix("\r\n\r\nabc"))
    }

    @Test(
        arguments: [(100, nil), (199, nil), (1_000, nil), (200, "ten"), (200, "-1"), (200, "+1")]
            as [(Int, String?)])
    func `a head that cannot be sent is refused and sends nothing`(code: Int, length: String?) async throws {
        let handler = Answering { _, _, _, response in
            var head = HTTPResponse(status: code < 1_000 ? .init(code: code) : .init(code: 999))
            if code == 1_000 { head.headerFields[.contentLength] = "1, 1" }
            if let length { head.headerFields[.contentLength] = length }
            try await response.send(head, content: "x")
        }
        let response = try await answer("GET / HTTP/1.1\r\nHost: a\r\n\r\n", handler)
        #expect(response.status == 500)
    }

    @Test func `fields that frame the message or concern the connection are the gateway's`() async throws {
        let handler = Answering { _, _, _, response in
            var head = HTTPResponse(status: .ok)
            head.headerFields[.transferEncoding] = "gzip"
            head.headerFields[.connection] = "close, X-Hop"
            head.headerFields[HTTPField.Name("X-Hop")!] = "1"
            head.headerFields[HTTPField.Name("X-Kept")!] = "a\r\nX-Forged: 1"
            try await response.send(head, content: "x")
        }
        let text = try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return try client.readToEnd()
        }
        #expect(!text.contains("gzip"))
        #expect(!text.contains("X-Hop"))
        #expect(!text.contains("\nX-Forged"))
        #expect(text.contains("X-Kept: a"))
        #expect(text.contains("Connection: close\r\n"))
        #expect(text.contains("Content-Length: 1\r\n"))
    }

    // MARK: Bodies

    @Test(arguments: [
        ("Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400), ("Content-Length: 2000\r\n\r\n", 413),
        (
            "Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + String(repeating: "x", count: 2_000)
                + "\r\n0\r\n\r\n", 413
        ),
        ("Content-Length: 10\r\n\r\nabc", 408),
    ])
    func `a body that cannot be read to its end is refused by the gateway`(rest: String, status: Int)
        async throws
    {
        let handler = Answering { _, _, body, response in
            var body = body
            let content = try await body.collect(upTo: 100_000)
            try await response.send(HTTPResponse(status: .ok), content: content)
        }
        let response = try await answer(
            "POST / HTTP/1.1\r\nHost: a\r\n" + rest, directives: "limit body 1KB\ntimeout body=300ms\n",
            handler)
        #expect(response.status == status)
    }

    @Test func `collect refuses more than it is to take, by the head or by count`() async throws {
        let handler = Answering { _, _, body, response in
            var body = body
            do {
                _ = try await body.collect(upTo: 3)
            } catch ExchangeError.bodyTooLarge(let limit) {
                try await response.send(HTTPResponse(status: .contentTooLarge), content: "more than \(limit)")
            }
        }
        for rest in [
            "Content-Length: 4\r\n\r\nabcd", "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
        ] {
            let response = try await answer("POST / HTTP/1.1\r\nHost: a\r\n" + rest, handler)
            #expect(response.status == 413)
            #expect(response.text == "more than 3")
        }
    }

    // MARK: Clients

    @Test func `a handler that reads learns that the client is gone`() async throws {
        let learnt = Note<String>()
        let handler = Answering { _, _, body, _ in
            var body = body
            do {
                while try await body.read() != nil {}
            } catch {
                learnt.set("\(error)")
                throw error
            }
        }
        try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
            client.finishSending()
            #expect(try client.readToEnd() == "")
        }
        #expect(learnt.wait() == "aborted(client-closed)")
    }

    @Test func `a handler that writes learns that the client is gone`() async throws {
        let learnt = Note<String>()
        let handler = Answering { _, _, _, response in
            var writer = try await response.send(HTTPResponse(status: .ok))
            do {
                while true { try await writer.write([UInt8](repeating: 0x61, count: 10_000)) }
            } catch {
                learnt.set("\(error)")
                throw error
            }
        }
        try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try client.read(10_000)
            client.reset()
            #expect(learnt.wait() != nil)
        }
        #expect(learnt.wait() == "aborted(client-failed)")
    }

    @Test(arguments: ["close", "reset"])
    func `a handler that waits for something else is interrupted when the client goes`(way: String)
        async throws
    {
        let learnt = Note<AbortReason?>()
        let isWaiting = Note<Void>()
        let handler = Answering { _, context, _, _ in
            let reason = try await withThrowingTaskGroup(of: AbortReason?.self) { group in
                group.addTask { try await context.interruption() }
                group.addTask {
                    isWaiting.set(())
                    try await Task.sleep(for: .seconds(60))
                    return nil
                }
                defer { group.cancelAll() }
                return try await group.next() ?? nil
            }
            learnt.set(reason)
        }
        try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = isWaiting.wait()
            if way == "close" { client.finishSending() } else { client.reset() }
            #expect(learnt.wait() != nil)
        }
        #expect(learnt.wait() == (way == "close" ? .clientClosed : .clientFailed))
    }

    @Test func `a client that takes nothing is given up`() async throws {
        let learnt = Note<String>()
        let handler = Answering { _, _, _, response in
            var writer = try await response.send(HTTPResponse(status: .ok))
            do {
                while true { try await writer.write([UInt8](repeating: 0x61, count: 100_000)) }
            } catch {
                learnt.set("\(error)")
                throw error
            }
        }
        try await serving(handler, directives: "timeout send=300ms") { address in
            let client = try RawClient(address, receiveBuffer: 4_096)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(learnt.wait() == "aborted(send-timeout)")
        }
    }

    @Test func `past the response's deadline the calls throw`() async throws {
        let learnt = Note<String>()
        let handler = Answering { _, context, body, response in
            #expect(context.deadline != nil)
            var body = body
            do { _ = try await body.read() } catch {
                learnt.set("\(error)")
                throw error
            }
        }
        let response = try await answer(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", directives: "timeout response=300ms",
            handler)
        #expect(learnt.wait() == "aborted(response-timeout)")
        #expect(response.status == 503)
    }

    // MARK: Backpressure

    @Test func `a client that does not read slows its handler down`() async throws {
        let written = Mutex(0)
        let total = 20_000_000
        let handler = Answering { _, _, _, response in
            var writer = try await response.send(HTTPResponse(status: .ok))
            let piece = [UInt8](repeating: 0x61, count: 100_000)
            for _ in 0..<(total / piece.count) {
                try await writer.write(piece)
                written.withLock { $0 += piece.count }
            }
            try await writer.finish()
        }
        let response = try await serving(handler) { address in
            let client = try RawClient(address, receiveBuffer: 8_192)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            // Until two looks find the same, so that a slow machine does not decide.
            var seen = -1
            var now = 0
            while seen != now || now == 0 {
                seen = now
                usleep(200_000)
                now = written.withLock { $0 }
            }
            #expect(now < total)
            return try client.response()
        }
        #expect(response.content.count == total)
        #expect(written.withLock { $0 } == total)
    }

    @Test func `a body that nobody asks for stays with the client`() async throws {
        let mayGoOn = Note<Void>()
        let handler = Answering { _, _, body, response in
            var body = body
            try await blocking { _ = mayGoOn.wait() }
            var count = 0
            while let bytes = try await body.read() { count += bytes.count }
            try await response.send(HTTPResponse(status: .ok), content: "\(count)")
        }
        let total = 50_000_000
        let response = try await serving(handler) { address in
            let client = try RawClient(address)
            let content = [UInt8](repeating: 0x61, count: total)
            try client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: \(total)\r\n\r\n")
            let sent = client.sendUntilBlocked(content)
            #expect(sent < total)
            mayGoOn.set(())
            try client.send(Array(content[sent...]))
            return try client.response()
        }
        #expect(response.text == "\(total)")
    }
}
