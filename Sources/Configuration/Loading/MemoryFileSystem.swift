internal import ChimeraBytes

/// Files that exist in memory only, for tests and fuzzing.
package struct MemoryFileSystem: ConfigurationFileSystem {
    package var currentDirectory: String
    /// By absolute path.
    package var files: [String: [UInt8]] = [:]
    /// Files that exist and cannot be read.
    package var denied: Set<String> = []
    /// What links lead to, by the link's absolute path.
    package var links: [String: String] = [:]
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

    package mutating func remove(_ path: String) {
        files[FilePath.resolve(path, in: currentDirectory)] = nil
    }

    package func realPath(of path: String) -> String? {
        var done = ""
        var left = path.split(separator: "/").map(String.init)
        var steps = 0
        while !left.isEmpty {
            steps += 1
            if steps > 100 { return nil }
            let segment = left.removeFirst()
            if segment == ".." {
                done = FilePath.directory(of: done)
                if done == "/" { done = "" }
                continue
            }
            if let target = links[done + "/" + segment] {
                left = target.split(separator: "/").map(String.init) + left
                if target.hasPrefix("/") { done = "" }
            } else {
                done += "/" + segment
            }
        }
        let result = done.isEmpty ? "/" : done
        return directories.contains(result) || files[result] != nil ? result : nil
    }

    package func isExecutable(_ path: String) -> Bool { kind(of: path) == .file && !denied.contains(path) }

    package func stamp(of path: String) -> DiskStamp? { nil }

    package func read(
        _ path: String, atMost limit: Int, within roots: [OwnedPlace]?
    ) throws(FileFailure) -> [UInt8] {
        let path = realPath(of: path) ?? path
        if let roots, !roots.contains(where: { $0.top(holding: path) != nil }) { throw .outside }
        if denied.contains(path) { throw .denied }
        if directories.contains(path) { throw .notAFile }
        guard let content = files[path] else { throw .missing }
        guard content.count <= limit else { throw .tooLarge(limit: limit) }
        return content
    }

    package func kind(of path: String) -> FileKind? {
        let path = realPath(of: path) ?? path
        if directories.contains(path) { return .directory }
        return files[path] == nil ? nil : .file
    }

    /// Knows `*` in the last segment alone.
    package func paths(matching pattern: String) throws(FileFailure) -> [String] {
        let directory = FilePath.directory(of: pattern)
        if denied.contains(directory) { throw .denied }
        let glob = Glob(pattern)
        return files.keys.filter { path in
            guard FilePath.directory(of: path) == directory else { return false }
            let name = path.dropFirst(directory.utf8.count + 1)
            let bytes = Array(path.utf8)
            return glob.matches(bytes.span) && !name.hasPrefix(".")
        }.sorted()
    }
}
