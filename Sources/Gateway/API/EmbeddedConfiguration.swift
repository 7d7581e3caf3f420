internal import ChimeraConfiguration

/// The configuration of an embedding program has errors.
public struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    /// The errors and warnings, each with its place, its line and a caret, as `chimera check` prints them.
    public let description: String

    init(_ diagnostics: [Diagnostic]) {
        description = diagnostics.map(\.rendered).joined(separator: "\n")
    }
}

/// A configuration whose machine's file is a text of the embedding program; all that it names lies on the
/// disk, seen from the working directory.
struct EmbeddedConfiguration: ConfigurationFileSystem {
    private let text: [UInt8]
    private let disk = SystemFileSystem()
    private let path: String

    /// What positions call the text.
    static let name = "embedded"

    init(_ text: String) {
        self.text = Array(text.utf8)
        let directory = disk.currentDirectory
        path = (directory == "/" ? "" : directory) + "/" + Self.name
    }

    /// - Throws: `ConfigurationError`
    static func load(_ text: String) throws -> MachineConfiguration {
        let loader = ConfigurationLoader(fileSystem: EmbeddedConfiguration(text))
        return try checked(loader.load(machineFile: name))
    }

    /// - Throws: `ConfigurationError`, also where an imported file has errors: a program that starts should
    ///   know.
    static func checked(_ result: LoadResult) throws -> MachineConfiguration {
        guard let configuration = result.configuration, !result.hasErrors else {
            throw ConfigurationError(result.diagnostics)
        }
        return configuration
    }

    var currentDirectory: String { disk.currentDirectory }

    func read(_ path: String, atMost limit: Int, within roots: [OwnedPlace]?) throws(FileFailure) -> [UInt8] {
        guard path == self.path else { return try disk.read(path, atMost: limit, within: roots) }
        guard text.count <= limit else { throw .tooLarge(limit: limit) }
        return text
    }

    func kind(of path: String) -> FileKind? { path == self.path ? .file : disk.kind(of: path) }

    func paths(matching pattern: String) throws(FileFailure) -> [String] { try disk.paths(matching: pattern) }

    func realPath(of path: String) -> String? { disk.realPath(of: path) }

    func isExecutable(_ path: String) -> Bool { disk.isExecutable(path) }

    func beginning(of path: String) -> [UInt8]? { disk.beginning(of: path) }

    func stamp(of path: String) -> DiskStamp? { disk.stamp(of: path) }
}
