internal import ChimeraConfiguration
package import ChimeraEventLoop
internal import Glibc

/// Which names in which directories a configuration comes from: what else is written there, such as a log, is no
/// reason to read it again.
///
/// Made anew after each reading, since links and directories may lead elsewhere then.
package struct WatchedNames: Equatable {
    private struct Names: Equatable {
        var patterns: Set<String> = []
        var names: Set<String> = []
    }

    private var byDirectory: [String: Names] = [:]
    /// The directories above those: where one of them goes elsewhere, a path leads to something else.
    package private(set) var places: Set<String> = []
    /// There are more directories than may be watched.
    private(set) var isCut = false

    /// Directories past this many are not watched; a reload by hand sees a change there.
    package static let directoriesMax = 1024

    /// Nothing.
    package init() {}

    /// Looks at the disk.
    ///
    /// - Parameters:
    ///   - patterns: absolute paths with `*`, `?` and `[…]` in the last segment.
    ///   - files: absolute paths; of directories as well.
    ///   - pause: called between them.
    package init(
        patterns: [String], files: some Sequence<String>, directoriesMax: Int = WatchedNames.directoriesMax,
        pause: () -> Void = {}
    ) {
        var trails = PathTrails(directoriesMax: directoriesMax)
        var byPattern: [String: Set<String>] = [:]
        for pattern in patterns {
            let (directory, name) = Self.split(pattern)
            guard !directory.utf8.contains(where: { "*?[".utf8.contains($0) }) else { continue }
            guard let real = trails.real(directory), trails.take(real) else { continue }
            byPattern[real, default: []].insert(name)
        }
        for (directory, patterns) in byPattern {
            for link in PathTrails.links(in: directory) ?? [] where Self.matches(patterns, link) {
                pause()
                trails.follow(directory == "/" ? "/" + link : directory + "/" + link)
            }
        }
        for file in files {
            pause()
            trails.follow(file)
        }
        for (directory, names) in trails.names {
            byDirectory[directory] = Names(patterns: byPattern[directory] ?? [], names: names)
        }
        places = PathTrails.above(byDirectory.keys)
        isCut = trails.isCut
    }

    package var directories: Set<String> { Set(byDirectory.keys) }

    /// Whether a change may be one of the configuration.
    package func covers(_ change: DirectoryWatch.Change) -> Bool {
        // The kernel lost count, or a directory is another one now.
        if change.directory.isEmpty || change.name.isEmpty { return true }
        guard let names = byDirectory[change.directory] else { return false }
        return names.names.contains(change.name) || Self.matches(names.patterns, change.name)
    }

    private static func matches(_ patterns: Set<String>, _ name: String) -> Bool {
        patterns.contains { fnmatch($0, name, Int32(FNM_PERIOD)) == 0 }
    }

    private static func split(_ path: String) -> (directory: String, name: String) {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return ("/", path) }
        let name = String(decoding: path.utf8[path.utf8.index(after: slash)...], as: UTF8.self)
        let directory = String(decoding: path.utf8[..<slash], as: UTF8.self)
        return (directory.isEmpty ? "/" : directory, name)
    }
}
