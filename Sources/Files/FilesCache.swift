internal import ChimeraBytes
package import ChimeraEventLoop
internal import ChimeraHTTPCore

/// The files that one worker has open or in memory, for all its destinations together, and the looks at the
/// disk that are under way.
///
/// ```
///              look begins                 it ends
///   (nothing) ────────────▶ loading ───────────────▶ present | missing
///   present, missing: used as they are while fresh; then a look begins and they are used on, until they are
///   too old or the look has ended; the one used longest ago is dropped when a bound is passed
/// ```
/// Touched on its worker's thread only. All that blocks is done on the pool; a look that fails for want of
/// memory or descriptors is not kept.
package final class FilesCache {
    let worker: Worker
    let pool: BlockingPool
    package let limits: FilesLimits
    @exclusivity(unchecked) private var table = EntryTable()
    @exclusivity(unchecked) private var present = RecencyList()
    @exclusivity(unchecked) private var missing = RecencyList()
    @exclusivity(unchecked) private var nextOwner: UInt32 = 0
    /// Looks at the disk under way, first and second ones.
    @exclusivity(unchecked) private(set) package var loadsUnderWay = 0
    @exclusivity(unchecked) private var firstLoadsUnderWay = 0
    /// How many looks at the disk were begun, ever.
    @exclusivity(unchecked) private(set) package var loadCount = 0
    @exclusivity(unchecked) private(set) package var descriptorCount = 0
    @exclusivity(unchecked) private(set) package var blobByteCount = 0

    package init(worker: Worker, pool: BlockingPool, limits: FilesLimits = FilesLimits()) {
        self.worker = worker
        self.pool = pool
        self.limits = limits
    }

    /// How many paths with something behind them are kept.
    package var entryCount: Int { present.count }
    /// How many paths with nothing behind them are kept.
    package var missingCount: Int { missing.count }

    /// A number for a destination to keep its entries under.
    func makeOwner() -> UInt32 {
        defer { nextOwner &+= 1 }
        return nextOwner
    }

    /// Drops all entries of a destination that goes.
    func forget(owner: UInt32) {
        for entry in table.entries(of: owner) { drop(entry) }
    }

    // MARK: Looking up

    /// The entry of a path, if it may be used without waiting. Where it is due, a look begins beside that.
    func usable(_ place: FilePlace, _ path: Span<UInt8>, now: Int64) -> FileEntry? {
        let hash = table.hash(owner: place.owner, path: path)
        guard let entry = table.find(owner: place.owner, path: path, hash: hash) else { return nil }
        let age = now - entry.checkedAt
        if age >= limits.freshMilliseconds {
            if age >= limits.usableMilliseconds { return nil }
            if !entry.isLoading { _ = look(at: entry, place, now) }
        }
        switch entry.kind {
        case .present: present.use(entry)
        case .missing: missing.use(entry)
        case .loading: return nil
        }
        return entry
    }

    /// The entry of a path after a look that began no earlier than it may; the requests that miss one path
    /// share one look.
    ///
    /// - Returns: nil when there is no room for another look.
    func loaded(_ place: FilePlace, _ path: [UInt8], now: Int64) async -> FileEntry? {
        if let entry = usable(place, path.span, now: now) { return entry }
        let hash = table.hash(owner: place.owner, path: path.span)
        let known = table.find(owner: place.owner, path: path.span, hash: hash)
        let entry = known ?? FileEntry(owner: place.owner, path: path.span, hash: hash)
        if !entry.isLoading {
            guard look(at: entry, place, now) else { return nil }
            if known == nil {
                table.insert(entry)
                entry.isKept = true
            }
        }
        await withUnsafeContinuation { entry.waiters.append($0) }
        return entry
    }

    // MARK: Looking at the disk

    private func look(at entry: FileEntry, _ place: FilePlace, _ now: Int64) -> Bool {
        let isFirst = entry.isUnknown
        guard !isFirst || firstLoadsUnderWay < limits.loadsMax else { return false }
        let path = entry.path
        let request = LoadRequest(
            directory: place.options.directory, confinedTo: place.options.confinedTo,
            confinementIsReal: place.options.confinementIsReal, path: [UInt8](copying: path.span),
            index: place.index, blobBytesMax: limits.blobBytesMax,
            known: entry.stamps)
        let worker = self.worker
        // Sound: the pool's thread only carries the two back to the worker's thread, where they are used.
        nonisolated(unsafe) let (cache, entry) = (self, entry)
        let accepted = pool.submit {
            let outcome = FileLoader.load(request)
            worker.submit { _ in cache.lookEnded(entry, outcome, began: now) }
        }
        guard accepted else { return false }
        entry.isLoading = true
        loadsUnderWay += 1
        if isFirst { firstLoadsUnderWay += 1 }
        loadCount += 1
        return true
    }

    private func lookEnded(_ entry: FileEntry, _ outcome: LoadOutcome, began: Int64) {
        worker.onThread()
        loadsUnderWay -= 1
        if entry.isUnknown { firstLoadsUnderWay -= 1 }
        unlink(entry)
        switch outcome {
        case .unchanged: break
        case .file(let loaded): entry.content = .file(FileResource(loaded))
        case .directory: entry.content = .directory
        case .failed(let status): entry.content = .failed(status: status)
        }
        entry.checkedAt = began
        entry.isLoading = false
        if entry.isKept { keepOrDrop(entry) }
        let waiters = entry.waiters
        entry.waiters = []
        for waiter in waiters { waiter.resume() }
    }

    private func keepOrDrop(_ entry: FileEntry) {
        if case .failed(let status) = entry.content, status >= 500 { return drop(entry) }
        link(entry)
        while present.count > limits.entriesMax || descriptorCount > limits.descriptorsMax
            || blobByteCount > limits.blobBytesTotalMax, let oldest = present.oldest
        {
            drop(oldest)
        }
        while missing.count > limits.missingMax, let oldest = missing.oldest { drop(oldest) }
    }

    // MARK: Lists

    private func link(_ entry: FileEntry) {
        entry.kind = entry.kindOfContent
        switch entry.kind {
        case .loading: break
        case .present: present.insert(entry)
        case .missing: missing.insert(entry)
        }
        descriptorCount += entry.descriptors
        blobByteCount += entry.blobBytes
    }

    /// Takes the entry out of its list, before its content changes or it goes.
    private func unlink(_ entry: FileEntry) {
        switch entry.kind {
        case .loading: return
        case .present: present.remove(entry)
        case .missing: missing.remove(entry)
        }
        entry.kind = .loading
        descriptorCount -= entry.descriptors
        blobByteCount -= entry.blobBytes
    }

    private func drop(_ entry: FileEntry) {
        unlink(entry)
        table.remove(entry)
        entry.isKept = false
    }

    /// The lists and counts agree with the table; for tests.
    package func checkInvariants() {
        let entries = table.entries()
        precondition(entries.count == table.count)
        precondition(entries.allSatisfy(\.isKept))
        precondition(entries.count { $0.kind == .present } == present.count)
        precondition(entries.count { $0.kind == .missing } == missing.count)
        precondition(entries.allSatisfy { $0.kind != .loading || $0.isLoading })
        let settled = entries.filter { $0.kind != .loading }
        precondition(settled.reduce(0) { $0 + $1.descriptors } == descriptorCount)
        precondition(settled.reduce(0) { $0 + $1.blobBytes } == blobByteCount)
        precondition(present.count <= limits.entriesMax && missing.count <= limits.missingMax)
        precondition(descriptorCount <= limits.descriptorsMax && blobByteCount <= limits.blobBytesTotalMax)
    }
}

/// What the entries of one destination have in common.
struct FilePlace {
    let owner: UInt32
    let options: FilesOptions
    /// The names tried in a directory, without those that are never served.
    let index: [[UInt8]]
}
