/// What reading a configuration needs of a file system.
package protocol ConfigurationFileSystem: Sendable {
    /// Absolute.
    var currentDirectory: String { get }

    /// The content of a regular file of at most `limit` bytes.
    func read(_ path: String, atMost limit: Int) throws(FileFailure) -> [UInt8]

    /// What stands at a path, links followed; nil for nothing.
    func kind(of path: String) -> FileKind?

    /// The paths that a pattern with `*`, `?` and `[…]` names, in order. Names that begin with a dot need one in the
    /// pattern.
    func paths(matching pattern: String) throws(FileFailure) -> [String]
}

package enum FileKind: Sendable { case file, directory, other }

/// Why a file could not be read.
package enum FileFailure: Error, Sendable, Hashable {
    case missing
    case denied
    case notAFile
    case tooLarge(limit: Int)
    /// An error number of the system.
    case system(Int32)

    /// What follows the file's name in a message: `does not exist`.
    package var reason: String {
        switch self {
        case .missing: "does not exist"
        case .denied: "cannot be read: permission denied"
        case .notAFile: "is not a file"
        case .tooLarge(let limit): "is larger than \(limit) bytes"
        case .system(let code): "cannot be read: error \(code)"
        }
    }
}

/// Paths as text: nothing here looks at a disk.
enum FilePath {
    /// `path` below `directory` unless it is absolute, without `.` segments and doubled slashes. `..` stays, since a
    /// link may stand before it.
    static func resolve(_ path: String, in directory: String) -> String {
        let whole = path.hasPrefix("/") ? path : directory + "/" + path
        let segments = whole.split(separator: "/").filter { $0 != "." }
        return "/" + segments.joined(separator: "/")
    }

    /// `conf.d` of `conf.d/shop.conf`; empty where there is no slash.
    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "" }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// `shop` of `conf.d/shop.conf`.
    static func stem(of path: String) -> String {
        let name = path.lastIndex(of: "/").map { path[path.index(after: $0)...] } ?? path[...]
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return String(name) }
        return String(name[..<dot])
    }
}
