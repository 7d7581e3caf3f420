internal import CLinux
internal import Chimera
internal import ChimeraAdministration
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraSessions
internal import ChimeraTLS
internal import Glibc
internal import Logging

/// What a supervisor begins with.
struct SupervisorSettings {
    /// The words of the data plane's command, but for those that each data plane has of its own.
    var arguments: [String]
    var machineFile: String
    var environment: [String]
    var notification: SystemdNotification
}

/// The process that stays: it keeps the listening sockets and the data plane, which does all the work, and replaces
/// that when it ends or when a new binary is to serve.
///
/// One thread and one loop over `poll`: signals, the lines to the data planes, what those say on standard error, and
/// the operator's requests. The rules are `ProcessPlan`'s; this performs what they say.
final class Supervisor {
    let settings: SupervisorSettings
    let logger: Logger
    var plan = ProcessPlan()
    var planes: [Int: DataPlaneProcess] = [:]
    let groups = ListenerGroups()
    let desk = AdminDesk()
    private let keys: KeyWatch
    var currentImage: BinaryImage
    let path: String
    /// Those who wait for the end of an upgrade that has not begun, and of the one that has.
    var upgradeWaiters: [Int32] = []
    var upgradeStarters: [Int32] = []
    /// Those who wait for the end of it all.
    var stopWaiters: [Int32] = []
    var lastDeath: Death?
    var restarts = 0
    let startedAt = Clock.monotonicMilliseconds()
    /// What keys of TLS session tickets come from, in every data plane.
    private let tickets = TicketSecret(now: ProcessFigures.wallSeconds)
    private var signalPlan = SignalPlan()
    private var signals: Int32 = -1
    /// What data planes said and standard error has not taken.
    private var unsaid: [UInt8] = []
    private var nextSign: Int64 = .max
    private var unixPaths: Set<String> = []
    private(set) var status: Int32?
    /// The programs of sessions; nil until there is one, or a list of those that somebody else has left.
    var keeper: ProgramKeeper?
    /// Those that outlive a data plane.
    var kept = KeptTable()
    /// When the end does not wait for programs any more.
    private var programsEndAt = Int64.max
    /// Limits of programs of which was said that they are not enforced.
    private var unenforced: Set<ControlGroups.Controller> = []

    /// A data plane that ended though it was not to.
    struct Death {
        let generation: Int
        let end: ProcessEnd
        let at: Int64
        let lines: [String]
    }

    /// Bytes of diagnostics that wait for standard error.
    private static let unsaidBytesMax = 64 * 1024
    static let waitersMax = 64

    init(_ settings: SupervisorSettings, _ logger: Logger) throws(SystemError) {
        self.settings = settings
        self.logger = logger
        keys = KeyWatch(logger)
        path = BinaryImage.runningPath()
        currentImage = try BinaryImage(path: "/proc/self/exe")
    }

    /// Serves until the end.
    ///
    /// - Returns: the exit status.
    func run() throws(SystemError) -> Int32 {
        try takeSignals()
        if let every = settings.notification.watchdogMilliseconds {
            nextSign = Clock.monotonicMilliseconds() + every / 2
        }
        // What programs leave behind when they end has to be ended too.
        _ = chimera_adopt_orphans()
        if ProgramPlace.hasList(machineFile: settings.machineFile) { openKeeper() }
        perform(plan.begin())
        while status == nil || isEndingPrograms { turn() }
        finish()
        return status ?? 0
    }

    /// Blocked, so that they are read; SIGCHLD tells of processes that have ended, strangers too where this is
    /// process 1.
    private func takeSignals() throws(SystemError) {
        var set = sigset_t()
        sigemptyset(&set)
        let taken = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD]
        for number in taken { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signal(SIGPIPE, SIG_IGN)
        // Where it is ignored, which is inherited, there would be nothing to wait for.
        signal(SIGCHLD, SIG_DFL)
        signals = try SystemError.check(chimera_signal_descriptor(taken, taken.count), "signalfd")
    }

    // MARK: The loop

