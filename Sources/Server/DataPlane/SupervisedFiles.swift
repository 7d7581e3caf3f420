internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Glibc

/// The files of a configuration as a data plane sees them that has given root's rights up: keys and certificates that it
/// may not read itself are opened by the supervisor, which may.
///
/// The supervisor hands over nothing else, and what belongs to a tenant is checked here on the open file, as always.
struct SupervisedFiles: ConfigurationFileSystem {
    let line: SupervisorLine
    private let disk = SystemFileSystem()

    init(line: SupervisorLine) { self.line = line }

    var currentDirectory: String { disk.currentDirectory }

    func read(_ path: String, atMost limit: Int, within roots: [OwnedPlace]?) throws(FileFailure) -> [UInt8] {
        do throws(FileFailure) {
            return try disk.read(path, atMost: limit, within: roots)
        } catch {
            guard error == .denied, let descriptor = try? line.openKey(path) else { throw error }
            defer { close(descriptor) }
            return try SystemFileSystem.read(descriptor, atMost: limit, within: roots)
        }
    }

    func kind(of path: String) -> FileKind? { disk.kind(of: path) }

    func paths(matching pattern: String) throws(FileFailure) -> [String] { try disk.paths(matching: pattern) }

    func realPath(of path: String) -> String? { disk.realPath(of: path) }

    func isExecutable(_ path: String) -> Bool { disk.isExecutable(path) }

    func beginning(of path: String) -> [UInt8]? { disk.beginning(of: path) }

    func stamp(of path: String) -> DiskStamp? { disk.stamp(of: path) }

    func isWatchedByOthers(_ path: String) -> Bool { line.watchesKey(path) }
}
