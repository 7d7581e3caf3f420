internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Glibc

/// Which names in which directories a configuration comes from: what else is written there, such as a log, is no
/// reason to read it again.
struct WatchedNames: Equatable {
    private struct Names: Equatable {
        var patterns: Set<String> = []
        var names: Set<String> = []
    }

    private var byDirectory: [String: Names] = [:]

    /// Directories past this many are not watched; a reload by hand sees a change there.
    static let directoriesMax = 1024

    /// - Parameters:
    ///   - patterns: absolute paths with `*`, `?` and `[…]` in the last segment.
    ///   - files: absolute paths.
    init(patterns: [String], files: [String]) {
        for pattern in patterns {
            let (directory, name) = Self.split(pattern)
            guard !directory.utf8.contains(where: { "*?[".utf8.contains($0) }) else { continue }
            byDirectory[directory, default: Names()].patterns.insert(name)
        }
        for file in files {
            let (directory, name) = Self.split(file)
            guard byDirectory[directory] != nil || byDirectory.count < Self.directoriesMax else { continue }
            byDirectory[directory, default: Names()].names.insert(name)
        }
        // A directory of another name may take the place of one.
        for directory in byDirectory.keys {
            let (parent, name) = Self.split(directory)
            byDirectory[parent]?.names.insert(name)
        }
    }

    var directories: Set<String> { Set(byDirectory.keys) }

    /// Whether a change may be one of the configuration.
    func covers(_ change: DirectoryWatch.Change) -> Bool {
        if change.directory.isEmpty { return true }
        guard let names = byDirectory[change.directory] else { return false }
        // How container platforms change all files at once: by a link to another directory.
        if change.name == "..data" || names.names.contains(change.name) { return true }
        return names.patterns.contains { fnmatch($0, change.name, Int32(FNM_PERIOD)) == 0 }
    }

    private static func split(_ path: String) -> (directory: String, name: String) {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return ("/", path) }
        let name = String(decoding: path.utf8[path.utf8.index(after: slash)...], as: UTF8.self)
        let directory = String(decoding: path.utf8[..<slash], as: UTF8.self)
        return (directory.isEmpty ? "/" : directory, name)
    }
}
