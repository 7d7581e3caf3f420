/// Which of the files that the machine's file names is whose: a tenant's id is its file's stem, so of several with one
/// stem one alone is a tenant's.
///
/// That is the one that is a tenant's already, also after a restart; else the first in the order of the patterns. One
/// that is named plainly and is not there gives way.
struct TenantFiles {
    /// In the order of the patterns.
    let all: [MachineLoad.TenantFile]
    /// By id, the file that is the tenant's, as a place in `all`.
    private var places: [String: Int] = [:]

    /// - Parameter known: the absolute path of the file that is a tenant's already, by id; nil: there is none.
    init(
        _ all: [MachineLoad.TenantFile], on disk: any ConfigurationFileSystem, known: (String) -> String?
    ) {
        self.all = all
        for (place, file) in all.enumerated() {
            guard let first = places[file.id] else {
                places[file.id] = place
                continue
            }
            if Self.isMissing(all[first], disk)
                || (known(file.id) == file.path && !Self.isMissing(file, disk))
            {
                places[file.id] = place
            }
        }
    }

    /// A pattern names what is there.
    private static func isMissing(
        _ file: MachineLoad.TenantFile, _ disk: any ConfigurationFileSystem
    ) -> Bool { file.isNamed && disk.kind(of: file.path) != .file }

    /// One file for each id.
    var chosen: [MachineLoad.TenantFile] {
        if places.count == all.count { return all }
        return all.indices.filter { places[all[$0].id] == $0 }.map { all[$0] }
    }

    /// Why the others are nobody's.
    var refusals: [Diagnostic] {
        if places.count == all.count { return [] }
        return all.compactMap(refusal)
    }

    /// Why a file is nobody's; nil where it is a tenant's.
    func refusal(of file: MachineLoad.TenantFile) -> Diagnostic? {
        guard let place = places[file.id], all[place].path != file.path else { return nil }
        return Diagnostic(
            .error, at: SourcePosition(file: file.name, line: 1, column: 1),
            "a tenant's id is its file's stem, and \"\(file.id)\" is another file's already",
            other: SourcePosition(file: all[place].name, line: 1, column: 1))
    }
}
