package import ChimeraConfiguration
internal import ChimeraEventLoop
package import ChimeraSessions
internal import Glibc

/// How many sessions the machine has room for at once, whatever the configuration allows.
package struct SessionCeiling: Equatable, Sendable {
    package var count: Int
    /// What sets it.
    package var reason: String

    /// A client's socket, and a program's pipes.
    private static let descriptorsForEach = 4
    /// Processes that are there beside the sessions' programs.
    private static let otherProcesses = 200

    /// The least of what is known to bound them.
    package static func ofMachine() -> SessionCeiling {
        let descriptors = GatewayWorker.connectionsMax(
            descriptors: Int(clamping: most(RLIMIT_NOFILE.rawValue)))
        var bounds = [
            SessionCeiling(count: descriptors / descriptorsForEach, reason: "the limit of descriptors")
        ]
        func add(_ count: Int?, _ reason: String) {
            guard let count else { return }
            bounds.append(SessionCeiling(count: max(0, count - otherProcesses), reason: reason))
        }
        for name in ["pid_max", "threads-max"] { add(MachineProcesses.kernel(name), "kernel.\(name)") }
        add(MachineProcesses.groupMax, "pids.max of the cgroup")
        // It does not bind root.
        if geteuid() != 0 { add(Int(clamping: most(processesResource)), "the user's limit of processes") }
        return bounds.min { $0.count < $1.count } ?? bounds[0]
    }

    /// RLIMIT_NPROC, which glibc's module does not have.
    private static let processesResource: UInt32 = 6

    private static func most(_ resource: UInt32) -> rlim_t {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(resource), &limit) == 0 ? limit.rlim_max : .max
    }

    /// What a configuration allows that cannot come about here, at the places where it says so.
    package func warnings(of configuration: MachineConfiguration) -> [Diagnostic] {
        var found: [Diagnostic] = []
        for site in configuration.sites {
            for settings in [site.site.settings] + site.site.routes.map(\.settings) {
                for limit in settings.sessionLimits where limit.count > count {
                    let warning = Diagnostic(
                        .warning, at: limit.position,
                        "this machine has room for \(count) sessions at once, which \(reason) sets")
                    if !found.contains(warning) { found.append(warning) }
                }
            }
        }
        return found
    }
}

extension ControlGroups {
    /// What a configuration says of the memory, the processes and the processor of programs that would not be enforced here,
    /// at the routes that say so.
    package static func warnings(
        of configuration: MachineConfiguration, available: Set<Controller> = available()
    ) -> [Diagnostic] {
        var found: [Diagnostic] = []
        for route in configuration.sites.flatMap(\.site.routes) {
            guard case .session(let target) = route.destination else { continue }
            let missing = ProgramLimits(target.resources).controllers.subtracting(available)
            for controller in Controller.allCases where missing.contains(controller) {
                let warning = Diagnostic(.warning, at: route.position, controller.consequence)
                // A statement with several patterns is several routes.
                if !found.contains(warning) { found.append(warning) }
            }
        }
        return found
    }
}

extension MachineConfiguration {
    /// Whether a route is a `session`.
    var hasSessions: Bool {
        sites.contains { site in
            site.site.routes.contains { if case .session = $0.destination { true } else { false } }
        }
    }
}
