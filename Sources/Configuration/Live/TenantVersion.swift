/// A version of a tenant's file that was decoded without an error: immutable, and known by identity.
final class TenantVersion: Sendable {
    let bundle: TenantBundle
    /// Of `bundle`.
    let digest: ContentDigest
    let sites: [SharedSite]
    /// What its decoding depended on.
    let key: TenantKey

    var claims: [HostOwners.Claim] { bundle.claims }

    init(_ bundle: TenantBundle, sites: [SharedSite], key: TenantKey) {
        var bundle = bundle
        bundle.claims = sites.flatMap { HostOwners.claims(of: $0.site) }
        self.bundle = bundle
        digest = bundle.digest
        self.sites = sites
        self.key = key
    }
}

/// What a tenant's decoding depended on: where all of it is the same, so is what comes of it.
struct TenantKey: Equatable, Sendable {
    var path: String
    var content: ContentDigest
    /// Of the machine's file and what that refers to.
    var context: ContentDigest
    /// See `DottedIDs`.
    var others: [String]
    var references: [Dependency: ContentDigest] = [:]
    /// How many of the references are files.
    let fileCount: Int

    init(
        path: String, content: ContentDigest, context: ContentDigest, others: [String],
        references: [Dependency: ContentDigest] = [:]
    ) {
        self.path = path
        self.content = content
        self.context = context
        self.others = others
        self.references = references
        fileCount = references.keys.count { if case .file = $0 { true } else { false } }
    }
}

/// What came of decoding one version of a tenant's file.
struct Decoding {
    var key: TenantKey
    /// Nil where there are errors.
    var version: TenantVersion?
    var diagnostics: [Diagnostic]
    /// An error is about what is not permitted.
    var isDenied = false
}

/// Sites that are equal to earlier ones, as the earlier objects.
struct SiteIdentity {
    private struct Key: Hashable {
        var hosts: [HostPattern]
        var on: [String]
    }

    private var known: [Key: SharedSite] = [:]

    init(_ sites: [SharedSite]) {
        for site in sites { known[Key(hosts: site.site.hosts, on: site.site.on)] = site }
    }

    func shared(_ site: Site) -> SharedSite {
        if let old = known[Key(hosts: site.hosts, on: site.on)], old.site == site { return old }
        return SharedSite(site)
    }
}

/// What files were the last time, so that one that was not touched is not read.
final class FileDigests {
    private struct Entry {
        var stamp: DiskStamp
        var digest: ContentDigest
    }

    private var entries: [String: Entry] = [:]
    private let fileSystem: any ConfigurationFileSystem

    init(_ fileSystem: any ConfigurationFileSystem) { self.fileSystem = fileSystem }

    /// The digest of a file's content, or of why it has none.
    func digest(_ path: String, atMost limit: Int) -> ContentDigest {
        if let known = known(path) { return known }
        return content(path, atMost: limit).digest
    }

    /// The content of a file and its digest.
    func content(
        _ path: String, atMost limit: Int
    ) -> (result: Result<[UInt8], FileFailure>, digest: ContentDigest) {
        // The stamp is taken first, so that a change while the file is read is seen the next time.
        let stamp = fileSystem.stamp(of: path)
        let result = Result { () throws(FileFailure) in try fileSystem.read(path, atMost: limit) }
        let digest = LoadSession.digest(of: result)
        entries[path] = stamp.map { Entry(stamp: $0, digest: digest) }
        return (result, digest)
    }

    private func known(_ path: String) -> ContentDigest? {
        guard let entry = entries[path], entry.stamp.isSettled, var stamp = fileSystem.stamp(of: path) else {
            return nil
        }
        stamp.isSettled = true
        return stamp == entry.stamp ? entry.digest : nil
    }

    /// How many files are known.
    var count: Int { entries.count }

    /// Forgets files that nobody asks for any more.
    func keep(_ isWanted: (String) -> Bool) {
        entries = entries.filter { isWanted($0.key) }
    }
}
