import ArgumentParser
import ChimeraConfiguration
import Glibc
import Logging
import Testing

@testable import ChimeraServer

@Suite struct CommandLineTests {
    @Test(arguments: [
        (["run"], "RunCommand"), (["run", "--config", "a.conf", "--log-level", "debug"], "RunCommand"),
        (["check", "--json"], "CheckCommand"), (["fmt", "--check", "a", "b"], "FormatCommand"),
        (["fmt"], "FormatCommand"),
        (["files", "."], "FilesCommand"), (["proxy", "127.0.0.1:3000", "--listen", "81"], "ProxyCommand"),
        (["explain", "http://a.example/x", "--method", "POST"], "ExplainCommand"), (["diff"], "DiffCommand"),
        (["reference"], "ReferenceCommand"), (["version"], "VersionCommand"),
        (["run", "--user", "www:web"], "RunCommand"),
        (["status", "--admin", "unix:/run/x"], "StatusCommand"),
        (["status", "--config", "a.conf", "--json"], "StatusCommand"), (["reload"], "ReloadCommand"),
        (["upgrade"], "UpgradeCommand"), (["stop", "--now"], "StopCommand"), (["connections"], "List"),
        (["connections", "--limit", "5"], "List"), (["connections", "end", "1-0-3"], "End"),
        (["data-plane", "--line", "5", "--generation", "1", "--config", "a"], "DataPlaneCommand"),
    ])
    func `each form of the command line finds its command`(words: [String], command: String) throws {
        #expect(try "\(type(of: ChimeraCommand.parseAsRoot(words)))" == command)
    }

    @Test(arguments: [
        ["runn"], ["run", "--config"], ["run", "extra"], ["files"], ["proxy"], ["fmt", "--chek"],
        ["run", "--log-level", "loud"], ["run", "--user", ":x"], ["status", "--admin", "/run/x"],
        ["connections", "end"], ["data-plane"],
    ])
    func `a command line with a mistake ends with 2`(words: [String]) {
        #expect(status(of: words) == .usage)
    }

    @Test func `where no authority is kept, it is said why`() {
        #expect(TrustCommand.missing(in: nil).contains("kept nowhere"))
        #expect(TrustCommand.missing(in: "/x").contains("in /x/tls"))
        #expect(TrustCommand.missing(in: "/x").contains("cannot write there"))
    }

    @Test(arguments: [["--help"], ["--version"], ["run", "--help"]])
    func `help and version end with 0`(words: [String]) {
        #expect(status(of: words) == .clean)
    }

    private func status(of words: [String]) -> CommandStatus? {
        do {
            var command = try ChimeraCommand.parseAsRoot(words)
            try command.run()
            return nil
        } catch {
            return CommandStatus(ChimeraCommand.exitCode(for: error).rawValue)
        }
    }

    @Test(
        arguments: [(0, .clean), (1, .configuration), (3, .cannotServe), (64, .usage), (70, .usage)]
            as [(Int32, CommandStatus)])
    func `every exit code is one of the four that are documented`(code: Int32, status: CommandStatus) {
        #expect(CommandStatus(code) == status)
    }

    @Test(
        arguments: [
            ("x.conf", ["chimera.conf"], "x.conf"),
            (nil, ["chimera.conf", "/etc/chimera/chimera.conf"], "chimera.conf"),
            (nil, ["/etc/chimera/chimera.conf"], "/etc/chimera/chimera.conf"), (nil, [], nil),
            ("x.conf", [], "x.conf"),
        ] as [(String?, [String], String?)])
    func `the machine's file is the one that is named, else the first that is there`(
        given: String?, there: [String], path: String?
    ) {
        #expect(ConfigurationOption.path(given: given) { there.contains($0) } == path)
    }

    @Test(
        arguments: [
            (nil, nil, .info), (.debug, nil, .debug), (nil, "error", .error), (.trace, "error", .trace),
            (nil, "loud", .info),
        ] as [(LogOption.Level?, String?, Logger.Level)])
    func `the option goes before the environment`(
        given: LogOption.Level?, environment: String?, level: Logger.Level
    ) {
        #expect(LogOption.level(given: given, environment: environment) == level)
    }

