internal import CLinux
internal import ChimeraEventLoop
internal import Glibc

/// Whom a program runs as.
package struct ProgramUser: Equatable, Sendable {
    package var id: UInt32
    package var group: UInt32
    package var groups: [UInt32]

    package init(id: UInt32, group: UInt32, groups: [UInt32]) {
        self.id = id
        self.group = group
        self.groups = groups
    }

    /// Whom another process runs as; nil where it is gone.
    package init?(ofProcess process: Int32) {
        guard let text = ProcessFile.text("/proc/\(process)/status") else { return nil }
        var numbers: [Substring: [UInt32]] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, ["Uid", "Gid", "Groups"].contains(parts[0]) else { continue }
            numbers[parts[0]] = parts[1].split { $0 == " " || $0 == "\t" }.compactMap { UInt32($0) }
        }
        // Real, effective, saved, of the file system.
        guard let users = numbers["Uid"], let groups = numbers["Gid"], users.count == 4, groups.count == 4
        else { return nil }
        self.init(id: users[1], group: groups[1], groups: numbers["Groups"] ?? [])
    }
}

/// The start of one program, with its pipes.
enum ProgramPipes {
    /// Starts it; the thread that calls must live as long as the program may.
    ///
    /// - Parameters:
    ///   - environment: all of it.
    ///   - user: nil for whoever this process is.
    ///   - descriptors: what it may have open unless it asks for more; nil for as many as this process.
    ///   - group: the open directory of its cgroup; nil for that of this process.
    static func start(
        _ order: ProgramOrder, id: String, environment: [String], as user: ProgramUser?, descriptors: UInt?,
        group: ProgramGroup?
    ) throws(SystemError) -> StartedProgram {
        var pipes = Pipes()
        do throws(SystemError) {
            if order.hasTerminal { try pipes.openTerminal(for: user) } else { try pipes.open() }
            let process = try spawn(order, environment, user, descriptors, group, pipes)
            pipes.closeTheirs()
            return StartedProgram(
                id: id, process: process, input: pipes.input.1, output: pipes.output.0,
                error: order.hasTerminal ? nil : pipes.error.0)
        } catch {
            pipes.closeTheirs()
            pipes.closeOurs()
            throw error
        }
    }

    private struct Pipes {
        /// Where it is read, and where it is written.
        var input: (Int32, Int32) = (-1, -1)
        var output: (Int32, Int32) = (-1, -1)
        var error: (Int32, Int32) = (-1, -1)

        mutating func open() throws(SystemError) {
            input = try Self.pipe()
            output = try Self.pipe()
            error = try Self.pipe()
        }

        /// The terminal's own end is all that the program has; ours is two, of which one is for writing.
        mutating func openTerminal(for user: ProgramUser?) throws(SystemError) {
            var ends: (Int32, Int32) = (-1, -1)
            let owner = user.flatMap { Int32(exactly: $0.id) } ?? -1
            let made = withUnsafeMutableBytes(of: &ends) { bytes in
                chimera_terminal(bytes.baseAddress?.assumingMemoryBound(to: Int32.self), owner)
            }
            try SystemError.check(made, "posix_openpt")
            output.0 = ends.0
            input.0 = ends.1
            input.1 = try SystemError.check(fcntl(ends.0, F_DUPFD_CLOEXEC, 3), "fcntl")
        }

        /// What becomes the program's standard output and error.
        var theirOutputs: (Int32, Int32) { output.1 < 0 ? (input.0, input.0) : (output.1, error.1) }

        private static func pipe() throws(SystemError) -> (Int32, Int32) {
            var ends: (Int32, Int32) = (-1, -1)
            let made = withUnsafeMutableBytes(of: &ends) { bytes in
                chimera_pipe(bytes.baseAddress?.assumingMemoryBound(to: Int32.self))
            }
            try SystemError.check(made, "pipe2")
            return ends
        }

        func closeTheirs() { for end in [input.0, output.1, error.1] where end >= 0 { close(end) } }

        func closeOurs() { for end in [input.1, output.0, error.0] where end >= 0 { close(end) } }
    }

