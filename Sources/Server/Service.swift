internal import ArgumentParser
internal import Chimera
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Glibc
internal import Logging
internal import Synchronization

/// One gateway from its start to its end, and the signals that it is told by.
///
/// The main thread waits for signals and does what they say; all others have them blocked. One more thread
/// waits for the gateway's end and then wakes the main thread.
struct Service {
    private let logger: Logger
    private let source: Source
    private let make: GatewayMaker

    /// Where the configuration comes from.
    private enum Source {
        /// From the command line: always the same.
        case fixed(() -> LoadResult)
        case files(Reloader)
    }

    /// How long a drain gives to what is under way.
    static let drainMilliseconds: Int64 = 30_000

    /// - Parameters:
    ///   - logger: For diagnostics.
    ///   - make: Makes the gateway.
    ///   - load: Makes the configuration, which no file holds.
    init(_ logger: Logger, make: @escaping GatewayMaker = Gateways.make, load: @escaping () -> LoadResult) {
        self.logger = logger
        source = .fixed(load)
        self.make = make
    }

    /// - Parameter reloader: Reads the files at the start and at each reload.
    init(_ logger: Logger, make: @escaping GatewayMaker = Gateways.make, reloader: Reloader) {
        self.logger = logger
        source = .files(reloader)
        self.make = make
    }

    /// Serves until the end.
    ///
    /// - Throws: the exit code, where it does not come to serving.
    func run() throws(ExitCode) {
        // Before any thread is there, since threads inherit what is blocked.
        let signals = ServiceSignals()
        signals.block()
        DescriptorLimit.raise(logger)
        let configuration = try firstConfiguration()
        let gateway = try started(configuration)
        if case .files(let reloader) = source { reloader.serve { try gateway.reload($0) } }
        let ended = Self.watch(gateway)
        var plan = SignalPlan()
        while !ended.isSet {
            let signal = signals.wait()
            if signal == ServiceSignals.ended { continue }
            logger.debug("signal", metadata: ["number": "\(signal)"])
            guard perform(plan.received(signal), on: gateway) else { return }
        }
        logger.info("stopped")
    }

    // MARK: Start

    /// Tenants whose files have errors are left out; the others do not wait for them.
    private func firstConfiguration() throws(ExitCode) -> MachineConfiguration {
        let (diagnostics, configuration): ([Diagnostic], MachineConfiguration?)
        switch source {
        case .fixed(let load):
            let result = load()
            (diagnostics, configuration) = (result.diagnostics, result.configuration)
        case .files(let reloader):
            let revision = reloader.start()
            (diagnostics, configuration) = (revision.diagnostics, revision.configuration)
            report(revision.status)
        }
        Stream.error.write(diagnostics.rendered)
        guard let configuration else { throw CommandStatus.configuration.exitCode }
        return configuration
    }

    private func report(_ status: ReloadStatus) {
        for tenant in status.tenants where tenant.service != .current {
            logger.error(
                tenant.service == .lastGood
                    ? "a tenant's file has errors; its last good version serves"
                    : "a tenant is not served: its file has errors", metadata: ["tenant": "\(tenant.id)"])
        }
    }

    private func started(_ configuration: MachineConfiguration) throws(ExitCode) -> any RunningGateway {
        do {
            let gateway = try make(configuration, logger)
            try gateway.start()
            return gateway
        } catch {
            logger.critical("cannot serve: \(error)")
            throw CommandStatus.cannotServe.exitCode
        }
    }

    /// Wakes this thread when the gateway has stopped.
    private static func watch(_ gateway: any RunningGateway) -> Ended {
        let ended = Ended()
        let main = pthread_self()
        Thread.start(name: "chimera-end") {
            gateway.waitUntilStopped()
            ended.set()
            pthread_kill(main, ServiceSignals.ended)
        }
        return ended
    }

    // MARK: Signals

    /// - Returns: false for the end, without further waiting.
    private func perform(_ action: ServiceAction, on gateway: any RunningGateway) -> Bool {
        if case .files(let reloader) = source, action == .drain || action == .stopNow { reloader.stop() }
        switch action {
        case .drain:
            logger.info("draining", metadata: ["seconds": "\(Self.drainMilliseconds / 1000)"])
            gateway.drain(deadlineMilliseconds: Self.drainMilliseconds)
        case .stopNow:
            logger.info("stopping at once")
            gateway.stopNow()
        case .exit: return false
        case .reload: if case .files(let reloader) = source { reloader.reload(.signal) }
        case .reopenLogs: gateway.reopenLogs()
        case .nothing: break
        }
        return true
    }
}

/// Set once, by another thread.
private final class Ended: Sendable {
    private let flag = Atomic<Bool>(false)

    func set() { flag.store(true, ordering: .releasing) }

    var isSet: Bool { flag.load(ordering: .acquiring) }
}
