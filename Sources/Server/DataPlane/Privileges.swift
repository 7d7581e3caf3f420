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
    static func drop(to wanted: UserName?, machineFile: String, _ logger: Logger) throws(Failure) {
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
        let user: User
        if let wanted { user = try resolve(wanted) } else { user = try usual(machineFile) }
        guard user.id != 0 else {
            logger.warning("serving as root, without its privileges; name another with `user`")
            guard chimera_drop_capabilities() == 0 else { throw failure("capset") }
            return
        }
        try become(user)
        logger.log(
            level: wanted == nil ? .notice : .info, "started as root, serving as \(user.name)",
            metadata: ["uid": "\(user.id)", "gid": "\(user.group)"])
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

    private static func become(_ user: User) throws(Failure) {
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
