internal import CLinux
internal import ChimeraEventLoop
internal import Glibc

/// Cgroups of version 2 for programs, below the one in which this process was started.
///
/// ```
///  P                 where this process was started
///  ├── gateway       this process and its data planes, once P has controllers: it may have no processes then
///  └── programs
///      ├── ID        one program and whatever it starts
///      ┆
/// ```
/// What is in a cgroup stays there, whatever it does to its process group, its environment or its parent.
package final class ControlGroups {
    /// What bounds the processes of a cgroup together.
    package enum Controller: String, CaseIterable, Sendable {
        case memory, pids, cpu

        /// What it means that there is no cgroup of version 2 with this controller in which others may be made.
        package var consequence: String {
            let reason = "there is no cgroup of version 2 with the controller \(rawValue) to write to"
            return switch self {
            case .memory:
                "`memory=` of sessions bounds each process of a program for itself, by its address space: "
                    + reason
            case .pids: "`processes=` of sessions is not enforced: \(reason)"
            case .cpu: "`cpu=` of sessions is not enforced: \(reason)"
            }
        }
    }

    /// Those that a supervisor started as this process was could have enforced, as far as can be told without trying.
    package static func available() -> Set<Controller> {
        guard let own = OwnGroup.directory() else { return [] }
        return available(in: own)
    }

    /// - Parameter own: the directory of a cgroup.
    static func available(in own: String) -> Set<Controller> {
        guard access(own, W_OK) == 0 else { return [] }
        return Set(words(own + "/cgroup.controllers").compactMap(Controller.init))
    }

    /// P.
    private let own: String
    private let place: String
    /// What is enforced for programs.
    package private(set) var enforced: Set<Controller> = []

    /// Those of this process; nil where there is no cgroup of version 2 in which it may make others.
    package convenience init?() {
        guard let own = OwnGroup.directory() else { return nil }
        self.init(in: own)
    }

    /// - Parameter own: the directory of the cgroup in which this process is.
    package init?(in own: String) {
        self.own = own
        place = own + "/programs"
        guard access(own, W_OK) == 0, Self.make(place) else { return nil }
    }

    private static func make(_ path: String) -> Bool { mkdir(path, 0o755) == 0 || errno == EEXIST }

    // MARK: Controllers

    /// Has the controllers enforced, as far as the machine lets this process.
    package func enable(_ wanted: Set<Controller>) {
        let available = Self.words(own + "/cgroup.controllers")
        for controller in wanted.subtracting(enforced) where available.contains(controller.rawValue) {
            let order = "+" + controller.rawValue
            if !Self.write(order, to: own + "/cgroup.subtree_control") {
                // A cgroup with processes of its own gives none of its controllers to others.
                guard errno == EBUSY, leaveOwn(), Self.write(order, to: own + "/cgroup.subtree_control")
                else { continue }
            }
            if Self.write(order, to: place + "/cgroup.subtree_control") { enforced.insert(controller) }
        }
    }

    /// Moves this process and its children into a cgroup of their own.
    private func leaveOwn() -> Bool {
        let inner = own + "/gateway"
        guard Self.make(inner) else { return false }
        let ours = Set([getpid()] + (ProcessFile.ownChildren() ?? []))
        for process in Self.processes(own + "/cgroup.procs") where ours.contains(process) {
            guard Self.write("\(process)", to: inner + "/cgroup.procs") else { return false }
        }
        return true
    }

    // MARK: Programs

    /// Makes the cgroup of a program.
    ///
    /// - Returns: its open directory, which the caller closes.
    func make(_ id: String, _ limits: ProgramLimits) throws(SystemError) -> Int32 {
        let path = path(of: id)
        try SystemError.check(mkdir(path, 0o755), "mkdir")
        do throws(SystemError) {
            for (name, value) in values(limits) where !Self.write(value, to: path + "/" + name) {
                throw SystemError(name, errno)
            }
            // All of it ends where there is no more memory, and not what the kernel happens to choose of it.
            if enforced.contains(.memory), limits.memory != nil {
                _ = Self.write("1", to: path + "/memory.oom.group")
                _ = Self.write("0", to: path + "/memory.swap.max")
            }
            return try SystemError.check(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open")
        } catch {
            rmdir(path)
            throw error
        }
    }

    private func values(_ limits: ProgramLimits) -> [(String, String)] {
        var values: [(String, String)] = []
        if enforced.contains(.memory), let memory = limits.memory {
            values.append(("memory.max", "\(memory)"))
        }
        if enforced.contains(.pids), let count = limits.processes { values.append(("pids.max", "\(count)")) }
        if enforced.contains(.cpu), let percent = limits.cpuPercent {
            values.append(("cpu.max", "\(percent * 1000) 100000"))
        }
        return values
    }

    /// The processes that a program has left, or that it is.
    func processes(of id: String) -> [Int32] { Self.processes(path(of: id) + "/cgroup.procs") }

    /// Kills whatever is in a program's cgroup.
    func kill(_ id: String) {
        if Self.write("1", to: path(of: id) + "/cgroup.kill") { return }
        // Before Linux 5.14; what it starts meanwhile is met by the next call.
        for process in processes(of: id) { Glibc.kill(process, SIGKILL) }
    }

    /// Takes a program's cgroup away.
    ///
    /// - Returns: false where something is in it still.
    func remove(_ id: String) -> Bool { rmdir(path(of: id)) == 0 || errno == ENOENT }

    /// Kills what is left of programs whose ids begin so, whose supervisor is gone.
    ///
    /// - Returns: those whose cgroups are to be taken away once they are empty.
    func kill(instance: String) -> [String] {
        let left = Self.names(in: place).filter { $0.hasPrefix(instance + ".") }
        for name in left { kill(name) }
        return left
    }

    /// Takes away what nobody needs any more.
    func discard() { rmdir(place) }

    private func path(of id: String) -> String { place + "/" + id }

    // MARK: Files

    private static func write(_ text: String, to path: String) -> Bool {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return false }
        let count = Glibc.write(descriptor, text, text.utf8.count)
        let failure = errno
        close(descriptor)
        errno = failure
        return count == text.utf8.count
    }

    private static func words(_ path: String) -> Set<String> {
        Set((ProcessFile.text(path) ?? "").split { $0 == " " || $0 == "\n" }.map(String.init))
    }

    private static func processes(_ path: String) -> [Int32] {
        (ProcessFile.text(path) ?? "").split(separator: "\n").compactMap { Int32($0) }
    }

    private static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var found: [String] = []
        while let entry = readdir(directory) {
            found.append(
                withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                })
        }
        return found
    }
}

/// Where this process is in the tree of cgroups.
enum OwnGroup {
    /// The directory of its cgroup; nil where the machine has none of version 2, or none is mounted.
    static func directory() -> String? {
        directory(
            groups: ProcessFile.text("/proc/self/cgroup") ?? "",
            mounts: ProcessFile.text("/proc/self/mountinfo") ?? "")
    }

    /// - Parameters:
    ///   - groups: /proc/PID/cgroup, cgroups(7).
    ///   - mounts: /proc/PID/mountinfo, proc(5).
    static func directory(groups: String, mounts: String) -> String? {
        guard let line = groups.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else {
            return nil
        }
        let own = line.dropFirst(3)
        for mount in mounts.split(separator: "\n") {
            let words = mount.split(separator: " ")
            guard let mark = words.firstIndex(of: "-"), mark >= 6, mark + 1 < words.count,
                words[mark + 1] == "cgroup2"
            else { continue }
            let (root, point) = (words[3], words[4])
            if root == "/" { return own == "/" ? String(point) : String(point + own) }
            // Part of the tree alone is mounted.
            if own == root { return String(point) }
            if own.hasPrefix(root + "/") { return String(point + own.dropFirst(root.count)) }
        }
        return nil
    }
}
