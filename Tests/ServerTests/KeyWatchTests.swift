import ChimeraTestSupport
import Glibc
import Logging
import Testing

@testable import ChimeraServer

@Suite struct KeyWatchTests {
    private static func watch(_ directoriesMax: Int) -> KeyWatch {
        KeyWatch(Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, directoriesMax: directoriesMax)
    }

    @Test func `a change of a file that is watched is told`() throws {
        let folder = try Folder()
        folder.write("key")
        let watch = Self.watch(10)
        #expect(watch.add(folder("key"), for: 1))
        // Between the opening and the watching nobody watched.
        #expect(watch.look())
        #expect(!watch.look())
        folder.write("key", "another")
        #expect(watch.look())
        #expect(!watch.look())
    }

    @Test func `where there are too many directories nobody is told that the rest is watched`() throws {
        let folder = try Folder()
        let names = (0..<4).map { "d\($0)" }
        for name in names {
            folder.make(name)
            folder.write("\(name)/key")
        }
        let watch = Self.watch(2)
        #expect(names.map { watch.add(folder("\($0)/key"), for: 1) } == [true, true, false, false])
        folder.write("d0/other")
        #expect(watch.add(folder("d0/other"), for: 2))
        // A data plane that is gone makes room.
        watch.forget(1)
        #expect(watch.add(folder("d3/key"), for: 2))
    }
}
