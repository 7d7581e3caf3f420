import ChimeraConfiguration
import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Testing

@testable import ChimeraServer

@Suite struct SupervisorPartsTests {
    @Test func `the last lines are kept, and each has a bound`() {
        var lines = DiagnosticLines()
        for number in 0..<50 { lines.append("line \(number)\n".utf8) }
        lines.append(String(repeating: "x", count: 10_000).utf8)
        #expect(lines.lines.count == DiagnosticLines.linesMax)
        #expect(lines.lines.last == "line 49")
        #expect(lines.all.last?.utf8.count == DiagnosticLines.lineBytesMax)
        lines.append("\n".utf8)
        #expect(lines.all.count == DiagnosticLines.linesMax)
    }

    @Test(
        arguments: [
            ("/opt/chimera", ["/opt/chimera"]), ("bin/chimera", ["/home/a/bin/chimera"]),
            ("./chimera", ["/home/a/./chimera"]),
            ("chimera", ["/usr/local/bin/chimera", "/usr/bin/chimera"]),
        ])
    func `a binary is looked up as a shell does`(word: String, places: [String]) {
        #expect(
            BinaryImage.ownPath(
                word: word, searchPath: "/usr/local/bin:/usr/bin", currentDirectory: "/home/a")
                == places)
    }

    @Test func `a data plane is not told what systemd tells the supervisor, and makes no backtraces`() {
        let words = ChildEnvironment.from(["A=b", "NOTIFY_SOCKET=/x", "WATCHDOG_USEC=1", "WATCHDOG_PID=1"])
        #expect(words == ["A=b", "SWIFT_BACKTRACE=enable=no"])
        #expect(ChildEnvironment.from(["SWIFT_BACKTRACE=enable=yes"]) == ["SWIFT_BACKTRACE=enable=yes"])
    }

    @Test(
        arguments: [
            (["WATCHDOG_USEC": "30000000"], 30_000),
            (["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"], nil),
            ([:], nil), (["WATCHDOG_USEC": "x"], nil),
        ] as [([String: String], Int64?)])
    func `a watchdog counts where it is meant for this process`(environment: [String: String], every: Int64?)
    {
        #expect(SystemdNotification { environment[$0] }.watchdogMilliseconds == every)
    }

    /// The line of a process that still lives, and that would wake the supervisor's loop for as long as it does.
    @Test func `a line that has hung up is known as such, once what was said on it is taken`() throws {
        let folder = try Folder()
        // What a shell does before it looks at its words: here it closes all but the usual three descriptors.
        folder.write(
            "begin",
            """
            for file in /proc/$$/fd/*; do
                number=${file##*/}
                [ $number -gt 2 ] && eval "exec $number>&-"
            done
            exec sleep 60
            """)
        let process = try DataPlaneProcess(
            generation: 1, image: BinaryImage(path: "/bin/bash"), arguments: [],
            environment: ["BASH_ENV=" + folder("begin")])
        defer {
            kill(process.pid, SIGKILL)
            waitpid(process.pid, nil, 0)
        }
        var polled = pollfd(fd: process.line.descriptor, events: Int16(POLLIN), revents: 0)
        #expect(poll(&polled, 1, 30_000) == 1)
        #expect(process.nextMessage()?.message == nil)
        #expect(process.hasHungUp)
        #expect(process.nextMessage()?.message == nil)
        var status: Int32 = 0
        #expect(waitpid(process.pid, &status, WNOHANG) == 0)
    }

    @Test func `a user is found by name or number`() throws {
        let root = try Privileges.resolve(try #require(UserName("root")))
        #expect(root.id == 0 && root.group == 0)
        let numbers = try Privileges.resolve(try #require(UserName("54321:54322")))
        #expect(numbers == .init(name: "54321", id: 54321, group: 54322, hasOtherGroups: false))
        #expect(try Privileges.resolve(try #require(UserName("0:12"))).group == 12)
        #expect(throws: Privileges.Failure.self) {
            try Privileges.resolve(try #require(UserName("no-such-user")))
        }
        #expect(throws: Privileges.Failure.self) {
            try Privileges.resolve(try #require(UserName("0:no-such-group")))
        }
    }

    @Test(arguments: ["", ":", "a:", ":a", "a:b:c"])
    func `a user is NAME or NAME:GROUP`(text: String) {
        #expect(UserName(text) == nil)
    }

    @Test(arguments: ["80", "127.0.0.1:80", "[::1]:8443", "unix:/run/x.sock"])
    func `an address is read back from its text`(text: String) {
        #expect(Listener.Address(text: text)?.text == text)
    }

    @Test(arguments: ["", "x", "70000", "127.0.0.1", "127.0.0.1:", "unix:", "unix:x", "[::1:80"])
    func `what is no address is none`(text: String) {
        #expect(Listener.Address(text: text) == nil)
    }
}
