/// What all files of one load share: the disk, the environment, and what was read of them.
final class LoadSession {
    let fileSystem: any ConfigurationFileSystem
    let environment: @Sendable (String) -> String?
    let limits: ConfigurationLimits
    /// Absolute paths, in the order in which they were first read.
    private(set) var filesRead: [String] = []
    private var known: [String: Result<ReferencedFile, FileFailure>] = [:]
    private var kinds: [String: FileKind?] = [:]
    let currentDirectory: String

    init(
        fileSystem: any ConfigurationFileSystem, environment: @escaping @Sendable (String) -> String?,
        limits: ConfigurationLimits
    ) {
        self.fileSystem = fileSystem
        self.environment = environment
        self.limits = limits
        currentDirectory = fileSystem.currentDirectory
    }

    /// A configuration file. `name` is the path as messages show it.
    func source(_ name: String) throws(FileFailure) -> SourceFile {
        let path = FilePath.resolve(name, in: currentDirectory)
        let bytes = try fileSystem.read(path, atMost: limits.fileBytes)
        filesRead.append(path)
        return SourceFile(name: name, directory: FilePath.directory(of: path), bytes: bytes)
    }

    /// A file that a directive names, read once however often it is named.
    func referenced(_ path: String) -> Result<ReferencedFile, FileFailure> {
        if let known = known[path] { return known }
        let result: Result<ReferencedFile, FileFailure>
        do throws(FileFailure) {
            let content = try fileSystem.read(path, atMost: limits.referencedFileBytes)
            filesRead.append(path)
            result = .success(ReferencedFile(path: path, content: content))
        } catch {
            result = .failure(error)
        }
        known[path] = result
        return result
    }

    func kind(of path: String) -> FileKind? {
        if let kind = kinds[path] { return kind }
        let kind = fileSystem.kind(of: path)
        kinds[path] = .some(kind)
        return kind
    }
}
