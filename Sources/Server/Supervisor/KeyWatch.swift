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
    private var isStale = false
    private let logger: Logger

    /// Paths of one data plane; past them a reload sees a change.
    private static let pathsMax = 1024

    init(_ logger: Logger) { self.logger = logger }

    /// To be polled for reading; -1 for nothing.
    var descriptor: Int32 { watch?.descriptor ?? -1 }

    /// A file was handed over.
    ///
    /// - Returns: whether its changes will be told.
    func add(_ path: String, for generation: Int) -> Bool {
        if paths[generation]?.contains(path) ?? false { return true }
        guard paths[generation]?.count ?? 0 < Self.pathsMax, begin() else { return false }
        paths[generation, default: []].insert(path)
        isStale = true
        return true
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
        // Between the handing over and the first look nobody watched.
        return refresh(watch, after: hasChanged) || hasChanged
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
    private func refresh(_ watch: DirectoryWatch, after hasChanged: Bool) -> Bool {
        guard isStale || hasChanged else { return false }
        isStale = false
        names = WatchedNames(patterns: [], files: paths.values.reduce(into: Set()) { $0.formUnion($1) })
        return watch.watch(names.directories, places: names.places).hasNew
    }
}
