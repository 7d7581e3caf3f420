internal import ChimeraEventLoop
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
