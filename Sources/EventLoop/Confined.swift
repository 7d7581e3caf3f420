/// What one worker's thread alone touches, for others to carry: they can have the worker do something with it, and no
/// more. Looking into it on another thread traps.
///
/// Unchecked: `Worker.onThread()` checks each look.
package struct Confined<Value>: @unchecked Sendable {
    private let content: Value
    private let worker: Worker

    /// Made on the worker's thread, where `content` stays.
    package init(_ content: Value, to worker: Worker) {
        worker.onThread()
        self.content = content
        self.worker = worker
    }

    /// On the worker's thread alone.
    package var value: Value {
        worker.onThread()
        return content
    }

    /// Does something with it on the worker's thread, soon; from any thread.
    package func mail(_ letter: @escaping @Sendable (Value) -> Void) {
        worker.submit { _ in letter(value) }
    }
}
