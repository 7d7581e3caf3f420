/// Keeps the versions that serve in a store, and knows what is wrong there.
///
/// ```
/// begin ─▶ index ─▶ claims, files          (damaged: put together from what is left)
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
    /// What could not be written the last time.
    private var failures: [StoreReport] = []
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

    private func readIndex() {
        let (index, isWhole) = store.index()
        self.index = index
        guard !isWhole else { return }
        isStale = true
        note(
            StoreReport(
                tenant: nil,
                text:
                    "\(store.directory)/index is damaged or gone; who owns which host is told by the versions beside it"
            ))
    }

    private func note(_ report: StoreReport) {
        guard damages.count < Self.damagesMax, !damages.contains(report) else { return }
        damages.append(report)
    }

    /// - Parameters:
    ///   - limit: versions that are written in one go, so that who waits meanwhile waits not for long; the outcome says
    ///     where some are left.
    ///   - pause: called between tenants.
    func keep(_ tenants: [Kept], atMost limit: Int, pause: () -> Void) -> StoreOutcome {
        failures = []
        var isWhole = true
        do throws(LastGoodStore.Failure) {
            guard try takeLock() else { return outcome(isUnfinished: true) }
            verify(pause)
            isWhole = try write(tenants, atMost: limit, pause)
        } catch {
            failures.append(
                StoreReport(
                    tenant: nil,
                    text: "last good versions of tenants' files cannot be kept across a restart: \(error)"))
        }
        return outcome(isUnfinished: lock != nil && !(unverified.isEmpty && isWhole))
    }

    private func outcome(isUnfinished: Bool) -> StoreOutcome {
        let news = reports.filter { !told.contains($0) }
        told = Set(reports)
        return StoreOutcome(isUnfinished: isUnfinished, reports: reports, news: news)
    }

    /// - Returns: false where another process has it.
    private func takeLock() throws(LastGoodStore.Failure) -> Bool {
        if lock != nil { return true }
        try store.prepare()
        guard let taken = try store.lock() else { return false }
        lock = taken
        // Whoever had it may have written since the start.
        readIndex()
        unverified = index.entries.keys.sorted(by: >)
        return true
    }

    /// Looks whether the versions are what the index says.
    private func verify(_ pause: () -> Void) {
        guard !unverified.isEmpty else { return }
        for id in unverified.suffix(Self.verifiedAtOnce) {
            pause()
            unverified.removeLast()
            guard let digest = index.entries[id]?.digest else { continue }
            let found = store.bundle(of: id)
            if case .whole(let bundle) = found {
                // Another one is newer than the index: the end came in between.
                if bundle.digest != digest {
                    index.entries[id]?.digest = bundle.digest
                    isStale = true
                }
                continue
            }
            index.entries[id]?.digest = nil
            let isGone = if case .nothing = found { true } else { false }
            lost[id] = "\(store.path(of: id)) is \(isGone ? "gone" : "damaged")"
        }
    }

    /// - Returns: false where more is to be written than the limit.
    private func write(
        _ tenants: [Kept], atMost limit: Int, _ pause: () -> Void
    ) throws(LastGoodStore.Failure) -> Bool {
        var isWhole = true
        var next = StoreIndex()
        var fresh: [(id: String, bundle: TenantBundle)] = []
        var digests: [String: ContentDigest] = [:]
        for tenant in tenants {
            pause()
            let known = index.entries[tenant.id]
            guard let version = tenant.version else {
                next.entries[tenant.id] = known
                continue
            }
            next.entries[tenant.id] = StoreIndex.Entry(
                path: tenant.path, digest: known?.digest, claims: version.claims)
            guard known?.digest != version.digest else { continue }
            guard fresh.count < limit else {
                isWhole = false
                continue
            }
            fresh.append((tenant.id, version.bundle))
            digests[tenant.id] = version.digest
        }
        if !fresh.isEmpty { try store.prepare() }
        let refused = store.write(fresh, pause: pause)
        for (id, _) in fresh {
            if let failure = refused[id] {
                failures.append(
                    StoreReport(
                        tenant: id, text: "its last good version cannot be kept across a restart: \(failure)")
                )
            } else {
                next.entries[id]?.digest = digests[id]
                if let what = lost.removeValue(forKey: id) {
                    note(StoreReport(tenant: id, text: what + "; it is written anew"))
                }
            }
        }
        if !lost.isEmpty { lost = lost.filter { next.entries[$0.key] != nil } }
        guard next != index || isStale else { return isWhole }
        try store.write(next)
        for id in index.entries.keys where next.entries[id] == nil { store.remove(id) }
        index = next
        isStale = false
        return isWhole
    }
}
