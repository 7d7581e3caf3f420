package import ChimeraEventLoop
internal import Synchronization

/// What the writer of the access log has to tell: each once, when it begins.
package enum AccessLogEvent: Sendable, Equatable, CustomStringConvertible {
    /// The target takes no more: lines wait in the buffers, and then records are dropped, until it does.
    case writeFailed(SystemError)
    /// It takes lines again; so many records were dropped since it stopped.
    case writeRecovered(droppedRecords: UInt64)
    /// The file could not be opened again; the old one stays in use.
    case reopenFailed(SystemError)
    case reopened

    /// Whether something is wrong, rather than as it should be.
    package var isTrouble: Bool {
        switch self {
        case .writeFailed, .reopenFailed: true
        case .writeRecovered(let droppedRecords): droppedRecords > 0
        case .reopened: false
        }
    }

    /// What the diagnostics say behind "access log: ".
    package var description: String {
        switch self {
        case .writeFailed(let error):
            "cannot be written (\(error)); lines wait, and are dropped when the buffers are full"
        case .writeRecovered(let droppedRecords):
            "is written again, with \(droppedRecords) lines dropped meanwhile"
        case .reopenFailed(let error): "cannot be opened again (\(error)); the old file stays in use"
        case .reopened: "opened again"
        }
    }
}

