import Glibc
import Testing

@testable import ChimeraConfiguration

/// What becomes of last good versions, and of who owns which host, where the store is not as it should be.
struct StoreTests {
    private static let long = String(repeating: "x", count: 245)

    @Test func `what is above the store others may enter, and the store only its owner`() throws {
        let root = "/tmp/chimera-store-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let paths = [root + "/shared/one/tenants", root + "/shared/one", root + "/shared", root]
        defer { for path in paths { rmdir(path) } }
        try LastGoodStore(directory: paths[0]).prepare()
        let modes = paths.map { path in
            var status = stat()
            return stat(path, &status) == 0 ? status.st_mode & 0o055 : .max
        }
        #expect(modes[0] == 0)
        // What the umask leaves of 0755.
        let mask = umask(0)
        umask(mask)
        #expect(modes.dropFirst().allSatisfy { $0 == 0o055 & ~mask })
    }

    private func write(_ text: String, to path: String) throws {
        let file = try #require(fopen(path, "w"))
        fputs(text, file)
        fclose(file)
    }

    private func names(in directory: String) throws -> [String] {
        try DirectoryEntry.all(in: directory).map(\.name).sorted()
    }

    @Test func `a name too long for a file keeps its version like any other`() throws {
        var machine = try LiveMachine([Self.long: answering("1"), "@b": answering("1", host: "b.example")])
        try machine.load(.start)
        #expect(try names(in: machine.store).filter { $0.hasPrefix("@") && $0.utf8.count == 38 }.count == 2)
        machine.disk["conf.d/\(Self.long).conf"] = "site {"
        machine.disk["conf.d/@b.conf"] = "site {"
        machine.restart()
        let revision = try machine.load(.start)
        #expect(revision.answers == [Self.long: "1", "@b": "1"])
        machine.disk["conf.d/\(Self.long).conf"] = nil
        machine.disk["conf.d/@b.conf"] = nil
        machine.disk["conf.d/c.conf"] = answering("1", host: "c.example")
        try machine.load()
        #expect(try names(in: machine.store) == ["c.good", "index", "lock"])
    }

    @Test func `a version that cannot be kept is its tenant's matter alone, and said once`() throws {
        var machine = try LiveMachine(["a": answering("1"), "b": answering("1", host: "b.example")])
        try machine.load(.start)
        // Nothing can take the place of a directory.
        unlink(machine.store + "/a.good")
        mkdir(machine.store + "/a.good", 0o700)
        machine.disk["conf.d/a.conf"] = answering("2", host: "a.example a2.example")
        machine.disk["conf.d/b.conf"] = answering("2", host: "b.example")
        _ = machine.live.load(.signal)
        machine.live.commit()
        let kept = machine.live.persist()
        #expect(kept.news.map(\.tenant) == ["a"])
        #expect(kept.news.first?.text.contains("cannot be kept across a restart") == true)
        #expect(kept.hasFailures && !kept.isUnfinished)
        #expect(machine.live.persist().news == [])
        #expect(machine.live.load(.signal).status.store == kept.reports)
        machine.disk["conf.d/b.conf"] = "site {"
        machine.disk["conf.d/0.conf"] = answering("thief", host: "a2.example")
        machine.restart()
        let revision = try machine.load(.start)
        #expect(revision.answers == ["a": "2", "b": "2"])
        rmdir(machine.store + "/a.good")
        let again = machine.live.persist()
        #expect(again.reports.allSatisfy { !$0.text.contains("cannot be kept") })
        #expect(!again.hasFailures)
        machine.disk["conf.d/a.conf"] = "site {"
        machine.restart()
        #expect(try machine.load(.start).answers["a"] == "2")
    }

