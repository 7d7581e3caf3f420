/// Keeps the versions that serve in a store, and knows what is wrong there.
///
/// ```
/// begin ─▶ index ─▶ claims, files          (damaged: put together from what is left; unreadable: looked at later)
/// keep  ─▶ lock ─▶ look at versions, some at a time ─▶ write what is new or damaged ─▶ write the index
/// ```
/// What fails for one tenant is that tenant's own matter: the others' versions and the index are written all the same.
final class VersionKeeper {
    /// One tenant's part of what is to be kept.
    struct Kept {
        var id: String
        /// The tenant's file, absolute.
        var path: String
        /// What serves; nil: nothing does, and what is in the store stays there.
        var version: TenantVersion?
    }

    let store: LastGoodStore
    private(set) var index: StoreIndex
    /// Held for as long as this process is the one that writes to the store.
    private var lock: LastGoodStore.Lock?
    /// The index on the disk is to be replaced, whatever it has.
    private var isStale = false
    /// Tenants whose version in the store was not looked at yet.
    private var unverified: [String] = []
    /// What was found to be damaged since the start and is written anew.
    private var damages: [StoreReport] = []
    /// What is damaged or gone, by tenant, until there is a version to write in its place.
    private var lost: [String: String] = [:]
    /// Why the index cannot be gone by: nothing is written until it can.
    private var unreadIndex: String?
    /// Versions that the disk does not give, by tenant, which may be as they were written.
    private var unread: [String: FileFailure] = [:]
    /// What could be read again since the last time.
    private var hasFoundMore = false
    /// Why nothing at all could be written the last time.
    private var fault: LastGoodStore.Failure?
    /// Versions that could not be written the last time they were tried, by tenant.
    private var refused: [String: LastGoodStore.Failure] = [:]
    private var told: Set<StoreReport> = []

    /// Versions that are looked at in one go.
    private static let verifiedAtOnce = 256
    /// Reports that are kept.
    private static let damagesMax = 1_000

    init(_ store: LastGoodStore) {
        self.store = store
        index = StoreIndex()
        readIndex()
    }

    /// What is wrong with the store now, and what was at the start.
    var reports: [StoreReport] {
        let open = lost.sorted { $0.key < $1.key }.prefix(Self.damagesMax).map { id, what in
            StoreReport(tenant: id, text: what + "; there is no other version to keep")
        }
        return damages + open + failures
    }

    /// What can be neither read nor written now.
    private var failures: [StoreReport] {
        var failures: [StoreReport] = []
        if let unreadIndex {
            failures.append(
                StoreReport(tenant: nil, text: unreadIndex + "; until it can be, nothing is kept"))
        }
        if let fault {
            failures.append(
                StoreReport(
                    tenant: nil,
                    text: "last good versions of tenants' files cannot be kept across a restart: \(fault)"))
        }
        for (id, failure) in unread.sorted(by: { $0.key < $1.key }).prefix(Self.damagesMax) {
            failures.append(StoreReport(tenant: id, text: "\(store.path(of: id)) \(failure.reason)"))
        }
        for (id, failure) in refused.sorted(by: { $0.key < $1.key }).prefix(Self.damagesMax) {
            failures.append(
                StoreReport(
                    tenant: id, text: "its last good version cannot be kept across a restart: \(failure)"))
        }
        return failures
    }

    private func readIndex() {
        let (index, state) = store.index()
        if case .unreadable(let why) = state {
            unreadIndex = why
            // What was read before is more than what can be read now.
            if self.index.entries.isEmpty { self.index = index }
            return
        }
        if unreadIndex != nil { hasFoundMore = true }
        unreadIndex = nil
        self.index = index
        guard state == .damaged else { return }
        isStale = true
        note(
            StoreReport(
                tenant: nil,
                text:
                    "\(store.directory)/index is damaged or gone; who owns which host is told by the versions beside it"
            ))
    }

    /// A version that somebody wanted cannot be read: another look is due.
    func lookAgain(at id: String, _ failure: FileFailure) { unread[id] = failure }

    private func note(_ report: StoreReport) {
        guard damages.count < Self.damagesMax, !damages.contains(report) else { return }
        damages.append(report)
    }

    /// - Parameters:
    ///   - limit: versions that are written in one go, so that who waits meanwhile waits not for long; the outcome says
    ///     where some are left.
    ///   - pause: called between tenants.
    func keep(_ tenants: [Kept], atMost limit: Int, pause: () -> Void) -> StoreOutcome {
        fault = nil
        do throws(LastGoodStore.Failure) {
            // Whoever had it may have written since the start.
            let isStart = lock == nil
            guard try takeLock() else { return outcome(isUnfinished: true) }
            if isStart || unreadIndex != nil { readStore() }
            guard unreadIndex == nil else { return outcome(isUnfinished: false) }
            verify(pause)
            let isWhole = try write(tenants, atMost: limit, pause)
            return outcome(isUnfinished: !(unverified.isEmpty && isWhole))
        } catch {
            fault = error
            return outcome(isUnfinished: false)
        }
    }

