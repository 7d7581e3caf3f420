package import ChimeraConfiguration
package import ChimeraEventLoop
package import Logging
internal import Synchronization

/// Reads the configuration again whenever somebody asks, or its directory changes, and gives what came of it to the
/// gateway: one reload after the other, on a thread of its own.
///
/// ```
/// reload(_:) ─┐
///             ├─▶ thread ─ LiveConfiguration.load ─▶ apply (the workers are told) ─▶ commit ─▶ log ─▶ persist
/// inotify ────┘     200 ms after the last change
/// ```
/// The last good versions belong to one process at a time: where another data plane has taken over, this one is stopped,
/// and where another still has them, this one keeps its own in memory until that one lets go.
package final class Reloader: Sendable {
    /// Who serves what was read; told on the thread of reloads.
    package protocol Server: Sendable {
        /// The files are looked at.
        func reloadBegins()
        /// Serves a configuration from now on; blocks until the workers have been told. Throws where nothing has
        /// changed, since a new address cannot be listened on.
        func serve(_ configuration: MachineConfiguration) throws
        /// What came of it.
        func reloadEnded(_ outcome: Outcome)
    }

    /// What came of one reload.
    package struct Outcome: Sendable {
        package var status: ReloadStatus
        /// What is wrong with the files, those that were not read anew included.
        package var diagnostics: [Diagnostic]
        /// What serves from now on; nil where all goes on as before, because the machine's file cannot be used.
        package var configuration: MachineConfiguration?
        /// No reload came of it, since the reloader was stopped.
        package var isStopped = false
        /// No reload came of it, since the system gave no thread.
        package var hasNoThread = false
    }

    private struct Request {
        var cause: ReloadStatus.Cause
        var done: (@Sendable (Outcome) -> Void)?
    }

    private struct State {
        var requests: [Request] = []
        var isStopped = false
        var status = ReloadStatus()
        /// What the thread does, once there is something to serve.
        var body: (@Sendable () -> Void)?
        var isRunning = false
        /// Somebody else has seen a change.
        var hasNews = false
    }

    /// What only the thread that reloads touches.
    private struct Work {
        let live: LiveConfiguration
        var reported: Set<Diagnostic> = []
        var patterns: [String] = []
        /// Changes are looked for; not where every `import` says `watch=off`.
        var isWatching = false
        var names = WatchedNames()
        var hasComplained = false
        var hasComplainedOfCount = false
        /// Something may have changed that nobody was told of: another look is due, once the disk is quiet.
        var needsLook = false
        /// When to try again to keep last good versions: another process still has them, or the disk took not all.
        var persistAgainAt: Int64?
    }

    private let state = Mutex(State())
    private let ended = Latch()
    private let work: Mutex<Work>
    private let logger: Logger
    private let watch: DirectoryWatch

    /// How long a directory has to be quiet.
    private static let settledMilliseconds: Int64 = 200
    /// How long a directory that is never quiet can put a reload off.
    private static let unsettledMilliseconds: Int64 = 2_000
    /// How often a process that waits for the last good versions looks whether another one still has them.
    private static let storeMilliseconds: Int64 = 250
    /// How long it waits where the disk did not take them, or did not give them.
    private static let failedStoreMilliseconds: Int64 = 30_000
    /// Last good versions that are written in one go, between which a reload may come.
    private static let keptAtOnce = 500
    /// How long the first versions after a start wait until they are kept: the first requests come first.
    private static let firstStoreMilliseconds: Int64 = 1_000

    /// - Parameter watch: nil for one of its own.
    /// - Throws: where the kernel gives no descriptor.
    package init(_ live: sending LiveConfiguration, watch: DirectoryWatch? = nil, logger: Logger) throws {
        self.watch = try watch ?? DirectoryWatch()
        work = Mutex(Work(live: live))
        self.logger = logger
    }

    // MARK: - From any thread

    /// What is in service.
    package var status: ReloadStatus { state.withLock { $0.status } }

    /// The text of each tenant's version that serves: what `diff` compares with the disk.
    package func runningSources() -> [TenantSource] { work.withLock { $0.live.runningSources() } }

    /// Reads the configuration again, soon; `done` is told on the thread of reloads. Several who ask before it begins
    /// get the same reload.
    package func reload(_ cause: ReloadStatus.Cause, done: (@Sendable (Outcome) -> Void)? = nil) {
        let isStopped = state.withLock { state in
            if !state.isStopped { state.requests.append(Request(cause: cause, done: done)) }
            return state.isStopped
        }
        if isStopped {
            done?(stoppedOutcome)
            return
        }
        startThread()
        watch.interrupt()
    }

    /// Somebody else has seen that a file may have changed, which is as good as a change that is seen here.
    package func lookAgain() {
        state.withLock { $0.hasNews = true }
        watch.interrupt()
    }

    private var stoppedOutcome: Outcome { Outcome(status: status, diagnostics: [], isStopped: true) }

    /// Reloads no more, and leaves the last good versions to whoever serves next.
    package func stop() {
        let isRunning = state.withLock { state in
            state.isStopped = true
            return state.isRunning
        }
        if isRunning { watch.interrupt() } else { refuseRequests() }
    }

    /// Waits until the reload that is under way has ended and what has served is kept, but not for longer than that.
    package func waitUntilStopped(milliseconds: Int64) {
        if state.withLock({ $0.isRunning }) { ended.wait(milliseconds: milliseconds) }
    }

    // MARK: - Start

    /// The first reading, on the calling thread.
    package func start() -> LiveConfiguration.Revision {
        work.withLock { work in
            let revision = work.live.load(.start)
            work.reported = Set(revision.diagnostics)
            state.withLock { $0.status = revision.status }
            return revision
        }
    }

    /// Starts the thread, once the first configuration is served.
    package func serve(_ server: some Server) {
        work.withLock { $0.live.commit() }
        state.withLock { state in
            state.body = { [self] in
                Thread.yieldToOthers()
                work.withLock { work in
                    work.patterns = work.live.watchedPatterns
                    work.isWatching = work.live.isWatched
                    watchDirectories(&work)
                    work.persistAgainAt = Clock.monotonicMilliseconds() + Self.firstStoreMilliseconds
                }
                run(server)
            }
        }
        startThread()
    }

    /// Where the system gives no thread, the next request to reload tries again; this one comes to nothing.
    private func startThread() {
        let refused = state.withLock { state -> [Request]? in
            guard !state.isRunning, !state.isStopped, let body = state.body else { return nil }
            state.isRunning = Thread.start(name: "chimera-reload", body)
            if state.isRunning {
                state.body = nil
                return nil
            }
            defer { state.requests = [] }
            return state.requests
        }
        guard let refused else { return }
        logger.error("the configuration cannot be loaded again now: the system gives no thread")
        let outcome = Outcome(status: status, diagnostics: [], hasNoThread: true)
        for request in refused { request.done?(outcome) }
    }

    // MARK: - The thread

    private func run(_ server: some Server) {
        var settling = Settling()
        while !state.withLock({ $0.isStopped }) {
            let requests = takeRequests()
            let now = Clock.monotonicMilliseconds()
            let hasNews = state.withLock { state in exchange(&state.hasNews, with: false) }
            let isNews = work.withLock { work in
                // Where nothing is watched, nobody's news count.
                exchange(&work.needsLook, with: false) || (hasNews && work.isWatching)
            }
            if isNews { settling.changed(at: now) }
            if let cause = requests.first?.cause ?? (settling.isDue(now) ? .watch : nil) {
                settling = Settling()
                let outcome = reload(cause, server)
                for request in requests { request.done?(outcome) }
            } else if awaitChange(until: [settling.due, persistIfDue(now)].compactMap(\.self).min(), now) {
                settling.changed(at: Clock.monotonicMilliseconds())
            }
        }
        work.withLock { work in
            // What has served is kept, also where the end comes before its time.
            if work.persistAgainAt != nil { persist(&work, atMost: .max) }
            work.live.leaveStore()
        }
        refuseRequests()
        ended.open()
    }

    /// Of a reloader that is stopped.
    private func refuseRequests() {
        for request in takeRequests() { request.done?(stoppedOutcome) }
    }

    /// - Returns: when it is due next; nil: not before something changes.
    private func persistIfDue(_ now: Int64) -> Int64? {
        work.withLock { work in
            if let due = work.persistAgainAt, due <= now { persist(&work) }
            return work.needsLook ? now : work.persistAgainAt
        }
    }

    /// When a directory that changes counts as quiet.
    private struct Settling {
        private var first: Int64?
        private var last: Int64 = 0

        mutating func changed(at now: Int64) {
            first = first ?? now
            last = now
        }

        /// Nil: nothing has changed.
        var due: Int64? {
            first.map { min(last + Reloader.settledMilliseconds, $0 + Reloader.unsettledMilliseconds) }
        }

        func isDue(_ now: Int64) -> Bool { due.map { $0 <= now } ?? false }
    }

    private func takeRequests() -> [Request] {
        state.withLock { state in exchange(&state.requests, with: []) }
    }

    /// - Returns: whether something that counts has changed.
    private func awaitChange(until due: Int64?, _ now: Int64) -> Bool {
        let changes = watch.wait(milliseconds: due.map { $0 - now })
        guard !changes.isEmpty else { return false }
        let names = work.withLock { $0.names }
        return changes.contains(where: names.covers)
    }

    private static func names(_ work: borrowing Work) -> WatchedNames {
        guard work.isWatching else { return WatchedNames() }
        return WatchedNames(
            patterns: work.patterns, files: work.live.watchedFiles, pause: work.live.pauseForOthers)
    }

    private func watchDirectories(_ work: inout Work) {
        work.names = Self.names(work)
        let outcome = watch.watch(work.names.directories, places: work.names.places)
        // Between the reading and this moment nobody watched what is new here.
        if outcome.hasNew { work.needsLook = true }
        if work.names.isCut, !exchange(&work.hasComplainedOfCount, with: true) {
            logger.warning(
                "there are more directories than are watched; a change in the others needs a reload",
                metadata: ["watched": "\(WatchedNames.directoriesMax)"])
        }
        guard let first = outcome.refused.first, !work.hasComplained else { return }
        work.hasComplained = true
        logger.warning("a directory cannot be watched for changes", metadata: ["directory": "\(first)"])
    }

    private func reload(_ cause: ReloadStatus.Cause, _ server: some Server) -> Outcome {
        work.withLock { work in
            server.reloadBegins()
            let began = Clock.monotonicMilliseconds()
            var revision = work.live.load(cause)
            var isRefused = false
            if let configuration = revision.configuration {
                do {
                    if revision.status.outcome == .applied { try server.serve(configuration) }
                    work.live.commit()
                } catch {
                    logger.error("\(error); the old configuration stays in service")
                    revision.configuration = nil
                    isRefused = true
                    revision.status = work.live.refused("\(error)")
                }
            }
            work.patterns = work.live.watchedPatterns
            work.isWatching = work.live.isWatched
            if revision.isUnsettled { work.needsLook = true }
            var status = revision.status
            status.durationMilliseconds = Clock.monotonicMilliseconds() - began
            state.withLock { $0.status = status }
            report(revision, status, isRefused: isRefused, &work)
            let outcome = Outcome(
                status: status, diagnostics: revision.diagnostics + (isRefused ? status.machineErrors : []),
                configuration: revision.configuration)
            server.reloadEnded(outcome)
            watchDirectories(&work)
            if revision.configuration != nil, !Self.isStoreDueSoon(work) { persist(&work) }
            return outcome
        }
    }

    /// Errors that were reported already and still are there are repeated only to who asks.
    private func report(
        _ revision: LiveConfiguration.Revision, _ status: ReloadStatus, isRefused: Bool, _ work: inout Work
    ) {
        for diagnostic in revision.diagnostics
        where status.cause != .watch || !work.reported.contains(diagnostic) {
            let text: Logger.Message = "\(diagnostic.position): \(diagnostic.text)"
            if diagnostic.severity == .error { logger.error(text) } else { logger.warning(text) }
        }
        let isNews = Set(revision.diagnostics) != work.reported || status.cause != .watch
        work.reported = Set(revision.diagnostics)
        guard status.outcome != .failed else {
            // What cannot be listened on was said already.
            if !isRefused {
                logger.error("the machine's file has errors; the old configuration stays in service")
            }
            return
        }
        if isNews {
            for tenant in status.tenants where tenant.service != .current {
                let text: Logger.Message =
                    tenant.service == .lastGood
                    ? "a tenant's file has errors; its last good version serves"
                    : "a tenant is not served: its file has errors"
                logger.error(text, metadata: ["tenant": "\(tenant.id)"])
            }
        }
        // A look that found nothing new is no news.
        let isQuiet = status.cause == .watch && status.outcome == .unchanged && !isNews
        logger.log(
            level: isQuiet ? .debug : .info, "configuration loaded again",
            metadata: [
                "cause": "\(status.cause.rawValue)", "sites": "\(status.sites)",
                "changed": "\(status.changedSites)", "ms": "\(status.durationMilliseconds)",
            ])
    }

    /// Where the first versions wait, what has changed since waits with them.
    private static func isStoreDueSoon(_ work: borrowing Work) -> Bool {
        guard let due = work.persistAgainAt else { return false }
        return due - Clock.monotonicMilliseconds() <= firstStoreMilliseconds
    }

    private func persist(_ work: inout Work, atMost limit: Int = Reloader.keptAtOnce) {
        let kept = work.live.persist(atMost: limit)
        let pause: Int64? =
            kept.isUnfinished ? Self.storeMilliseconds : kept.hasFailures ? Self.failedStoreMilliseconds : nil
        work.persistAgainAt = pause.map { Clock.monotonicMilliseconds() + $0 }
        if kept.hasFoundMore { work.needsLook = true }
        for report in kept.news { logger.warning("\(report)") }
        state.withLock { $0.status.store = kept.reports }
    }
}

/// The value that a variable had, which has another now.
private func exchange<Value>(_ variable: inout Value, with new: Value) -> Value {
    defer { variable = new }
    return variable
}
