internal import ChimeraEventLoop
internal import ChimeraSessions
internal import Glibc

/// What the supervisor keeps of programs that outlive the data plane which serves them: duplicates of their ends, and
/// what the next one has to know.
struct KeptTable {
    struct Entry {
        let process: Int32
        let record: KeptRecord
        let hasTerminal: Bool
        /// Input, output and, without a terminal, error. The input is -1 once it has ended.
        var descriptors: [Int32]
        /// The data plane that serves it; nil for none.
        var owner: Int?
        /// How many data planes have had it.
        var handovers: Int64 = 0
        /// What the last one has kept of its output.
        var log: Int32?
        /// Who waits for it.
        var waiting: [(generation: Int, request: Int64)] = []
        /// When nobody has served it for too long.
        var deadline = Int64.max
    }

    private(set) var entries: [String: Entry] = [:]
    private var byToken: [String: String] = [:]

    var ids: [String] { Array(entries.keys) }

    /// When the next one has waited too long.
    var deadline: Int64 { entries.values.map(\.deadline).min() ?? .max }

    subscript(_ id: String) -> Entry? {
        get { entries[id] }
        set { entries[id] = newValue }
    }

    func id(of token: String) -> String? { byToken[token] }

    mutating func add(_ id: String, _ entry: Entry) {
        entries[id] = entry
        byToken[entry.record.token] = id
    }

    /// Closes what is kept of a program.
    mutating func remove(_ id: String) -> Entry? {
        guard let entry = entries.removeValue(forKey: id) else { return nil }
        byToken[entry.record.token] = nil
        for descriptor in entry.descriptors + (entry.log.map { [$0] } ?? []) where descriptor >= 0 {
            close(descriptor)
        }
        return entry
    }

    /// The program's input has ended.
    mutating func endInput(_ id: String) {
        guard let entry = entries[id], !entry.hasTerminal, entry.descriptors[0] >= 0 else { return }
        close(entry.descriptors[0])
        entries[id]?.descriptors[0] = -1
    }
}
