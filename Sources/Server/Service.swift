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
struct Service: Sendable {
    private let logger: Logger
    private let load: @Sendable () -> LoadResult
    private let make: GatewayMaker

    /// How long a drain gives to what is under way, where no configuration says it.
    static let drainMilliseconds: Int64 = 30_000

    /// - Parameters:
    ///   - logger: For diagnostics.
    ///   - make: Makes the gateway.
    ///   - load: Reads the configuration; called at the start and at each reload.
    init(
        _ logger: Logger, make: @escaping GatewayMaker = Gateways.make,
        load: @escaping @Sendable () -> LoadResult
    ) {
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
        let loaded = try firstConfiguration()
        let gateway = try started(loaded, ListenerGroups())
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
    ///
    /// - Throws: the exit code, where the machine's own file cannot be used.
    func firstConfiguration() throws(ExitCode) -> LoadedConfiguration {
        let result = load()
        Stream.error.write(result.diagnostics.rendered)
        guard let configuration = result.configuration else { throw CommandStatus.configuration.exitCode }
        for tenant in result.refusedTenants {
            logger.error("a tenant is not served: its file has errors", metadata: ["tenant": "\(tenant)"])
        }
        return LoadedConfiguration(
            configuration: configuration, outdated: OutdatedTenant.left(out: result),
            status: Self.status(of: result, .applied, .start))
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

    /// A gateway that serves.
    ///
    /// - Parameter listeners: where its sockets come from.
    /// - Throws: the exit code, where it cannot.
    func started(
        _ loaded: LoadedConfiguration, _ listeners: any ListenerSource
    ) throws(ExitCode) -> any RunningGateway {
        do {
            let gateway = try make(loaded.configuration, logger, listeners)
            gateway.note(loaded.status)
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
        case .reload: _ = reload(gateway)
        case .reopenLogs: gateway.reopenLogs()
        case .nothing, .upgrade: break
        }
        return true
    }

    /// Loads the configuration again; one with errors changes nothing.
    func reload(_ gateway: any RunningGateway) -> ReloadOutcome {
        let result = load()
        for diagnostic in result.diagnostics {
            let text: Logger.Message = "\(diagnostic.position): \(diagnostic.text)"
            if diagnostic.severity == .error { logger.error(text) } else { logger.warning(text) }
        }
        guard let configuration = result.configuration, !result.hasErrors else {
            return refused("the configuration has errors; the old one stays in service", result, gateway)
        }
        do {
            try gateway.reload(configuration)
        } catch {
            return refused("\(error); the old configuration stays in service", result, gateway)
        }
        gateway.note(Self.status(of: result, .applied, .signal))
        logger.info("configuration loaded again", metadata: ["sites": "\(configuration.sites.count)"])
        return ReloadOutcome(configuration: configuration, diagnostics: result.diagnostics)
    }

    private func refused(
        _ reason: String, _ result: LoadResult, _ gateway: any RunningGateway
    ) -> ReloadOutcome {
        logger.error("\(reason)")
        gateway.note(Self.status(of: result, .failed, .signal))
        return ReloadOutcome(failure: reason, diagnostics: result.diagnostics)
    }
}

/// A configuration to begin with.
struct LoadedConfiguration {
    let configuration: MachineConfiguration
    /// The tenants that do not serve what their files say.
    let outdated: [OutdatedTenant]
    /// What the metrics say of it.
    let status: ReloadStatus
}

/// Set once, by another thread.
private final class Ended: Sendable {
    private let flag = Atomic<Bool>(false)

    func set() { flag.store(true, ordering: .releasing) }

    var isSet: Bool { flag.load(ordering: .acquiring) }
}
