internal import CLinux
internal import Glibc

/// What the machine gives this process.
package enum Machine {
    /// The cores that the process may use: those of its affinity, or its cgroup's quota if that is less.
    package static var usableCores: Int {
        let cores = Int(chimera_usable_cores())
        guard let quota = cgroupQuota else { return cores }
        return max(1, min(cores, quota))
    }

    /// cgroup v2: `cpu.max` holds the quota and the period in microseconds, or `max`.
    private static var cgroupQuota: Int? {
        guard let text = firstLine(of: "/sys/fs/cgroup/cpu.max") else { return nil }
        let words = text.split(separator: " ")
        guard words.count == 2, let quota = Int(words[0]), let period = Int(words[1]), period > 0 else {
            return nil
        }
        return (quota + period - 1) / period
    }

    private static func firstLine(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var room = [UInt8](repeating: 0, count: 128)
        let count = read(descriptor, &room, room.count)
        guard count > 0 else { return nil }
        return String(decoding: room[..<count].prefix { $0 != 10 }, as: UTF8.self)
    }

    /// Whether standard output is a terminal.
    package static var hasTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
}
