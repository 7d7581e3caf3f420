internal import Glibc

/// The configuration of a gateway that runs: read again and again, each tenant's file as a transaction of its own.
///
/// ```
/// machine's file ─ decode ─▶ bad: all goes on as before
/// tenant's files ─ changed? ─ decode ─▶ good: candidate ─┐
///                   │ no: as it was      bad: last good ─┴▶ hosts ─▶ taken: last good ─▶ sites
/// ```
/// What is the same as before stays the same object (`SharedSite`), so that who serves it can tell. It reads disks, so
/// it belongs on a thread that may block; it is not thread-safe.
package final class LiveConfiguration {
    /// What a reading gave.
    package struct Revision: Sendable {
        /// What to serve; nil: what was served before, since the machine's file cannot be used.
        package var configuration: MachineConfiguration?
        /// What is wrong with the files that were read this time, and with those that were bad before.
        package var diagnostics: [Diagnostic]
        package var status: ReloadStatus
        /// A file was being written, so that it was left as it was: another look is due soon.
        package var isUnsettled = false
    }

    struct Tenant {
        var file: MachineLoad.TenantFile
        /// Of the last decoding.
        var key: TenantKey?
        var candidate: TenantVersion?
        var served: TenantVersion?
        /// Of the last decoding.
        var diagnostics: [Diagnostic] = []
        /// Of the last look at the hosts.
        var conflicts: [Diagnostic] = []
        /// Why the last good version does not serve either.
        var lastGoodErrors: [Diagnostic] = []
        var servedSince: Int64 = 0
        var readAt: Int64 = 0
        /// How often in a row the file was empty and just changed.
        var emptyLooks = 0
    }

    /// How often a file that is empty is left as it was: then it is meant to be empty, or the clock is wrong.
    static let emptyLooksMax = 5

    private let machineFile: String
    private let fileSystem: any ConfigurationFileSystem
    private let environment: @Sendable (String) -> String?
    private let limits: ConfigurationLimits
    private let clock: () -> Int64
    private let pause: () -> Void
    private let digests: FileDigests
    private var tenants: [String: Tenant] = [:]
    /// Ids in the order of the files.
    private var order: [String] = []
    /// What the machine's file and its own sites made the last reading look at.
    private var machineReferences: [Dependency] = []
    private var machineSites: [SharedSite] = []
    private var configuration: MachineConfiguration?
    private var rails = GuardRails()
    /// Who owns which host, from the store at first.
    private var remembered: [HostOwners.Claim: String] = [:]
    private var index = LastGoodStore.Index()
    private var store: LastGoodStore?
    /// Held for as long as this process is the one that writes to the store.
    private var lock: LastGoodStore.Lock?
    private let storeDirectory: String?
    private var status = ReloadStatus()
    /// The last configuration was not taken up, so that the next one is news even where it is the same.
    private var isUnapplied = false

    /// - Parameters:
    ///   - machineFile: as messages show it.
    ///   - storeDirectory: where last good versions are kept if the machine's file has no `data`; nil: nowhere.
    ///   - clock: milliseconds since 1970.
    ///   - pause: called between tenants, wherever there may be thousands of them, so that others have their turn.
    package init(
        machineFile: String, fileSystem: any ConfigurationFileSystem = SystemFileSystem(),
        environment: @escaping @Sendable (String) -> String? = { name in
            getenv(name).map { String(cString: $0) }
        },
        limits: ConfigurationLimits = ConfigurationLimits(), storeDirectory: String? = nil,
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
        let session = LoadSession(fileSystem: fileSystem, environment: environment, limits: limits)
        status.reloads += 1
        status.cause = cause
        guard let (machine, context, diagnostics) = readMachine(session) else {
            return failed(unreadable: session, began: began)
        }
        let files = machine.tenantFiles(known: tenants.values.lazy.map(\.file.path), pause: pause)
        guard !machine.decoder.hasErrors else {
            return failed(machine.decoder.sortedDiagnostics, began: began)
        }
        if status.reloads == 1 || configuration == nil { openStore(machine.configuration.dataDirectory) }
        var round = Round(machine: machine, context: context, session: session)
        read(files, &round)
        settleHosts(&round)
        let revision = publish(&round, began: began, warnings: diagnostics)
        return revision
    }

    /// What one reading works with.
    struct Round {
        let machine: MachineLoad
        let context: ContentDigest
        let session: LoadSession
        var tenants: [String: Tenant] = [:]
        var order: [String] = []
        /// Errors that belong to no tenant's version: a second file with the same stem.
        var extra: [Diagnostic] = []
        /// What each tenant is to serve, before and after the look at the hosts.
        var wanted: [String: TenantVersion] = [:]
        var isUnsettled = false
    }

    private func readMachine(
        _ session: LoadSession
    ) -> (machine: MachineLoad, context: ContentDigest, warnings: [Diagnostic])? {
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
        return (machine, context, machine.decoder.sortedDiagnostics)
    }

    private func openStore(_ dataDirectory: String?) {
        guard let directory = dataDirectory ?? storeDirectory else { return }
        let store = LastGoodStore(directory: directory + "/tenants")
        self.store = store
        index = store.index()
        for (id, entry) in index.entries {
            for claim in entry.claims { remembered[claim] = id }
        }
    }

    // MARK: - Tenants

    private func read(_ files: [MachineLoad.TenantFile], _ round: inout Round) {
        let dotted = DottedIDs(files.map(\.id))
        for file in chosen(files, &round) {
            pause()
            var tenant = tenants[file.id] ?? Tenant(file: file)
            tenant.file = file
            tenant.conflicts = []
            tenant.lastGoodErrors = []
            let others = dotted.below(file.id)
            if tenant.served != nil, isBeingWritten(file.path), tenant.emptyLooks < Self.emptyLooksMax {
                tenant.emptyLooks += 1
                round.isUnsettled = true
            } else if !isUnchanged(tenant, others, round) {
                decode(&tenant, others, round)
            }
            round.order.append(file.id)
            round.wanted[file.id] = tenant.candidate ?? fallback(&tenant, round)
            round.tenants[file.id] = tenant
        }
    }

    /// Of files with one stem the one that serves already, else the first.
    private func chosen(_ files: [MachineLoad.TenantFile], _ round: inout Round) -> [MachineLoad.TenantFile] {
        var byID: [String: Int] = [:]
        var chosen: [MachineLoad.TenantFile] = []
        for file in files {
            guard let place = byID[file.id] else {
                byID[file.id] = chosen.count
                chosen.append(file)
                continue
            }
            let first = chosen[place]
            let takesOver = tenants[file.id]?.file.path == file.path
            if takesOver { chosen[place] = file }
            let (kept, refused) = takesOver ? (file, first) : (first, file)
            round.extra.append(
                Diagnostic(
                    .error, at: SourcePosition(file: refused.name, line: 1, column: 1),
                    "a tenant's id is its file's stem, and \"\(file.id)\" is another file's already",
                    other: SourcePosition(file: kept.name, line: 1, column: 1)))
        }
        return chosen
    }

    /// A file that is empty, and was not a moment ago, is one that somebody is about to fill.
    private func isBeingWritten(_ path: String) -> Bool {
        guard let stamp = fileSystem.stamp(of: path) else { return false }
        return stamp.size == 0 && !stamp.isSettled
    }

    private func isUnchanged(_ tenant: Tenant, _ others: [String], _ round: Round) -> Bool {
        guard let key = tenant.key, key.path == tenant.file.path, key.context == round.context,
            key.others == others, digests.digest(key.path, atMost: limits.fileBytes) == key.content
        else { return false }
        return key.references.allSatisfy { reference, digest in self.digest(of: reference, round) == digest }
    }

    private func digest(of reference: Dependency, _ round: Round) -> ContentDigest {
        switch reference {
        case .file(let path): digests.digest(path, atMost: limits.referencedFileBytes)
        case .kind(let path): ContentDigest(fileSystem.kind(of: path)?.rawValue ?? "")
        case .place(let path): ContentDigest(round.session.realPath(of: path) ?? "")
        case .environment(let name): ContentDigest(environment(name).map { "=" + $0 } ?? "")
        }
    }

    private func decode(_ tenant: inout Tenant, _ others: [String], _ round: Round) {
        let file = tenant.file
        let (result, digest) = digests.content(file.path, atMost: limits.fileBytes)
        tenant.key = TenantKey(path: file.path, content: digest, context: round.context, others: others)
        tenant.readAt = clock()
        tenant.emptyLooks = 0
        tenant.diagnostics = []
        let bytes: [UInt8]
        switch result {
        case .success(let content): bytes = content
        case .failure(let failure):
            tenant.diagnostics = [ConfigurationLoader.unreadable(file.name, failure)]
            tenant.candidate = nil
            return
        }
        let bundle = TenantBundle(name: file.name, path: file.path, source: bytes)
        let decoded = decode(bundle, of: tenant, others, round, session: round.session)
        tenant.key?.references = round.session.recorded().references
        tenant.diagnostics = decoded.diagnostics
        tenant.candidate = decoded.version
    }

    private func decode(
        _ bundle: TenantBundle, of tenant: Tenant, _ others: [String], _ round: Round, session: LoadSession
    ) -> (version: TenantVersion?, diagnostics: [Diagnostic], isDenied: Bool) {
        session.beginRecording()
        let source = session.source(bundle.name, path: bundle.path, bytes: bundle.source)
        let load = TenantLoad(
            source, id: tenant.file.id, machine: round.machine, others: others, session: session)
        guard !load.decoder.hasErrors else {
            return (nil, load.decoder.sortedDiagnostics, load.decoder.denials > 0)
        }
        var bundle = bundle
        let record = session.recorded()
        bundle.contents = record.contents
        bundle.kinds = record.kinds
        let identity = SiteIdentity((tenant.served ?? tenant.candidate)?.sites ?? [])
        let version = TenantVersion(bundle, sites: load.sites.map(identity.shared), context: round.context)
        return (version, load.decoder.sortedDiagnostics, false)
    }

    /// What serves in the place of a file that cannot: what served before, decoded anew where the machine's file is
    /// another, since that one's guard rails bind old versions too.
    private func fallback(_ tenant: inout Tenant, _ round: Round) -> TenantVersion? {
        if let served = tenant.served, served.context == round.context { return served }
        guard let bundle = tenant.served?.bundle ?? store?.bundle(of: tenant.file.id) else {
            return tenant.served
        }
        let session = LoadSession(
            fileSystem: BundleFileSystem(bundle: bundle, disk: fileSystem), environment: environment,
            limits: limits)
        let decoded = decode(bundle, of: tenant, tenant.key?.others ?? [], round, session: session)
        if let version = decoded.version { return version }
        tenant.lastGoodErrors = decoded.diagnostics.filter { $0.severity == .error }
        return decoded.isDenied ? nil : tenant.served
    }

    // MARK: - Hosts

    /// Refuses versions that claim hosts of others, until nobody does.
    private func settleHosts(_ round: inout Round) {
        guard !claimsAreAsBefore(round) else { return }
        // Each time somebody goes back to an older version or to none, so this ends.
        for _ in 0...(2 * round.order.count) {
            var owners = HostOwners(rails: round.machine.rails)
            _ = owners.claim(round.machine.sites, of: "")
            for id in round.order {
                pause()
                guard let version = round.wanted[id] else { continue }
                owners.take(version.sites.map(\.site), of: id) { remembered[$0] == id }
            }
            let isSettled = refuseConflicts(&round, &owners)
            if isSettled {
                remembered = [:]
                for (claim, owner) in owners.owners where !owner.id.isEmpty {
                    pause()
                    remembered[claim] = owner.id
                }
                return
            }
        }
    }

    /// Whether nothing has changed that decides who has which host.
    private func claimsAreAsBefore(_ round: Round) -> Bool {
        guard configuration != nil, round.machine.rails == rails, round.order == order,
            round.machine.sites == machineSites.map(\.site)
        else { return false }
        return round.order.allSatisfy { id in
            pause()
            guard let old = tenants[id], old.conflicts.isEmpty else { return false }
            return old.served?.claims == round.wanted[id]?.claims
        }
    }

    private func refuseConflicts(_ round: inout Round, _ owners: inout HostOwners) -> Bool {
        var isSettled = true
        for id in round.order {
            pause()
            guard let version = round.wanted[id], var tenant = round.tenants[id] else { continue }
            let sites = version.sites.map(\.site)
            let conflicts = owners.conflicts(of: sites, id: id) { remembered[$0] == id }
            if conflicts.isEmpty {
                owners.take(sites, of: id) { _ in true }
                continue
            }
            isSettled = false
            let isCandidate = version === tenant.candidate
            let text = isCandidate ? version.bundle.source : []
            tenant.conflicts += conflicts.map { Self.diagnostic($0, text) }
            let older = isCandidate ? fallback(&tenant, round) : nil
            round.wanted[id] = older === version ? nil : older
            round.tenants[id] = tenant
        }
        return isSettled
    }

    private static func diagnostic(_ conflict: HostOwners.Conflict, _ text: [UInt8]) -> Diagnostic {
        let source = SourceFile(name: conflict.position.file, directory: "/", bytes: text)
        return Diagnostic(
            .error, at: conflict.position, conflict.message, other: conflict.other,
            sourceLine: text.isEmpty ? nil : source.line(conflict.position.line), length: 4)
    }

    // MARK: - The outcome

    private func publish(_ round: inout Round, began: Int64, warnings: [Diagnostic]) -> Revision {
        let now = clock()
        let identity = SiteIdentity(machineSites)
        machineSites = round.machine.sites.map(identity.shared)
        var next = round.machine.configuration
        next.sites = machineSites
        next.files = [FilePath.resolve(machineFile, in: fileSystem.currentDirectory)]
        for id in round.order {
            pause()
            guard var tenant = round.tenants[id] else { continue }
            let version = round.wanted[id]
            if tenant.served !== version { tenant.servedSince = version == nil ? 0 : now }
            tenant.served = version
            round.tenants[id] = tenant
            guard let version else { continue }
            next.sites += version.sites
            next.files.append(version.bundle.path)
            if !version.bundle.contents.isEmpty { next.files += version.bundle.contents.keys.sorted() }
        }
        forgetFiles(round)
        tenants = round.tenants
        order = round.order
        rails = round.machine.rails
        round.machine.warnOfUnusedNames(Set(next.sites.flatMap(\.site.on)))
        let diagnostics = round.machine.decoder.sortedDiagnostics + round.extra + tenantDiagnostics()
        next.warnings = diagnostics.filter { $0.severity == .warning }
        note(next, began: began)
        configuration = next
        return Revision(
            configuration: next, diagnostics: diagnostics, status: status, isUnsettled: round.isUnsettled)
    }

    private func forgetFiles(_ round: Round) {
        guard round.order.count < tenants.count else { return }
        var wanted: Set<String> = []
        for tenant in round.tenants.values {
            pause()
            wanted.insert(tenant.file.path)
            for case .file(let path) in (tenant.key?.references ?? [:]).keys { wanted.insert(path) }
        }
        digests.keep(wanted.contains)
    }

    private func tenantDiagnostics() -> [Diagnostic] {
        order.flatMap { id -> [Diagnostic] in
            pause()
            guard let tenant = tenants[id] else { return [] }
            return tenant.diagnostics + tenant.conflicts + tenant.lastGoodErrors
        }
    }

    private func note(_ next: MachineConfiguration, began: Int64) {
        let changed = changedSites(from: configuration?.sites ?? [], to: next.sites)
        var (old, new) = (configuration ?? MachineConfiguration(), next)
        for path in [\MachineConfiguration.files] { (old[keyPath: path], new[keyPath: path]) = ([], []) }
        (old.sites, new.sites, old.warnings, new.warnings) = ([], [], [], [])
        let isNews = changed > 0 || old != new || configuration == nil || isUnapplied
        isUnapplied = false
        status.outcome = isNews ? .applied : .unchanged
        status.changedSites = changed
        status.sites = next.sites.count { !$0.site.isTelemetry }
        status.machineErrors = []
        status.finishedAt = clock()
        status.succeededAt = status.finishedAt
        status.durationMilliseconds = status.finishedAt - began
        status.tenants = order.sorted().compactMap { id in
            pause()
            return tenants[id].map(Self.status)
        }
    }

    private static func status(_ tenant: Tenant) -> TenantStatus {
        let isCurrent = tenant.served != nil && tenant.served === tenant.candidate
        let errors = (tenant.diagnostics + tenant.conflicts + tenant.lastGoodErrors).filter {
            $0.severity == .error
        }
        return TenantStatus(
            id: tenant.file.id, file: tenant.file.name,
            service: tenant.served == nil ? .none : isCurrent ? .current : .lastGood,
            servedSince: tenant.servedSince, readAt: tenant.readAt, errors: isCurrent ? [] : errors)
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

    /// The gateway could not take up what the last reading gave, and goes on as before.
    package func refused(_ reason: String) -> ReloadStatus {
        isUnapplied = true
        status.outcome = .failed
        status.changedSites = 0
        let position = SourcePosition(file: machineFile, line: 1, column: 1)
        status.machineErrors = [Diagnostic(.error, at: position, reason)]
        return status
    }

    private func failed(unreadable session: LoadSession, began: Int64) -> Revision {
        var failure = FileFailure.missing
        do throws(FileFailure) { _ = try session.source(machineFile) } catch { failure = error }
        return failed([ConfigurationLoader.unreadable(machineFile, failure)], began: began)
    }

    private func failed(_ diagnostics: [Diagnostic], began: Int64) -> Revision {
        status.outcome = .failed
        status.changedSites = 0
        status.machineErrors = diagnostics.filter { $0.severity == .error }
        status.finishedAt = clock()
        status.durationMilliseconds = status.finishedAt - began
        return Revision(configuration: nil, diagnostics: diagnostics, status: status)
    }

    // MARK: - Keeping

    /// Where last good versions are kept; nil: nowhere. Known after the first reading.
    package var keepsLastGoodIn: String? { store?.directory }

    /// Writes to the store what has changed since the last time. Meant for after the workers have been told.
    /// - Returns: false where another process has the store: this one is to try again.
    /// - Throws: the first file that could not be written; the rest is tried again the next time.
    package func persist() throws(LastGoodStore.Failure) -> Bool {
        guard let store else { return true }
        if lock == nil {
            try store.prepare()
            guard let taken = try store.lock() else { return false }
            lock = taken
            // Whoever had it may have written since the start.
            index = store.index(pause: pause)
        }
        try persist(in: store)
        return true
    }

    /// Writes no more, so that another process can.
    package func leaveStore() {
        lock = nil
        store = nil
    }

    private func persist(in store: LastGoodStore) throws(LastGoodStore.Failure) {
        var next = LastGoodStore.Index()
        var isPrepared = false
        for id in order {
            pause()
            guard let tenant = tenants[id] else { continue }
            let known = index.entries[id]
            guard let served = tenant.served else {
                next.entries[id] = known
                continue
            }
            // What stands in the index for it was good once, and is all there is where this version came from it.
            if known?.digest != served.digest {
                if !isPrepared { try store.prepare() }
                isPrepared = true
                try store.write(served.bundle, of: id)
            }
            next.entries[id] = LastGoodStore.Index.Entry(digest: served.digest, claims: served.claims)
        }
        guard next != index else { return }
        try store.write(next, pause: pause)
        for id in index.entries.keys where next.entries[id] == nil { store.remove(id) }
        index = next
    }

    /// See `MachineConfiguration.watchedPatterns`.
    package var watchedPatterns: [String] { configuration?.watchedPatterns ?? [] }

    /// The paths whose change can change the configuration, beside those that `watchedPatterns` name, by what they are
    /// worth: the machine's file and what its own sites refer to, then the files that tenants refer to, then their
    /// directories.
    package var watchedFiles: [String] {
        var files = [FilePath.resolve(machineFile, in: fileSystem.currentDirectory)]
        var places: [String] = []
        for reference in machineReferences { if let path = reference.path { files.append(path) } }
        for id in order {
            pause()
            for reference in (tenants[id]?.key?.references ?? [:]).keys {
                switch reference {
                case .file(let path): files.append(path)
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
        order.compactMap { id in
            guard let tenant = tenants[id], let bundle = tenant.served?.bundle else { return nil }
            return TenantSource(id: id, file: tenant.file.name, text: bundle.source)
        }
    }
}

/// The text of a tenant's file in some version.
package struct TenantSource: Sendable, Equatable {
    package var id: String
    /// As messages show it.
    package var file: String
    package var text: [UInt8]

    package init(id: String, file: String, text: [UInt8]) {
        self.id = id
        self.file = file
        self.text = text
    }
}
