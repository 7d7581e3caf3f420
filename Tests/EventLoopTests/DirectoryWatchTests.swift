import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Testing

/// What the kernel reports of directories, with real ones.
@Suite(.timeLimit(.minutes(1))) struct DirectoryWatchTests {
    private typealias Change = DirectoryWatch.Change

    private let folder: Folder
    private let watch: DirectoryWatch

    init() throws {
        folder = try Folder()
        watch = try DirectoryWatch()
    }

    private func path(_ name: String) -> String { folder(name) }

    /// What has changed until now: the kernel has put each event into the queue before the call returns that caused it.
    private func changes() -> Set<Change> {
        var all: Set<Change> = []
        while case let some = watch.wait(milliseconds: 0), !some.isEmpty { all.formUnion(some) }
        return all
    }

    /// What may happen to a name in the directory `d`.
    enum Event: String, CaseIterable {
        case made, writtenAgain, movedAway, removed, replaced, givenOtherRights, madeAsLink, madeAsFolder

        func happens(in folder: Folder) {
            switch self {
            case .made: folder.write("d/name")
            case .writtenAgain: folder.write("d/old", "y")
            case .movedAway: folder.move("d/old", "aside")
            case .removed: folder.remove("d/old")
            case .replaced: folder.move("d/other", "d/old")
            case .givenOtherRights: chmod(folder("d/old"), 0o600)
            case .madeAsLink: folder.link("d/name", to: "nowhere")
            case .madeAsFolder: folder.make("d/name")
            }
        }

        var name: String {
            switch self {
            case .made, .madeAsLink, .madeAsFolder: "name"
            case .writtenAgain, .movedAway, .removed, .replaced, .givenOtherRights: "old"
            }
        }
    }

    @Test(arguments: Event.allCases) func `a name that changes is told`(event: Event) {
        folder.make("d")
        for name in ["d/old", "d/other"] { folder.write(name) }
        #expect(watch.watch([path("d")]).hasNew)
        event.happens(in: folder)
        #expect(changes().contains(Change(directory: path("d"), name: event.name)))
    }

    @Test func `reading a file is no change`() {
        folder.write("a")
        _ = watch.watch([folder.path])
        close(open(path("a"), O_RDONLY))
        #expect(changes().isEmpty)
    }

    @Test func `two paths of one directory are both told, and one is while it is the only one left`() {
        folder.make("real")
        folder.link("alias", to: "real")
        #expect(watch.watch([path("real"), path("alias")]).refused.isEmpty)
        folder.write("real/a")
        let told = changes().filter { $0.name == "a" }.map(\.directory)
        #expect(Set(told) == [path("real"), path("alias")])
        // The watch is the same for the kernel: it must outlive the first of its paths.
        #expect(!watch.watch([path("alias")]).hasNew)
        folder.write("real/b")
        #expect(Set(changes().map(\.directory)) == [path("alias")])
        _ = watch.watch([])
        folder.write("real/c")
        #expect(changes().isEmpty)
    }

    @Test func `a directory for itself alone tells nothing of its names, by whichever path`() {
        folder.make("real")
        folder.link("alias", to: "real")
        _ = watch.watch([], places: [path("real")])
        folder.write("real/a")
        #expect(changes().isEmpty)
        // The same directory for its names as well: those count.
        #expect(watch.watch([path("alias")], places: [path("real")]).hasNew)
        folder.write("real/b")
        #expect(changes().contains(Change(directory: path("alias"), name: "b")))
        #expect(watch.watch([], places: [path("real")]).hasNew)
        folder.write("real/c")
        #expect(changes().isEmpty)
    }

    @Test(arguments: [false, true]) func `a directory that goes is told as itself`(isPlace: Bool) {
        folder.make("d")
        func again() -> DirectoryWatch.Outcome {
            isPlace ? watch.watch([], places: [path("d")]) : watch.watch([path("d")])
        }
        _ = again()
        let own = Change(directory: path("d"), name: "")
        folder.move("d", "e")
        #expect(changes().contains(own))
        folder.move("e", "d")
        _ = again()
        #expect(changes().contains(own))
        folder.remove("d")
        #expect(changes().contains(own))
        // Who has seen it a moment ago is to look again.
        #expect(again().hasNew)
        #expect(changes().isEmpty)
    }

    @Test func `a directory that is made again is watched from the next time on, as something new`() {
        folder.make("d")
        #expect(watch.watch([path("d")]).hasNew)
        #expect(!watch.watch([path("d")]).hasNew)
        folder.remove("d")
        folder.make("d")
        _ = changes()
        #expect(watch.watch([path("d")]).hasNew)
        folder.write("d/a")
        #expect(changes().contains(Change(directory: path("d"), name: "a")))
    }

    @Test func `another directory under the same path is something new, and the old one is left`() {
        folder.make("d")
        folder.make("e")
        _ = watch.watch([path("d")])
        folder.move("d", "old")
        folder.move("e", "d")
        #expect(watch.watch([path("d")]).hasNew)
        _ = changes()
        folder.write("old/a")
        #expect(changes().isEmpty)
        folder.write("d/a")
        #expect(Set(changes().map(\.directory)) == [path("d")])
    }

    @Test func `what is not there is no refusal, and what may not be read is one`() {
        folder.make("closed")
        folder.write("file")
        let outcome = watch.watch([path("none"), path("file"), path("none/deeper")])
        #expect(outcome.refused.isEmpty && outcome.hasNew)
        guard geteuid() != 0 else { return }
        chmod(path("closed"), 0)
        #expect(watch.watch([path("closed")]).refused == [path("closed")])
        #expect(watch.watch([], places: [path("closed")]).refused.isEmpty)
        chmod(path("closed"), 0o755)
    }

    @Test func `where the kernel loses count, anything may have changed`() throws {
        _ = watch.watch([folder.path])
        let text = try String(contentsOfFile: "/proc/sys/fs/inotify/max_queued_events")
        let most = try #require(Int(text))
        try #require(most <= 1 << 20)
        let (a, b) = (path("a"), path("b"))
        // Equal events in a row are one event for the kernel, so two names take turns.
        for _ in 0...(most / 2 + 1) {
            for name in [a, b] { close(open(name, O_CREAT | O_WRONLY, 0o600)) }
        }
        #expect(changes().contains(Change(directory: "", name: "")))
        // It goes on after that.
        folder.write("c")
        #expect(changes().contains(Change(directory: folder.path, name: "c")))
    }

    @Test func `many changes are told in several calls, each of them once`() {
        _ = watch.watch([folder.path])
        let names = (0..<40).map { String(repeating: "n", count: 200) + "\($0)" }
        // More than 200 bytes each: more than one call takes, and less than the kernel keeps.
        for _ in 0..<40 {
            for name in names { close(open(path(name), O_CREAT | O_WRONLY, 0o600)) }
        }
        let first = watch.wait(milliseconds: 0)
        #expect(first == Set(names.map { Change(directory: folder.path, name: $0) }))
        #expect(!watch.wait(milliseconds: 0).isEmpty)
    }

    @Test func `whoever waits is woken`() {
        let watch = watch
        let woken = Latch()
        let hasStarted = Thread.start(name: "test-watch") {
            _ = watch.wait(milliseconds: nil)
            woken.open()
        }
        #expect(hasStarted)
        watch.interrupt()
        #expect(woken.wait(milliseconds: 30_000))
    }
}

extension String {
    fileprivate init(contentsOfFile path: String) throws {
        guard let file = fopen(path, "r") else { throw CallFailed(call: "fopen") }
        defer { fclose(file) }
        var room = [UInt8](repeating: 0, count: 256)
        let count = fread(&room, 1, room.count, file)
        self.init(decoding: room[..<count].filter { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }
}
