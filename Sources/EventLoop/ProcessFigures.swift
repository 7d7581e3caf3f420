internal import Glibc

/// What the kernel says of this process. Reading it takes some system calls, so it is for threads that may block.
package struct ProcessFigures: Sendable {
    /// Bytes of memory that are resident.
    package var residentBytes = 0
    /// Bytes of address space.
    package var virtualBytes = 0
    /// Descriptors that are open.
    package var descriptors = 0
    package var threads = 0
    /// CPU time so far, user and system, in microseconds.
    package var cpuMicroseconds: Int64 = 0
    /// When the process began, in whole seconds since 1970.
    package var startedAt: Int64 = 0

    /// The user as whom the process acts, by name where there is one.
    package static var userName: String {
        let user = geteuid()
        return getpwuid(user).map { String(cString: $0.pointee.pw_name) } ?? "\(user)"
    }

    /// The figures of this moment.
    package static var now: ProcessFigures {
        var figures = ProcessFigures()
        let pages = numbers(in: "/proc/self/statm")
        let pageSize = sysconf(Int32(_SC_PAGESIZE))
        if pages.count > 1 {
            figures.virtualBytes = pages[0] * pageSize
            figures.residentBytes = pages[1] * pageSize
        }
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        figures.cpuMicroseconds =
            Int64(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1_000_000
            + Int64(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
        figures.descriptors = entries(of: "/proc/self/fd")
        // The fields behind the name, which may hold blanks, begin with the third: threads are the 20th, the start
        // in ticks since boot the 22nd.
        if let text = text(of: "/proc/self/stat"), let end = text.lastIndex(of: ")") {
            let fields = text[text.index(after: end)...].split(separator: " ")
            if fields.count > 19 {
                figures.threads = Int(fields[17]) ?? 0
                figures.startedAt = wallSeconds(ofTicks: Int64(fields[19]) ?? 0)
            }
        }
        return figures
    }

    /// The soft limit of descriptors.
    package static var descriptorLimit: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(clamping: limit.rlim_cur)
    }

    /// The wall clock in whole seconds since 1970.
    package static var wallSeconds: Int64 {
        var wall = timespec()
        clock_gettime(CLOCK_REALTIME, &wall)
        return Int64(wall.tv_sec)
    }

    private static func wallSeconds(ofTicks ticks: Int64) -> Int64 {
        var boot = timespec()
        clock_gettime(CLOCK_BOOTTIME, &boot)
        let age = Int64(boot.tv_sec) - ticks / Int64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        return wallSeconds - age
    }

    private static func entries(of directory: String) -> Int {
        guard let stream = opendir(directory) else { return 0 }
        defer { closedir(stream) }
        // `.`, `..` and the descriptor that reads the directory are none of those that count.
        var count = -3
        while readdir(stream) != nil { count += 1 }
        return max(0, count)
    }

    private static func numbers(in path: String) -> [Int] {
        text(of: path)?.split { $0 == " " || $0 == "\n" }.compactMap { Int($0) } ?? []
    }

    private static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var room = [UInt8](repeating: 0, count: 2048)
        let count = read(descriptor, &room, room.count)
        return count > 0 ? String(decoding: room[..<count], as: UTF8.self) : nil
    }
}
