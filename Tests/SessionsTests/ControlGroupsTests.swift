import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Testing

@testable import ChimeraSessions

/// A folder that looks as a cgroup does to who has not seen one: a file takes what is written.
private struct Imitation {
    let folder: Folder

    init(controllers: String) throws {
        folder = try Folder()
        folder.write("cgroup.controllers", controllers)
    }

    func text(_ name: String) -> String? { ProcessFile.text(folder(name)) }
}

@Suite struct ControlGroupsTests {
    private var limits: ProgramLimits {
        var limits = ProgramLimits()
        limits.memory = 64 << 20
        limits.processes = 20
        limits.cpuPercent = 150
        return limits
    }

    @Test func `what the machine has is enforced for programs`() throws {
        let own = try Imitation(controllers: "cpuset cpu memory pids\n")
        let groups = try #require(ControlGroups(in: own.folder.path))
        #expect(groups.enforced.isEmpty)
        groups.enable(limits.controllers)
        #expect(groups.enforced == [.memory, .pids, .cpu])
        let directory = try groups.make("a.1", limits)
        close(directory)
        #expect(own.text("programs/a.1/memory.max") == "67108864")
        #expect(own.text("programs/a.1/memory.oom.group") == "1")
        #expect(own.text("programs/a.1/pids.max") == "20")
        #expect(own.text("programs/a.1/cpu.max") == "150000 100000")
    }

    @Test func `what there is can be told without trying`() throws {
        let own = try Imitation(controllers: "cpuset cpu pids\n")
        #expect(ControlGroups.available(in: own.folder.path) == [.pids, .cpu])
        #expect(own.text("cgroup.subtree_control") == nil)
        #expect(ControlGroups.available(in: own.folder("none")).isEmpty)
    }

    @Test func `what it has not is said not to be`() throws {
        let own = try Imitation(controllers: "pids\n")
        let groups = try #require(ControlGroups(in: own.folder.path))
        groups.enable(limits.controllers)
        #expect(groups.enforced == [.pids])
        close(try groups.make("a.1", limits))
        #expect(own.text("programs/a.1/pids.max") == "20")
        #expect(own.text("programs/a.1/memory.max") == nil && own.text("programs/a.1/cpu.max") == nil)
    }

    @Test func `what is not asked for is not enforced`() throws {
        let own = try Imitation(controllers: "cpu memory pids\n")
        let groups = try #require(ControlGroups(in: own.folder.path))
        groups.enable([.memory])
        #expect(groups.enforced == [.memory])
        #expect(own.text("cgroup.subtree_control") == "+memory")
    }

    @Test func `a cgroup is taken away once nothing is in it`() throws {
        let own = try Imitation(controllers: "")
        let groups = try #require(ControlGroups(in: own.folder.path))
        close(try groups.make("a.1", ProgramLimits()))
        own.folder.write("programs/a.1/cgroup.procs", "")
        #expect(groups.processes(of: "a.1").isEmpty)
        #expect(!groups.remove("a.1"), "a file is in the folder")
        own.folder.remove("programs/a.1/cgroup.procs")
        #expect(groups.remove("a.1"))
        #expect(groups.remove("a.1"), "it is gone")
    }

    @Test func `one that is there already belongs to somebody else`() throws {
        let own = try Imitation(controllers: "")
        let groups = try #require(ControlGroups(in: own.folder.path))
        own.folder.make("programs/a.1")
        #expect(throws: SystemError.self) { try groups.make("a.1", ProgramLimits()) }
    }

    @Test func `without a folder to write to there are none`() {
        #expect(ControlGroups(in: "/proc/self") == nil)
        #expect(ControlGroups(in: "/no/such/folder") == nil)
    }

    private static let hybrid = """
        25 30 0:23 / /sys rw,nosuid shared:7 - sysfs sysfs rw
        31 25 0:27 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro,mode=755
        32 31 0:28 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate
        """
    private static let unified = "31 25 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    private static let part = "31 25 0:27 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n"

    @Test(arguments: [
        ("0::/\n", unified, "/sys/fs/cgroup"),
        ("0::/system.slice/chimera.service\n", unified, "/sys/fs/cgroup/system.slice/chimera.service"),
        ("9:name=systemd:/x\n4:memory:/y\n0::/z\n", hybrid, "/sys/fs/cgroup/unified/z"),
        ("0::/docker/abc\n", part, "/sys/fs/cgroup"),
        ("0::/docker/abc/inner\n", part, "/sys/fs/cgroup/inner"),
    ])
    func `where a process is follows from where the tree is mounted`(
        _ groups: String, _ mounts: String, _ directory: String
    ) {
        #expect(OwnGroup.directory(groups: groups, mounts: mounts) == directory)
    }

    @Test(arguments: [
        ("", unified), ("4:memory:/y\n", unified), ("0::/x\n", ""), ("0::/other\n", part),
        ("0::/x\n", "31 25 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"),
    ])
    func `where the tree is not mounted nobody knows`(_ groups: String, _ mounts: String) {
        #expect(OwnGroup.directory(groups: groups, mounts: mounts) == nil)
    }
}
