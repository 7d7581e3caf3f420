internal import CLinux
internal import ChimeraBytes
internal import Glibc

/// A bound, listening socket of one worker; it accepts when epoll says so.
package final class ListeningSocket: EventTarget {
    package let descriptor: Int32
    private let worker: Worker
    private var watch: WatchID?
    private let accepted: (Int32, PeerAddress) -> Void
    /// Told when the process has no descriptor left; the owner pauses and resumes.
    private let exhausted: () -> Void
    /// It is about to be closed: a pause keeps nobody waiting who would then be lost.
    private var isFinishing = false

    /// Connections accepted in one turn.
    private static let acceptsPerTurn = 64
    /// Connections that the kernel keeps until they are accepted.
    package static let backlog = 4096

    package init(
        _ descriptor: Int32, on worker: Worker, exhausted: @escaping () -> Void,
        accepted: @escaping (Int32, PeerAddress) -> Void
    ) {
        self.descriptor = descriptor
        self.worker = worker
        self.accepted = accepted
        self.exhausted = exhausted
    }

    /// Starts to accept, or goes on after `pause()`.
    package func resume() throws(SystemError) {
        guard watch == nil else { return }
        watch = try worker.watch(descriptor, levelTriggered: true, self)
    }

    /// Stops to accept; attempts wait in the kernel's queue.
    package func pause() {
        guard let watch else { return }
        self.watch = nil
        worker.release(descriptor, watch)
    }

    /// Stops to accept and closes the descriptor. Other descriptors of the same socket, and what waits in its queue,
    /// stay.
    package func close() {
        pause()
        Glibc.close(descriptor)
    }

    /// Begins to give the socket up: no new handshake begins, and those under way go on and are accepted.
    package func refuseHandshakes() {
        Sockets.setLeastHops(Sockets.unreachableHops, of: descriptor)
    }

    /// Takes connections again, where the socket was about to be given up by another descriptor of it.
    ///
    /// To be called on the thread that refused: in another order the socket would stay deaf.
    package func admitHandshakes() {
        if Sockets.leastHops(of: descriptor) != 0 { Sockets.setLeastHops(0, of: descriptor) }
    }

    /// Accepts who waits in the kernel's queue, also where it is paused, then closes the descriptor.
    package func finish() {
        isFinishing = true
        accept(atMost: ListeningSocket.backlog)
        close()
    }

    package func ready(_ events: Readiness) { accept(atMost: ListeningSocket.acceptsPerTurn) }

    private func accept(atMost count: Int) {
        for _ in 0..<count {
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let connection = chimera_accept(descriptor, &storage, &length)
            if connection < 0 {
                let number = chimera_errno()
                if number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM {
                    exhausted()
                }
                if number == ECONNABORTED || number == EINTR { continue }
                return
            }
            let peer = PeerAddress(storage)
            // It has what the socket had when its handshake ended, and another process may have refused on that.
            if peer.ip != nil && Sockets.leastHops(of: connection) != 0 {
                Sockets.setLeastHops(0, of: connection)
            }
            accepted(connection, peer)
            if watch == nil && !isFinishing { return }
        }
    }
}
