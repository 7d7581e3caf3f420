internal import CLinux
package import ChimeraEventLoop
package import ChimeraHTTPCore
internal import Glibc

/// The part of a large file that is sent in one go.
package enum FileWindow {
    /// Bytes. Long enough that a look at the page cache for each costs nothing beside sending it, short
    /// enough that what is read ahead from a slow disk is sent soon.
    package static let bytes = 512 << 10

    /// Whether the file's bytes there are in memory, as far as a look at the first and the last of them
    /// tells, so that sending them does not wait for a disk. Does not block; costs two system calls.
    ///
    /// A file system that cannot tell counts as slow.
    package static func isResident(_ file: FileHandle, offset: Int64, count: Int) -> Bool {
        guard count > 0 else { return true }
        return isResident(file, offset + Int64(count) - 1) && isResident(file, offset)
    }

    private static func isResident(_ file: FileHandle, _ offset: Int64) -> Bool {
        var byte: UInt8 = 0
        // The file's end (0) is no disk's business: sending finds out that the file has become shorter.
        return chimera_read_resident(file.descriptor, &byte, 1, offset) >= 0
    }

    /// Reads the file's bytes there into the page cache, and lets the kernel go on with what follows. Blocks;
    /// for threads of the pool.
    package static func read(_ descriptor: Int32, offset: Int64, count: Int) {
        posix_fadvise(descriptor, off_t(offset), off_t(count * 2), POSIX_FADV_WILLNEED)
        withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 64) { room in
            var done = 0
            while done < count {
                let got = pread(
                    descriptor, room.baseAddress, min(room.count, count - done), off_t(offset) + off_t(done))
                if got <= 0 { return }
                done += got
            }
        }
    }
}

/// Sends files and parts of files to a client, as fast as it takes them and without letting the worker wait
/// for a disk. For tasks of the exchange's worker.
package struct FileSender {
    /// How long a client may take nothing, in milliseconds, where nobody says.
    package static let timeout: Int64 = 30_000

    private let exchange: any Exchange
    private let pool: BlockingPool
    private let timeout: Int64

    package init(exchange: any Exchange, pool: BlockingPool, timeout: Int64 = FileSender.timeout) {
        self.exchange = exchange
        self.pool = pool
        self.timeout = timeout
    }

    /// Sends an answer: the exchange's response head, the body, the end.
    ///
    /// - Parameter sendTimeout: how long the client may take none of it, in milliseconds.
    /// - Returns: why it ended before that, or nil.
    package static func send(
        _ answer: FilesAnswer, on exchange: any Exchange, pool: BlockingPool,
        sendTimeout: Int64 = FileSender.timeout
    ) async -> CloseReason? {
        let sender = FileSender(exchange: exchange, pool: pool, timeout: sendTimeout)
        exchange.sendHead()
        let reason: CloseReason? =
            switch answer {
            case .body(.none): nil
            case .body(.bytes(let blob)): await sender.send(blob, 0..<blob.count)
            case .body(.file(let file, let offset, let count)):
                await sender.send(file, offset: offset, count: count)
            case .parts(let parts): await sender.send(parts)
            }
        if let reason { return reason }
        exchange.finish(trailers: nil)
        exchange.flush()
        return nil
    }

    /// Sends `count` bytes of the file from `offset`, window by window.
    ///
    /// - Returns: why that was not all, or nil; the exchange is aborted, or lost already, where there is a
    ///   reason.
    package func send(_ file: FileHandle, offset: Int64, count: Int) async -> CloseReason? {
        var done = 0
        while done < count {
            let window = min(FileWindow.bytes, count - done)
            if let reason = await send(window: window, of: file, at: offset + Int64(done)) { return reason }
            done += window
            // Others of this worker have their turn.
            if done < count { await exchange.worker.yield() }
        }
        return nil
    }

    private func send(window: Int, of file: FileHandle, at offset: Int64) async -> CloseReason? {
        if !FileWindow.isResident(file, offset: offset, count: window) {
            let descriptor = file.descriptor
            // Where the pool is full, the worker has to wait for the disk itself. The handle outlives the
            // call.
            _ = await pool.run { FileWindow.read(descriptor, offset: offset, count: window) }
        }
        var done = 0
        var patience = Patience()
        while done < window {
            if let reason = exchange.lost { return reason }
            let asked = window - done
            guard let sent = exchange.sendFile(file, offset: offset + Int64(done), count: asked) else {
                return abort(.fileChanged)
            }
            done += sent
            if sent > 0 { patience = Patience() }
            if sent == 0 || exchange.isBlocked {
                if let reason = await waitForClient(&patience) { return reason }
            } else if sent < asked {
                await exchange.worker.yield()
            }
        }
        return nil
    }

    /// Sends bytes of a small file.
    func send(_ blob: Blob, _ range: Range<Int>) async -> CloseReason? {
        var patience = Patience()
        while exchange.isBlocked && !exchange.flush() {
            if let reason = await waitForClient(&patience) { return reason }
        }
        if let reason = exchange.lost { return reason }
        exchange.send(blob.span.extracting(range))
        return nil
    }

    func send(_ parts: FileParts) async -> CloseReason? {
        for (separator, range) in zip(parts.separators, parts.ranges) {
            if let reason = await send(separator, 0..<separator.count) { return reason }
            let reason: CloseReason? =
                switch parts.variant.content {
                case .blob(let blob): await send(blob, range)
                case .file(let file): await send(file, offset: Int64(range.lowerBound), count: range.count)
                }
            if let reason { return reason }
        }
        guard let last = parts.separators.last else { return nil }
        return await send(last, 0..<last.count)
    }

    /// What is left of the time in which the client has to take something.
    private struct Patience {
        var isTimed = false
        var isOver = false
    }

    /// Waits until the client may take more. Where it did not after the time was over, that was all.
    private func waitForClient(_ patience: inout Patience) async -> CloseReason? {
        if let reason = exchange.lost { return reason }
        if patience.isOver { return abort(.sendTimeout) }
        if !patience.isTimed { exchange.setDeadline(after: timeout) }
        patience.isTimed = true
        let wake = await exchange.scope.wait()
        if let reason = exchange.lost { return reason }
        guard wake.contains(.deadline) else { return nil }
        if exchange.clientHasProgressed() { patience = Patience() } else { patience.isOver = true }
        return nil
    }

    private func abort(_ reason: CloseReason) -> CloseReason {
        exchange.abort(reason)
        return reason
    }
}
