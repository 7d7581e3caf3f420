internal import ChimeraConfiguration
internal import Glibc

/// Which names in which directories some paths lead through, every link followed: a change at one of them can make a path
/// lead to something else.
///
/// ```
/// /etc/chimera/shop.conf ─▶ /srv/current/shop.conf     /etc/chimera: shop.conf
///                  /srv/current ─▶ releases/7          /srv: current
///                                                      /srv/releases/7: shop.conf
/// ```
/// Where a directory on the way is missing, its name in the nearest one that is there is what counts.
struct PathTrails {
    /// By real path: what counts in a directory.
    private(set) var names: [String: Set<String>] = [:]
    /// Real paths of directories that were met.
    private var places: Set<String> = ["/"]
    /// Real paths of directories by another path.
    private var known: [String: String] = [:]
    /// Paths were left out, since there were too many directories.
    private(set) var isCut = false
    private let directoriesMax: Int

    /// How many names of a directory were looked at, and where those are many, which are links.
    private var looks: [String: Int] = [:]
    private var linksByDirectory: [String: Set<String>] = [:]

    /// Past so many names it is cheaper to read the directory.
    private static let looksMax = 64
    /// What the kernel follows in a path at most.
    private static let linksMax = 40
    /// PATH_MAX: what is longer leads nowhere.
    private static let bytesMax = 4096

    init(directoriesMax: Int) { self.directoriesMax = directoriesMax }

    /// Follows an absolute path to its end.
    mutating func follow(_ path: String) {
        var path = path
        for _ in 0..<Self.linksMax {
            guard let (directory, name) = Self.split(path) else {
                _ = real(path)
                return
            }
            guard let base = real(directory), note(name, in: base) else { return }
            guard mayBeLink(name, in: base), let target = Self.link(Self.join(base, name)) else { return }
            path = target.hasPrefix("/") ? target : Self.join(base, target)
        }
    }

    /// The real path of a directory; nil where there is none, and then what is missing counts.
    mutating func real(_ directory: String) -> String? {
        if let known = known[directory] { return known }
        guard directory.utf8.count < Self.bytesMax else { return nil }
        var left = Array(directory.split(separator: "/").reversed())
        var done = "/"
        var links = 0
        while let segment = left.popLast() {
            if segment == "." { continue }
            if segment == ".." {
                done = Self.parent(of: done)
                continue
            }
            let place = Self.join(done, segment)
            if places.contains(place) {
                done = place
                continue
            }
            if let target = Self.link(place) {
                links += 1
                guard note(String(segment), in: done), links <= Self.linksMax, left.count < Self.bytesMax
                else { return nil }
                if target.hasPrefix("/") { done = "/" }
                left += target.split(separator: "/").reversed()
            } else if Self.isDirectory(place) {
                places.insert(place)
                done = place
            } else {
                _ = note(String(segment), in: done)
                return nil
            }
        }
        known[directory] = done
        return done
    }

    /// A directory in which names count, by its real path.
    ///
    /// - Returns: false where there are too many.
    mutating func take(_ directory: String) -> Bool {
        guard names[directory] == nil else { return true }
        guard names.count < directoriesMax else {
            isCut = true
            return false
        }
        names[directory] = []
        return true
    }

    private mutating func mayBeLink(_ name: String, in directory: String) -> Bool {
        if let links = linksByDirectory[directory] { return links.contains(name) }
        looks[directory, default: 0] += 1
        if looks[directory] == Self.looksMax {
            linksByDirectory[directory] = Self.links(in: directory).map(Set.init)
        }
        return true
    }

    private mutating func note(_ name: String, in directory: String) -> Bool {
        guard take(directory) else { return false }
        names[directory]?.insert(name)
        return true
    }

    /// The directories above these, which another may take the place of.
    static func above(_ directories: some Sequence<String>) -> Set<String> {
        var found: Set<String> = []
        for directory in directories {
            var place = directory
            while place != "/" {
                place = parent(of: place)
                // The root stays where it is.
                guard place != "/", found.insert(place).inserted else { break }
            }
        }
        return found
    }

    // MARK: The disk

    /// The names in a directory that are links, or may be; nil where it cannot be read.
    static func links(in directory: String) -> [String]? {
        guard let entries = try? DirectoryEntry.all(in: directory) else { return nil }
        return entries.filter { $0.isLink != false }.map(\.name)
    }

    /// Where a link leads; nil for what is none.
    private static func link(_ path: String) -> String? {
        guard path.utf8.count < bytesMax else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: bytesMax) { room in
            guard let start = room.baseAddress else { return nil }
            let count = readlink(path, start, room.count)
            guard count > 0, count < room.count else { return nil }
            let bytes = room[..<count].map { UInt8(bitPattern: $0) }
            return String(validating: bytes, as: UTF8.self)
        }
    }

    private static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    // MARK: Text

    /// Nil for a path that ends in no name.
    private static func split(_ path: String) -> (directory: String, name: String)? {
        // The usual form needs no more than its last slash.
        if let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) {
            let name = path[path.utf8.index(after: slash)...]
            if !name.isEmpty, name != ".", name != ".." {
                return (slash == path.startIndex ? "/" : String(path[..<slash]), String(name))
            }
        }
        let segments = path.split(separator: "/").filter { $0 != "." }
        guard let last = segments.last, last != ".." else { return nil }
        return ("/" + segments.dropLast().joined(separator: "/"), String(last))
    }

    private static func join(_ directory: String, _ name: some StringProtocol) -> String {
        directory == "/" ? "/" + name : directory + "/" + name
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash != path.startIndex else {
            return "/"
        }
        return String(path[..<slash])
    }
}
