internal import ArgumentParser
internal import CLinux
internal import Chimera
internal import ChimeraAdministration
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraSessions
internal import Glibc
internal import Logging
internal import Synchronization

/// One data plane from its start to its end: a gateway that has its sockets from a supervisor and does what that says.
///
/// The main thread takes orders. Threads beside it read the line to the supervisor, load configurations, wait for
/// the gateway's end, and answer operators.
final class DataPlane: Sendable {
    /// Begun before any socket is there, so that its descriptor has a lower number: at the end of a process the kernel
    /// closes the highest numbers first, and for this one it may take long.
    private let watch = try? DirectoryWatch()
    private let line: SupervisorLine
    private let orders = BlockingQueue<DataPlaneOrder>()
    private let generation: Int
    private let machineFile: String
    private let user: UserName?
    private let logger: Logger
    private let drainTime = Mutex<Int64>(30_000)

    /// How long connections without a request stay open where another data plane has taken over: one that is in use
    /// has its next request within that, and learns from the answer that it closes.
    static let idleMilliseconds: Int64 = 5_000
    /// How long the end waits for what the reloader keeps.
    private static let reloadEndMilliseconds: Int64 = 2_000

    init(
        line socket: PacketSocket, generation: Int, machineFile: String, user: UserName?, _ logger: Logger
    ) {
        line = SupervisorLine(watch.map { socket.moved(above: $0.descriptor) } ?? socket, orders: orders)
        self.generation = generation
        self.machineFile = machineFile
        self.user = user
        self.logger = logger
    }

    /// Serves until the end.
    ///
    /// - Throws: the exit code, where it does not come to serving.
    func run() throws(ExitCode) {
        chimera_name_thread("chimera")
        blockSignals()
        forbidCoreFiles()
        DescriptorLimit.raise(logger)
        // Before there is another thread: each has privileges of its own.
        let dataDirectory = try giveUpPrivileges()
        guard takeSignals(), line.start(whenOver: { [self] in outlive() }) else { throw noThread() }
        let reloader = try makeReloader(dataDirectory)
        let first = reloader.start()
        let configuration = try configuration(of: first)
        let gateway = try Service.started(configuration, first.status, line, logger) {
            [line] configuration, logger, listeners in
            try Gateway(
                configuration: configuration, logger: logger, listeners: listeners, tickets: line.tickets,
                dataDirectory: dataDirectory, programs: line)
        }
        let administration = DataPlaneAdministration(
            gateway, reloader, generation: generation, machineFile: machineFile)
        loaded(configuration)
        let hasStarted = Thread.start(name: "chimera-end") { [self] in
            gateway.waitUntilStopped()
            orders.put(.ended)
        }
        guard hasStarted else { throw noThread() }
        reloader.serve(Reloading(plane: self, gateway: gateway, started: configuration))
        line.tell(ControlMessage(.ready).with(.version, Version.text).with(.milliseconds, drainMilliseconds))
        while obey(orders.take(), gateway, reloader, administration) {}
        reloader.stop()
        reloader.waitUntilStopped(milliseconds: Self.reloadEndMilliseconds)
    }

    private var drainMilliseconds: Int64 { drainTime.withLock { $0 } }

    private func noThread() -> ExitCode {
        logger.critical("cannot serve: the system gives no thread")
        return CommandStatus.cannotServe.exitCode
    }

    /// Without a supervisor nobody else ends a data plane that does not come to its end by itself, whatever it hangs on.
    private func outlive() {
        Latch().wait(milliseconds: drainMilliseconds + ProcessPlan.graceMilliseconds)
        logger.critical("the drain does not end; without a supervisor this is the end")
        _exit(CommandStatus.cannotServe.rawValue)
    }

    // MARK: The process

    /// A terminal sends its signals to both processes, and the supervisor says what they mean. SIGTERM alone is obeyed
    /// here too: whoever sends it to this process means it.
    private func blockSignals() {
        for number in [SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE] { signal(number, SIG_IGN) }
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        pthread_sigmask(SIG_SETMASK, &set, nil)
    }

