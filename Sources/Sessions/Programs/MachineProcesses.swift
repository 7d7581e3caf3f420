/// How many processes the machine lets there be.
package enum MachineProcesses {
    /// A number below /proc/sys/kernel; nil where it is not known.
    package static func kernel(_ name: String) -> Int? {
        number(ProcessFile.text("/proc/sys/kernel/\(name)"))
    }

    /// The least `pids.max` of the cgroup of this process and of those around it; nil where there is none.
    package static var groupMax: Int? {
        guard var path = OwnGroup.directory() else { return nil }
        var least: Int?
        while let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            if let here = number(ProcessFile.text(path + "/pids.max")) { least = min(least ?? here, here) }
            path = String(path[..<slash])
        }
        return least
    }

    private static func number(_ text: String?) -> Int? { text.flatMap { Int($0.filter { $0 != "\n" }) } }
}
