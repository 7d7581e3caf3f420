internal import CLinux
internal import Glibc

/// The last good versions of the tenants' files, kept in a directory across restarts, and who owned which host.
///
/// ```
/// DIR/index      a line for each tenant, with the digest of its version, and one for each of its hosts
/// DIR/ID.good    the version: the file's text, the content of what it refers to, and its hosts
/// DIR/lock       locked by the process that writes here
/// ```
/// Each file is replaced as a whole, by one that is on the disk before it takes the name. Both kinds tell who owns a
/// host, so that one damaged file loses nothing of that.
package struct LastGoodStore: Sendable {
    /// Absolute.
    package let directory: String

    /// A file of the store that could not be written, and why.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        let path: String
        let number: Int32

        package var description: String { "\(path): \(String(cString: strerror(number)))" }
    }

    /// What was found under a name.
    enum Found<Content> {
        /// Nothing was ever written there.
        case nothing
        /// Something is there that is not what was written.
        case damaged
        /// The disk does not say what is there, which it may do later.
        case unreadable(FileFailure)
        case whole(Content)
    }

    /// What the index is to go by.
    enum IndexState: Equatable {
        case whole
        /// It is put together from what is left, which is all that there is.
        case damaged
        /// The disk does not give all that is left, which it may do later: to write now would lose the rest for good.
        case unreadable(String)
    }

    private static let indexBytesMax = 256 << 20
    private static let bundleBytesMax = 256 << 20
    /// A longer id does not fit in a file's name, which has at most 255 octets.
    private static let idBytesMax = 200
    /// Past so many files the whole file system is synchronised once, and not each of them.
    private static let synchronisedMax = 64

    package init(directory: String) {
        self.directory = directory
    }

    // MARK: - Reading

    /// The index, and whether it is as it was written. Where it is not, it is put together from what can be read of it
    /// and from the versions.
    func index() -> (index: StoreIndex, state: IndexState) {
        let path = directory + "/index"
        var lines = StoreIndex()
        var failure: FileFailure?
        do throws(FileFailure) {
            let (index, isWhole) = StoreIndex.parse(
                try SystemFileSystem().read(path, atMost: Self.indexBytesMax))
            if isWhole { return (index, .whole) }
            lines = index
        } catch {
            failure = error
        }
        let names: [String]
        do throws(FileFailure) {
            names = try versionNames()
        } catch {
            return (lines, .unreadable("\(directory) \(error.reason)"))
        }
        if failure == .missing, names.isEmpty { return (lines, .whole) }
        let (index, unreadable) = completed(lines, by: names)
        if let failure, failure.mayPass { return (index, .unreadable("\(path) \(failure.reason)")) }
        return (index, unreadable.map { .unreadable($0) } ?? .damaged)
    }

    /// What a version says of itself goes before what a damaged index says of it.
    ///
    /// - Returns: the index, and a version that cannot be read now, with the reason.
    private func completed(
        _ lines: StoreIndex, by names: [String]
    ) -> (index: StoreIndex, unreadable: String?) {
        var index = lines
        var unreadable: String?
        for name in names {
            let path = directory + "/" + name
            switch bundle(at: path) {
            case .whole(let bundle):
                guard name == Self.name(of: bundle.id) else { continue }
                index.entries[bundle.id] = StoreIndex.Entry(
                    path: bundle.path, digest: bundle.digest, claims: bundle.claims)
            case .unreadable(let failure): unreadable = unreadable ?? "\(path) \(failure.reason)"
            case .nothing, .damaged: continue
            }
        }
        return (index, unreadable)
    }

    /// The names of the files that hold versions.
    private func versionNames() throws(FileFailure) -> [String] {
        do throws(FileFailure) {
            let names = try DirectoryEntry.all(in: directory).map(\.name)
            return names.filter { $0.hasSuffix(".good") }.sorted()
        } catch {
            // Without the directory nothing was ever written.
            if error == .missing { return [] }
            throw error
        }
    }

    /// The text of each version that is kept.
    package func sources() -> [TenantSource] {
        index().index.entries.sorted { $0.key < $1.key }.compactMap { id, entry in
            guard case .whole(let bundle) = bundle(of: id) else { return nil }
            return TenantSource(id: id, file: bundle.name, path: entry.path, text: bundle.source)
        }
    }

    /// The version that was kept for a tenant.
    func bundle(of id: String) -> Found<TenantBundle> {
        let found = bundle(at: path(of: id))
        if case .whole(let bundle) = found, bundle.id != id { return .damaged }
        return found
    }

    private func bundle(at path: String) -> Found<TenantBundle> {
        do throws(FileFailure) {
            let bytes = try SystemFileSystem().read(path, atMost: Self.bundleBytesMax)
            return TenantBundle(serialized: bytes).map { .whole($0) } ?? .damaged
        } catch {
            if error == .missing { return .nothing }
            return error.mayPass ? .unreadable(error) : .damaged
        }
    }

    // MARK: - Names

    func path(of id: String) -> String { directory + "/" + Self.name(of: id) }

    /// The id as far as it can be a file's name, else a digest of it. A name that begins like such a digest is one too.
    private static func name(of id: String) -> String {
        let isPlain =
            id.utf8.count <= idBytesMax && !id.hasPrefix("@")
            && id.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
        return (isPlain ? id : "@\(ContentDigest(id))") + ".good"
    }

    // MARK: - Writing

    /// Makes the directory, for its owner alone. What is above it others may enter: a folder of many, such as /var/lib, may
    /// be among that.
    package func prepare() throws(Failure) {
        var path = ""
        let segments = directory.split(separator: "/")
        for (index, segment) in segments.enumerated() {
            path += "/" + segment
            if mkdir(path, index == segments.count - 1 ? 0o700 : 0o755) != 0, errno != EEXIST, errno != EROFS,
                errno != EACCES
            {
                throw Failure(path: path, number: errno)
            }
        }
        if access(directory, W_OK | X_OK) != 0 { throw Failure(path: directory, number: errno) }
    }

    /// The right to write, until it is freed or the process ends.
    final class Lock: Sendable {
        private let descriptor: Int32

        fileprivate init(_ descriptor: Int32) { self.descriptor = descriptor }

        deinit { close(descriptor) }
    }

    /// Nil where another process has it.
    func lock() throws(Failure) -> Lock? {
        let path = directory + "/lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw Failure(path: path, number: errno) }
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return Lock(descriptor) }
        let number = errno
        close(descriptor)
        guard number == EWOULDBLOCK else { throw Failure(path: path, number: number) }
        return nil
    }

    /// Replaces versions.
    /// - Parameter pause: called between two of them.
    /// - Returns: why one could not be replaced, by id.
    func write(_ bundles: [(id: String, bundle: TenantBundle)], pause: () -> Void) -> [String: Failure] {
        var failures: [String: Failure] = [:]
        let areMany = bundles.count > Self.synchronisedMax
        for (id, bundle) in bundles {
            pause()
            do throws(Failure) {
                try stage(path(of: id), bundle.serialized, isSynchronised: !areMany)
            } catch {
                failures[id] = error
            }
        }
        let number = areMany ? synchroniseAll() : 0
        for (id, _) in bundles where failures[id] == nil {
            pause()
            do throws(Failure) {
                if number != 0 { throw Failure(path: directory, number: number) }
                try settle(path(of: id))
            } catch {
                failures[id] = error
            }
        }
        return failures
    }

    func write(_ index: StoreIndex) throws(Failure) {
        let path = directory + "/index"
        try stage(path, index.serialized, isSynchronised: true)
        try settle(path)
        // The names themselves are on the disk once the directory is.
        if let number = withDirectory({ fsync($0) == 0 ? 0 : errno }), number != 0 {
            throw Failure(path: directory, number: number)
        }
    }

    func remove(_ id: String) { unlink(path(of: id)) }

    private func synchroniseAll() -> Int32 {
        withDirectory { chimera_synchronise($0) == 0 ? 0 : errno } ?? EIO
    }

    private func withDirectory(_ body: (Int32) -> Int32) -> Int32? {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return body(descriptor)
    }

    /// Writes what is to have a name under another one.
    private func stage(_ path: String, _ bytes: [UInt8], isSynchronised: Bool) throws(Failure) {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw Failure(path: temporary, number: errno) }
        var number = Self.write(bytes, to: descriptor)
        // Else the name could be there after a loss of power, and the content not.
        if number == 0, isSynchronised, fdatasync(descriptor) != 0 { number = errno }
        if Glibc.close(descriptor) != 0, number == 0 { number = errno }
        guard number == 0 else {
            unlink(temporary)
            throw Failure(path: path, number: number)
        }
    }

    /// Gives what was staged its name.
    private func settle(_ path: String) throws(Failure) {
        guard rename(path + ".new", path) != 0 else { return }
        let number = errno
        unlink(path + ".new")
        throw Failure(path: path, number: number)
    }

    /// - Returns: 0, or the error's number.
    private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
        var start = 0
        while start < bytes.count {
            let count = bytes[start...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                start += count
            } else if count == 0 || errno != EINTR {
                return count == 0 ? EIO : errno
            }
        }
        return 0
    }
}

extension FileFailure {
    /// It tells of the system and not of the file, which may be as it was written.
    fileprivate var mayPass: Bool {
        switch self {
        case .denied, .system: true
        case .missing, .notAFile, .tooLarge, .outside: false
        }
    }
}
