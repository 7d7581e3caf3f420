internal import ChimeraEventLoop
internal import Synchronization

/// The writer's side of all buffers: how far each was drained, and whose turn it is.
///
/// A write that was short or failed ends the round, and the next round begins with the same buffer at the
/// same byte; so lines of two workers never mix.
struct AccessLogDrain {
    enum Outcome: Equatable {
        /// Everything went.
        case drained
        case blocked
        case failed(SystemError)
    }

    private struct Reader {
        let buffer: AccessLogBuffer
        var isAtFirst = true
        /// Bytes of the half that were written.
        var offset = 0

        var half: AccessLogBuffer.Half { isAtFirst ? buffer.halves.0 : buffer.halves.1 }

        /// The lines of the half that were not written. What the worker adds later is not in it.
        var pending: UnsafeRawBufferPointer {
            let filled = half.filled.load(ordering: .acquiring)
            return UnsafeRawBufferPointer(start: half.base + offset, count: filled - offset)
        }

        /// Opens the half again if the worker has left it and it is drained.
        mutating func turnOver() -> Bool {
            // First `isClosed`: once it is set, `filled` is final.
            guard half.isClosed.load(ordering: .acquiring), pending.isEmpty else { return false }
            half.filled.store(0, ordering: .relaxed)
            half.isClosed.store(false, ordering: .releasing)
            isAtFirst.toggle()
            offset = 0
            return true
        }
    }

    private var readers: [Reader] = []
    private var turn = 0
    /// How long one look waits for a pipe that is full.
    private static let pipeWaitMilliseconds: Int32 = 50

    mutating func add(_ buffers: [AccessLogBuffer]) {
        for buffer in buffers { readers.append(Reader(buffer: buffer)) }
    }

    /// Writes what all buffers hold now.
    mutating func drain(into sink: inout AccessLogSink) -> Outcome {
        for _ in readers.indices {
            let outcome = drainReader(turn, into: &sink)
            if outcome != .drained { return outcome }
            turn = (turn + 1) % readers.count
        }
        return .drained
    }

    /// Writes the rest of a line that was begun.
    ///
    /// - Returns: how many bytes of it were lost, since they went nowhere.
    mutating func finishLine(into sink: inout AccessLogSink) -> Int {
        guard turn < readers.count else { return 0 }
        let pending = readers[turn].pending
        guard let lineEnd = pending.firstIndex(of: UInt8(ascii: "\n")) else { return 0 }
        let rest = UnsafeRawBufferPointer(rebasing: pending[...lineEnd])
        readers[turn].offset += rest.count
        if case .wrote(let count) = sink.write(rest) { return rest.count - count }
        return rest.count
    }

    var isEmpty: Bool { pendingBytes == 0 }

    /// Bytes in all buffers that were not written.
    var pendingBytes: Int {
        readers.reduce(0) { sum, reader in
            let other = reader.isAtFirst ? reader.buffer.halves.1 : reader.buffer.halves.0
            let isBehind = reader.half.isClosed.load(ordering: .acquiring)
            return sum + reader.pending.count + (isBehind ? other.filled.load(ordering: .acquiring) : 0)
        }
    }

    private mutating func drainReader(_ index: Int, into sink: inout AccessLogSink) -> Outcome {
        // At most both halves, so that one busy worker cannot keep the others waiting.
        for _ in 0..<2 {
            while !readers[index].pending.isEmpty {
                switch sink.write(readers[index].pending) {
                case .wrote(let count): readers[index].offset += count
                case .failed(let error): return .failed(error)
                case .blocked:
                    sink.waitUntilWritable(milliseconds: AccessLogDrain.pipeWaitMilliseconds)
                    return .blocked
                }
            }
            if !readers[index].turnOver() { break }
        }
        return .drained
    }
}
