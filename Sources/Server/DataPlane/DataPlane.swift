internal import ArgumentParser
internal import CLinux
internal import Chimera
internal import ChimeraAdministration
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Glibc
internal import Logging
internal import Synchronization

/// One data plane from its start to its end: a gateway that has its sockets from a supervisor and does what that says.
///
/// The main thread takes orders. Threads beside it read the line to the supervisor, load configurations, wait for
/// the gateway's end, and answer operators.
final class DataPlane: Sendable {
    private let line: SupervisorLine
    private let orders = BlockingQueue<DataPlaneOrder>()
    private let reloads = BlockingQueue<Int32?>()
    private let generation: Int
    private let machineFile: String
    private let user: UserName?
    private let logger: Logger
    private let service: Service
    private let state = Mutex(State())

    private struct State {
        var outdated: [OutdatedTenant] = []
        var drainMilliseconds: Int64 = 30_000
    }

    /// How long connections without a request stay open where another data plane has taken over: one that is in use
    /// has its next request within that, and learns from the answer that it closes.
    static let idleMilliseconds: Int64 = 5_000

    init(
        line socket: PacketSocket, generation: Int, machineFile: String, user: UserName?, _ logger: Logger
    ) {
        line = SupervisorLine(socket, orders: orders)
        self.generation = generation
        self.machineFile = machineFile
        self.user = user
        self.logger = logger
        service = Service(logger) { ConfigurationLoader().load(machineFile: machineFile) }
    }

    /// Serves until the end.
    ///
    /// - Throws: the exit code, where it does not come to serving.
    func run() throws(ExitCode) {
        chimera_name_thread("chimera")
        takeSignals()
        forbidCoreFiles()
        DescriptorLimit.raise(logger)
        try giveUpPrivileges()
        line.start()
        let first = try service.firstConfiguration()
        let gateway = try service.started(first, line)
        let administration = DataPlaneAdministration(gateway, generation: generation) { [self] in
            state.withLock { $0.outdated }
        }
        loaded(first.configuration, first.outdated)
        Thread.start(name: "chimera-end") { [self] in
            gateway.waitUntilStopped()
            orders.put(.ended)
        }
        Thread.start(name: "chimera-reload") { [self] in
            while true { reload(gateway, for: reloads.take()) }
        }
        line.tell(ControlMessage(.ready).with(.version, Version.text).with(.milliseconds, drainMilliseconds))
        while obey(orders.take(), gateway, administration) {}
    }

    private var drainMilliseconds: Int64 { state.withLock { $0.drainMilliseconds } }

    // MARK: The process

    /// A terminal sends its signals to both processes, and the supervisor says what they mean. SIGTERM alone is obeyed
    /// here too: whoever sends it to this process means it.
    private func takeSignals() {
        for number in [SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE] { signal(number, SIG_IGN) }
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        pthread_sigmask(SIG_SETMASK, &set, nil)
        Thread.start(name: "chimera-signal") { [orders] in
            var waited = sigset_t()
            sigemptyset(&waited)
            sigaddset(&waited, SIGTERM)
            var number: Int32 = 0
            while true { if sigwait(&waited, &number) == 0 { orders.put(.drain(isLast: true)) } }
        }
    }

    /// A core file takes seconds in which nobody serves, and holds keys. One byte is too little for any, and for a
    /// program that the kernel would pass it to (core(5)).
    private func forbidCoreFiles() {
        guard getenv("CHIMERA_CORE_FILES") == nil else { return }
        var limit = rlimit(rlim_cur: 1, rlim_max: 1)
        setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
    }

    /// Before the configuration is read as a whole, so that what cannot be read later is not read now.
    private func giveUpPrivileges() throws(ExitCode) {
        let named = user ?? (geteuid() == 0 ? machineUser() : nil)
        do throws(Privileges.Failure) {
            try Privileges.drop(to: named, machineFile: machineFile, logger)
        } catch {
            logger.critical("\(error)")
            throw CommandStatus.cannotServe.exitCode
        }
        guard access(machineFile, R_OK) != 0, errno == EACCES else { return }
        logger.critical(
            "\(machineFile) cannot be read by the user who serves; make it readable, or name another with `user`"
        )
        throw CommandStatus.configuration.exitCode
    }

    private func machineUser() -> UserName? {
        ConfigurationLoader().load(machineFileAlone: machineFile).configuration?.user
    }

    // MARK: Orders

    /// - Returns: false for the end.
    private func obey(
        _ order: DataPlaneOrder, _ gateway: any RunningGateway, _ administration: DataPlaneAdministration
    ) -> Bool {
        switch order {
        case .drain(let isLast): drain(gateway, isLast: isLast)
        case .stopNow: gateway.stopNow()
        case .reload: reloads.put(nil)
        case .reopenLogs: gateway.reopenLogs()
        case .leave(let address): gateway.leave([address])
        case .question(let connection, let line, let context):
            answer(connection, line, context, administration)
        case .orphaned:
            logger.warning("the supervisor is gone")
            drain(gateway, isLast: true)
        case .ended: return false
        }
        return true
    }

    private func drain(_ gateway: any RunningGateway, isLast: Bool) {
        let time = drainMilliseconds
        logger.info("draining", metadata: ["seconds": "\(time / 1000)", "generation": "\(generation)"])
        gateway.drain(
            deadlineMilliseconds: time, idleMilliseconds: isLast ? 0 : min(time, Self.idleMilliseconds))
    }

    private func answer(
        _ connection: Int32, _ line: [UInt8], _ context: [UInt8], _ administration: DataPlaneAdministration
    ) {
        switch AdminRequest.parse(line) {
        case .failure(let malformed):
            DataPlaneAdministration.reply([AdminRequest.failed(malformed.reason)], connection)
        case .success(let request) where request.name == "reload": reloads.put(connection)
        case .success(let request):
            administration.answer(connection, request, context: JSON(context) ?? .null)
        }
    }

    // MARK: Configurations

    /// Loads the configuration again, and tells whoever asked for it.
    private func reload(_ gateway: any RunningGateway, for connection: Int32?) {
        line.tell(ControlMessage(.reloading))
        let outcome = service.reload(gateway)
        var done = ControlMessage(.reloaded)
        if let configuration = outcome.configuration {
            loaded(configuration, outcome.outdated)
        }
        if let failure = outcome.failure { done = done.with(.failure, failure) }
        line.tell(done.with(.milliseconds, drainMilliseconds))
        guard let connection else { return }
        DataPlaneAdministration.reply([outcome.json], connection)
    }

    private func loaded(_ configuration: MachineConfiguration, _ outdated: [OutdatedTenant]) {
        state.withLock { state in
            state.drainMilliseconds = configuration.drainMilliseconds
            state.outdated = outdated
        }
        line.tell(ControlMessage(.administer).with(.text, configuration.adminSocket ?? ""))
    }
}
