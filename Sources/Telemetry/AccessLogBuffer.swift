package import ChimeraHTTPCore
internal import Synchronization

/// One worker's part of the access log: two halves of memory, one of which the worker fills while the
/// writer's thread drains the other, and what is there of the first.
///
/// ```
///  worker ──▶ half A  filled ─────────────▶│ free          the worker moves `filled` (release)
///  writer ──▶ half B  drained ──▶ … filled │ closed        the writer opens a half again once it is drained
/// ```
/// The worker never waits and takes no lock: a record is a store into its own memory and one publishing
/// store. Where both halves are full the record is dropped and counted. The writer is woken when a half is
/// half full and when one is closed, and looks by itself now and then; so a wake is a system call for a
/// thousand records, not for each.
package final class AccessLogBuffer: @unchecked Sendable {
    /// A half, and who may touch what of it: bytes below `filled` are the writer's, those from there the
    /// worker's.
    final class Half: Sendable {
        nonisolated(unsafe) let base: UnsafeMutablePointer<UInt8>
        /// How many bytes are whole lines; moved by the worker, and set to 0 by the writer before it opens
        /// the half.
        let filled = Atomic<Int>(0)
        /// The worker went on to the other half; the writer opens this one once it is drained.
        let isClosed = Atomic<Bool>(false)

        init(capacity: Int) { base = .allocate(capacity: capacity) }

        deinit { base.deallocate() }
    }

    let halves: (Half, Half)
    /// Bytes of each half.
    let capacity: Int
    private let format: AccessLogFormat
    private let wake: WakeEvent
    private let dropped = Atomic<UInt64>(0)

    // The worker's own.
    @exclusivity(unchecked) private var active: Half
    @exclusivity(unchecked) private var isFirstActive = true
    @exclusivity(unchecked) private var end = 0
    @exclusivity(unchecked) private var hasWoken = false
    @exclusivity(unchecked) private var stamp: LogStamp

    init(format: AccessLogFormat, capacity: Int, wake: WakeEvent) {
        self.format = format
        self.capacity = capacity
        self.wake = wake
        halves = (Half(capacity: capacity), Half(capacity: capacity))
        active = halves.0
        stamp = LogStamp(format)
    }

    /// Records that were dropped because both halves were full; from any thread.
    package var droppedRecords: UInt64 { dropped.load(ordering: .relaxed) }

    /// Adds a line. On the worker's thread only.
    ///
    /// - Parameters:
    ///   - record: The exchange's numbers.
    ///   - request: The exchange's head, whose bytes must still be there.
    ///   - labels: Whose request it was.
    /// - Returns: false when there was no room and the record was dropped and counted.
    @discardableResult
    package func append(
        _ record: borrowing AccessRecord, request: RequestHead, labels: AccessLabels
    ) -> Bool {
        let line = AccessLine(record: copy record, request: request, labels: labels)
        guard makeRoom(line.worstCaseBytes) else {
            dropped.store(dropped.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
            return false
        }
        var writer = LineWriter(at: active.base + end)
        stamp.move(to: record.seconds)
        switch format {
        case .json: line.writeJSON(stamp.bytes, into: &writer)
        case .text: line.writeText(stamp.bytes, into: &writer)
        }
        publish(writer.cursor - active.base)
        return true
    }

    @inline(__always)
    private func publish(_ newEnd: Int) {
        assert(newEnd <= capacity)
        end = newEnd
        active.filled.store(newEnd, ordering: .releasing)
        if newEnd > capacity / 2 && !hasWoken {
            hasWoken = true
            wake.signal()
        }
    }

    @inline(__always)
    private func makeRoom(_ count: Int) -> Bool {
        capacity - end >= count || swap(for: count)
    }

    /// Goes on to the other half, if the writer has opened it and the line fits there.
    private func swap(for count: Int) -> Bool {
        let other = isFirstActive ? halves.1 : halves.0
        guard count <= capacity, !other.isClosed.load(ordering: .acquiring) else { return false }
        active.isClosed.store(true, ordering: .releasing)
        active = other
        isFirstActive.toggle()
        end = 0
        hasWoken = false
        wake.signal()
        return true
    }
}
