import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Testing

@testable import Chimera

/// Which changes on a real disk are ones of the configuration.
@Suite(.timeLimit(.minutes(1))) struct WatchedNamesTests {
    private typealias Change = DirectoryWatch.Change
    private let folder: Folder

    init() throws { folder = try Folder() }

    private func names(_ patterns: [String], _ files: [String] = [], most: Int = 1024) -> WatchedNames {
        WatchedNames(
            patterns: patterns.map { folder($0) }, files: files.map { folder($0) }, directoriesMax: most)
    }

    private func covers(_ names: WatchedNames, _ directory: String, _ name: String) -> Bool {
        names.covers(Change(directory: directory.isEmpty ? folder.path : folder(directory), name: name))
    }

    @Test(
        arguments: [
            ("conf.d", "shop.conf", true), ("conf.d", "shop.conf.swp", false),
            ("conf.d", ".shop.conf", false), ("conf.d", "shop.htpasswd", true),
            ("conf.d", "other.htpasswd", false), ("", "chimera.conf", true), ("", "access.log", false),
            ("elsewhere", "shop.conf", false), ("conf.d", "", true),
        ])
    func `only what the configuration comes from is a reason to read it`(
        directory: String, name: String, counts: Bool
    ) {
        folder.make("conf.d")
        let names = names(["conf.d/*.conf"], ["chimera.conf", "conf.d/shop.htpasswd"])
        #expect(covers(names, directory, name) == counts)
    }

    @Test func `where the kernel lost count, anything is a reason`() {
        #expect(WatchedNames().covers(Change(directory: "", name: "")))
    }

    @Test func `a tenant's file that is a link is watched at each of its steps`() {
        for name in ["conf.d", "avail", "far"] { folder.make(name) }
        folder.write("far/k")
        folder.link("avail/k.conf", to: folder("far/k"))
        folder.link("conf.d/k.conf", to: "../avail/k.conf")
        folder.link("conf.d/other", to: "../far/other")
        let names = names(["conf.d/*.conf"])
        #expect(covers(names, "conf.d", "k.conf"))
        #expect(covers(names, "avail", "k.conf"))
        #expect(covers(names, "far", "k"))
        // What no pattern names is followed nowhere.
        #expect(!covers(names, "far", "other"))
        #expect(!covers(names, "avail", "j.conf"))
    }

    @Test func `container platforms change all files at once, by a link to another directory`() {
        for name in ["conf.d", "v1", "v2"] { folder.make(name) }
        folder.link("conf.d/..data", to: "../v1")
        folder.link("conf.d/k.conf", to: "..data/k.conf")
        let first = names(["conf.d/*.conf"])
        #expect(covers(first, "conf.d", "..data") && covers(first, "v1", "k.conf"))
        folder.link("conf.d/..new", to: "../v2")
        folder.move("conf.d/..new", "conf.d/..data")
        let second = names(["conf.d/*.conf"])
        #expect(covers(second, "v2", "k.conf") && !covers(second, "v1", "k.conf"))
    }

    @Test func `a directory of tenants that is a link is watched where it leads, and so is the link`() {
        folder.make("v1")
        folder.link("conf.d", to: "v1")
        let names = names(["conf.d/*.conf"])
        #expect(names.directories == [folder.path, folder("v1")])
        #expect(covers(names, "v1", "a.conf") && covers(names, "", "conf.d"))
        #expect(!covers(names, "", "a.conf"))
    }

    @Test func `where a directory is missing, the nearest one that is there counts`() {
        folder.make("a")
        let before = names(["a/b/*.conf"], ["a/x/y/page"])
        #expect(before.directories == [folder("a")])
        #expect(covers(before, "a", "b") && covers(before, "a", "x") && !covers(before, "a", "y"))
        folder.make("a/x")
        #expect(covers(names([], ["a/x/y/page"]), "a/x", "y"))
        folder.make("a/x/y")
        #expect(covers(names([], ["a/x/y/page"]), "a/x/y", "page"))
    }

    @Test func `directories above are watched for themselves`() {
        for name in ["a", "a/b", "a/b/c"] { folder.make(name) }
        let names = names(["a/b/c/*.conf"])
        #expect(names.directories == [folder("a/b/c")])
        #expect(names.places.isSuperset(of: [folder("a/b"), folder("a"), folder.path, "/tmp"]))
        #expect(!names.places.contains("/"))
    }

    @Test func `one directory by two paths is one`() {
        folder.make("real")
        folder.link("alias", to: "real")
        let names = names([], ["real/x", "alias/y", "real/../alias/./z"])
        #expect(names.directories == [folder.path, folder("real")])
        #expect(covers(names, "real", "x") && covers(names, "real", "y") && covers(names, "real", "z"))
    }

    @Test(arguments: ["loop", "a/loop/x", "a/l1"]) func `links in a circle end`(path: String) {
        folder.make("a")
        folder.link("loop", to: "loop")
        folder.link("a/loop", to: "../loop")
        folder.link("a/l1", to: "l2")
        folder.link("a/l2", to: "l1")
        #expect(names([], [path]).directories.isSubset(of: [folder.path, folder("a")]))
    }

    @Test func `a path without end leads nowhere`() {
        let names = names([], [String(repeating: "a/", count: 100_000) + "b"])
        #expect(names.directories.isEmpty)
    }

    @Test func `links are followed in a directory of many names as well`() {
        for name in ["many", "far"] { folder.make(name) }
        folder.write("far/x")
        folder.link("many/f199", to: "../far/x")
        let names = names([], (0..<200).map { "many/f\($0)" })
        #expect(covers(names, "many", "f100") && covers(names, "far", "x"))
    }

    @Test(arguments: [0, 1, 2, 3]) func `directories have a bound, and files in them have none`(most: Int) {
        for name in ["a", "b", "c"] { folder.make(name) }
        let files = (0..<2_000).map { "a/f\($0)" } + ["b/x", "c/x"]
        let names = names([], files, most: most)
        #expect(names.directories.count == most)
        #expect(names.isCut == (most < 3))
        #expect(covers(names, "a", "f1999") == (most > 0))
        #expect(covers(names, "c", "x") == (most > 2))
    }
}
