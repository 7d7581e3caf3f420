internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTPCore

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
        if !hasStarted { throw SystemError("pthread_create", 11) }
    }

    /// Accepts on a socket from now on; `done` is told on the worker's thread.
    func listen(_ descriptor: Int32, _ listener: BoundListener, done: @escaping @Sendable () -> Void) {
        worker.submit { [self] _ in
            let facts = ListenerFacts(
                text: listener.text, name: listener.listener.name,
                port: listener.listener.publicPort ?? listener.port, isSecure: false)
            try? host?.listen(descriptor, facts)
            done()
        }
    }

    /// Stops to accept on a socket and closes it.
    func unlisten(_ descriptor: Int32) {
        worker.submit { [self] _ in host?.unlisten(descriptor) }
    }

    /// Takes over a connection that another worker accepted.
    func take(_ descriptor: Int32, _ peer: PeerAddress, from listener: String) {
        worker.submit { [self] _ in
            guard let host else { return FileDescriptors.close(descriptor) }
            host.take(descriptor, peer, from: listener)
        }
    }

    /// Another configuration counts from now on; `done` is told on the worker's thread when the worker has let go of
    /// what was before.
    func update(to snapshot: Snapshot, done: @escaping @Sendable () -> Void) {
        worker.submit { [self] _ in
            guard let host else { return done() }
            host.update(to: snapshot, done: done)
        }
    }

    func drain() { worker.submit { [self] _ in host?.drain() } }

    func closeAll() { worker.submit { [self] _ in host?.closeAll() } }

    func stop() { worker.stop() }

    func waitUntilEnded() { ended.wait() }
}
