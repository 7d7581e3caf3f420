/// What all files of one load share: the disk, the environment, and what was read of them.
final class LoadSession {
    let fileSystem: any ConfigurationFileSystem
    let environmentValue: @Sendable (String) -> String?
    let limits: ConfigurationLimits
    /// Absolute paths, in the order in which they were first read.
    private(set) var filesRead: [String] = []
    /// What was looked at since `beginRecording`.
    private var record = Record()
    private var known: [Key: Result<ReferencedFile, FileFailure>] = [:]
    private var kinds: [String: FileKind?] = [:]
    private var realPaths: [String: String?] = [:]
    let currentDirectory: String
    /// Who serves, whatever the machine's file says; nil: whoever that names.
    var servesAs: UserName?

    private struct Key: Hashable {
        var path: String
        /// Who asks, where that one may not read every file.
        var owner: String?
    }

    init(
        fileSystem: any ConfigurationFileSystem, environment: @escaping @Sendable (String) -> String?,
        limits: ConfigurationLimits
    ) {
        self.fileSystem = fileSystem
        environmentValue = environment
        self.limits = limits
        currentDirectory = fileSystem.currentDirectory
    }

    // MARK: - What a file refers to

    /// What one configuration file made the loader look at, so that a change of it is noticed, and so that the file can
    /// be decoded again when it is gone.
    struct Record {
        var references: [Dependency: ContentDigest] = [:]
        /// The content of files, by their path.
        var contents: [String: [UInt8]] = [:]
        var kinds: [String: FileKind] = [:]
    }

    /// Forgets what was looked at before, and notes it from now on.
    func beginRecording() { record = Record() }

    func recorded() -> Record { record }

    /// What a reference stands for now, as a digest.
    static func digest(of result: Result<[UInt8], FileFailure>) -> ContentDigest {
        switch result {
        case .success(let content): ContentDigest(content)
        case .failure(let failure): ContentDigest("failure \(failure)")
        }
    }

    // MARK: - Looking

    /// A configuration file. `name` is the path as messages show it.
    func source(_ name: String) throws(FileFailure) -> SourceFile {
        let path = FilePath.resolve(name, in: currentDirectory)
        let bytes = try fileSystem.read(path, atMost: limits.fileBytes)
        return source(name, path: path, bytes: bytes)
    }

    /// A configuration file that was read.
    func source(_ name: String, path: String, bytes: [UInt8]) -> SourceFile {
        filesRead.append(path)
        return SourceFile(name: name, directory: FilePath.directory(of: path), bytes: bytes)
    }

    /// A file that a directive names, read once however often it is named.
    ///
    /// - Parameter isKept: its content is part of the last good version; otherwise only a change of it is noticed.
    func referenced(
        _ path: String, of owner: String, within places: [OwnedPlace]?, isKept: Bool = true
    ) -> Result<ReferencedFile, FileFailure> {
        let key = Key(path: path, owner: places == nil ? nil : owner)
        let result = known[key] ?? read(path, within: places)
        known[key] = result
        switch result {
        case .success(let file):
            if isKept { record.contents[path] = file.content }
            record.references[.file(path)] = ContentDigest(file.content)
        case .failure(.outside):
            // What is there does not count, where it is does.
            record.references[.refused(path)] = ContentDigest(placed(path) ?? "")
        case .failure(let failure):
            record.references[.file(path)] = Self.digest(of: .failure(failure))
        }
        return result
    }

    private func read(_ path: String, within places: [OwnedPlace]?) -> Result<ReferencedFile, FileFailure> {
        do throws(FileFailure) {
            let content = try fileSystem.read(path, atMost: limits.referencedFileBytes, within: places)
            filesRead.append(path)
            return .success(ReferencedFile(path: path, content: content))
        } catch {
            return .failure(error)
        }
    }

    func kind(of path: String) -> FileKind? {
        let kind = kinds[path] ?? fileSystem.kind(of: path)
        kinds[path] = .some(kind)
        record.kinds[path] = kind
        record.references[.kind(path)] = ContentDigest(kind?.rawValue ?? "")
        return kind
    }

    func realPath(of path: String) -> String? {
        let real = placed(path)
        record.references[.place(path)] = ContentDigest(real ?? "")
        return real
    }

    /// The same, for who only compares.
    func placed(_ path: String) -> String? {
        let real = realPaths[path] ?? fileSystem.realPath(of: path)
        realPaths[path] = .some(real)
        return real
    }

    func environment(_ name: String) -> String? {
        let value = environmentValue(name)
        record.references[.environment(name)] = ContentDigest(value.map { "=" + $0 } ?? "")
        return value
    }
}

/// Something outside of a configuration file that its meaning depends on.
enum Dependency: Hashable, Sendable {
    /// The content at an absolute path.
    case file(String)
    /// What stands at an absolute path.
    case kind(String)
    /// Where a path leads.
    case place(String)
    /// Where a path leads at which the tenant may read nothing.
    case refused(String)
    case environment(String)

    /// Where it is on the disk.
    var path: String? {
        switch self {
        case .file(let path), .kind(let path), .place(let path), .refused(let path): path
        case .environment: nil
        }
    }
}
