/// What reading a configuration needs of a file system.
package protocol ConfigurationFileSystem: Sendable {
    /// Absolute.
    var currentDirectory: String { get }

    /// The content of a regular file of at most `limit` bytes.
    ///
    /// - Parameter roots: where the file has to be once every link is followed; nil: anywhere. What is checked is the
    ///   opened file itself, so nobody can put another there in between.
    func read(_ path: String, atMost limit: Int, within roots: [OwnedPlace]?) throws(FileFailure) -> [UInt8]

    /// What stands at a path, links followed; nil for nothing.
    func kind(of path: String) -> FileKind?

    /// The paths that a pattern with `*`, `?` and `[…]` names, in order. Names that begin with a dot need one in the
    /// pattern.
    func paths(matching pattern: String) throws(FileFailure) -> [String]

    /// The path without any link in it; nil where there is nothing.
    func realPath(of path: String) -> String?

    /// Whether this process may execute a file.
    func isExecutable(_ path: String) -> Bool

    /// The first octets of a file that this process may read, at most 256; nil where nothing is known of them.
    func beginning(of path: String) -> [UInt8]?

    /// What changes when a file does; nil: nothing is known, so the file has to be read to see.
    func stamp(of path: String) -> DiskStamp?

    /// Whether somebody else watches a file that was read, and will say when it may have changed.
    func isWatchedByOthers(_ path: String) -> Bool
}

extension ConfigurationFileSystem {
    package func isExecutable(_ path: String) -> Bool { kind(of: path) == .file }

    package func beginning(of path: String) -> [UInt8]? { nil }

    package func read(_ path: String, atMost limit: Int) throws(FileFailure) -> [UInt8] {
        try read(path, atMost: limit, within: nil)
    }

    package func isWatchedByOthers(_ path: String) -> Bool { false }
}

package enum FileKind: String, Sendable { case file, directory, other }

/// What a file was like when it was looked at; two that are equal and settled are of the same content.
package struct DiskStamp: Sendable, Equatable {
    package var device: UInt64
    package var inode: UInt64
    package var size: Int64
    package var modifiedNanoseconds: Int64
    package var changedNanoseconds: Int64
    /// Whether the last change is so long ago that a next one has another time.
    package var isSettled: Bool

    package init(
        device: UInt64, inode: UInt64, size: Int64, modifiedNanoseconds: Int64, changedNanoseconds: Int64,
        isSettled: Bool
    ) {
        self.device = device
        self.inode = inode
        self.size = size
        self.modifiedNanoseconds = modifiedNanoseconds
        self.changedNanoseconds = changedNanoseconds
        self.isSettled = isSettled
    }
}

/// A part of the file system that belongs to somebody.
package struct OwnedPlace: Sendable, Hashable {
    /// Absolute and without links.
    package var path: String
    /// True: everything beside whose path begins with `path` and a dot, as `shop.htpasswd` does, belongs as well.
    package var withSuffixes: Bool
    /// Names beside that begin so and are somebody else's.
    package var without: [String]

    package init(path: String, withSuffixes: Bool = false, without: [String] = []) {
        self.path = path
        self.withSuffixes = withSuffixes
        self.without = without
    }

    /// The top of what belongs and holds `path`: `/srv` for `/srv/a/b`, `/etc/conf.d/shop.www` for
    /// `/etc/conf.d/shop.www/x`; nil where it is elsewhere.
    package func top(holding path: String) -> String? {
        if self.path == "/" { return path.utf8.first == UInt8(ascii: "/") ? "/" : nil }
        // By octets: a mark that joins the slash before it must not hide that slash.
        guard path.utf8.starts(with: self.path.utf8) else { return nil }
        let rest = path.utf8.dropFirst(self.path.utf8.count)
        if rest.isEmpty || rest.first == UInt8(ascii: "/") { return self.path }
        guard withSuffixes, rest.first == UInt8(ascii: ".") else { return nil }
        let name = self.path + String(decoding: rest.prefix { $0 != UInt8(ascii: "/") }, as: UTF8.self)
        let isOthers = without.contains { name == $0 || name.utf8.starts(with: ($0 + ".").utf8) }
        return isOthers ? nil : name
    }
}

/// Why a file could not be read.
package enum FileFailure: Error, Sendable, Hashable {
    case missing
    case denied
    case notAFile
    case tooLarge(limit: Int)
    /// A link leads out of where the file has to be.
    case outside
    /// An error number of the system.
    case system(Int32)

    /// What follows the file's name in a message: `does not exist`.
    package var reason: String {
        switch self {
        case .missing: "does not exist"
        case .denied: "cannot be read: permission denied"
        case .notAFile: "is not a file"
        case .tooLarge(let limit): "is larger than \(limit) bytes"
        case .outside: "leads out of what belongs to this tenant"
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

    /// `shop.conf` of `conf.d/shop.conf`.
    static func name(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }

    /// `shop` of `conf.d/shop.conf`.
    static func stem(of path: String) -> String {
        let name = name(of: path)
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return name }
        return String(name[..<dot])
    }
}
