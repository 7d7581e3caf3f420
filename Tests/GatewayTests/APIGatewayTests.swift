import ChimeraEventLoop
import Glibc
import HTTPTypes
import Synchronization
import Testing

@testable import Chimera

@globalActor private actor Elsewhere {
    static let shared = Elsewhere()
    var visits = 0
    func visit() -> Int {
        visits += 1
        return visits
    }
}

/// Isolated to the main actor.
private struct OnMain: Handler {
    @MainActor func handle(
        _ request: HTTPRequest, context: ExchangeContext, body: consuming sending RequestBody,
        response: consuming sending ResponseSender
    ) async throws {
        var body = body
        let content = try await body.collect(upTo: 1_000)
        MainActor.assertIsolated()
        var writer = try await response.send(HTTPResponse(status: .ok))
        MainActor.assertIsolated()
        try await writer.write(content)
        try await writer.finish()
        MainActor.assertIsolated()
    }
}

/// An actor that many exchanges share.
private actor Counting: Handler {
    private var count = 0

    func handle(
        _ request: HTTPRequest, context: ExchangeContext, body: consuming sending RequestBody,
        response: consuming sending ResponseSender
    ) async throws {
        count += 1
        let mine = count
        var body = body
        _ = try await body.collect(upTo: 1_000)
        try await response.send(HTTPResponse(status: .ok), content: "\(mine)")
    }
}

