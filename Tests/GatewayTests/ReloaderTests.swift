import ChimeraConfiguration
import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Logging
import Synchronization
import Testing

@testable import Chimera

/// What becomes of a reloader that is stopped, and of the versions that it keeps.
@Suite(.timeLimit(.minutes(1))) struct ReloaderTests {
    /// Serves nobody.
    private struct Nobody: Reloader.Server {
        func reloadBegins() {}
        func serve(_ configuration: MachineConfiguration) throws {}
        func reloadEnded(_ outcome: Reloader.Outcome) {}
    }

    private let folder: Folder
    private let reloader: Reloader

    init() throws {
        folder = try Folder()
        let files = MemoryFileSystem(files: [
            "chimera.conf": "listen 127.0.0.1:0\nimport conf.d/*.conf\n",
            "conf.d/a.conf": "site a.example { respond 200 a }\n",
        ])
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        reloader = try Reloader(
            LiveConfiguration(
                machineFile: "chimera.conf", fileSystem: files, storeDirectory: folder("data")),
            logger: logger)
        #expect(reloader.start().configuration != nil)
    }

    private var isKept: Bool { access(folder("data/tenants/index"), F_OK) == 0 }

    @Test func `what could not be kept is tried once more at the end`() {
        // No directory can be made below a file.
        folder.write("data")
        reloader.serve(Nobody())
        for _ in 0..<20_000 where reloader.status.store.isEmpty { usleep(1_000) }
        #expect(reloader.status.store.first?.text.contains("cannot be kept") == true)
        folder.remove("data")
        reloader.stop()
        reloader.waitUntilStopped(milliseconds: 30_000)
        #expect(isKept)
        #expect(reloader.status.store == [])
    }

    @Test func `a reloader that is stopped starts no more, and says so once`() {
        let stopped = Mutex(0)
        let ask = {
            self.reloader.reload(.signal) { outcome in
                if outcome.isStopped { stopped.withLock { $0 += 1 } }
            }
        }
        // There is no thread yet that could answer.
        ask()
        #expect(stopped.withLock { $0 } == 0)
        reloader.stop()
        #expect(stopped.withLock { $0 } == 1)
        reloader.serve(Nobody())
        ask()
        #expect(stopped.withLock { $0 } == 2)
        // Its thread would keep what serves at its end, and this would wait for it.
        reloader.waitUntilStopped(milliseconds: 30_000)
        #expect(!isKept)
    }
}
