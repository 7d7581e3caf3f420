import ChimeraEventLoop
import ChimeraHTTPCore
import Glibc

@testable import ChimeraFiles

/// A worker with its thread, and a pool.
final class Bench: Sendable {
    let worker: Worker
    let pool: BlockingPool

    init(pool: BlockingPool = BlockingPool(threadsMax: 2)) throws {
        let worker = try Worker(index: 0)
        self.worker = worker
        self.pool = pool
        _ = Thread.start(name: "test-worker") { worker.run() }
    }

    deinit {
        worker.stop()
        pool.stop()
    }

    /// Runs `body` in a task on the worker.
    func run<Result: Sendable>(_ body: @escaping @Sendable (Bench) async -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            worker.submit { worker in
                worker.start { continuation.resume(returning: await body(self)) }
            }
        }
    }

    /// Waits on the worker until the looks under way have ended.
    func settle(_ cache: FilesCache) async {
        while cache.loadsUnderWay > 0 { await worker.yield() }
    }

    /// Runs `body` with a destination of its own.
    func serve<Result: Sendable>(
        _ options: FilesOptions, limits: FilesLimits = FilesLimits(),
        _ body: @escaping @Sendable (Client) async -> Result
    ) async -> Result {
        await run { bench in
            let cache = FilesCache(worker: bench.worker, pool: bench.pool, limits: limits)
            let client = Client(bench, cache, FilesDestination(options: options, cache: cache))
            let result = await body(client)
            await bench.settle(cache)
            cache.checkInvariants()
            return result
        }
    }
}

/// What a client sees of an answer, and what body the answer came with.
struct Reply: Sendable, Equatable {
    enum Form: Sendable { case none, bytes, file, parts }

    var status: Int
    var fields: [String: String] = [:]
    var length: Int?
    var form = Form.none

    subscript(_ name: String) -> String? { fields[name] }
}

/// Asks one destination.
final class Client {
    let bench: Bench
    let cache: FilesCache
    let destination: FilesDestination
    /// The worker's clock when a path was last asked for with a look at the disk.
    private var askedAt: Int64 = 0

    init(_ bench: Bench, _ cache: FilesCache, _ destination: FilesDestination) {
        self.bench = bench
        self.cache = cache
        self.destination = destination
    }

    /// Asks with a look at the disk where one is due.
    func get(
        _ path: String, _ fields: [(String, String)] = [], method: String = "GET", prefix: String = "",
        query: String? = nil
    ) async -> Reply {
        let (request, response) = (Client.request(method, fields), ResponseHead())
        askedAt = bench.worker.now
        let file = RequestedFile(
            path: Array(path.utf8), prefix: Array(prefix.utf8), query: query.map { Array($0.utf8) })
        let answer = await destination.prepare(file, request: request, response: response)
        return Client.reply(answer, response)
    }

    /// Asks the memory only, as if so many milliseconds had passed since the last look.
    func recall(_ path: String, after milliseconds: Int64 = 0, _ fields: [(String, String)] = []) -> Reply? {
        let (request, response) = (Client.request("GET", fields), ResponseHead())
        let bytes = Array(path.utf8)
        let answer = destination.answer(
            path: bytes.span, prefix: [UInt8]().span, query: nil, request: request, response: response,
            now: askedAt + milliseconds)
        return answer.map { Client.reply($0, response) }
    }

    /// Asks over an exchange.
    func fetch(
        _ path: String, _ fields: [(String, String)] = [], method: String = "GET",
        _ prepare: (TestExchange) -> Void = { _ in }
    ) async -> Fetched {
        let exchange = TestExchange(bench.worker, Client.request(method, fields))
        askedAt = bench.worker.now
        prepare(exchange)
        let answer = await destination.prepare(
            RequestedFile(path: Array(path.utf8)), request: exchange.request, response: exchange.response)
        let reason = await FileSender.send(answer, on: exchange, pool: bench.pool)
        return Fetched(
            status: exchange.response.status, body: exchange.body, reason: reason,
            isFinished: exchange.isFinished, abortReason: exchange.abortReason,
            contentType: Client.fields(exchange.response)["Content-Type"] ?? "",
            length: exchange.response.body, unsent: exchange.queue.count, deadlines: exchange.deadlines)
    }

    static func request(_ method: String, _ fields: [(String, String)]) -> RequestHead {
        let request = RequestHead()
        let bytes = Array(method.utf8)
        request.method = Method(bytes.span)
        for (name, value) in fields {
            let (name, value) = (Array(name.utf8), Array(value.utf8))
            request.add(name: name.span, value: value.span)
        }
        return request
    }

    private static func reply(_ answer: FilesAnswer, _ response: ResponseHead) -> Reply {
        var reply = Reply(status: response.status, fields: fields(response))
        if case .known(let length) = response.body { reply.length = length }
        switch answer {
        case .body(.none): reply.form = .none
        case .body(.bytes): reply.form = .bytes
        case .body(.file): reply.form = .file
        case .parts: reply.form = .parts
        }
        return reply
    }

    static func fields(_ block: FieldBlock) -> [String: String] {
        var fields: [String: String] = [:]
        for index in 0..<block.lineCount where block.line(at: index).isPresent {
            let line = block.line(at: index)
            let name = block.name(of: line).text
            precondition(fields[name] == nil, "\(name) is there twice")
            fields[name] = block[line.value].text
        }
        return fields
    }
}

struct Fetched: Sendable {
    var status: Int
    var body: [UInt8]
    var reason: CloseReason?
    var isFinished: Bool
    var abortReason: CloseReason?
    var contentType: String
    var length: BodyLength
    var unsent: Int
    var deadlines: [Int64?]

    var text: String { String(decoding: body, as: UTF8.self) }
}

extension Span where Element == UInt8 {
    var text: String { withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) } }
}

/// Holds one thread until it is opened.
final class Gate: Sendable {
    private let ends: (Int32, Int32)

    init() {
        var pair: [Int32] = [0, 0]
        precondition(pipe(&pair) == 0)
        ends = (pair[0], pair[1])
    }

    deinit { close(ends.0) }

    func wait() {
        var byte: UInt8 = 0
        _ = read(ends.0, &byte, 1)
    }

    func open() { close(ends.1) }
}