    private func turn() {
        var polled = [pollfd(fd: signals, events: Int16(POLLIN), revents: 0)]
        for plane in planes.values {
            let events = plane.hasUnsent ? POLLIN | POLLOUT : POLLIN
            // What has hung up would wake this loop again and again until the process is gone.
            if !plane.hasHungUp {
                polled.append(pollfd(fd: plane.line.descriptor, events: Int16(events), revents: 0))
            }
            if unsaid.count < Self.unsaidBytesMax, plane.diagnostics >= 0 {
                polled.append(pollfd(fd: plane.diagnostics, events: Int16(POLLIN), revents: 0))
            }
        }
        if keys.descriptor >= 0 {
            polled.append(pollfd(fd: keys.descriptor, events: Int16(POLLIN), revents: 0))
        }
        if !unsaid.isEmpty { polled.append(pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)) }
        for descriptor in desk.descriptors {
            polled.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
        }
        poll(&polled, nfds_t(polled.count), waitMilliseconds())
        // Few descriptors, none of which blocks: asking each is simpler than telling them apart.
        relayDiagnostics()
        for plane in planes.values { serve(plane) }
        if keys.look() { planes.values.forEach { $0.tell(ControlMessage(.changed)) } }
        reapChildren()
        while true {
            let number = chimera_next_signal(signals)
            if number == 0 { break }
            received(number)
        }
        let now = Clock.monotonicMilliseconds()
        for visit in desk.visits(now: now) { receive(visit) }
        perform(plan.expired(now: now))
        endForgottenKept(now)
        keeper?.expired(now: now)
        signOfLife(now)
    }

    private func waitMilliseconds() -> Int32 {
        let next = min(
            plan.deadline, desk.deadline, nextSign, keeper?.deadline ?? .max, programsEndAt, kept.deadline)
        guard next != .max else { return -1 }
        return Int32(clamping: max(0, next - Clock.monotonicMilliseconds()))
    }

    private func signOfLife(_ now: Int64) {
        guard let every = settings.notification.watchdogMilliseconds, now >= nextSign else { return }
        settings.notification.alive()
        nextSign = now + every / 2
    }

    private func received(_ signal: Int32) {
        let now = Clock.monotonicMilliseconds()
        switch signalPlan.received(signal) {
        case .drain, .stopNow, .exit: stop()
        case .reload: perform(plan.reload(now: now))
        case .reopenLogs: perform(plan.reopenLogs())
        case .upgrade: perform(plan.upgrade(now: now))
        case .nothing: break
        }
    }

    func stop() {
        settings.notification.stopping()
        perform(plan.stop(now: Clock.monotonicMilliseconds()))
    }

    // MARK: Diagnostics

    /// Passes on what the data planes said. Where standard error does not take it, they wait, and this does not.
    private func relayDiagnostics() {
        for plane in planes.values where unsaid.count < Self.unsaidBytesMax {
            unsaid += plane.takeDiagnostics()
        }
        while !unsaid.isEmpty {
            var ready = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
            guard poll(&ready, 1, 0) == 1 else { return }
            // A pipe that is ready takes this much without blocking.
            let count = write(STDERR_FILENO, unsaid, min(unsaid.count, 4096))
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                unsaid = []
                return
            }
            unsaid.removeFirst(count)
        }
    }

    /// What is left at the end, where somebody takes it in time.
    private func sayTheRest() {
        var ready = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
        while !unsaid.isEmpty, poll(&ready, 1, 1_000) == 1 { relayDiagnostics() }
    }

    // MARK: Processes

    private func reapChildren() {
        while true {
            var waited: Int32 = 0
            let pid = waitpid(-1, &waited, WNOHANG)
            guard pid > 0 else { return }
            guard let plane = planes.values.first(where: { $0.pid == pid }) else {
                programEnded(pid, waited)
                continue
            }
            ended(plane, ProcessEnd(waitStatus: waited))
        }
    }

    private func ended(_ plane: DataPlaneProcess, _ end: ProcessEnd) {
        // What it asked for last, and said last, counts; but the replacement comes first.
        let now = Clock.monotonicMilliseconds()
        let actions = plan.ended(plane.generation, end, now: now)
        for action in actions {
            if case .start(let generation, let image) = action { start(generation, image) }
        }
        while case let said = plane.takeDiagnostics(), !said.isEmpty { unsaid += said }
        relayDiagnostics()
        lastDeath = actions.reduce(lastDeath) { death, action in
            guard case .report = action else { return death }
            return Death(generation: plane.generation, end: end, at: now, lines: plane.lastLines.all)
        }
        planes[plane.generation] = nil
        orphanKept(of: plane.generation)
        keeper?.ownerEnded(plane.generation, now: now)
        keys.forget(plane.generation)
        perform(actions.filter { if case .start = $0 { false } else { true } })
        if plan.serving != nil { closeUnused() }
        handOutKept()
    }

    func perform(_ actions: [ProcessPlan.Action]) {
        for action in actions {
            switch action {
            case .start(let generation, let image): start(generation, image)
            case .tell(let generation, let order): planes[generation]?.tell(order.message)
            case .kill(let generation):
                guard let plane = planes[generation] else { continue }
                logger.warning("a data plane is killed", metadata: ["generation": "\(generation)"])
                kill(plane.pid, SIGKILL)
            case .adopt(let generation): adopt(generation)
            case .announce:
                settings.notification.ready()
            case .report(let generation, let end): report(generation, end)
            case .upgraded(let failure): upgraded(failure)
            case .closeListeners: groups.closeAll()
            case .end(let status): self.status = status
            }
        }
    }

    private func start(_ generation: Int, _ wanted: ProcessPlan.Image) {
        let isFirst = generation == 1
        do throws(SystemError) {
            let image = wanted == .current ? currentImage : try BinaryImage(path: path)
            if wanted == .replacement { swap(&upgradeStarters, &upgradeWaiters) }
            if !isFirst && wanted == .current { restarts += 1 }
            let plane = try DataPlaneProcess(
                generation: generation, image: image, arguments: settings.arguments,
                environment: settings.environment)
            planes[generation] = plane
            let seed = tickets.seed(now: ProcessFigures.wallSeconds)
            plane.tell(
                ControlMessage(.tickets).with(.count, seed.period).with(.text, seed.secret.hexadecimal))
            logger.log(
                level: isFirst ? .debug : .info, "a data plane starts",
                metadata: ["generation": "\(generation)", "pid": "\(plane.pid)"])
        } catch {
            logger.error("a data plane cannot be started: \(error)")
            if wanted == .replacement, upgradeStarters.isEmpty { swap(&upgradeStarters, &upgradeWaiters) }
            perform(
                plan.ended(
                    generation, .exited(CommandStatus.cannotServe.rawValue),
                    now: Clock.monotonicMilliseconds()))
        }
    }

    /// The new data plane's binary is the one that counts. What only those before it listen on is given up by them,
    /// and what none has is closed.
    private func adopt(_ generation: Int) {
        guard let plane = planes[generation] else { return }
        currentImage = plane.image
        for address in groups.addresses where !plane.addresses.contains(address) {
            for other in planes.values where other.addresses.contains(address) {
                other.tell(ControlMessage(.leave).with(.address, address.text))
            }
        }
        closeUnused()
        logger.log(
            level: generation == 1 ? .debug : .info, "a data plane serves",
            metadata: ["generation": "\(generation)", "version": "\(plane.version)"])
    }

    func closeUnused() {
        for address in groups.addresses
        where !planes.values.contains(where: { $0.addresses.contains(address) }) {
            groups.close(address)
        }
    }

    private func report(_ generation: Int, _ end: ProcessEnd) {
        var metadata: Logger.Metadata = ["generation": "\(generation)"]
        if let death = lastDeath, death.generation == generation, let line = death.lines.last {
            metadata["said"] = "\(line)"
        }
        if let at = plan.restartAt { metadata["again_ms"] = "\(at - Clock.monotonicMilliseconds())" }
        logger.error("a data plane ended: \(end.text)", metadata: metadata)
    }

    private func upgraded(_ failure: String?) {
        if let failure {
            logger.error("the upgrade failed: \(failure)")
        } else {
            logger.info("the upgrade is done")
        }
        var answer = AdminRequest.done(
            .of(["generation": (plan.serving?.generation).map { .integer(Int64($0)) }]))
        if let failure {
            // Of the one that failed, which is the newest.
            let isNew = (lastDeath?.generation ?? 0) > (plan.serving?.generation ?? 0)
            let lines = isNew ? lastDeath?.lines ?? [] : []
            answer = .of(["error": .string(failure), "lines": .array(lines.map { .string($0) })])
        }
        // Where it did not come to a start, those who wait for it are told as well.
        if plan.isStopping { upgradeStarters += upgradeWaiters; upgradeWaiters = [] }
        for waiter in upgradeStarters { AdminDesk.answer(waiter, answer) }
        upgradeStarters = []
    }

    // MARK: Lines

    private func serve(_ plane: DataPlaneProcess) {
        plane.sendUnsent()
        while let (message, descriptors) = plane.nextMessage() {
            var left = descriptors
            if !receiveKept(message, &left, from: plane) { receive(message, from: plane) }
            left.forEach(FileDescriptors.close)
        }
        // The end of its process is seen later, maybe much later.
        guard plane.hasHungUp else { return }
        plane.takesPrograms = false
        perform(plan.hungUp(plane.generation, now: Clock.monotonicMilliseconds()))
        if orphanKept(of: plane.generation) { handOutKept() }
    }

    private func receive(_ message: ControlMessage, from plane: DataPlaneProcess) {
        switch message.kind {
        case .listen: open(message, for: plane)
        case .unlisten:
            guard let address = message.text(.address).flatMap({ Listener.Address(text: $0) }) else { return }
            plane.addresses.remove(address)
            if !planes.values.contains(where: { $0.addresses.contains(address) }) { groups.close(address) }
        case .ready:
            plane.version = message.text(.version) ?? "?"
            if let time = message.number(.milliseconds) { plan.drainMilliseconds = max(0, time) }
            perform(plan.ready(plane.generation, now: Clock.monotonicMilliseconds()))
            handOutKept()
        case .administer: administer(message.text(.text) ?? "")
        case .reloading:
            settings.notification.reloading(microseconds: Clock.monotonicNanoseconds() / 1000)
        case .reloaded:
            if let time = message.number(.milliseconds) { plan.drainMilliseconds = max(0, time) }
            if !plan.isStopping { settings.notification.ready() }
            if let failure = message.text(.failure) { settings.notification.status(failure) }
        case .openKey: openKey(message, for: plane)
        case .startProgram: startProgram(message, for: plane)
        case .endProgram:
            guard let id = message.text(.text) else { return }
            forgetKept(id)
            keeper?.end(id, now: Clock.monotonicMilliseconds())
        case .signalProgram:
            guard let id = message.text(.text), let number = message.number(.count), (1...64).contains(number)
            else { return }
            keeper?.signal(id, Int32(number))
        case .programLimits: prepareLimits(message.text(.text) ?? "")
        case .programStarted, .programEnded: break
        case .sockets, .refused, .drain, .stopNow, .reload, .reopenLogs, .leave, .question, .tickets,
            .changed, .keepProgram, .endInput, .findProgram, .releaseProgram, .takesPrograms, .programKept,
            .programFound, .release:
            break
        }
    }

    private func openKey(_ message: ControlMessage, for plane: DataPlaneProcess) {
        let (request, path) = (message.number(.request) ?? 0, message.text(.text) ?? "")
        do throws(SystemError) {
            let file = try KeyFile.open(path)
            let isWatched = keys.add(path, for: plane.generation)
            plane.tell(
                ControlMessage(.sockets).with(.request, request).with(.count, isWatched ? 1 : 0)
                    .with(.more, Int64(0)), descriptors: [file])
        } catch {
            plane.tell(.refusal(request, error))
        }
    }

    private func open(_ message: ControlMessage, for plane: DataPlaneProcess) {
        let request = message.number(.request) ?? 0
        guard let address = message.text(.address).flatMap({ Listener.Address(text: $0) }),
            let count = message.number(.count), (1...1024).contains(count)
        else {
            plane.tell(.refusal(request, SystemError("listen", EINVAL)))
            return
        }
        do throws(SystemError) {
            guard !plan.isStopping else { throw SystemError("listen", ESHUTDOWN) }
            let group = try groups.open(address, count: Int(count))
            plane.addresses.insert(address)
            if case .unix(let path) = address { unixPaths.insert(path) }
            var rest = group.descriptors[...]
            repeat {
                let some = rest.prefix(PacketSocket.descriptorsMax)
                rest = rest.dropFirst(some.count)
                plane.tell(
                    ControlMessage(.sockets).with(.request, request).with(.count, Int64(group.port))
                        .with(.more, Int64(rest.count)), descriptors: Array(some))
            } while !rest.isEmpty
        } catch {
            plane.tell(.refusal(request, error))
        }
    }

    /// Takes the operator's requests where the machine's file says, or at the usual place.
    private func administer(_ path: String) {
        do throws(SystemError) {
            if path.isEmpty {
                try desk.listen(at: AdminSocket.places(machineFile: settings.machineFile), makesFolder: true)
            } else {
                try desk.listen(at: [path], makesFolder: false)
            }
            logger.debug("administration", metadata: ["path": "\(desk.path ?? "")"])
        } catch {
            logger.warning("there is no administration socket: \(error)")
        }
    }

    // MARK: Programs

    /// Starts to keep programs, and ends what a list tells of those that somebody else has left.
    private func openKeeper() {
        let place = ProgramPlace.make(machineFile: settings.machineFile)
        let keeper = ProgramKeeper(reach: .children, listPath: place)
        self.keeper = keeper
        if !keeper.keepsList {
            logger.warning(
                "there is no list of programs: what is left of them if this process is killed is not found later"
            )
        }
    }

    /// Says which limits of programs this machine does not let this process enforce.
    private func prepareLimits(_ names: String) {
        let wanted = Set(
            names.split(separator: " ").compactMap { ControlGroups.Controller(rawValue: String($0)) })
        if keeper == nil { openKeeper() }
        let missing = wanted.subtracting(keeper?.prepare(wanted) ?? []).subtracting(unenforced)
        unenforced.formUnion(missing)
        for controller in ControlGroups.Controller.allCases where missing.contains(controller) {
            logger.warning("\(controller.consequence)")
        }
    }

    private func startProgram(_ message: ControlMessage, for plane: DataPlaneProcess) {
        let request = message.number(.request) ?? 0
        if keeper == nil { openKeeper() }
        do throws(SystemError) {
            guard let keeper, let order = message.programOrder else { throw SystemError("execve", EINVAL) }
            guard status == nil else { throw SystemError("execve", ESHUTDOWN) }
            let program = try keeper.start(
                order, owner: plane.generation, as: user(of: plane, mayBeRoot: order.mayBeRoot))
            let isTold = plane.tell(
                ControlMessage(.programStarted).with(.request, request).with(.text, program.id)
                    .with(.count, Int64(program.process)),
                descriptors: program.descriptors)
            guard isTold else {
                keeper.end(program.id, now: Clock.monotonicMilliseconds())
                throw SystemError("sendmsg", EAGAIN)
            }
        } catch {
            plane.tell(.refusal(request, error))
        }
    }

    /// A program is whoever serves, so that whoever can ask for one gets no right by it.
    private func user(of plane: DataPlaneProcess, mayBeRoot: Bool) throws(SystemError) -> ProgramUser? {
        guard geteuid() == 0 else { return nil }
        if plane.user == nil { plane.user = ProgramUser(ofProcess: plane.pid) }
        guard let user = plane.user, user.id != 0 || mayBeRoot else { throw SystemError("setuid", EPERM) }
        return user
    }

    private func programEnded(_ process: pid_t, _ waitStatus: Int32) {
        let now = Clock.monotonicMilliseconds()
        guard let told = keeper?.reaped(process, waitStatus: waitStatus, now: now) else { return }
        forgetKept(told.id)
        planes[told.owner]?.tell(
            ControlMessage(.programEnded).with(.text, told.id).with(.count, Int64(waitStatus)))
    }

    /// Whether programs are left to be ended, where all else has ended; in time, whatever they do.
    private var isEndingPrograms: Bool {
        guard let keeper, keeper.hasWork else { return false }
        let now = Clock.monotonicMilliseconds()
        if programsEndAt == .max {
            for id in kept.ids { forgetKept(id) }
            keeper.endAll(now: now)
            programsEndAt = now + Self.programsEndMilliseconds
        }
        return now < programsEndAt
    }

    /// How long programs have at the end: the usual steps, and a moment.
    private static let programsEndMilliseconds: Int64 = 10_000

    // MARK: End

    private func finish() {
        for waiter in stopWaiters + upgradeStarters + upgradeWaiters {
            AdminDesk.answer(waiter, AdminRequest.done())
        }
        groups.closeAll()
        // Data planes had these too, so that they could not be told to be nobody's before.
        for path in unixPaths { Sockets.removeStale(path) }
        desk.close()
        keeper?.close()
        close(signals)
        sayTheRest()
        logger.info("stopped")
    }
}

extension ProcessPlan.Order {
    var message: ControlMessage {
        switch self {
        case .drain(let isLast): ControlMessage(.drain).with(.count, isLast ? 0 : 1)
        case .stopNow: ControlMessage(.stopNow)
        case .reload: ControlMessage(.reload)
        case .reopenLogs: ControlMessage(.reopenLogs)
        }
    }
}

extension ControlMessage {
    static func refusal(_ request: Int64, _ error: SystemError) -> ControlMessage {
        ControlMessage(.refused).with(.request, request).with(.text, error.call).with(
            .count, Int64(error.number))
    }
}
