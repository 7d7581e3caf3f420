internal import CLinux
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import Glibc

/// Whether the file of the access log can be written by who serves.
enum AccessLogCheck {
    /// What is wrong; nil: nothing.
    ///
    /// Where this is root, the process has the rights of who serves from then on. Nobody else knows who will start the
    /// gateway, so that what is found is worth a warning then.
    static func diagnostic(_ configuration: MachineConfiguration, machineFile: String) -> Diagnostic? {
        guard let log = configuration.accessLog, log.format != .off, case .file(let path) = log.target else {
            return nil
        }
        let position =
            configuration.accessLogPosition ?? SourcePosition(file: machineFile, line: 1, column: 1)
        let isRoot = geteuid() == 0
        if isRoot {
            do throws(Privileges.Failure) {
                let user = try Privileges.server(configuration.user, machineFile: machineFile)
                if user.id != 0 { try Privileges.become(user) }
                _ = chimera_drop_capabilities()
            } catch {
                return Diagnostic(.error, at: position, "\(error)")
            }
        }
        guard let reason = obstacle(path) else { return nil }
        return Diagnostic(
            isRoot ? .error : .warning, at: position,
            "the access log cannot be written by user \(ProcessFigures.userName): \(path): \(reason)")
    }

    /// Why this process cannot open a file for writing, or make it.
    private static func obstacle(_ path: String) -> String? {
        var found = stat()
        if stat(path, &found) == 0 {
            if found.st_mode & S_IFMT == S_IFDIR { return text(EISDIR) }
            return access(path, W_OK) == 0 ? nil : text(errno)
        }
        guard errno == ENOENT else { return text(errno) }
        let directory = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        return access(directory.isEmpty ? "/" : directory, W_OK | X_OK) == 0 ? nil : text(errno)
    }

    private static func text(_ number: Int32) -> String { String(cString: strerror(number)) }
}
