internal import CLinux
internal import Glibc

/// Who waits for news of pipes.
package protocol PipeObserver: AnyObject {
    /// A pipe is readable or writable, or its other end is closed.
    func pipeReady()
}

/// One end of a pipe on one worker: the descriptor, what epoll last said of it, and the calls that move bytes.
///
/// Readiness is latched as a socket's is: an event sets the flag, and only a short or refused transfer clears it.
package final class PipeEnd: EventTarget {
    package let descriptor: Int32
    private let worker: Worker
    @exclusivity(unchecked) private var watch: WatchID?
    /// Who is told of news, for as long as it is set; not kept alive here.
    @exclusivity(unchecked) package unowned(unsafe) var observer: (any PipeObserver)?
    /// A read may bring something, or a write may take something.
    @exclusivity(unchecked) package private(set) var isReady: Bool
    /// The other end is closed; bytes may be left to read before that.
    @exclusivity(unchecked) package private(set) var isHungUp = false

    /// Takes over `descriptor`, makes it non-blocking, which is this end's own business, and watches it.
    ///
    /// - Parameter writing: which end it is.
    /// - Throws: when epoll refuses it; the descriptor is closed then.
    package init(
        _ descriptor: Int32, writing: Bool, on worker: Worker
    ) throws(SystemError) {
        self.descriptor = descriptor
        self.worker = worker
        // A new pipe has room and nothing to read.
        isReady = writing
        _ = fcntl(descriptor, F_SETFL, (writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK)
        do throws(SystemError) {
            watch = try worker.watch(descriptor, writable: writing, self)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    deinit { precondition(watch == nil, "a pipe was freed open") }

    package var isOpen: Bool { watch != nil }

    package func ready(_ events: Readiness) {
        if !events.isDisjoint(with: [.closed, .failed]) { isHungUp = true }
        if !events.isDisjoint(with: [.readable, .writable, .closed, .failed]) { isReady = true }
        observer?.pipeReady()
    }

    /// Reads into `room`; a short read means drained, unless the other end is closed.
    package func read(into room: UnsafeMutableRawBufferPointer) -> Transfer {
        while true {
            let count = Glibc.read(descriptor, room.baseAddress, room.count)
            if count > 0 {
                if count < room.count && !isHungUp { isReady = false }
                return .bytes(count)
            }
            if count == 0 { return .end }
            switch chimera_errno() {
            case EINTR: continue
            case EAGAIN:
                isReady = false
                return .wouldBlock
            case let number: return .failed(number)
            }
        }
    }

    /// Writes `bytes`, as many as the pipe takes.
    package func write(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        while true {
            let count = Glibc.write(descriptor, bytes.baseAddress, bytes.count)
            if count >= 0 {
                if count < bytes.count { isReady = false }
                return .bytes(count)
            }
            switch chimera_errno() {
            case EINTR: continue
            case EAGAIN:
                isReady = false
                return .wouldBlock
            case let number: return .failed(number)
            }
        }
    }

    /// Closes this end: the reader behind it finds the end, the writer that there is nobody.
    package func close() {
        guard let watch else { return }
        self.watch = nil
        observer = nil
        isReady = false
        worker.unwatch(watch)
        Glibc.close(descriptor)
    }
}
