internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import Glibc

/// The thread of one worker, and how other threads tell it things.
///
/// What serves requests is made, used and freed on that thread; `host` is touched nowhere else.
final class WorkerThread: @unchecked Sendable {
    let worker: Worker
    private let shared: SharedParts
    private let ended = Latch()
    private var host: GatewayWorker?

    init(index: Int, shared: SharedParts) throws(SystemError) {
        worker = try Worker(index: index)
        self.shared = shared
    }

    /// Starts the thread and makes what it serves with.
    func start(_ snapshot: Snapshot) throws(SystemError) {
        worker.submit { [self] worker in
            host = GatewayWorker(worker: worker, shared: shared, snapshot: snapshot)
        }
        let hasStarted = Thread.start(name: "chimera-\(worker.index)") { [self] in
            worker.run { [self] in
                host?.close()
                host = nil
            }
            ended.open()
        }
        if !hasStarted { throw SystemError("pthread_create", EAGAIN) }
    }

    /// Connections of that listener may be handed over from now on; `done` is told on the worker's thread.
    func expect(_ listener: BoundListener, done: @escaping @Sendable () -> Void) {
        worker.submit { [self] _ in
            host?.expect(ListenerFacts(listener))
            done()
        }
    }

    /// Accepts on a socket from now on; `done` is told on the worker's thread, of what went wrong too: then the socket
    /// is closed, as where the worker has ended.
    func listen(
        _ descriptor: Int32, _ listener: BoundListener, done: @escaping @Sendable (SystemError?) -> Void
    ) {
        worker.submit { [self] _ in
            guard let host else {
                FileDescriptors.close(descriptor)
                return done(nil)
            }
            do throws(SystemError) {
                try host.listen(descriptor, ListenerFacts(listener))
                done(nil)
            } catch {
                FileDescriptors.close(descriptor)
                done(error)
            }
        }
    }

    /// Gives a socket up: what has begun to connect is accepted for so long. `done` is told on the worker's thread
    /// when the descriptor is closed.
    func unlisten(
        _ descriptor: Int32, handshakeMilliseconds: Int64, done: @escaping @Sendable () -> Void
    ) {
        worker.submit { [self] _ in
            guard let host else { return done() }
            host.unlisten(descriptor, handshakeMilliseconds: handshakeMilliseconds, done: done)
        }
    }

    /// Takes over a connection that another worker accepted.
    func take(_ descriptor: Int32, _ peer: PeerAddress, from listener: String) {
        worker.submit { [self] _ in
            guard let host else { return FileDescriptors.close(descriptor) }
            host.take(descriptor, peer, from: listener)
        }
    }

    /// Closes connections that were idle for long, since another worker needs room.
    func closeIdle() { worker.submit { [self] _ in host?.closeIdle() } }

    /// Serves another configuration from now on, in which `listeners` are those whose sockets stay; `done` is told on the
    /// worker's thread when the worker has let go of what was before.
    func update(
        to snapshot: Snapshot, _ listeners: [BoundListener], done: @escaping @Sendable () -> Void
    ) {
        worker.submit { [self] _ in
            guard let host else { return done() }
            for listener in listeners {
                for share in listener.shares where share.worker == worker.index {
                    host.rename(share.descriptor, as: listener)
                }
            }
            host.update(to: snapshot, done: done)
        }
    }

    /// Accepts no more; `done` is told on the worker's thread.
    func stopAccepting(keepsMetrics: Bool, done: @escaping @Sendable () -> Void) {
        worker.submit { [self] _ in
            host?.stopAccepting(keepsMetrics: keepsMetrics)
            done()
        }
    }

    func drain(idleMilliseconds: Int64, keepsMetrics: Bool) {
        worker.submit { [self] _ in
            host?.drain(idleMilliseconds: idleMilliseconds, keepsMetrics: keepsMetrics)
        }
    }

    /// Asks what the worker serves with, on its thread; nil where that has ended.
    func ask(_ question: @escaping @Sendable (GatewayWorker?) -> Void) {
        worker.submit { [self] _ in question(host) }
    }

    func closeAll() { worker.submit { [self] _ in host?.closeAll() } }

    func stop() { worker.stop() }

    func waitUntilEnded() { ended.wait() }
}
