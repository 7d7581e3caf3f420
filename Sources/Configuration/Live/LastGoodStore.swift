internal import Glibc

/// The last good versions of the tenants' files, kept in a directory across restarts, and who owned which host.
///
/// ```
/// DIR/index      a line for each tenant, with the digest of its version, and one for each of its hosts
/// DIR/ID.good    the version: the file's text and the content of what it refers to
/// DIR/lock       locked by the process that writes here
/// ```
/// Each file is replaced as a whole. One that is damaged counts as missing.
package struct LastGoodStore: Sendable {
    /// Absolute.
    package let directory: String

    /// What the index holds.
    struct Index: Equatable {
        struct Entry: Equatable {
            var digest: ContentDigest
            var claims: [HostOwners.Claim]
        }

        var entries: [String: Entry] = [:]
    }

    /// A file of the store that could not be written, and why.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        let path: String
        let number: Int32

        package var description: String { "\(path): \(String(cString: strerror(number)))" }
    }

    private static let indexBytesMax = 256 << 20
    private static let bundleBytesMax = 256 << 20
    private static let heading = "chimera tenants 1"

    package init(directory: String) {
        self.directory = directory
    }

    // MARK: - Reading

    /// Empty where there is none that can be read.
    ///
    /// - Parameter pause: called between its lines.
    func index(pause: () -> Void = {}) -> Index {
        var index = Index()
        guard let bytes = try? SystemFileSystem().read(directory + "/index", atMost: Self.indexBytesMax)
        else {
            return index
        }
        let lines = bytes.split(separator: UInt8(ascii: "\n"))
        guard let first = lines.first, first.elementsEqual(Self.heading.utf8) else { return index }
        var id: String?
        for line in lines.dropFirst() {
            pause()
            let words = line.split(separator: UInt8(ascii: " "), maxSplits: 2).map {
                String(decoding: $0, as: UTF8.self)
            }
            guard words.count == 3 else { continue }
            if words[0] == "tenant", let digest = ContentDigest(hexadecimal: words[1]) {
                id = words[2]
                index.entries[words[2]] = Index.Entry(digest: digest, claims: [])
            } else if words[0] == "host", let id {
                let listener = words[1] == "-" ? nil : String(words[1].dropFirst())
                let claim = HostOwners.Claim(listener: listener, host: HostPattern(described: words[2]))
                index.entries[id]?.claims.append(claim)
            }
        }
        return index
    }

    /// The version that was kept for a tenant; nil where there is none.
    func bundle(of id: String) -> TenantBundle? {
        guard let bytes = try? SystemFileSystem().read(path(of: id), atMost: Self.bundleBytesMax) else {
            return nil
        }
        return TenantBundle(serialized: bytes)
    }

    // MARK: - Writing

    /// Makes the directory, for its owner alone.
    package func prepare() throws(Failure) {
        var path = ""
        for segment in directory.split(separator: "/") {
            path += "/" + segment
            if mkdir(path, 0o700) != 0, errno != EEXIST, errno != EROFS, errno != EACCES {
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

    func write(_ bundle: TenantBundle, of id: String) throws(Failure) {
        try replace(path(of: id), with: bundle.serialized)
    }

    func remove(_ id: String) { unlink(path(of: id)) }

    /// - Parameter pause: called between its entries.
    func write(_ index: Index, pause: () -> Void = {}) throws(Failure) {
        var bytes = Array((Self.heading + "\n").utf8)
        for (id, entry) in index.entries.sorted(by: { $0.key < $1.key })
        where !id.utf8.contains(UInt8(ascii: "\n")) {
            pause()
            bytes += "tenant \(entry.digest) \(id)\n".utf8
            for claim in entry.claims {
                bytes += "host \(claim.listener.map { "=" + $0 } ?? "-") \(claim.host)\n".utf8
            }
        }
        try replace(directory + "/index", with: bytes)
    }

    private func path(of id: String) -> String { "\(directory)/\(id).good" }

    private func replace(_ path: String, with bytes: [UInt8]) throws(Failure) {
        let temporary = directory + "/.new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw Failure(path: temporary, number: errno) }
        var number: Int32 = 0
        var start = 0
        while start < bytes.count, number == 0 {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress! + start, bytes.count - start)
            }
            if count > 0 {
                start += count
            } else if count == 0 || errno != EINTR {
                number = count == 0 ? EIO : errno
            }
        }
        if Glibc.close(descriptor) != 0, number == 0 { number = errno }
        if number == 0, rename(temporary, path) != 0 { number = errno }
        guard number == 0 else {
            unlink(temporary)
            throw Failure(path: path, number: number)
        }
    }
}

extension HostPattern {
    /// The pattern that `description` gives.
    init(described text: String) {
        if text == "*" {
            self = .any
        } else if text.hasPrefix("**.") {
            self = .deepWildcard(String(text.dropFirst(3)))
        } else if text.hasPrefix("*.") {
            self = .wildcard(String(text.dropFirst(2)))
        } else {
            self = .exact(text)
        }
    }
}

/// Where a gateway keeps what it needs after a restart.
package enum DataDirectory {
    /// Where the machine's file names no `data`: `/var/lib/chimera` where that can be written, else the user's own
    /// state directory. Each machine's file has a place of its own there, but the usual one, which has all of it.
    /// - Parameters:
    ///   - machineFile: an absolute path.
    ///   - environment: what the process's environment has under a name.
    ///   - isWritable: whether files can be made in a directory, or the directory itself.
    package static func path(
        machineFile: String, environment: (String) -> String?, isWritable: (String) -> Bool
    ) -> String? {
        var base: String?
        if isWritable("/var/lib/chimera") {
            base = "/var/lib/chimera"
        } else if let state = environment("XDG_STATE_HOME"), state.hasPrefix("/") {
            base = state + "/chimera"
        } else if let home = environment("HOME"), home.hasPrefix("/") {
            base = home + "/.local/state/chimera"
        }
        guard let base else { return nil }
        if machineFile == "/etc/chimera/chimera.conf" { return base }
        return
            "\(base)/\(FilePath.stem(of: machineFile))-\(ContentDigest(machineFile).description.prefix(12))"
    }

    /// The same of this machine and process.
    package static func path(machineFile: String) -> String? {
        let files = SystemFileSystem()
        let absolute = FilePath.resolve(machineFile, in: files.currentDirectory)
        return path(
            machineFile: absolute, environment: { name in getenv(name).map { String(cString: $0) } },
            isWritable: { path in
                if access(path, F_OK) == 0 { return access(path, W_OK | X_OK) == 0 }
                return access(FilePath.directory(of: path), W_OK | X_OK) == 0
            })
    }
}
