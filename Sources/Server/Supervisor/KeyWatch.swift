internal import Chimera
internal import ChimeraEventLoop
internal import Logging

/// What the supervisor watches for data planes that may not: the keys and certificates that it opened for them, in folders
/// that they cannot enter.
///
/// Only files that were handed over are watched, so that a data plane learns of no others.
final class KeyWatch {
    /// Nil: the kernel gives no descriptor, and changes are seen at a reload.
    private var watch: DirectoryWatch?
    private var paths: [Int: Set<String>] = [:]
    private var names = WatchedNames()
    /// What the kernel does not watch of that.
    private var refused: Set<String> = []
    private var hasComplained = false
    private var isStale = false
    /// Something is watched since the last look that was not before.
    private var isNews = false
    private let logger: Logger
    private let directoriesMax: Int

    /// Paths of one data plane; past them a reload sees a change.
    private static let pathsMax = 1024

    init(_ logger: Logger, directoriesMax: Int = WatchedNames.directoriesMax) {
        self.logger = logger
        self.directoriesMax = directoriesMax
    }

    /// To be polled for reading; -1 for nothing.
    var descriptor: Int32 { watch?.descriptor ?? -1 }

    /// A file was handed over.
    ///
    /// - Returns: whether its changes will be told.
    func add(_ path: String, for generation: Int) -> Bool {
        if paths[generation]?.contains(path) ?? false { return true }
        guard paths[generation]?.count ?? 0 < Self.pathsMax, begin(), let watch else { return false }
        paths[generation, default: []].insert(path)
        isStale = true
        if refresh(watch, after: false) { isNews = true }
        let folders = WatchedNames(patterns: [], files: [path]).directories
        if !names.isCut && folders.isSubset(of: names.directories.subtracting(refused)) { return true }
        paths[generation]?.remove(path)
        isStale = true
        return false
    }

    /// A data plane has ended.
    func forget(_ generation: Int) {
        guard paths.removeValue(forKey: generation) != nil else { return }
        isStale = true
    }

    /// Looks at what has changed since the last time, and at where the paths lead now.
    ///
    /// - Returns: whether a path may lead to something else.
    func look() -> Bool {
        guard let watch else { return false }
        let hasChanged = watch.wait(milliseconds: 0).contains(where: names.covers)
        // Between the opening and the watching nobody watched.
        let isNews = self.isNews
        self.isNews = false
        return refresh(watch, after: hasChanged) || hasChanged || isNews
    }

    private func begin() -> Bool {
        if watch != nil { return true }
        do throws(SystemError) {
            watch = try DirectoryWatch()
            return true
        } catch {
            logger.warning("keys cannot be watched for changes: \(error)")
            return false
        }
    }

    /// - Returns: whether something is watched that was not before.
    @discardableResult
    private func refresh(_ watch: DirectoryWatch, after hasChanged: Bool) -> Bool {
        guard isStale || hasChanged else { return false }
        isStale = false
        let files = paths.values.reduce(into: Set()) { $0.formUnion($1) }
        names = WatchedNames(patterns: [], files: files, directoriesMax: directoriesMax)
        let outcome = watch.watch(names.directories, places: names.places)
        refused = Set(outcome.refused)
        if let first = outcome.refused.first, !hasComplained {
            hasComplained = true
            logger.warning("a directory cannot be watched for keys", metadata: ["directory": "\(first)"])
        }
        return outcome.hasNew
    }
}
