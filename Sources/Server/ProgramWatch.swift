internal import CLinux
internal import ChimeraSessions
internal import Glibc

/// A process beside this one, which ends what programs have left when this one is gone, however it went: for a gateway
/// without a supervisor.
///
/// It waits for the end of a pipe whose other end only this process has.
struct ProgramWatch {
    private let line: Int32

    /// Starts it, before this process has other threads. Without it, what a killed gateway has started may go on.
    init() {
        var ends: [Int32] = [-1, -1]
        guard chimera_pipe(&ends) == 0 else {
            line = -1
            return
        }
        let process = chimera_fork()
        if process == 0 { Self.watch(ends[0]) }
        close(ends[0])
        line = ends[1]
    }

    /// Says what the ids of all programs begin with.
    func tell(_ instance: String) {
        let text = Array(instance.utf8)
        if line >= 0 { _ = write(line, text, text.count) }
    }

    /// The other process.
    private static func watch(_ pipe: Int32) -> Never {
        setsid()
        for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2] { signal(number, SIG_IGN) }
        chimera_name_thread("chimera-watch")
        // It must keep nobody waiting for the end of a file.
        let nowhere = open("/dev/null", O_RDWR)
        for standard in 0...2 where nowhere >= 0 { dup2(nowhere, Int32(standard)) }
        for descriptor in 3..<Int32(1024) where descriptor != pipe { close(descriptor) }
        var instance: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 256)
        while true {
            let count = read(pipe, &room, room.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            instance += room[..<count]
        }
        if !instance.isEmpty { Leftovers.kill(instance: String(decoding: instance, as: UTF8.self)) }
        _exit(0)
    }
}