    private func outcome(isUnfinished: Bool) -> StoreOutcome {
        let reports = reports
        let news = reports.filter { !told.contains($0) }
        told = Set(reports)
        defer { hasFoundMore = false }
        return StoreOutcome(
            isUnfinished: isUnfinished,
            hasFailures: unreadIndex != nil || fault != nil || !unread.isEmpty || !refused.isEmpty,
            hasFoundMore: hasFoundMore, reports: reports, news: news)
    }

    /// - Returns: false where another process has it.
    private func takeLock() throws(LastGoodStore.Failure) -> Bool {
        if lock != nil { return true }
        try store.prepare()
        guard let taken = try store.lock() else { return false }
        lock = taken
        return true
    }

    private func readStore() {
        readIndex()
        unverified = index.entries.keys.sorted(by: >)
    }

    /// Looks whether the versions are what the index says.
    private func verify(_ pause: () -> Void) {
        if unverified.isEmpty, !unread.isEmpty { unverified = unread.keys.sorted(by: >) }
        for id in unverified.suffix(Self.verifiedAtOnce) {
            pause()
            unverified.removeLast()
            let wasUnread = unread.removeValue(forKey: id) != nil
            guard let digest = index.entries[id]?.digest else { continue }
            switch store.bundle(of: id) {
            case .unreadable(let failure): unread[id] = failure
            case .nothing: lose(id, "gone")
            case .damaged: lose(id, "damaged")
            case .whole(let bundle):
                if wasUnread { hasFoundMore = true }
                guard bundle.digest != digest else { continue }
                // Another one is newer than the index: the end came in between.
                index.entries[id]?.digest = bundle.digest
                isStale = true
            }
        }
    }

    private func lose(_ id: String, _ how: String) {
        index.entries[id]?.digest = nil
        lost[id] = "\(store.path(of: id)) is \(how)"
    }

    /// - Returns: false where more is to be written than the limit, beside what was refused already.
    private func write(
        _ tenants: [Kept], atMost limit: Int, _ pause: () -> Void
    ) throws(LastGoodStore.Failure) -> Bool {
        var (next, due) = planned(tenants, pause)
        if !refused.isEmpty {
            let wanted = Set(due.map(\.id))
            refused = refused.filter { wanted.contains($0.key) }
            // What may be refused again keeps nobody else waiting.
            due = due.filter { refused[$0.id] == nil } + due.filter { refused[$0.id] != nil }
        }
        let tried = due.prefix(limit)
        if !tried.isEmpty { try store.prepare() }
        let failed = store.write(tried.map { ($0.id, $0.version.bundle) }, pause: pause)
        // One that was refused is written now: the others may have their turn soon.
        if tried.contains(where: { refused[$0.id] != nil && failed[$0.id] == nil }) { refused = [:] }
        for (id, version) in tried {
            refused[id] = failed[id]
            guard failed[id] == nil else { continue }
            next.entries[id]?.digest = version.digest
            unread[id] = nil
            if let what = lost.removeValue(forKey: id) {
                note(StoreReport(tenant: id, text: what + "; it is written anew"))
            }
        }
        if !lost.isEmpty { lost = lost.filter { next.entries[$0.key] != nil } }
        try replaceIndex(by: next)
        return due.dropFirst(limit).allSatisfy { refused[$0.id] != nil }
    }

    /// The index that is to be, with the digests of what is in the store now, and what is to be written there.
    private func planned(
        _ tenants: [Kept], _ pause: () -> Void
    ) -> (next: StoreIndex, due: [(id: String, version: TenantVersion)]) {
        var next = StoreIndex()
        var due: [(id: String, version: TenantVersion)] = []
        // A host has one owner: who serves it, and not who had it before.
        var owned: Set<HostOwners.Claim> = []
        for tenant in tenants where tenant.version != nil {
            pause()
            owned.formUnion(tenant.version?.claims ?? [])
        }
        for tenant in tenants {
            pause()
            let known = index.entries[tenant.id]
            guard let version = tenant.version else {
                var kept = known
                kept?.claims.removeAll(where: owned.contains)
                next.entries[tenant.id] = kept
                continue
            }
            next.entries[tenant.id] = StoreIndex.Entry(
                path: tenant.path, digest: known?.digest, claims: version.claims)
            if known?.digest != version.digest { due.append((tenant.id, version)) }
        }
        return (next, due)
    }

    private func replaceIndex(by next: StoreIndex) throws(LastGoodStore.Failure) {
        guard next != index || isStale else { return }
        try store.write(next)
        for id in index.entries.keys where next.entries[id] == nil { store.remove(id) }
        index = next
        isStale = false
    }
}
