internal import ChimeraConfiguration
internal import ChimeraEventLoop

extension WorkerCount {
    /// How many workers that is on this machine.
    var resolved: Int {
        switch self {
        case .count(let count): max(1, count)
        case .automatic: max(1, Machine.usableCores)
        }
    }
}
