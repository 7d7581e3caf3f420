import ChimeraConfiguration
import Glibc
import Testing

/// A directory that goes away with the test.
private final class TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/chimera-configuration-XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        path = String(cString: made)
    }

    func write(_ name: String, _ text: String) throws {
        let file = try #require(fopen(path + "/" + name, "w"))
        fputs(text, file)
        fclose(file)
    }

    deinit {
        for name in ["chimera.conf", "a.conf", "b.conf", ".c.conf", "pipe", "users"] {
            unlink(path + "/" + name)
        }
        rmdir(path + "/www")
        rmdir(path)
    }
}

struct SystemFileSystemTests {
    private let disk = SystemFileSystem()

    @Test func `a configuration is read from the disk`() throws {
        let directory = try TemporaryDirectory()
        try directory.write("chimera.conf", "listen 8080\nimport *.conf\n")
        try directory.write("a.conf", "site a.example { files ./www }\n")
        try directory.write(
            "b.conf", "site b.example { auth basic users ; respond 200 env:CHIMERA_NO_SUCH_NAME }\n")
        try directory.write(".c.conf", "hidden")
        mkdir(directory.path + "/www", 0o755)
        let result = ConfigurationLoader().load(machineFile: directory.path + "/chimera.conf")
        #expect(
            result.diagnostics.map(\.text) == [
                "\"users\" does not exist", "the environment has no \"CHIMERA_NO_SUCH_NAME\"",
            ])
        #expect(result.configuration?.sites.map(\.tenant) == ["a"])
    }

    @Test func `a file is read whole, within its bound`() throws {
        let directory = try TemporaryDirectory()
        try directory.write("users", String(repeating: "x", count: 10_000))
        #expect(try disk.read(directory.path + "/users", atMost: 10_000).count == 10_000)
        #expect(throws: FileFailure.tooLarge(limit: 9_999)) {
            try disk.read(directory.path + "/users", atMost: 9_999)
        }
    }

    @Test func `a time of modification that somebody set settles nothing and unsettles nothing`() throws {
        let directory = try TemporaryDirectory()
        try directory.write("users", "")
        let path = directory.path + "/users"
        for seconds in [1, 4_000_000_000] {
            let times = [timespec(tv_sec: seconds, tv_nsec: 0), timespec(tv_sec: seconds, tv_nsec: 0)]
            #expect(utimensat(AT_FDCWD, path, times, 0) == 0)
            let before = try #require(disk.stamp(of: path))
            #expect(before.modifiedNanoseconds == Int64(seconds) * 1_000_000_000)
            // Bounded; it is settled after a tenth of a second.
            for _ in 0..<1_000 where disk.stamp(of: path)?.isSettled == false { usleep(10_000) }
            #expect(disk.stamp(of: path)?.isSettled == true)
        }
    }

    @Test func `what is no file is not read, and a pipe holds nothing up`() throws {
        let directory = try TemporaryDirectory()
        mkfifo(directory.path + "/pipe", 0o600)
        #expect(throws: FileFailure.notAFile) { try disk.read(directory.path + "/pipe", atMost: 1) }
        #expect(throws: FileFailure.notAFile) { try disk.read(directory.path, atMost: 1) }
        #expect(throws: FileFailure.missing) { try disk.read(directory.path + "/none", atMost: 1) }
        #expect(disk.kind(of: directory.path) == .directory)
        #expect(disk.kind(of: directory.path + "/pipe") == .other)
        #expect(disk.kind(of: directory.path + "/none") == nil)
    }

    @Test func `a pattern names files in order, without hidden ones`() throws {
        let directory = try TemporaryDirectory()
        for name in ["b.conf", "a.conf", ".c.conf", "users"] { try directory.write(name, "") }
        #expect(
            try disk.paths(matching: directory.path + "/*.conf")
                == [directory.path + "/a.conf", directory.path + "/b.conf"])
        #expect(try disk.paths(matching: directory.path + "/*.none").isEmpty)
    }

    @Test func `the current directory is absolute`() {
        #expect(disk.currentDirectory.hasPrefix("/"))
    }
}
