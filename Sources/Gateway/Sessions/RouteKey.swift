internal import ChimeraConfiguration
internal import ChimeraSessions

/// A session's route as all workers know it: another target is another route.
struct RouteKey: Hashable, Sendable {
    let tenant: String
    let site: String
    let route: String
    let target: SessionTarget

    /// What every program of the route is started with, whoever its clients will be.
    var order: ProgramOrder {
        ProgramOrder(target, environment: ProgramEnvironment(of: self, serverSoftware: "chimera").variables)
    }

    func facts(user: String = "") -> KeptProgram.Facts {
        KeptProgram.Facts(
            tenant: tenant, site: site, route: route, user: user,
            command: target.command.joined(separator: " "))
    }

    /// The routes of a configuration whose programs are there before their clients.
    static func early(in configuration: MachineConfiguration) -> Set<RouteKey> {
        var keys: Set<RouteKey> = []
        for shared in configuration.sites {
            let site = shared.site
            for route in site.routes {
                guard case .session(let target) = route.destination,
                    target.poolCount > 0 || target.sharing?.start == .load
                else { continue }
                keys.insert(
                    RouteKey(tenant: site.tenant, site: site.name, route: route.text, target: target))
            }
        }
        return keys
    }
}

extension ProgramOrder {
    init(_ target: SessionTarget, environment: [String]) {
        self.init(
            path: target.program, arguments: target.command, environment: environment,
            directory: target.directory)
        ending.terminate = target.terminateMilliseconds
        ending.kill = target.killMilliseconds
        mayBeRoot = target.mayBeRoot
        hasTerminal = target.hasTerminal
        limits = ProgramLimits(target.resources)
    }
}

/// How long to wait after so many failures in a row, in milliseconds: from a fifth of a second to a minute.
enum BackOff {
    static func milliseconds(failures: Int) -> Int64 {
        failures <= 0 ? 0 : min(60_000, 100 << Int64(min(failures, 12)))
    }
}
