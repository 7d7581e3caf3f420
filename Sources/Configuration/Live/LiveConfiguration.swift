internal import Glibc

/// The configuration of a gateway that runs: read again and again, each tenant's file as a transaction of its own.
///
/// ```
/// machine's file ─ decode ─▶ bad: all goes on as before
/// tenant's files ─ changed? ─ decode ─▶ good: candidate ─┐
///                   │ no: as it was      bad: last good ─┴▶ hosts ─▶ taken: last good ─▶ sites
///
/// load ─▶ prepared ─┬─ commit ──▶ world ─▶ persist
///                   └─ refused ─▶ forgotten, the world is as it was
/// ```
/// What is the same as before stays the same object (`SharedSite`), so that who serves it can tell. What a reading gave
/// counts once it is served, and not before: `diff`, `status` and the store know what serves alone. It reads disks, so
/// it belongs on a thread that may block; it is not thread-safe.
package final class LiveConfiguration {
    /// What a reading gave.
    package struct Revision: Sendable {
        /// What to serve; nil: what was served before, since the machine's file cannot be used. Whoever takes it up says
        /// so with `commit()`, and who cannot with `refused(_:)`.
        package var configuration: MachineConfiguration?
        /// What is wrong with the files that were read this time, and with those that were bad before.
        package var diagnostics: [Diagnostic]
        /// As it is once the configuration serves.
        package var status: ReloadStatus
        /// A file was being written, so that it was left as it was: another look is due soon.
        package var isUnsettled = false
    }

    /// All that one reading decides.
    struct World {
        var tenants: [String: Tenant] = [:]
        /// Ids in the order of the files.
        var order: [String] = []
        var machineSites: [SharedSite] = []
        var configuration: MachineConfiguration?
        var rails = GuardRails()
        /// Who owns which host, from the store at first.
        var remembered: [HostOwners.Claim: String] = [:]
        var status = ReloadStatus()
    }

    private let machineFile: String
    let fileSystem: any ConfigurationFileSystem
    let environment: @Sendable (String) -> String?
    let limits: ConfigurationLimits
    let clock: () -> Int64
    let pause: () -> Void
    let digests: FileDigests
    /// What serves.
    private(set) var world = World()
    /// What the last reading gave, until it serves or is refused.
    private var prepared: World?
    /// Nil: nothing is kept.
    private(set) var keeper: VersionKeeper?
    private let storeDirectory: String?
    private let servesAs: UserName?
    private var reloads = 0
    /// What the machine's file and its own sites made the last reading look at.
    private var machineReferences: [Dependency] = []
    /// How often a file that is empty is left as it was: then it is meant to be empty, or the clock is wrong.
    static let emptyLooksMax = 5

    /// - Parameters:
    ///   - machineFile: as messages show it.
    ///   - storeDirectory: where last good versions are kept if the machine's file has no `data`; nil: nowhere.
    ///   - servesAs: who serves, whatever the machine's file says.
    ///   - clock: milliseconds since 1970.
    ///   - pause: called between tenants, wherever there may be thousands of them, so that others have their turn.
    package init(
        machineFile: String, fileSystem: any ConfigurationFileSystem = SystemFileSystem(),
        environment: @escaping @Sendable (String) -> String? = { name in
            getenv(name).map { String(cString: $0) }
        },
        limits: ConfigurationLimits = ConfigurationLimits(), storeDirectory: String? = nil,
        servesAs: UserName? = nil,
        clock: @escaping () -> Int64 = LiveConfiguration.wallMilliseconds,
        pause: @escaping () -> Void = {}
    ) {
        self.pause = pause
        self.machineFile = machineFile
        self.fileSystem = fileSystem
        self.environment = environment
        self.limits = limits
        self.storeDirectory = storeDirectory
        self.clock = clock
        self.servesAs = servesAs
        digests = FileDigests(fileSystem)
    }

    package static func wallMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }

    // MARK: - Reading

    /// Reads what has changed.
    package func load(_ cause: ReloadStatus.Cause) -> Revision {
        let began = clock()
        prepared = nil
        reloads += 1
        let session = LoadSession(fileSystem: fileSystem, environment: environment, limits: limits)
        session.servesAs = servesAs
        guard let (machine, context) = readMachine(session) else {
            return failed(unreadable: session, cause, began: began)
        }
        let files = machine.tenantFiles(known: world.tenants.values.lazy.map(\.file.path), pause: pause)
        guard !machine.decoder.hasErrors else {
            return failed(machine.decoder.sortedDiagnostics, cause, began: began)
        }
        if reloads == 1 || world.configuration == nil { openStore(machine.configuration.dataDirectory) }
        var round = Round(
            machine: machine, context: context, session: session, cause: cause, began: began,
            remembered: world.remembered)
        read(TenantFiles(files, on: fileSystem, known: knownFile), &round)
        settleHosts(&round)
        return prepare(&round)
    }

    /// What one reading works with.
    struct Round {
        let machine: MachineLoad
        /// Of the machine's file and what that refers to.
        let context: ContentDigest
        let session: LoadSession
        let cause: ReloadStatus.Cause
        let began: Int64
        var tenants: [String: Tenant] = [:]
        var order: [String] = []
        /// Errors that belong to no tenant: of a second file with the same stem.
        var refusals: [Diagnostic] = []
        /// What each tenant is to serve, before and after the look at the hosts.
        var wanted: [String: TenantVersion] = [:]
        var remembered: [HostOwners.Claim: String]
        var isUnsettled = false
    }

    private func readMachine(
        _ session: LoadSession
    ) -> (machine: MachineLoad, context: ContentDigest)? {
        guard let source = try? session.source(machineFile) else { return nil }
        session.beginRecording()
        let machine = MachineLoad(
            session, FileDecoder(source, owner: "", session: session, machine: nil))
        var context = ContentDigest(source.bytes)
        machineReferences = Array(session.recorded().references.keys)
        for (reference, digest) in session.recorded().references.sorted(by: { "\($0.key)" < "\($1.key)" }) {
            context.take(ContentDigest("\(reference)"))
            context.take(digest)
        }
        return (machine, context)
    }

    private func openStore(_ dataDirectory: String?) {
        guard let directory = dataDirectory ?? storeDirectory else { return }
        let keeper = VersionKeeper(LastGoodStore(directory: directory + "/tenants"))
        self.keeper = keeper
        rememberOwners(keeper)
    }

    /// Who owned which host at the last end, as far as nobody owns it now.
    private func rememberOwners(_ keeper: VersionKeeper) {
        for (id, entry) in keeper.index.entries {
            for claim in entry.claims where world.remembered[claim] == nil { world.remembered[claim] = id }
        }
    }

    /// The file that is a tenant's already.
    private func knownFile(_ id: String) -> String? {
        world.tenants[id]?.file.path ?? keeper?.index.entries[id]?.path
    }

    // MARK: - The outcome

    private func prepare(_ round: inout Round) -> Revision {
        var next = World()
        let identity = SiteIdentity(world.machineSites)
        next.machineSites = round.machine.sites.map(identity.shared)
        var configuration = round.machine.configuration
        configuration.sites = next.machineSites
        configuration.files = [FilePath.resolve(machineFile, in: fileSystem.currentDirectory)]
        let now = clock()
        for id in round.order {
            pause()
            guard var tenant = round.tenants[id] else { continue }
            let version = round.wanted[id]
            if tenant.served !== version { tenant.servedSince = version == nil ? 0 : now }
            tenant.served = version
            next.tenants[id] = tenant
            guard let version else { continue }
            configuration.sites += version.sites
            configuration.files.append(version.bundle.path)
            if !version.bundle.contents.isEmpty {
                configuration.files += version.bundle.contents.keys.sorted()
            }
        }
        next.order = round.order
        next.rails = round.machine.rails
        next.remembered = round.remembered
        round.machine.warnOfIdleListeners(configuration.sites)
        round.machine.checkSessionListeners(
            configuration.sites.lazy.map(\.site), known: Set(round.order),
            broken: Set(round.order.filter { round.wanted[$0] == nil }))
        let diagnostics =
            round.machine.decoder.sortedDiagnostics + round.refusals + tenantDiagnostics(next)
        configuration.warnings = diagnostics.filter { $0.severity == .warning }
        next.configuration = configuration
        next.status = status(of: next, configuration, round)
        prepared = next
        return Revision(
            configuration: configuration, diagnostics: diagnostics, status: next.status,
            isUnsettled: round.isUnsettled)
    }

    private func tenantDiagnostics(_ next: World) -> [Diagnostic] {
        next.order.flatMap { id -> [Diagnostic] in
            pause()
            return next.tenants[id]?.allDiagnostics ?? []
        }
    }

    private func status(
        of next: World, _ configuration: MachineConfiguration, _ round: Round
    ) -> ReloadStatus {
        let changed = changedSites(from: world.configuration?.sites ?? [], to: configuration.sites)
        var (old, new) = (world.configuration ?? MachineConfiguration(), configuration)
        (old.files, new.files) = ([], [])
        (old.sites, new.sites, old.warnings, new.warnings) = ([], [], [], [])
        let isNews = changed > 0 || old != new || world.configuration == nil
        var status = ReloadStatus()
        status.reloads = reloads
        status.cause = round.cause
        status.outcome = isNews ? .applied : .unchanged
        status.changedSites = changed
        status.sites = configuration.sites.count { !$0.site.isTelemetry }
        status.finishedAt = clock()
        status.succeededAt = status.finishedAt
        status.durationMilliseconds = status.finishedAt - round.began
        status.tenants = next.order.sorted().compactMap { id in
            pause()
            return next.tenants[id]?.status
        }
        status.refusedFiles = round.refusals
        status.store = keeper?.reports ?? []
        return status
    }

    private func changedSites(from old: [SharedSite], to new: [SharedSite]) -> Int {
        struct Name: Hashable {
            var tenant: String
            var name: String
        }
        func identities(_ sites: [SharedSite]) -> Set<ObjectIdentifier> {
            var found = Set<ObjectIdentifier>(minimumCapacity: sites.count)
            for site in sites {
                pause()
                found.insert(ObjectIdentifier(site))
            }
            return found
        }
        let (before, after) = (identities(old), identities(new))
        let fresh = new.filter { !before.contains(ObjectIdentifier($0)) }
        let freshNames = Set(fresh.map { Name(tenant: $0.site.tenant, name: $0.site.name) })
        let gone = old.filter {
            !after.contains(ObjectIdentifier($0))
                && !freshNames.contains(Name(tenant: $0.site.tenant, name: $0.site.name))
        }
        return fresh.count + gone.count
    }

    /// What the last reading gave serves now.
    package func commit() {
        guard let next = prepared else { return }
        prepared = nil
        world = next
        forgetFiles()
    }

    /// The gateway could not take up what the last reading gave, and goes on as before: so does all that is known here.
    package func refused(_ reason: String) -> ReloadStatus {
        let cause = prepared?.status.cause ?? world.status.cause
        let began = prepared.map { $0.status.finishedAt - $0.status.durationMilliseconds }
        prepared = nil
        let position = SourcePosition(file: machineFile, line: 1, column: 1)
        return note([Diagnostic(.error, at: position, reason)], cause, began: began ?? clock())
    }

    private func failed(
        unreadable session: LoadSession, _ cause: ReloadStatus.Cause, began: Int64
    ) -> Revision {
        var failure = FileFailure.missing
        do throws(FileFailure) { _ = try session.source(machineFile) } catch { failure = error }
        return failed([ConfigurationLoader.unreadable(machineFile, failure)], cause, began: began)
    }

    private func failed(
        _ diagnostics: [Diagnostic], _ cause: ReloadStatus.Cause, began: Int64
    ) -> Revision {
        let status = note(diagnostics.filter { $0.severity == .error }, cause, began: began)
        return Revision(configuration: nil, diagnostics: diagnostics, status: status)
    }

    /// What serves is as it was.
    private func note(
        _ errors: [Diagnostic], _ cause: ReloadStatus.Cause, began: Int64
    ) -> ReloadStatus {
        world.status.reloads = reloads
        world.status.cause = cause
        world.status.outcome = .failed
        world.status.changedSites = 0
        world.status.machineErrors = errors
        world.status.finishedAt = clock()
        world.status.durationMilliseconds = world.status.finishedAt - began
        return world.status
    }

    /// Frees what is known of files that no tenant names any more.
    private func forgetFiles() {
        var named = 0
        for tenant in world.tenants.values {
            pause()
            named += tenant.namedFiles
        }
        guard digests.count > named else { return }
        var wanted: Set<String> = []
        for tenant in world.tenants.values {
            pause()
            wanted.insert(tenant.file.path)
            for case .file(let path) in (tenant.decoding?.key.references ?? [:]).keys { wanted.insert(path) }
        }
        digests.keep(wanted.contains)
    }

    // MARK: - Keeping

    /// Where last good versions are kept; nil: nowhere. Known after the first reading.
    package var keepsLastGoodIn: String? { keeper?.store.directory }

    /// Writes to the store what has changed since the last time. Meant for after the workers have been told.
    ///
    /// - Parameter limit: versions that are written in one go.
    package func persist(atMost limit: Int = .max) -> StoreOutcome {
        guard let keeper else { return StoreOutcome() }
        let kept = world.order.compactMap { id in
            world.tenants[id].map { VersionKeeper.Kept(id: id, path: $0.file.path, version: $0.served) }
        }
        let outcome = keeper.keep(kept, atMost: limit, pause: pause)
        if outcome.hasFoundMore { rememberOwners(keeper) }
        world.status.store = outcome.reports
        return outcome
    }

    /// Writes no more, so that another process can.
    package func leaveStore() { keeper = nil }

    // MARK: - What serves

    /// See `MachineConfiguration.watchedPatterns`.
    package var watchedPatterns: [String] { world.configuration?.watchedPatterns ?? [] }

    /// See `MachineConfiguration.isWatched`.
    package var isWatched: Bool { world.configuration?.isWatched ?? false }

    /// The paths whose change can change the configuration, beside those that `watchedPatterns` name, by what they are
    /// worth: the machine's file and what its own sites refer to, then the files that tenants refer to, then their
    /// directories. What somebody else watches is not among them.
    package var watchedFiles: [String] {
        var files = [FilePath.resolve(machineFile, in: fileSystem.currentDirectory)]
        var places: [String] = []
        for reference in machineReferences {
            if let path = reference.path, !fileSystem.isWatchedByOthers(path) { files.append(path) }
        }
        for id in world.order {
            pause()
            for reference in (world.tenants[id]?.decoding?.key.references ?? [:]).keys {
                switch reference {
                case .file(let path), .refused(let path):
                    if !fileSystem.isWatchedByOthers(path) { files.append(path) }
                case .kind(let path), .place(let path): places.append(path)
                case .environment: break
                }
            }
        }
        return files + places
    }

    /// See `init`.
    package func pauseForOthers() { pause() }

    /// The text of each version that serves, by id.
    package func runningSources() -> [TenantSource] {
        world.order.compactMap { id in
            guard let tenant = world.tenants[id], let bundle = tenant.served?.bundle else { return nil }
            return TenantSource(id: id, file: tenant.file.name, path: tenant.file.path, text: bundle.source)
        }
    }
}
