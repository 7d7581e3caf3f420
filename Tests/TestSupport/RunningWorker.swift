package import ChimeraEventLoop
import Synchronization
import Testing

/// A worker on a thread of its own, for as long as a test needs it.
package final class RunningWorker: Sendable {
    package let worker: Worker
    private let ended = Latch()

    package init(index: Int = 0) throws {
        let worker = try Worker(index: index)
        self.worker = worker
        let ended = self.ended
        let hasStarted = Thread.start(name: "test-worker") {
            worker.run()
            ended.open()
        }
        try #require(hasStarted)
    }

    /// Runs `body` as a task of the worker and gives back what it returns.
    package func run<Result: Sendable>(_ body: @escaping @Sendable (Worker) async throws -> Result)
        async throws
        -> Result
    {
        try await withCheckedThrowingContinuation { continuation in
            worker.submit { worker in
                worker.start {
                    do {
                        continuation.resume(returning: try await body(worker))
                    } catch {
                        continuation.resume(throwing: error)
                    }
                }
            }
        }
    }

    /// Ends the thread and waits for that.
    ///
    /// - Returns: whether it ended in time.
    package func stop() -> Bool {
        worker.stop()
        return ended.wait(milliseconds: 20_000)
    }
}

/// Runs `body` as a task of a worker that lives for as long as that.
package func onWorker<Result: Sendable>(
    _ body: @escaping @Sendable (Worker) async throws -> Result
) async throws -> Result {
    let running = try RunningWorker()
    do {
        let result = try await running.run(body)
        #expect(running.stop(), "the worker's loop does not end")
        return result
    } catch {
        #expect(running.stop(), "the worker's loop does not end")
        throw error
    }
}

/// A value that several threads touch.
package final class Shared<Value: Sendable>: Sendable {
    private let mutex: Mutex<Value>

    package init(_ value: Value) { mutex = Mutex(value) }

    package var value: Value { mutex.withLock { $0 } }

    @discardableResult
    package func change<Result: Sendable>(_ body: (inout sending Value) -> Result) -> Result {
        mutex.withLock { body(&$0) }
    }
}