    private static func spawn(
        _ order: ProgramOrder, _ environment: [String], _ user: ProgramUser?, _ descriptors: UInt?,
        _ group: ProgramGroup?, _ pipes: Pipes
    ) throws(SystemError) -> Int32 {
        let words: [UnsafeMutablePointer<CChar>?] = order.arguments.map { strdup($0) } + [nil]
        let variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        let path = strdup(order.path)
        let directory = strdup(order.directory)
        let groups = user?.groups ?? []
        defer { for text in words + variables + [path, directory] { free(text) } }
        let process = words.withUnsafeBufferPointer { words in
            variables.withUnsafeBufferPointer { variables in
                groups.withUnsafeBufferPointer { groups in
                    var program = chimera_program()
                    program.path = UnsafePointer(path)
                    program.directory = UnsafePointer(directory)
                    program.arguments = words.baseAddress
                    program.environment = variables.baseAddress
                    program.input = pipes.input.0
                    (program.output, program.error) = pipes.theirOutputs
                    program.has_terminal = order.hasTerminal ? 1 : 0
                    program.descriptors = descriptors ?? 0
                    program.setLimits(order.limits, group)
                    program.changes_user = user == nil ? 0 : 1
                    program.user = user?.id ?? 0
                    program.group = user?.group ?? 0
                    program.groups = groups.baseAddress
                    // Root here means the files of root, and no more than whoever serves as root has given up.
                    program.drops_privileges = user?.id == 0 ? 1 : 0
                    program.group_count = groups.count
                    return chimera_start_program(&program)
                }
            }
        }
        return try SystemError.check(process, "execve")
    }
}

/// The cgroup that a program begins in.
struct ProgramGroup {
    /// Its open directory.
    let directory: Int32
    /// What it bounds.
    let enforced: Set<ControlGroups.Controller>
}

extension chimera_program {
    fileprivate mutating func setLimits(_ limits: ProgramLimits, _ group: ProgramGroup?) {
        if let group { (has_group, group_directory) = (1, group.directory) }
        descriptors_max = limits.files.map { UInt(clamping: $0) } ?? 0
        cpu_seconds = limits.cpuSeconds.map { UInt(clamping: $0) } ?? 0
        // Each process for itself, where nothing bounds them together.
        if group?.enforced.contains(.memory) != true {
            address_space = limits.memory.map { UInt(clamping: $0) } ?? 0
        }
    }
}

/// What the kernel tells of processes.
enum ProcessFile {
    /// The content of a file below /proc; nil where the process is gone, or is not ours to see.
    static func bytes(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return content }
            content += chunk[..<count]
            // What a program may set to any length: enough of it was seen.
            if content.count > 4 << 20 { return content }
        }
    }

    static func text(_ path: String) -> String? {
        bytes(path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// When a process started, in ticks since the machine did: with its number that names one process of this boot.
    static func startTime(of process: Int32) -> UInt64? { fields(of: process).flatMap { UInt64($0[19]) } }

    /// The moment, in the same ticks.
    static var tick: UInt64 {
        var now = timespec()
        clock_gettime(CLOCK_BOOTTIME, &now)
        return UInt64(now.tv_sec) * ticksASecond + UInt64(now.tv_nsec) * ticksASecond / 1_000_000_000
    }

    private static let ticksASecond = UInt64(sysconf(Int32(_SC_CLK_TCK)))

    /// Whether a process lives: a zombie does not.
    static func lives(_ process: Int32) -> Bool {
        fields(of: process).map { $0[0] != "Z" && $0[0] != "X" } ?? false
    }

    /// The fields of /proc/PID/stat behind the name, which may hold anything.
    private static func fields(of process: Int32) -> [Substring]? {
        guard let text = Self.text("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else {
            return nil
        }
        let fields = text[text.index(after: end)...].split { $0 == " " || $0 == "\n" }
        return fields.count > 19 ? fields : nil
    }

    /// Which boot of the machine this is.
    static func bootID() -> String {
        (text("/proc/sys/kernel/random/boot_id") ?? "").filter { $0 != "\n" }
    }

    /// The value of `CHIMERA_SESSION` with which a process was started; nil where it has none, or is not ours to see.
    static func session(of process: Int32) -> String? {
        guard let bytes = Self.bytes("/proc/\(process)/environ") else { return nil }
        let prefix = Array("CHIMERA_SESSION=".utf8)
        for variable in bytes.split(separator: 0) where variable.starts(with: prefix) {
            return String(decoding: variable.dropFirst(prefix.count), as: UTF8.self)
        }
        return nil
    }

    /// All processes that there are.
    static func all() -> [Int32] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var found: [Int32] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let process = Int32(name) { found.append(process) }
        }
        return found
    }

    /// The children of this process, those of all its threads; nil where the kernel does not list them.
    static func ownChildren() -> [Int32]? {
        guard let tasks = opendir("/proc/self/task") else { return nil }
        defer { closedir(tasks) }
        var found: [Int32] = []
        while let entry = readdir(tasks) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard Int32(name) != nil else { continue }
            guard let text = Self.text("/proc/self/task/\(name)/children") else { return nil }
            found += text.split(separator: " ").compactMap { Int32($0) }
        }
        return found
    }
}