    @Test func `the one-line forms answer this machine alone unless told otherwise`() throws {
        let usual = try #require(try ChimeraCommand.parseAsRoot(["files", "."]) as? FilesCommand)
        #expect(usual.listen.addresses == ["127.0.0.1:8080"])
        let told = try #require(
            try ChimeraCommand.parseAsRoot(["proxy", "a:1", "--listen", "81", "--listen", "[::1]:82"])
                as? ProxyCommand)
        #expect(told.listen.addresses == ["81", "[::1]:82"])
    }

    @Test func `check sums up what it found`() {
        let files = MemoryFileSystem(files: [
            "/etc/chimera/good.conf": "listen 8080\nsite a { respond 200 }\nsite b { respond 200 }\n",
            "/etc/chimera/bad.conf": "listen 8080\nsite a {\n    prxy x\n    rspond 200\n}\n",
        ])
        let loader = ConfigurationLoader(fileSystem: files)
        #expect(
            CheckCommand.summary(of: loader.load(machineFile: "good.conf"), path: "good.conf")
                == "good.conf: 2 sites, no errors")
        #expect(
            CheckCommand.summary(of: loader.load(machineFile: "bad.conf"), path: "bad.conf")
                == "bad.conf: 0 sites, 2 errors")
    }
}

@Suite struct SignalPlanTests {
    @Test(
        arguments: [
            ([SIGTERM], [.drain]), ([SIGINT], [.drain]), ([SIGTERM, SIGTERM], [.drain, .stopNow]),
            ([SIGINT, SIGTERM, SIGINT], [.drain, .stopNow, .exit]), ([SIGHUP, SIGHUP], [.reload, .reload]),
            ([SIGTERM, SIGHUP], [.drain, .nothing]),
            ([SIGUSR1, SIGTERM, SIGUSR1], [.reopenLogs, .drain, .reopenLogs]),
            ([SIGUSR2, SIGTERM, SIGUSR2], [.upgrade, .drain, .nothing]),
        ] as [([Int32], [ServiceAction])])
    func `signals are obeyed in their order`(signals: [Int32], actions: [ServiceAction]) {
        var plan = SignalPlan()
        #expect(signals.map { plan.received($0) } == actions)
    }
}

@Suite struct LogLineTests {
    private func line(_ message: String, _ metadata: Logger.Metadata = [:], level: Logger.Level = .info)
        -> String
    {
        LogLine.text(
            seconds: 1_767_322_985, nanoseconds: 7_999_999, level: level, message: message, metadata: metadata
        )
    }

    @Test func `a line has its time, its level, its message and its pairs in order`() {
        #expect(
            line("listening", ["worker": "0", "address": "127.0.0.1:80"], level: .warning)
                == "2026-01-02T03:03:05.007Z WARN  listening address=127.0.0.1:80 worker=0\n")
    }

    @Test(arguments: [
        ("a b", "\"a b\""), ("", "\"\""), ("a=b", "\"a=b\""), ("a\"b", "\"a\\\"b\""), ("é", "é"),
        ("a\nb", "a\\nb"),
    ])
    func `a value reads as one word`(value: String, shown: String) {
        #expect(line("m", ["k": .string(value)]) == "2026-01-02T03:03:05.007Z INFO  m k=\(shown)\n")
    }

    @Test(arguments: ["a\nFATAL b", "\u{1b}[2J", "\u{9b}2J", "\0", "\r"])
    func `no text ends its line or drives a terminal`(text: String) {
        let result = line(text, ["key\n": .string(text)], level: .error)
        #expect(
            result.unicodeScalars.filter { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) } == ["\n"])
        #expect(result.hasSuffix("\n"))
    }
}

@Suite struct TextFileTests {
    private let directory: String

    init() {
        var template = Array("/tmp/chimera-fmt-XXXXXX".utf8CString)
        mkdtemp(&template)
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    @Test func `a replaced file keeps its mode, and a link to it stays a link`() throws {
        let (file, link) = (directory + "/a.conf", directory + "/b.conf")
        defer {
            unlink(file)
            unlink(link)
            rmdir(directory)
        }
        close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600))
        #expect(chmod(file, 0o640) == 0)
        #expect(symlink("a.conf", link) == 0)
        try TextFile.replace(link, with: "listen 80\n")
        #expect(try TextFile.read(file) == Array("listen 80\n".utf8))
        var status = stat()
        #expect(stat(file, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o640)
        #expect(lstat(link, &status) == 0)
        #expect(status.st_mode & S_IFMT == S_IFLNK)
    }

    @Test func `a file that is not there is an error with its reason`() {
        defer { rmdir(directory) }
        #expect(throws: TextFile.Failure.self) { try TextFile.read(directory + "/none") }
        #expect(throws: TextFile.Failure.self) { try TextFile.replace(directory + "/none", with: "") }
    }
}
