internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Glibc

/// Where the administration's socket is, and how it is made.
enum AdminSocket {
    /// The places for it where the machine's file names none, in the order in which they are tried.
    ///
    /// Two gateways of one machine have different machine's files, and so different sockets; that of the usual file
    /// has the plain name.
    static func places(machineFile: String, user: uid_t, environment: (String) -> String?) -> [String] {
        let isUsual = machineFile == "/etc/chimera/chimera.conf"
        let name = isUsual ? "admin.sock" : "admin-\(hash(machineFile)).sock"
        var folders = ["/run/chimera"]
        if let own = environment("XDG_RUNTIME_DIR"), own.hasPrefix("/") { folders.append(own + "/chimera") }
        folders.append("/tmp/chimera-\(user)")
        return folders.map { "\($0)/\(name)" }
    }

    /// FNV-1a: short, and the same in every version.
    private static func hash(_ text: String) -> String {
        let value = text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return String(value, radix: 16)
    }

    /// The places for a machine's file, which may be given by a relative path.
    static func places(machineFile: String) -> [String] {
        let resolved = realpath(machineFile, nil)
        defer { free(resolved) }
        let path = resolved.map { String(cString: $0) } ?? machineFile
        return places(machineFile: path, user: geteuid()) { name in getenv(name).map { String(cString: $0) } }
    }

    /// Listens there, for the owner of this process alone. Only while the process has one thread.
    ///
    /// - Throws: where another gateway has it, or the folder cannot be had.
    static func listen(_ path: String, makesFolder: Bool) throws(SystemError) -> Int32 {
        if makesFolder, let slash = path.lastIndex(of: "/") { try makeFolder(String(path[..<slash])) }
        Sockets.removeStale(path)
        let mask = umask(0o177)
        defer { umask(mask) }
        return try Sockets.listen(.unix(path: path), backlog: 64)
    }

    /// A folder that is ours, into which others may not write.
    static func makeFolder(_ path: String) throws(SystemError) {
        if mkdir(path, 0o755) == 0 { return }
        guard errno == EEXIST else { throw SystemError("mkdir \(path)", errno) }
        var found = stat()
        try SystemError.check(lstat(path, &found), path)
        let isFolder = found.st_mode & S_IFMT == S_IFDIR
        let isSafe = found.st_uid == geteuid() || found.st_uid == 0
        guard isFolder, isSafe, found.st_mode & 0o022 == 0 else { throw SystemError(path, EPERM) }
        guard access(path, W_OK) == 0 else { throw SystemError(path, EACCES) }
    }
}