@Suite struct APIGatewayTests {
    private static func get(_ address: String, _ host: String = "a") throws -> RawResponse {
        let client = try RawClient(address)
        try client.send("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        return try client.response()
    }

    // MARK: Executors

    @Test func `a handler hops elsewhere and comes back to its worker's thread`() async throws {
        let handler = Answering { _, _, _, response in
            let worker = try #require(Threads.current)
            var writer = try await response.send(HTTPResponse(status: .ok))
            try await Task.sleep(for: .milliseconds(2))
            #expect(Threads.current == worker)
            try await writer.write("sleep ")
            _ = await Elsewhere.shared.visit()
            #expect(Threads.current == worker)
            try await writer.write("actor ")
            await MainActor.run { #expect(Threads.current == nil) }
            #expect(Threads.current == worker)
            try await writer.write("main ")
            let name = await Task.detached { Threads.current }.value
            #expect(name == nil)
            #expect(Threads.current == worker)
            try await writer.write("detached ")
            for await _ in AsyncStream(unfolding: { () -> Int? in nil }) {}
            await Task.yield()
            try await writer.write("yield")
            try await writer.finish()
        }
        let text = try await serving(handler) { try Self.get($0).text }
        #expect(text == "sleep actor main detached yield")
    }

    @Test func `a handler of the main actor serves`() async throws {
        let texts = try await serving(OnMain()) { address in
            let client = try RawClient(address)
            return try (0..<20).map { number in
                try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n\(number + 10)")
                return try client.response().text
            }
        }
        #expect(texts == (10..<30).map { "\($0)" })
    }

    @Test func `a handler that is an actor serves connections of all workers`() async throws {
        let numbers = try await serving(Counting()) { address in
            let clients = try (0..<20).map { _ in try RawClient(address) }
            var numbers: [Int] = []
            for _ in 0..<10 {
                for client in clients {
                    try client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
                }
                for client in clients { try client.send("body") }
                for client in clients { numbers.append(Int(try client.response().text) ?? 0) }
            }
            return numbers
        }
        #expect(numbers.sorted() == Array(1...200))
    }

    @Test func `a task that was started elsewhere may use what it was given`() async throws {
        let handler = Answering { _, _, body, response in
            let kept = Kept(body, response)
            try await Task.detached { try await kept.serve() }.value
        }
        let text = try await serving(handler) { address in
            let client = try RawClient(address)
            try client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
            #expect(try client.read(until: "2\r\nab\r\n").hasPrefix("HTTP/1.1 200"))
            try client.send("0\r\nX-End: 1\r\n\r\n")
            return try client.read(until: "0\r\nX-End: 1\r\n\r\n")
        }
        #expect(text == "0\r\nX-End: 1\r\n\r\n")
    }

    @Test func `what a handler keeps is of no use when it has returned`() async throws {
        let learnt = Note<String>()
        let handler = Answering { request, context, _, response in
            if request.path == "/first" {
                Task.detached {
                    do { learnt.set("\(try await context.interruption())") } catch { learnt.set("\(error)") }
                }
                // So that it waits by now, most of the time; where it does not, the outcome is the same.
                try await Task.sleep(for: .milliseconds(20))
            }
            try await response.send(HTTPResponse(status: .ok), content: request.path ?? "")
        }
        let texts = try await serving(handler) { address in
            let client = try RawClient(address)
            return try ["/first", "/second", "/third"].map { path in
                try client.send("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
                return try client.response().text
            }
        }
        #expect(texts == ["/first", "/second", "/third"])
        #expect(learnt.wait() == "exchangeOver")
    }

    @Test func `a task that is cancelled stops waiting, and the exchange goes on`() async throws {
        let handler = Answering { _, context, _, response in
            let first = await withTaskGroup(of: String.self) { group in
                group.addTask {
                    do { return "\(try await context.interruption())" } catch {
                        return "\(error is CancellationError)"
                    }
                }
                group.addTask {
                    try? await Task.sleep(for: .milliseconds(5))
                    return "slept"
                }
                let first = await group.next() ?? ""
                group.cancelAll()
                return await first + " " + (group.next() ?? "")
            }
            try await response.send(HTTPResponse(status: .ok), content: first)
        }
        let text = try await serving(handler) { try Self.get($0).text }
        #expect(text == "slept true")
    }

    // MARK: Assembly

    @Test func `directives count for the handler as they do for every route`() async throws {
        let handler = Answering { _, _, _, response in
            try await response.send(HTTPResponse(status: .ok), content: "handler")
        }
        let directives = """
            header X-Served by-{host}
            site fixed.example { respond 200 "fixed" }
            """
        let answers = try await serving(handler, directives: directives) { address in
            [try Self.get(address, "any.example"), try Self.get(address, "fixed.example")]
        }
        #expect(answers.map(\.text) == ["handler", "fixed"])
        #expect(answers[0].head.contains("X-Served: by-any.example\r\n"))
    }

    @Test func `a mistake in a directive is said with its place`() throws {
        let error = try #require(throws: ConfigurationError.self) {
            try Gateway(listening: ["127.0.0.1:0"], directives: "limit bodi 5MB", handler: Echo())
        }
        #expect(error.description.contains("embedded:1:"))
        #expect(throws: ConfigurationError.self) {
            try Gateway(listening: ["nowhere:at:all"], handler: Echo())
        }
        #expect(throws: ConfigurationError.self) {
            try Gateway(listening: ["127.0.0.1:0"], directives: "site * { respond 200 }", handler: Echo())
        }
        #expect(throws: ConfigurationError.self) {
            try Gateway(configurationFile: "/nonexistent/chimera.conf")
        }
    }

    @Test func `a configuration alone makes a gateway too`() async throws {
        let gateway = try Gateway(
            configuration: "listen 127.0.0.1:0\nlog access off\nsite * { respond 200 \"hello\" }")
        try gateway.start()
        let address = try #require(gateway.listeningAddresses.first)
        #expect(try await blocking { try Self.get(address).text } == "hello")
        gateway.stopNow()
        try await blocking { gateway.waitUntilStopped() }
    }

    // MARK: Ending

    @Test func `run serves until its task is cancelled, and lets a request finish`() async throws {
        let isServing = Note<Void>()
        let mayGoOn = Note<Void>()
        let handler = Answering { _, context, _, response in
            isServing.set(())
            // The drain is noticed by who asks for it.
            #expect(try await context.interruption() == .draining)
            mayGoOn.set(())
            try await response.send(HTTPResponse(status: .ok), content: "finished")
        }
        let gateway = try Gateway(listening: ["127.0.0.1:0"], directives: "workers 2", handler: handler)
        let failure = Mutex<String?>(nil)
        let running = Task {
            do { try await gateway.run(drainMilliseconds: 5_000) } catch {
                failure.withLock { $0 = "\(error)" }
            }
        }
        let address = try await blocking {
            // The addresses are what says that it serves.
            while gateway.listeningAddresses.isEmpty && failure.withLock({ $0 == nil }) { usleep(1_000) }
            return gateway.listeningAddresses.first ?? ""
        }
        async let answer = blocking { try Self.get(address).text }
        try await blocking { _ = isServing.wait() }
        running.cancel()
        #expect(try await answer == "finished")
        await running.value
        #expect(failure.withLock { $0 } == nil)
        #expect(throws: (any Error).self) { try RawClient(address) }
    }

    @Test func `at the drain's deadline a handler that sleeps is cancelled and its connection cut off`()
        async throws
    {
        let learnt = Note<Bool>()
        let isServing = Note<Void>()
        let handler = Answering { _, _, _, response in
            var writer = try await response.send(HTTPResponse(status: .ok))
            try await writer.write("half")
            isServing.set(())
            do { try await Task.sleep(for: .seconds(60)) } catch {
                learnt.set(error is CancellationError)
                throw error
            }
        }
        let gateway = try Gateway(listening: ["127.0.0.1:0"], directives: "workers 2", handler: handler)
        try gateway.start()
        let address = try #require(gateway.listeningAddresses.first)
        async let answer = blocking {
            let client = try RawClient(address)
            try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return try client.readToEnd()
        }
        try await blocking { _ = isServing.wait() }
        gateway.drain(deadlineMilliseconds: 50)
        try await blocking { gateway.waitUntilStopped() }
        #expect(try await answer.hasSuffix("4\r\nhalf\r\n"))
        #expect(learnt.wait() == true)
    }
}

/// What the detached task of a test got from its handler.
private final class Kept: @unchecked Sendable {
    private var body: RequestBody?
    private var sender: ResponseSender?

    init(_ body: consuming sending RequestBody, _ sender: consuming sending ResponseSender) {
        self.body = consume body
        self.sender = consume sender
    }

    func serve() async throws {
        guard var body = body.take(), let sender = sender.take() else { return }
        var writer = try await sender.send(HTTPResponse(status: .ok))
        while let bytes = try await body.read() { try await writer.write(bytes.span) }
        try await writer.finish(trailers: body.trailers)
    }
}
