internal import ArgumentParser
internal import Chimera
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Glibc
internal import Logging
internal import Synchronization

/// One gateway whose configuration is the command line, from its start to its end, and the signals that it is told by.
///
/// The main thread waits for signals and does what they say; all others have them blocked. One more thread
/// waits for the gateway's end and then wakes the main thread.
struct Service: Sendable {
    private let logger: Logger
    private let load: @Sendable () -> LoadResult
    private let make: GatewayMaker
    private let drainMilliseconds: Int64
    /// What is left to be done when the gateway has stopped; may take its time, and a second signal ends that.
    private let last: (@Sendable () -> Void)?

    /// How long a drain gives to what is under way.
    static let usualDrainMilliseconds: Int64 = 30_000

    /// - Parameters:
    ///   - logger: For diagnostics.
    ///   - drainMilliseconds: How long a drain gives to what is under way.
    ///   - last: What is left to be done when the gateway has stopped.
    ///   - make: Makes the gateway.
    ///   - load: Makes the configuration.
    init(
        _ logger: Logger, drainMilliseconds: Int64 = Service.usualDrainMilliseconds,
        last: (@Sendable () -> Void)? = nil, make: @escaping GatewayMaker = Gateways.make,
        load: @escaping @Sendable () -> LoadResult
    ) {
        self.logger = logger
        self.load = load
        self.make = make
        self.drainMilliseconds = drainMilliseconds
        self.last = last
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
        var status = ReloadStatus()
        status.outcome = .applied
        status.finishedAt = LiveConfiguration.wallMilliseconds()
        status.succeededAt = status.finishedAt
        let gateway = try Self.started(configuration, status, ListenerGroups(), logger, make: make)
        let ended = try watch(gateway)
        var plan = SignalPlan()
        while !ended.isSet {
            let signal = signals.wait()
            if signal == ServiceSignals.ended { continue }
            logger.debug("signal", metadata: ["number": "\(signal)"])
            guard perform(plan.received(signal), on: gateway) else { return }
        }
        finish(signals)
        logger.info("stopped")
    }

    /// Does what is left, until that is done or a signal says that it is enough.
    private func finish(_ signals: ServiceSignals) {
        guard let last else { return }
        let (done, main) = (Ended(), pthread_self())
        let hasStarted = Thread.start(name: "chimera-last") {
            last()
            done.set()
            pthread_kill(main, ServiceSignals.ended)
        }
        while hasStarted, !done.isSet {
            if [SIGTERM, SIGINT].contains(signals.wait()) { return }
        }
    }

    // MARK: Start

    /// - Throws: the exit code, where it cannot be used.
    private func firstConfiguration() throws(ExitCode) -> MachineConfiguration {
        let result = load()
        Stream.error.write(result.diagnostics.rendered)
        guard let configuration = result.configuration, !result.hasErrors else {
            throw CommandStatus.configuration.exitCode
        }
        return configuration
    }

    /// A gateway that serves.
    ///
    /// - Parameters:
    ///   - status: what the metrics say of the configuration.
    ///   - listeners: where its sockets come from.
    /// - Throws: the exit code, where it cannot.
    static func started(
        _ configuration: MachineConfiguration, _ status: ReloadStatus, _ listeners: any ListenerSource,
        _ logger: Logger, make: GatewayMaker = Gateways.make
    ) throws(ExitCode) -> any RunningGateway {
        do {
            let gateway = try make(configuration, logger, listeners)
            gateway.note(status)
            try gateway.start()
            return gateway
        } catch {
            logger.critical("cannot serve: \(error)")
            throw CommandStatus.cannotServe.exitCode
        }
    }

    /// Wakes this thread when the gateway has stopped.
    ///
    /// - Throws: the exit code, where the system gives no thread.
    private func watch(_ gateway: any RunningGateway) throws(ExitCode) -> Ended {
        let ended = Ended()
        let main = pthread_self()
        let hasStarted = Thread.start(name: "chimera-end") {
            gateway.waitUntilStopped()
            ended.set()
            pthread_kill(main, ServiceSignals.ended)
        }
        guard hasStarted else {
            logger.critical("cannot serve: the system gives no thread")
            throw CommandStatus.cannotServe.exitCode
        }
        return ended
    }

    // MARK: Signals

    /// - Returns: false for the end, without further waiting.
    private func perform(_ action: ServiceAction, on gateway: any RunningGateway) -> Bool {
        switch action {
        case .drain:
            logger.info(
                "draining",
                metadata: [
                    "seconds": "\(drainMilliseconds / 1000)", "connections": "\(gateway.openConnections)",
                ])
            gateway.drain(deadlineMilliseconds: drainMilliseconds)
        case .stopNow:
            logger.info("stopping at once")
            gateway.stopNow()
        case .exit: return false
        case .reopenLogs: gateway.reopenLogs()
        // Its configuration is the command line, which stays.
        case .nothing, .reload, .upgrade: break
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