/// The access log's one thread for all workers: takes whole lines out of their buffers and writes them.
///
/// It is woken when a half is half full or closed, and looks by itself every 250 ms, so that is how late a
/// line can be. A write that fails is tried again at each look; meanwhile the lines wait, and the workers
/// drop what finds no room. Nothing here ever makes a worker wait or ends the process.
package final class AccessLogWriter: Sendable {
    private struct Shared {
        /// Buffers that the thread has not taken over yet.
        var fresh: [AccessLogBuffer] = []
        /// All buffers, for the counters.
        var all: [AccessLogBuffer] = []
        var sink: AccessLogSinkBox?
    }

    private let format: AccessLogFormat
    private let halfBytes: Int
    private let report: @Sendable (AccessLogEvent) -> Void
    private let shared: Mutex<Shared>
    private let wake: WakeEvent
    private let done: WakeEvent
    private let reopenIsDue = Atomic<Bool>(false)
    /// 0 while it runs; then the monotonic millisecond at which it gives up.
    private let stopDeadline = Atomic<Int64>(0)
    private let lost = Atomic<UInt64>(0)

    /// Opens the target; nothing runs before `start()`.
    ///
    /// - Parameters:
    ///   - target: Where the lines go.
    ///   - format: How they look.
    ///   - halfBytes: Bytes of each half of each worker's buffer.
    ///   - report: Is told of failures, on the writer's thread.
    /// - Throws: `SystemError` when the file cannot be opened.
    package init(
        _ target: AccessLogTarget, format: AccessLogFormat, halfBytes: Int = AccessLogLimits.halfBytes,
        report: @escaping @Sendable (AccessLogEvent) -> Void
    ) throws(SystemError) {
        self.format = format
        self.halfBytes = halfBytes
        self.report = report
        wake = try WakeEvent()
        done = try WakeEvent()
        var shared = Shared()
        shared.sink = AccessLogSinkBox(try AccessLogSink(target))
        self.shared = Mutex(shared)
    }

    /// A buffer for one worker, which alone appends to it. It is drained until the writer stops.
    package func makeBuffer() -> AccessLogBuffer {
        let buffer = AccessLogBuffer(format: format, capacity: halfBytes, wake: wake)
        shared.withLock {
            $0.fresh.append(buffer)
            $0.all.append(buffer)
        }
        return buffer
    }

    /// Starts the thread, once.
    ///
    /// - Returns: false when the system gives no thread, or it was started before.
    @discardableResult
    package func start() -> Bool {
        let box = shared.withLock { shared in
            defer { shared.sink = nil }
            return shared.sink
        }
        guard let box else { return false }
        let started = Thread.start(name: "chimera-log") { [self] in
            run(&box.sink)
            done.signal()
        }
        if !started { shared.withLock { $0.sink = box } }
        return started
    }

    /// Opens the file again by its name, soon; from any thread.
    package func reopen() {
        reopenIsDue.store(true, ordering: .releasing)
        wake.signal()
    }

    /// Writes what the buffers hold and ends the thread. The workers append no more by then.
    ///
    /// - Parameter milliseconds: How long to try.
    /// - Returns: whether everything was written.
    @discardableResult
    package func stop(deadlineMilliseconds milliseconds: Int64) -> Bool {
        let wasStarted = shared.withLock { $0.sink == nil }
        guard wasStarted else { return true }
        stopDeadline.store(Clock.monotonicMilliseconds() + max(1, milliseconds), ordering: .releasing)
        wake.signal()
        // A moment more than the thread itself has, since it may be inside a write.
        guard done.wait(milliseconds: milliseconds + 100) else { return false }
        done.signal()
        return lost.load(ordering: .acquiring) == 0
    }

    /// Records that found no room in a buffer, of all workers.
    package var droppedRecords: UInt64 {
        shared.withLock { $0.all.reduce(0) { $0 &+ $1.droppedRecords } }
    }

    /// Bytes that were taken into a buffer and never written: the rest of a line at a rotation while the
    /// target took nothing, and what was left at the end.
    package var lostBytes: UInt64 { lost.load(ordering: .relaxed) }

    // MARK: The thread

    private func run(_ sink: inout AccessLogSink) {
        var drain = AccessLogDrain()
        var nextRenameCheck = Clock.monotonicMilliseconds() + AccessLogLimits.renameCheckMilliseconds
        var trouble = Trouble()
        while true {
            let deadline = stopDeadline.load(ordering: .acquiring)
            drain.add(
                shared.withLock { shared in
                    defer { shared.fresh = [] }
                    return shared.fresh
                })
            tell(drain.drain(into: &sink), &trouble)
            let now = Clock.monotonicMilliseconds()
            if reopenIsDue.exchange(false, ordering: .acquiring) {
                reopen(&sink, &drain, &trouble)
            } else if now >= nextRenameCheck {
                nextRenameCheck = now + AccessLogLimits.renameCheckMilliseconds
                if sink.wasRenamed { reopen(&sink, &drain, &trouble) }
            }
            if deadline != 0 && (drain.isEmpty || now >= deadline) { break }
            wake.wait(milliseconds: deadline == 0 ? AccessLogLimits.flushMilliseconds : 10)
        }
        lost.add(UInt64(drain.pendingBytes), ordering: .releasing)
    }

    /// What was told and has not ended, so that it is not told again at each look.
    private struct Trouble {
        /// The records dropped before the target took no more.
        var droppedBefore: UInt64?
        var cannotReopen = false
    }

    private func tell(_ outcome: AccessLogDrain.Outcome, _ trouble: inout Trouble) {
        switch (outcome, trouble.droppedBefore) {
        case (.failed(let error), nil):
            trouble.droppedBefore = droppedRecords
            report(.writeFailed(error))
        case (.drained, let before?):
            trouble.droppedBefore = nil
            report(.writeRecovered(droppedRecords: droppedRecords &- before))
        default: break
        }
    }

    private func reopen(_ sink: inout AccessLogSink, _ drain: inout AccessLogDrain, _ trouble: inout Trouble)
    {
        do throws(SystemError) {
            let fresh = try sink.reopened()
            // A line is whole in one file: its rest goes to the old one, or nowhere.
            if sink.isMidLine { lost.add(UInt64(drain.finishLine(into: &sink)), ordering: .releasing) }
            sink = fresh
            trouble.cannotReopen = false
            report(.reopened)
        } catch {
            if !trouble.cannotReopen { report(.reopenFailed(error)) }
            trouble.cannotReopen = true
        }
    }
}

/// Carries the sink from the thread that opens it to the writer's thread, which alone uses it from then on.
private final class AccessLogSinkBox: @unchecked Sendable {
    var sink: AccessLogSink

    init(_ sink: consuming AccessLogSink) { self.sink = sink }
}
