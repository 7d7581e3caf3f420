internal import Glibc

/// The machine's files.
package struct SystemFileSystem: ConfigurationFileSystem {
    package init() {}

    package var currentDirectory: String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }

    package func read(
        _ path: String, atMost limit: Int, within roots: [OwnedPlace]?
    ) throws(FileFailure) -> [UInt8] {
        // O_NONBLOCK: a named pipe must not hold a start or a reload up.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Self.failure(errno) }
        defer { close(descriptor) }
        return try Self.read(descriptor, atMost: limit, within: roots)
    }

    /// The same of a file that is open.
    package static func read(
        _ descriptor: Int32, atMost limit: Int, within roots: [OwnedPlace]?
    ) throws(FileFailure) -> [UInt8] {
        if let roots {
            guard let place = path(of: descriptor), roots.contains(where: { $0.top(holding: place) != nil })
            else { throw .outside }
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile }
        guard status.st_size <= limit else { throw .tooLarge(limit: limit) }
        return try content(of: descriptor, expected: Int(status.st_size), atMost: limit)
    }

    /// Where an open file is, free of links; nil where the system does not say.
    private static func path(of descriptor: Int32) -> String? {
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(PATH_MAX)) { room, count in
            room.withMemoryRebound(to: CChar.self) { text in
                guard let start = text.baseAddress else { return }
                count = max(0, readlink("/proc/self/fd/\(descriptor)", start, text.count))
            }
        }
        guard bytes.first == UInt8(ascii: "/"), bytes.count < Int(PATH_MAX) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func content(
        of descriptor: Int32, expected: Int, atMost limit: Int
    ) throws(FileFailure) -> [UInt8] {
        var content: [UInt8] = []
        content.reserveCapacity(expected)
        var chunk = [UInt8](repeating: 0, count: min(max(expected + 1, 4096), 1 << 20))
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(errno) }
            if count == 0 { return content }
            content += chunk[..<count]
            // The file may have grown since its size was asked for.
            guard content.count <= limit else { throw .tooLarge(limit: limit) }
        }
    }

    package func kind(of path: String) -> FileKind? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFDIR: return .directory
        default: return .other
        }
    }

    package func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }

    package func beginning(of path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var room = [UInt8](repeating: 0, count: ScriptBeginning.octetsMax)
        let count = Glibc.read(descriptor, &room, room.count)
        return count >= 0 ? Array(room[..<count]) : nil
    }

    package func realPath(of path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(validatingCString: resolved)
    }

    /// The grain of a file system's clock is a tick of the kernel's, at most a hundredth of a second; a file that was
    /// changed later than this ago may change again at the same time.
    private static let settledNanoseconds: Int64 = 100_000_000

    package func stamp(of path: String) -> DiskStamp? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let modified = Self.nanoseconds(status.st_mtim)
        // Every change of the content sets this one too, and nobody can set it to what they like.
        let changed = Self.nanoseconds(status.st_ctim)
        let age = Self.nanoseconds(now) - changed
        return DiskStamp(
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
            modifiedNanoseconds: modified, changedNanoseconds: changed,
            isSettled: age > Self.settledNanoseconds)
    }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }

    package func paths(matching pattern: String) throws(FileFailure) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        switch glob(pattern, GLOB_ERR, nil, &found) {
        case 0:
            return (0..<Int(found.gl_pathc)).compactMap { index in
                found.gl_pathv[index].map { String(cString: $0) }
            }
        case GLOB_NOMATCH: return []
        case GLOB_ABORTED: throw kind(of: FilePath.directory(of: pattern)) == nil ? .missing : .denied
        default: throw .system(ENOMEM)
        }
    }

    private static func failure(_ code: Int32) -> FileFailure {
        switch code {
        case ENOENT, ENOTDIR: .missing
        case EACCES, EPERM: .denied
        case EISDIR: .notAFile
        default: .system(code)
        }
    }
}
