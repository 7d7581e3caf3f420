internal import ChimeraEventLoop
internal import Logging

/// What programs write to standard error, on its way to the log: a thread writes, since the log may block, and what is too
/// much for it is dropped.
final class ProgramLog: Sendable {
    private let logger: Logger
    private let pool = BlockingPool(threadsMax: 1, queueMax: 1_000)

    init(_ logger: Logger) { self.logger = logger }

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
            logger.error(
                "a program cannot be started: \(error)",
                metadata: ["program": "\(program)", "tenant": "\(tenant)"])
        }
    }
}