    @Test(arguments: ["a.good", "index", "both"], ["", "half", "flip", "noise", "gone"])
    func `a damaged store says so, keeps owners and is written anew`(which: String, how: String) throws {
        var machine = try LiveMachine(["a": answering("1"), "b": answering("1", host: "b.example")])
        try machine.load(.start)
        for name in which == "both" ? ["a.good", "index"] : [which] {
            let path = machine.store + "/" + name
            let bytes = try SystemFileSystem().read(path, atMost: 1 << 20)
            var text = String(decoding: bytes, as: UTF8.self)
            switch how {
            case "": text = ""
            case "half": text = String(text.prefix(text.count * 3 / 4))
            case "flip": text = text.replacing("host", with: "hpst")
            case "noise": text = "\u{0}{}\n\n"
            default: break
            }
            if how == "gone" { unlink(path) } else { try write(text, to: path) }
        }
        // Whose file is good serves it, and nobody takes the host meanwhile.
        machine.disk["conf.d/0.conf"] = answering("thief")
        machine.restart()
        let revision = machine.live.load(.start)
        machine.live.commit()
        if which != "both" {
            #expect(revision.answers == ["a": "1", "b": "1"])
            #expect(revision.service("0") == TenantStatus.Service.none)
        }
        let kept = machine.live.persist()
        #expect(!kept.news.isEmpty)
        #expect(kept.reports == machine.live.load(.signal).status.store)
        let again = LastGoodStore(directory: machine.store)
        #expect(again.index().state == .whole)
        guard which != "both" else { return }
        guard case .whole(let bundle) = again.bundle(of: "a") else {
            Issue.record("the version of a is not there")
            return
        }
        #expect(bundle.source == Array(answering("1").utf8))
    }

