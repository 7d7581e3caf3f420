/// The text of a tenant's file in some version.
package struct TenantSource: Sendable, Equatable {
    package var id: String
    /// As messages show it.
    package var file: String
    /// Absolute.
    package var path: String
    package var text: [UInt8]
    /// Why there is no text.
    package var failure: FileFailure?

    package init(id: String, file: String, path: String, text: [UInt8], failure: FileFailure? = nil) {
        self.id = id
        self.file = file
        self.path = path
        self.text = text
        self.failure = failure
    }
}

extension ConfigurationLoader {
    /// The text of every tenant's file on the disk; nil where the machine's file cannot be used.
    /// - Parameter running: what serves: of files with one stem a reload takes the one that is there.
    /// - Parameter pause: called between tenants.
    package func tenantSources(
        machineFile: String, running: [TenantSource], pause: () -> Void = {}
    ) -> [TenantSource]? {
        let session = session
        guard let source = try? session.source(machineFile) else { return nil }
        let machine = MachineLoad(session, FileDecoder(source, owner: "", session: session, machine: nil))
        let known = Dictionary(running.map { ($0.id, $0.path) }, uniquingKeysWith: { first, _ in first })
        let files = TenantFiles(machine.tenantFiles(), on: session.fileSystem) { known[$0] }
        guard !machine.decoder.hasErrors else { return nil }
        return files.chosen.map { file in
            pause()
            do throws(FileFailure) {
                let source = try session.source(file.name)
                return TenantSource(id: file.id, file: file.name, path: file.path, text: source.bytes)
            } catch {
                return TenantSource(id: file.id, file: file.name, path: file.path, text: [], failure: error)
            }
        }
    }
}
