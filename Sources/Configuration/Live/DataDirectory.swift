internal import Glibc

/// Where a gateway keeps what it needs after a restart.
package enum DataDirectory {
    /// Where the machine's file names no `data`: `/var/lib/chimera` where that can be written, else the user's own
    /// state directory. Each machine's file has a place of its own there, but the usual one, which has all of it.
    /// - Parameters:
    ///   - machineFile: an absolute path.
    ///   - environment: what the process's environment has under a name.
    ///   - isWritable: whether files can be made in a directory, or the directory itself.
    package static func path(
        machineFile: String, environment: (String) -> String?, isWritable: (String) -> Bool
    ) -> String? {
        var base: String?
        if isWritable("/var/lib/chimera") {
            base = "/var/lib/chimera"
        } else if let state = environment("XDG_STATE_HOME"), state.hasPrefix("/") {
            base = state + "/chimera"
        } else if let home = environment("HOME"), home.hasPrefix("/") {
            base = home + "/.local/state/chimera"
        }
        guard let base else { return nil }
        if machineFile == "/etc/chimera/chimera.conf" { return base }
        return
            "\(base)/\(FilePath.stem(of: machineFile))-\(ContentDigest(machineFile).description.prefix(12))"
    }

    /// The same of this machine and process.
    package static func path(machineFile: String) -> String? {
        let files = SystemFileSystem()
        let absolute = FilePath.resolve(machineFile, in: files.currentDirectory)
        return path(
            machineFile: absolute, environment: { name in getenv(name).map { String(cString: $0) } },
            isWritable: { path in
                if access(path, F_OK) == 0 { return access(path, W_OK | X_OK) == 0 }
                return access(FilePath.directory(of: path), W_OK | X_OK) == 0
            })
    }
}

extension ConfigurationLoader {
    /// Where the machine's file says that data is kept; nil where it says nothing.
    package func dataDirectory(machineFile: String) -> String? {
        let session = session
        guard let source = try? session.source(machineFile) else { return nil }
        return MachineLoad(session, FileDecoder(source, owner: "", session: session, machine: nil))
            .configuration
            .dataDirectory
    }
}
