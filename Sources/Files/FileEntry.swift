internal import ChimeraBytes
internal import ChimeraHTTPCore

/// What a worker knows of one path of one destination.
final class FileEntry {
    enum Content {
        /// Nobody has looked yet.
        case unknown
        case file(FileResource)
        /// A directory, asked for without its slash.
        case directory
        /// Nothing to serve; the status that says so.
        case failed(status: Int)
    }

    let owner: UInt32
    let path: Blob
    let hash: UInt64
    @exclusivity(unchecked) var content = Content.unknown
    /// When the last look began, in milliseconds of the worker's clock.
    @exclusivity(unchecked) var checkedAt = Int64.min / 2
    /// Whether a look is under way.
    @exclusivity(unchecked) var isLoading = false
    /// Whether the table holds the entry; one that it has dropped still serves those who wait for it.
    @exclusivity(unchecked) var isKept = false
    /// Those who wait for the look under way.
    @exclusivity(unchecked) var waiters: [UnsafeContinuation<Void, Never>] = []

    // Its place in a recency list. The table keeps what is linked here alive.
    @exclusivity(unchecked) unowned(unsafe) var newer: FileEntry?
    @exclusivity(unchecked) unowned(unsafe) var older: FileEntry?
    @exclusivity(unchecked) var kind = Kind.loading

    /// Which list the entry stands in.
    enum Kind { case loading, present, missing }

    init(owner: UInt32, path: Span<UInt8>, hash: UInt64) {
        self.owner = owner
        self.path = Blob(path)
        self.hash = hash
    }

    /// Which list the content belongs in.
    var kindOfContent: Kind {
        switch content {
        case .unknown: .loading
        case .file, .directory: .present
        case .failed: .missing
        }
    }

    /// Whether no look has ended yet.
    var isUnknown: Bool {
        if case .unknown = content { true } else { false }
    }

    var descriptors: Int {
        if case .file(let resource) = content { resource.descriptors } else { 0 }
    }

    var blobBytes: Int {
        if case .file(let resource) = content { resource.blobBytes } else { 0 }
    }

    var stamps: [FileStamp] {
        if case .file(let resource) = content { resource.stamps } else { [] }
    }
}

/// Entries from the one used last to the one used longest ago.
struct RecencyList {
    private unowned(unsafe) var newest: FileEntry?
    private(set) unowned(unsafe) var oldest: FileEntry?
    private(set) var count = 0

    mutating func insert(_ entry: FileEntry) {
        entry.newer = nil
        entry.older = newest
        newest?.newer = entry
        newest = entry
        if oldest == nil { oldest = entry }
        count += 1
    }

    mutating func remove(_ entry: FileEntry) {
        if let newer = entry.newer { newer.older = entry.older } else { newest = entry.older }
        if let older = entry.older { older.newer = entry.newer } else { oldest = entry.newer }
        entry.newer = nil
        entry.older = nil
        count -= 1
    }

    mutating func use(_ entry: FileEntry) {
        if newest === entry { return }
        remove(entry)
        insert(entry)
    }
}
