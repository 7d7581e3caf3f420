internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Logging

/// What programs write to standard error, on its way to the log: a thread writes, since the log may block, and what is too
/// much for it is dropped.
final class ProgramLog: Sendable {
    private let logger: Logger
    private let pool = BlockingPool(threadsMax: 1, queueMax: 1_000)

    init(_ logger: Logger) { self.logger = logger }

    /// Nothing is written any more but what waits.
    func stop() { pool.stop() }

    func write(_ line: String, session: String, tenant: String, process: Int32) {
        _ = pool.submit { [logger] in
            logger.info(
                "program: \(line)",
                metadata: ["session": "\(session)", "tenant": "\(tenant)", "process": "\(process)"])
        }
    }

    /// A program that cannot be started is the operator's business.
    func cannotStart(_ program: String, _ error: SystemError, tenant: String) {
        _ = pool.submit { [logger] in
            // What is missing may be what runs it, which the system does not tell apart.
            let why = ScriptBeginning.fault(ofFile: program).map { ": \($0)" } ?? ""
            logger.error(
                "a program cannot be started: \(error)\(why)",
                metadata: ["program": "\(program)", "tenant": "\(tenant)"])
        }
    }

    /// Programs that wait for clients do not stay alive.
    func poolWaits(_ key: RouteKey, milliseconds: Int64) {
        warn("a program ended while it waited for a client", key, milliseconds)
    }

    /// The program for all clients does not stay alive.
    func sharedWaits(_ key: RouteKey, milliseconds: Int64) {
        warn("a program for all clients ended soon after its start", key, milliseconds)
    }

    private func warn(_ what: String, _ key: RouteKey, _ milliseconds: Int64) {
        _ = pool.submit { [logger] in
            logger.warning(
                "\(what)",
                metadata: [
                    "tenant": "\(key.tenant)", "site": "\(key.site)", "route": "\(key.route)",
                    "program": "\(key.target.program)", "again_ms": "\(milliseconds)",
                ])
        }
    }
}