    @Test func `who has neither a good file nor a good version keeps its host`() throws {
        var machine = try LiveMachine(["b": answering("1")])
        try machine.load(.start)
        try write("damaged", to: machine.store + "/b.good")
        machine.disk["conf.d/b.conf"] = "site {"
        machine.disk["conf.d/a.conf"] = answering("thief")
        for _ in 0..<2 {
            machine.restart()
            let revision = try machine.load(.start)
            #expect(revision.answers == [:])
            #expect(
                revision.errors.contains(
                    "conf.d/b.conf: the last good version \(machine.store)/b.good is damaged")
            )
            #expect(
                revision.errors.contains(
                    "conf.d/a.conf:1:1: the host \"a.example\" belongs to another site (see conf.d/b.conf)"))
            // It is not there any more, as far as the index is concerned, and the host is kept all the same.
            try write("damaged", to: machine.store + "/b.good")
        }
        let lost = try machine.load().status.store.map(\.text)
        #expect(lost == ["\(machine.store)/b.good is damaged; there is no other version to keep"])
        machine.disk["conf.d/b.conf"] = answering("again")
        #expect(try machine.load().answers == ["b": "again"])
        #expect(
            try machine.load().status.store.map(\.text)
                == ["\(machine.store)/b.good is damaged; it is written anew"])
        machine.disk["conf.d/b.conf"] = nil
        #expect(try machine.load().answers == ["a": "thief"])
    }

    @Test func `an index is read as it was written, whatever the names are`() {
        var index = StoreIndex()
        for (number, id) in ["a", "a b", "x\ny", "100%", "", "é"].enumerated() {
            index.entries[id] = StoreIndex.Entry(
                path: "/etc/\(id).conf", digest: number.isMultiple(of: 2) ? ContentDigest(id) : nil,
                claims: [
                    HostOwners.Claim(listener: nil, host: .wildcard("\(number).example")),
                    HostOwners.Claim(listener: "in ner", host: .any),
                ])
        }
        let bytes = index.serialized
        let read = StoreIndex.parse(bytes)
        #expect(read.index == index)
        #expect(read.isWhole)
        #expect(!StoreIndex.parse(bytes + Array("host - x.example\n".utf8)).isWhole)
        for end in bytes.indices {
            #expect(!StoreIndex.parse(Array(bytes[..<end])).isWhole || end == bytes.count - 1)
        }
    }

    @Test func `many versions are written in one go`() throws {
        var tenants: [String: String] = [:]
        for number in 0..<300 { tenants["t\(number)"] = answering("\(number)", host: "h\(number).example") }
        var machine = try LiveMachine(tenants)
        try machine.load(.start)
        #expect(try names(in: machine.store).count == 302)
        try write("damaged", to: machine.store + "/t7.good")
        machine.restart()
        _ = machine.live.load(.start)
        machine.live.commit()
        // Not all of them are looked at at once.
        #expect(machine.live.persist().isUnfinished)
        #expect(!machine.live.persist().isUnfinished)
        guard case .whole = LastGoodStore(directory: machine.store).bundle(of: "t7") else {
            Issue.record("the damaged version is still there")
            return
        }
    }

    @Test func `versions are written in parts where a reload may come between them`() throws {
        var tenants: [String: String] = [:]
        for number in 0..<10 { tenants["t\(number)"] = answering("\(number)", host: "h\(number).example") }
        let machine = try LiveMachine(tenants)
        _ = machine.live.load(.start)
        machine.live.commit()
        #expect(machine.live.persist(atMost: 4).isUnfinished)
        #expect(try names(in: machine.store).count == 4 + 2)
        #expect(machine.live.persist(atMost: 4).isUnfinished)
        #expect(!machine.live.persist(atMost: 4).isUnfinished)
        #expect(try names(in: machine.store).count == 10 + 2)
    }

    @Test func `a place that cannot be written is tried again until it can be`() throws {
        let machine = try LiveMachine(["a": answering("1")])
        // No directory can be made below a file.
        try write("", to: machine.scratch.path + "/data")
        _ = machine.live.load(.start)
        machine.live.commit()
        for _ in 0..<2 {
            let kept = machine.live.persist()
            #expect(kept.hasFailures && !kept.isUnfinished)
            #expect(kept.reports.map(\.tenant) == [nil])
        }
        unlink(machine.scratch.path + "/data")
        let kept = machine.live.persist()
        #expect(!kept.hasFailures && !kept.isUnfinished)
        #expect(kept.reports == [])
        #expect(try names(in: machine.store) == ["a.good", "index", "lock"])
    }

    @Test func `versions that are refused keep no others waiting, and have their turn once one is taken`()
        throws
    {
        var tenants: [String: String] = [:]
        for number in 0..<6 { tenants["t\(number)"] = answering("\(number)", host: "h\(number).example") }
        let machine = try LiveMachine(tenants)
        let stuck = ["t0", "t1", "t2"]
        mkdir(machine.scratch.path + "/data", 0o700)
        mkdir(machine.store, 0o700)
        for id in stuck { mkdir("\(machine.store)/\(id).good", 0o700) }
        _ = machine.live.load(.start)
        machine.live.commit()
        var rounds = 1
        while machine.live.persist(atMost: 2).isUnfinished, rounds < 10 { rounds += 1 }
        #expect(rounds == 3)
        #expect(machine.live.persist(atMost: 2).reports.compactMap(\.tenant) == stuck)
        let store = LastGoodStore(directory: machine.store)
        #expect(store.sources().map(\.id) == ["t3", "t4", "t5"])
        for id in stuck { rmdir("\(machine.store)/\(id).good") }
        #expect(machine.live.persist(atMost: 2).isUnfinished)
        let kept = machine.live.persist(atMost: 2)
        #expect(!kept.isUnfinished && !kept.hasFailures)
        #expect(store.sources().count == 6)
    }

    /// In the place of a file, what the system refuses to open: a link that leads to itself.
    private func obstruct(_ path: String) {
        rename(path, path + ".aside")
        symlink(path, path)
    }

    private func clear(_ path: String) { rename(path + ".aside", path) }

    @Test func `an index that cannot be read now is left as it is, and counts once it can be`() throws {
        var machine = try LiveMachine(["a": answering("1"), "b": answering("1", host: "b.example")])
        try machine.load(.start)
        let before = LastGoodStore(directory: machine.store).index()
        // A host that only the index tells of.
        unlink(machine.store + "/b.good")
        machine.disk["conf.d/b.conf"] = "site {"
        machine.disk["conf.d/a.conf"] = answering("2")
        obstruct(machine.store + "/index")
        machine.restart()
        _ = machine.live.load(.start)
        machine.live.commit()
        for _ in 0..<2 {
            let kept = machine.live.persist()
            #expect(kept.hasFailures && !kept.isUnfinished && !kept.hasFoundMore)
            #expect(kept.reports.map(\.text).contains { $0.contains("/index cannot be read") })
            #expect(!kept.reports.map(\.text).contains { $0.contains("damaged") })
        }
        clear(machine.store + "/index")
        let after = LastGoodStore(directory: machine.store).index()
        #expect(after.index == before.index && after.state == .whole)
        let kept = machine.live.persist()
        #expect(kept.hasFoundMore && !kept.hasFailures)
        machine.disk["conf.d/0.conf"] = answering("thief", host: "b.example")
        #expect(try machine.load().answers == ["a": "2"])
        machine.restart()
        #expect(try machine.load(.start).answers == ["a": "2"])
    }

    @Test func `a version that cannot be read now is no damage, and serves once it can be`() throws {
        var machine = try LiveMachine(["a": answering("1"), "b": answering("1", host: "b.example")])
        try machine.load(.start)
        let path = machine.store + "/a.good"
        machine.disk["conf.d/a.conf"] = "site {"
        obstruct(path)
        machine.restart()
        let revision = machine.live.load(.start)
        machine.live.commit()
        #expect(revision.answers == ["b": "1"])
        #expect(
            revision.errors.contains(
                "conf.d/a.conf: the last good version \(path) cannot be read: error \(ELOOP)"))
        let kept = machine.live.persist()
        #expect(kept.hasFailures && !kept.hasFoundMore)
        #expect(kept.reports == [StoreReport(tenant: "a", text: "\(path) cannot be read: error \(ELOOP)")])
        clear(path)
        let found = machine.live.persist()
        #expect(found.hasFoundMore && !found.hasFailures && found.reports == [])
        #expect(try machine.load(.watch).answers == ["a": "1", "b": "1"])
    }

    @Test func `a damaged index is not written anew while a version beside it cannot be read`() throws {
        var machine = try LiveMachine(["a": answering("1"), "b": answering("1", host: "b.example")])
        try machine.load(.start)
        try write("damaged", to: machine.store + "/index")
        obstruct(machine.store + "/a.good")
        machine.restart()
        _ = machine.live.load(.start)
        machine.live.commit()
        #expect(machine.live.persist().hasFailures)
        #expect(try SystemFileSystem().read(machine.store + "/index", atMost: 100) == Array("damaged".utf8))
        clear(machine.store + "/a.good")
        let kept = machine.live.persist()
        #expect(!kept.hasFailures)
        #expect(kept.reports.map(\.text).contains { $0.contains("/index is damaged") })
        #expect(LastGoodStore(directory: machine.store).index().state == .whole)
    }

    @Test func `a directory's names are told from one that cannot be read`() throws {
        let scratch = try ScratchDirectory()
        try write("", to: scratch.path + "/file")
        symlink("nowhere", scratch.path + "/link")
        let entries = try DirectoryEntry.all(in: scratch.path).sorted { $0.name < $1.name }
        #expect(entries.map(\.name) == ["file", "link"])
        #expect(entries.first?.isLink != true && entries.last?.isLink != false)
        #expect(throws: FileFailure.missing) { try DirectoryEntry.all(in: scratch.path + "/none") }
        #expect(throws: FileFailure.missing) { try DirectoryEntry.all(in: scratch.path + "/file") }
        symlink("loop", scratch.path + "/loop")
        #expect(throws: FileFailure.system(ELOOP)) { try DirectoryEntry.all(in: scratch.path + "/loop") }
    }
}
