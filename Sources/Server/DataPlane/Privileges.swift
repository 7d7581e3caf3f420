internal import CLinux
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Glibc
internal import Logging

/// What a data plane may do: nothing that its user may not, and never more later.
enum Privileges {
    /// A user of the machine.
    struct User: Equatable {
        var name: String
        var id: uid_t
        var group: gid_t
        /// The user's other groups count too.
        var hasOtherGroups: Bool
    }

    /// Why no user can be taken.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Gives up what the process has more than its user. Before it has other threads.
    ///
    /// - Parameters:
    ///   - wanted: what the machine's file says.
    ///   - machineFile: whose owner serves where nobody is named.
    ///   - dataDirectory: is made for who serves where it is not there.
    static func drop(
        to wanted: UserName?, machineFile: String, dataDirectory: String?, _ logger: Logger
    ) throws(Failure) {
        defer { _ = chimera_refuse_new_privileges() }
        guard geteuid() == 0 else {
            // A service manager may have given some to the supervisor, for its sockets.
            _ = chimera_drop_capabilities()
            if let wanted {
                logger.debug(
                    "not started as root, so `user` does nothing", metadata: ["user": "\(wanted.name)"])
            }
            return
        }
        let user = try server(wanted, machineFile: machineFile)
        guard user.id != 0 else {
            logger.warning("serving as root, without its privileges; name another with `user`")
            guard chimera_drop_capabilities() == 0 else { throw failure("capset") }
            leaveSurroundings(of: user)
            return
        }
        if let dataDirectory { makeDirectory(dataDirectory, for: user) }
        try become(user)
        leaveSurroundings(of: user)
        logger.log(
            level: wanted == nil ? .notice : .info, "started as root, serving as \(user.name)",
            metadata: ["uid": "\(user.id)", "gid": "\(user.group)"])
    }

    /// Who serves where root starts the gateway.
    static func server(_ wanted: UserName?, machineFile: String) throws(Failure) -> User {
        if let wanted { return try resolve(wanted) }
        return try usual(machineFile)
    }

    /// What root's environment says of places is for root: programs are looked up where every user may.
    private static func leaveSurroundings(of user: User) {
        setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1)
        let entry = getpwuid(user.id)?.pointee
        setenv("HOME", entry.map { String(cString: $0.pw_dir) } ?? "/", 1)
        for name in ["USER", "LOGNAME", "SHELL", "TMPDIR", "MAIL"] { unsetenv(name) }
    }

    /// Makes a directory, and those above it, where nobody but root has a say in what a path leads to; elsewhere who
    /// serves makes it, or misses it and says so.
    private static func makeDirectory(_ path: String, for user: User) {
        guard path.hasPrefix("/") else { return }
        let segments = path.split(separator: "/").map(String.init)
        let asDirectory = O_RDONLY | O_DIRECTORY | O_CLOEXEC
        var place = open("/", asDirectory)
        for (index, segment) in segments.enumerated() {
            guard place >= 0, isRoots(place) else { break }
            let isLast = index == segments.count - 1
            let isNew = mkdirat(place, segment, isLast ? 0o700 : 0o755) == 0
            let next = openat(place, segment, isNew ? asDirectory | O_NOFOLLOW : asDirectory)
            close(place)
            place = next
            // Also where a service manager has just made it for root.
            if isLast && place >= 0 && (isNew || isRoots(place) && isEmpty(path)) {
                _ = fchown(place, user.id, user.group)
            }
        }
        if place >= 0 { close(place) }
    }

    private static func isEmpty(_ path: String) -> Bool {
        (try? DirectoryEntry.all(in: path))?.isEmpty ?? false
    }

    /// Whether nobody but root can put something else in the place of what root makes there.
    private static func isRoots(_ directory: Int32) -> Bool {
        var status = stat()
        guard fstat(directory, &status) == 0, status.st_uid == 0 else { return false }
        return status.st_mode & 0o022 == 0 || status.st_mode & mode_t(S_ISVTX) != 0
    }

    /// The owner of the machine's file; where that is root, `chimera`, or else `nobody`.
    private static func usual(_ machineFile: String) throws(Failure) -> User {
        var found = stat()
        if stat(machineFile, &found) == 0, found.st_uid != 0 {
            return User(
                name: "user \(found.st_uid), who owns \(machineFile)", id: found.st_uid, group: found.st_gid,
                hasOtherGroups: false)
        }
        for name in ["chimera", "nobody"] {
            if let user = named(name) { return user }
        }
        throw Failure(description: "started as root, and there is no user to serve as; name one with `user`")
    }

    /// A user by name or number, and a group by name or number.
    static func resolve(_ wanted: UserName) throws(Failure) -> User {
        let number = uid_t(wanted.name)
        guard var user = named(wanted.name) ?? number.map({ unnamed($0) }) else {
            throw Failure(description: "there is no user \"\(wanted.name)\"")
        }
        guard let group = wanted.group else {
            // A number without an entry has no group of its own.
            return user
        }
        if let entry = getgrnam(group) {
            user.group = entry.pointee.gr_gid
        } else if let number = gid_t(group) {
            user.group = number
        } else {
            throw Failure(description: "there is no group \"\(group)\"")
        }
        user.hasOtherGroups = false
        return user
    }

    private static func named(_ name: String) -> User? {
        guard let entry = getpwnam(name) else { return nil }
        return User(name: name, id: entry.pointee.pw_uid, group: entry.pointee.pw_gid, hasOtherGroups: true)
    }

    private static func unnamed(_ id: uid_t) -> User {
        if let entry = getpwuid(id) {
            return User(
                name: String(cString: entry.pointee.pw_name), id: id, group: entry.pointee.pw_gid,
                hasOtherGroups: true)
        }
        return User(name: "\(id)", id: id, group: gid_t(id), hasOtherGroups: false)
    }

    /// Takes on the user's rights for good.
    static func become(_ user: User) throws(Failure) {
        if user.hasOtherGroups {
            guard initgroups(user.name, user.group) == 0 else { throw failure("initgroups") }
        } else {
            var group = user.group
            guard setgroups(1, &group) == 0 else { throw failure("setgroups") }
        }
        guard setgid(user.group) == 0 else { throw failure("setgid") }
        guard setuid(user.id) == 0 else { throw failure("setuid") }
        guard setuid(0) != 0 else { throw Failure(description: "root's rights could not be given up") }
    }

    private static func failure(_ call: String) -> Failure {
        Failure(description: "root's rights cannot be given up: \(SystemError(call, errno))")
    }
}
