/// What bounds a program and all that it starts; nil is no bound.
package struct ProgramLimits: Equatable, Sendable {
    /// Octets of memory of all its processes together; without a cgroup, of address space of each.
    package var memory: Int?
    /// Processes and threads at once.
    package var processes: Int?
    /// Hundredths of a core, of all its processes together.
    package var cpuPercent: Int?
    /// Descriptors of each process.
    package var files: Int?
    /// Seconds of processor time of each process.
    package var cpuSeconds: Int?

    package init() {}

    /// What a cgroup is needed for.
    package var controllers: Set<ControlGroups.Controller> {
        var wanted: Set<ControlGroups.Controller> = []
        if memory != nil { wanted.insert(.memory) }
        if processes != nil { wanted.insert(.pids) }
        if cpuPercent != nil { wanted.insert(.cpu) }
        return wanted
    }
}
