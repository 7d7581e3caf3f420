/// Files that exist in memory only, for tests and fuzzing.
package struct MemoryFileSystem: ConfigurationFileSystem {
    package var currentDirectory: String
    /// By absolute path.
    package var files: [String: [UInt8]] = [:]
    /// Files that exist and cannot be read.
    package var denied: Set<String> = []
    private var directories: Set<String> = ["/"]

    package init(currentDirectory: String = "/etc/chimera", files: [String: String] = [:]) {
        self.currentDirectory = currentDirectory
        addDirectory(currentDirectory)
        for (path, text) in files { add(path, Array(text.utf8)) }
    }

    /// Adds a file and the directories above it. A relative path counts from the current directory.
    package mutating func add(_ path: String, _ content: [UInt8]) {
        let path = FilePath.resolve(path, in: currentDirectory)
        files[path] = content
        addDirectory(FilePath.directory(of: path))
    }

    package mutating func addDirectory(_ path: String) {
        var path = FilePath.resolve(path, in: currentDirectory)
        while path != "/" {
            directories.insert(path)
            path = FilePath.directory(of: path)
        }
    }

    package func read(_ path: String, atMost limit: Int) throws(FileFailure) -> [UInt8] {
        if denied.contains(path) { throw .denied }
        if directories.contains(path) { throw .notAFile }
        guard let content = files[path] else { throw .missing }
        guard content.count <= limit else { throw .tooLarge(limit: limit) }
        return content
    }

    package func kind(of path: String) -> FileKind? {
        if directories.contains(path) { return .directory }
        return files[path] == nil ? nil : .file
    }

    /// Knows `*` in the last segment alone.
    package func paths(matching pattern: String) throws(FileFailure) -> [String] {
        let directory = FilePath.directory(of: pattern)
        let glob = Glob(pattern)
        return files.keys.filter { path in
            guard FilePath.directory(of: path) == directory else { return false }
            let name = path.dropFirst(directory.utf8.count + 1)
            let bytes = Array(path.utf8)
            return glob.matches(bytes.span) && !name.hasPrefix(".")
        }.sorted()
    }
}
