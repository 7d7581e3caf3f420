internal import ArgumentParser
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
    private let load: () -> LoadResult
    private let make: GatewayMaker

    /// How long a drain gives to what is under way.
    static let drainMilliseconds: Int64 = 30_000

    /// - Parameters:
    ///   - logger: For diagnostics.
    ///   - make: Makes the gateway.
    ///   - load: Reads the configuration; called at the start and at each reload.
    init(_ logger: Logger, make: @escaping GatewayMaker = Gateways.make, load: @escaping () -> LoadResult) {
        self.logger = logger
        self.load = load
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
        let (configuration, status) = try firstConfiguration()
        let gateway = try started(configuration, status)
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
    private func firstConfiguration() throws(ExitCode) -> (MachineConfiguration, ReloadStatus) {
        let result = load()
        Stream.error.write(result.diagnostics.rendered)
        guard let configuration = result.configuration else { throw CommandStatus.configuration.exitCode }
        for tenant in result.refusedTenants {
            logger.error("a tenant is not served: its file has errors", metadata: ["tenant": "\(tenant)"])
        }
        return (configuration, Self.status(of: result, .applied, .start))
    }

    /// What a load came to, for the metrics.
    private static func status(
        of result: LoadResult, _ outcome: ReloadStatus.Outcome, _ cause: ReloadStatus.Cause
    ) -> ReloadStatus {
        var status = ReloadStatus()
        (status.outcome, status.cause) = (outcome, cause)
        status.finishedAt = ProcessFigures.wallSeconds * 1_000
        status.succeededAt = outcome == .failed ? 0 : status.finishedAt
        let names = Set(result.configuration?.sites.map(\.tenant) ?? []).subtracting([""])
        let refused = outcome == .failed ? TenantStatus.Service.lastGood : .none
        for (tenants, service) in [(names.sorted(), .current), (result.refusedTenants, refused)] {
            status.tenants += tenants.map {
                TenantStatus(
                    id: $0, file: "", service: service,
                    servedSince: service == .current ? status.finishedAt : 0,
                    readAt: status.finishedAt)
            }
        }
        return status
    }

    private func started(
        _ configuration: MachineConfiguration, _ status: ReloadStatus
    ) throws(ExitCode) -> any RunningGateway {
        do {
            let gateway = try make(configuration, logger)
            gateway.note(status)
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
        switch action {
        case .drain:
            logger.info("draining", metadata: ["seconds": "\(Self.drainMilliseconds / 1000)"])
            gateway.drain(deadlineMilliseconds: Self.drainMilliseconds)
        case .stopNow:
            logger.info("stopping at once")
            gateway.stopNow()
        case .exit: return false
        case .reload: reload(gateway)
        case .reopenLogs: gateway.reopenLogs()
        case .nothing: break
        }
        return true
    }

    /// A configuration with errors changes nothing.
    private func reload(_ gateway: any RunningGateway) {
        let result = load()
        for diagnostic in result.diagnostics {
            let text: Logger.Message = "\(diagnostic.position): \(diagnostic.text)"
            if diagnostic.severity == .error { logger.error(text) } else { logger.warning(text) }
        }
        guard let configuration = result.configuration, !result.hasErrors else {
            logger.error("the configuration has errors; the old one stays in service")
            return gateway.note(Self.status(of: result, .failed, .signal))
        }
        do {
            try gateway.reload(configuration)
        } catch {
            logger.error("\(error); the old configuration stays in service")
            return gateway.note(Self.status(of: result, .failed, .signal))
        }
        gateway.note(Self.status(of: result, .applied, .signal))
        logger.info("configuration loaded again", metadata: ["sites": "\(configuration.sites.count)"])
    }
}

/// Set once, by another thread.
private final class Ended: Sendable {
    private let flag = Atomic<Bool>(false)

    func set() { flag.store(true, ordering: .releasing) }

    var isSet: Bool { flag.load(ordering: .acquiring) }
}