    /// - Returns: false where the system gives no thread: nobody could end this process in order.
    private func takeSignals() -> Bool {
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
    ///
    /// - Returns: where data is kept if the machine's file does not say.
    private func giveUpPrivileges() throws(ExitCode) -> String? {
        let machine = geteuid() == 0 ? machineAlone() : nil
        // Of root, where this is root: a place that its successor has to itself.
        let usual = DataDirectory.path(machineFile: machineFile)
        do throws(Privileges.Failure) {
            try Privileges.drop(
                to: user ?? machine?.user, machineFile: machineFile,
                dataDirectory: machine?.dataDirectory ?? usual, logger)
        } catch {
            logger.critical("\(error)")
            throw CommandStatus.cannotServe.exitCode
        }
        guard access(machineFile, R_OK) != 0, errno == EACCES else { return usual }
        logger.critical(
            "\(machineFile) cannot be read by the user who serves; make it readable, or name another with `user`"
        )
        throw CommandStatus.configuration.exitCode
    }

    private func machineAlone() -> MachineConfiguration? {
        ConfigurationLoader().load(machineFileAlone: machineFile).configuration
    }

    // MARK: Orders

    /// - Returns: false for the end.
    private func obey(
        _ order: DataPlaneOrder, _ gateway: any RunningGateway, _ reloader: Reloader,
        _ administration: DataPlaneAdministration
    ) -> Bool {
        switch order {
        case .drain(let isLast): drain(gateway, reloader, isLast: isLast)
        case .stopNow:
            reloader.stop()
            gateway.stopNow()
        case .reload: reloader.reload(.signal)
        case .reopenLogs: gateway.reopenLogs()
        case .lookAgain: reloader.lookAgain()
        case .leave(let address): gateway.leave([address])
        case .question(let connection, let line, let context):
            answer(connection, line, context, administration)
        case .orphaned:
            logger.warning("the supervisor is gone")
            // The next one starts another data plane, which has to find all addresses free.
            drain(gateway, reloader, isLast: false)
        case .ended: return false
        }
        return true
    }

    /// What reloads from now on, and keeps the last good versions, is the data plane that has taken over, or none.
    private func drain(_ gateway: any RunningGateway, _ reloader: Reloader, isLast: Bool) {
        reloader.stop()
        let time = drainMilliseconds
        logger.info(
            "draining",
            metadata: [
                "seconds": "\(time / 1000)", "generation": "\(generation)",
                "connections": "\(gateway.openConnections)",
            ])
        gateway.drain(
            deadlineMilliseconds: time, idleMilliseconds: isLast ? 0 : min(time, Self.idleMilliseconds))
    }

    private func answer(
        _ connection: Int32, _ line: [UInt8], _ context: [UInt8],
        _ administration: DataPlaneAdministration
    ) {
        switch AdminRequest.parse(line) {
        case .failure(let malformed):
            DataPlaneAdministration.reply([AdminRequest.failed(malformed.reason)], connection)
        case .success(let request) where request.name == "reload":
            administration.reload(for: connection)
        case .success(let request):
            administration.answer(connection, request, context: JSON(context) ?? .null)
        }
    }

    // MARK: Configurations

    private func makeReloader(_ dataDirectory: String?) throws(ExitCode) -> Reloader {
        let pace = Pace()
        let live = LiveConfiguration(
            machineFile: machineFile, fileSystem: SupervisedFiles(line: line),
            storeDirectory: dataDirectory, servesAs: servesAs, pause: pace.step)
        do {
            return try Reloader(live, watch: watch, logger: logger)
        } catch {
            logger.critical("cannot serve: \(error)")
            throw CommandStatus.cannotServe.exitCode
        }
    }

    /// Who serves, where that is not whom the machine's file names.
    private var servesAs: UserName? {
        // Started as somebody else, `--user` does nothing, and whoever serves is not root.
        guard let user, !user.isRoot || geteuid() == 0 else { return nil }
        return user
    }

    /// Tenants whose files have errors are left out, or serve their last good versions; the others do not wait for them.
    ///
    /// - Throws: the exit code, where the machine's own file cannot be used.
    private func configuration(
        of revision: LiveConfiguration.Revision
    ) throws(ExitCode) -> MachineConfiguration {
        Stream.error.write(revision.diagnostics.rendered)
        guard let configuration = revision.configuration else {
            throw CommandStatus.configuration.exitCode
        }
        for tenant in revision.status.outdatedTenants {
            logger.error(
                tenant.service == .lastGood
                    ? "a tenant's file has errors; its last good version serves"
                    : "a tenant is not served: its file has errors", metadata: ["tenant": "\(tenant.id)"])
        }
        return configuration
    }

    private func loaded(_ configuration: MachineConfiguration) {
        drainTime.withLock { $0 = configuration.drainMilliseconds }
        line.tell(ControlMessage(.administer).with(.text, configuration.adminSocket ?? ""))
        let controllers = configuration.programControllers
        if !controllers.isEmpty {
            let names = controllers.map(\.rawValue).sorted().joined(separator: " ")
            line.tell(ControlMessage(.programLimits).with(.text, names))
        }
    }

    /// Serves what the reloader has read, and tells the supervisor of it.
    private struct Reloading: Reloader.Server {
        let plane: DataPlane
        let gateway: any RunningGateway
        /// What the data plane started with.
        let started: MachineConfiguration

        func reloadBegins() { plane.line.tell(ControlMessage(.reloading)) }

        func serve(_ configuration: MachineConfiguration) throws { try gateway.reload(configuration) }

        func reloadEnded(_ outcome: Reloader.Outcome) {
            gateway.note(outcome.status)
            if let configuration = outcome.configuration {
                plane.loaded(configuration)
                let late = configuration.lateChanges(since: started)
                if !late.isEmpty {
                    let names = late.map { "`\($0)`" }.joined(separator: ", ")
                    plane.logger.warning(
                        "\(names) changed: that counts from the next start or `chimera upgrade`")
                }
            }
            var done = ControlMessage(.reloaded).with(.milliseconds, plane.drainMilliseconds)
            if let failure = outcome.failure { done = done.with(.failure, failure) }
            plane.line.tell(done)
        }
    }
}
