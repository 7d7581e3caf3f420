internal import ChimeraEventLoop
internal import ChimeraSessions
internal import Glibc

/// Where the list of programs is kept: beside the usual place of the administration's socket.
enum ProgramPlace {
    static func places(machineFile: String) -> [String] {
        AdminSocket.places(machineFile: machineFile).map { place in
            let slash = place.lastIndex(of: "/") ?? place.startIndex
            let name = place[slash...].dropFirst("/admin".count).dropLast(".sock".count)
            return "\(place[..<slash])/programs\(name).list"
        }
    }

    /// Whether somebody has left a list.
    static func hasList(machineFile: String) -> Bool {
        places(machineFile: machineFile).contains { access($0, F_OK) == 0 }
    }

    /// The first place that can be had; one that has a list goes first.
    static func make(machineFile: String) -> String? {
        let places = places(machineFile: machineFile)
        if let known = places.first(where: { access($0, W_OK) == 0 }) { return known }
        return places.first { place in
            guard let slash = place.lastIndex(of: "/") else { return false }
            return (try? AdminSocket.makeFolder(String(place[..<slash]))) != nil
        }
    }
}

extension ControlGroups.Controller {
    /// What it means that there is no cgroup of version 2 with this controller in which the supervisor may make others.
    var consequence: String {
        switch self {
        case .memory:
            "`memory=` of sessions bounds each process of a program for itself, by its address space: \(reason)"
        case .pids: "`processes=` of sessions is not enforced: \(reason)"
        case .cpu: "`cpu=` of sessions is not enforced: \(reason)"
        }
    }

    private var reason: String {
        "there is no cgroup of version 2 with the controller \(rawValue) to write to"
    }
}
