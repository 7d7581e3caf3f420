internal import CLinux
internal import ChimeraEventLoop
internal import Glibc

/// A binary that can be started, held by a descriptor: what is at its path may be another one meanwhile.
final class BinaryImage {
    /// Only a place; nothing is read from it.
    private let descriptor: Int32
    private let path: String

    /// The file that is at a path now.
    init(path: String) throws(SystemError) {
        self.path = path
        descriptor = try SystemError.check(chimera_open_place(AT_FDCWD, path), path)
    }

    deinit { close(descriptor) }

    /// Where the binary of this process was started from, so that an upgrade finds what takes its place: the first
    /// word of the command line, looked up as a shell does; where that leads elsewhere, the file itself.
    static func ownPath(word: String, searchPath: String, currentDirectory: String) -> [String] {
        if word.hasPrefix("/") { return [word] }
        if word.contains("/") { return [currentDirectory + "/" + word] }
        return searchPath.split(separator: ":").map { "\($0)/\(word)" }
    }

    /// The path of this process's binary that an upgrade looks at.
    static func runningPath() -> String {
        let places = ownPath(
            word: CommandLine.arguments.first ?? "",
            searchPath: getenv("PATH").map { String(cString: $0) } ?? "",
            currentDirectory: getcwd(nil, 0).map { pointer in
                defer { free(pointer) }
                return String(cString: pointer)
            } ?? "/")
        var running = stat()
        guard stat(link, &running) == 0 else { return places.first ?? link }
        for place in places {
            var found = stat()
            if stat(place, &found) == 0, found.st_ino == running.st_ino, found.st_dev == running.st_dev {
                return place
            }
        }
        guard let resolved = realpath(link, nil) else { return link }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private static let link = "/proc/self/exe"

    /// Starts the binary.
    ///
    /// - Parameters:
    ///   - arguments: after the first, which is the program's name.
    ///   - kept: a descriptor that the process gets under its own number.
    ///   - standardError: what its standard error is.
    ///   - environment: `NAME=VALUE`.
    func start(
        _ arguments: [String], keeping kept: Int32, standardError: Int32, environment: [String]
    ) throws(SystemError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, standardError, STDERR_FILENO)
        // To itself: that takes the mark away by which it would be closed.
        posix_spawn_file_actions_adddup2(&actions, kept, kept)
        let words: [UnsafeMutablePointer<CChar>?] = (["chimera"] + arguments).map { strdup($0) } + [nil]
        let variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for text in words + variables { free(text) } }
        var pid: pid_t = 0
        // The number of the descriptor is that of the child too, which has a copy of the table.
        var result = posix_spawn(&pid, "/proc/self/fd/\(descriptor)", &actions, nil, words, variables)
        // Without /proc there is the path alone.
        if result == ENOENT { result = posix_spawn(&pid, path, &actions, nil, words, variables) }
        guard result == 0 else { throw SystemError("posix_spawn", result) }
        return pid
    }
}
