import Testing

@testable import ChimeraConfiguration

struct LiveConfigurationTests {
    @Test func `a tenant whose content is the same keeps its objects`() throws {
        let machine = try LiveMachine(["a": answering("1"), "b": answering("1", host: "b.example")])
        let first = try machine.load(.start)
        let again = try machine.load()
        #expect(again.status.outcome == .unchanged)
        machine.disk["conf.d/b.conf"] = answering("2", host: "b.example")
        let changed = try machine.load()
        #expect(changed.status.outcome == .applied)
        #expect(changed.status.changedSites == 1)
        #expect(changed.answers == ["a": "1", "b": "2"])
        let (before, after) = (try #require(first.configuration), try #require(changed.configuration))
        #expect(before.sites[0] === after.sites[0])
        #expect(before.sites[1] !== after.sites[1])
    }

    @Test func `of a changed file the sites that are the same keep their objects`() throws {
        let two = answering("1") + answering("1", host: "b.example")
        let machine = try LiveMachine(["a": two])
        let first = try #require(try machine.load(.start).configuration)
        machine.disk["conf.d/a.conf"] = answering("1") + answering("2", host: "b.example")
        let second = try #require(try machine.load().configuration)
        #expect(first.sites[0] === second.sites[0])
        #expect(first.sites[1] !== second.sites[1])
    }

    @Test func `a machine's file that changes nothing for sites keeps their objects`() throws {
        let machine = try LiveMachine(["a": answering("1")])
        let first = try #require(try machine.load(.start).configuration)
        machine.disk["chimera.conf"] = "listen 8080\nlisten 8081\nimport conf.d/*.conf\n"
        let second = try machine.load()
        #expect(second.status.outcome == .applied)
        #expect(second.status.changedSites == 0)
        #expect(first.sites[0] === second.configuration?.sites[0])
        machine.disk["chimera.conf"] = "listen 8080\nlimit body 1MB\nimport conf.d/*.conf\n"
        let third = try machine.load()
        #expect(third.status.changedSites == 1)
        #expect(third.configuration?.sites[0].settings.limitBody == 1_000_000)
    }

    @Test func `what a file refers to is a part of its content`() throws {
        let text = "site a.example { error 404 a/page.html ; respond 200 x }\n"
        let machine = try LiveMachine(["a": text], files: ["conf.d/a/page.html": "one"])
        let first = try #require(try machine.load(.start).configuration)
        machine.disk["conf.d/a/page.html"] = "two"
        let second = try #require(try machine.load().configuration)
        #expect(first.sites[0] !== second.sites[0])
        #expect(second.sites[0].settings.errorPages.first?.file.content == Array("two".utf8))
    }

    @Test func `a file with an error keeps its last good version and touches nobody else`() throws {
        let machine = try LiveMachine(["a": answering("1"), "b": answering("1", host: "b.example")])
        let first = try #require(try machine.load(.start).configuration)
        machine.disk["conf.d/a.conf"] = "site a.example {\n    respnd 200 2\n}\n"
        machine.disk["conf.d/b.conf"] = answering("2", host: "b.example")
        let second = try machine.load()
        #expect(second.answers == ["a": "1", "b": "2"])
        #expect(second.configuration?.sites[0] === first.sites[0])
        #expect(
            second.errors == ["conf.d/a.conf:2:5: unknown directive \"respnd\"; did you mean \"respond\"?"])
        #expect(second.service("a") == .lastGood)
        #expect(second.service("b") == .current)
        #expect(second.status.olderTenants.map(\.id) == ["a"])
        machine.disk["conf.d/a.conf"] = answering("3")
        let third = try machine.load()
        #expect(third.answers["a"] == "3")
        #expect(third.service("a") == .current)
        #expect(third.errors == [])
    }

    @Test func `the last good version serves after a restart too`() throws {
        let text = "site a.example { error 404 a/page.html ; respond 200 1 }\n"
        var machine = try LiveMachine(["a": text], files: ["conf.d/a/page.html": "page"])
        try machine.load(.start)
        machine.disk["conf.d/a.conf"] = "site {"
        machine.disk["conf.d/a/page.html"] = nil
        for _ in 0..<2 {
            machine.restart()
            let revision = try machine.load(.start)
            #expect(revision.answers == ["a": "1"])
            #expect(revision.service("a") == .lastGood)
            #expect(
                revision.configuration?.sites[0].settings.errorPages.first?.file.content == Array("page".utf8)
            )
            #expect(!revision.errors.isEmpty)
        }
    }

    @Test func `a file that is empty and new is left as it was, but not for ever`() throws {
        let machine = try LiveMachine(["a": answering("1")])
        try machine.load(.start)
        let path = "/etc/chimera/conf.d/a.conf"
        // As of a clock that was set back: the last change is never long ago.
        func isEmpty(at time: Int64) {
            machine.disk[path] = ""
            let stamp = DiskStamp(
                device: 1, inode: 1, size: 0, modifiedNanoseconds: time, changedNanoseconds: time,
                isSettled: false)
            machine.disk.set(stamp, of: path)
        }
        isEmpty(at: 1)
        for _ in 0..<LiveConfiguration.emptyLooksMax {
            let revision = try machine.load(.watch)
            #expect(revision.isUnsettled)
            #expect(revision.answers == ["a": "1"])
        }
        let last = try machine.load(.watch)
        #expect(!last.isUnsettled)
        #expect(last.answers.isEmpty)
        machine.disk[path] = answering("2")
        machine.disk.set(nil, of: path)
        #expect(try machine.load(.watch).answers == ["a": "2"])
        // What was counted then counts no more.
        isEmpty(at: 2)
        #expect(try machine.load(.watch).isUnsettled)
    }

    @Test func `what the machine's own sites refer to is watched, and what tenants' roots are`() throws {
        let machine = try LiveMachine(
            ["a": "site a.example { auth basic a/users ; files a/www ; error 404 a/none.html }"],
            machine: LiveMachine.machine + "site m.example { auth basic own/users ; files own/www }\n",
            files: ["own/users": "", "conf.d/a/users": "", "conf.d/a/www/x": "", "own/www/x": ""])
        _ = machine.live.load(.start)
        let watched = Set(machine.live.watchedFiles)
        for path in [
            "chimera.conf", "own/users", "own/www", "conf.d/a/users", "conf.d/a/www", "conf.d/a/none.html",
        ] {
            #expect(watched.contains("/etc/chimera/" + path), "\(path) is not in \(watched)")
        }
    }

    @Test func `of two processes the one that came first keeps versions until it leaves them`() throws {
        var machine = try LiveMachine(["shop": "site shop.example { respond 200 one }"])
        try machine.load()
        let old = machine.live
        machine.restart()
        machine.disk["conf.d/shop.conf"] = "site shop.example { respond 200 two }"
        _ = machine.live.load(.start)
        #expect(try !machine.live.persist())
        old.leaveStore()
        #expect(try machine.live.persist())
        machine.disk["conf.d/shop.conf"] = "site shop.example { respnd 200 three }"
        // What left writes no more, whatever it reads.
        _ = old.load(.signal)
        #expect(try old.persist())
        #expect(machine.live.load(.signal).answers == ["shop": "two"])
        machine.restart()
        #expect(try machine.load(.start).answers == ["shop": "two"])
    }

    @Test func `at a cold start a bad file without a good version is left out`() throws {
        let machine = try LiveMachine(["a": "site {", "b": answering("1", host: "b.example")])
        let revision = try machine.load(.start)
        #expect(revision.answers == ["b": "1"])
        #expect(revision.service("a") == TenantStatus.Service.none)
        #expect(revision.status.absentTenants.map(\.id) == ["a"])
    }

    @Test(arguments: ["listen 8080\nworkerz 3\nimport conf.d/*.conf\n", "site a"])
    func `a machine's file with an error changes nothing`(text: String) throws {
        let machine = try LiveMachine(["a": answering("1")])
        try machine.load(.start)
        machine.disk["chimera.conf"] = text
        machine.disk["conf.d/a.conf"] = answering("2")
        let revision = try machine.load()
        #expect(revision.configuration == nil)
        #expect(revision.status.outcome == .failed)
        #expect(!revision.status.machineErrors.isEmpty)
        #expect(revision.status.tenants.map(\.service) == [.current])
        machine.disk["chimera.conf"] = LiveMachine.machine
        #expect(try machine.load().answers == ["a": "2"])
    }

    @Test func `at a cold start a bad machine's file is the end`() throws {
        let machine = try LiveMachine(["a": answering("1")], machine: "lisen 8080\n")
        #expect(try machine.load(.start).configuration == nil)
    }

    @Test func `a directory that cannot be read changes nothing`() throws {
        let machine = try LiveMachine(["a": answering("1")])
        try machine.load(.start)
        machine.disk.change { $0.denied.insert("/etc/chimera/conf.d") }
        let revision = try machine.load()
        #expect(revision.configuration == nil)
        #expect(revision.errors.first?.contains("conf.d/*.conf") == true)
        machine.disk.change { $0.denied = [] }
        #expect(try machine.load().status.outcome == .unchanged)
    }

    @Test func `a removed file takes its sites along, and its last good version`() throws {
        var machine = try LiveMachine(["a": answering("1"), "b": answering("1", host: "b.example")])
        try machine.load(.start)
        machine.disk["conf.d/a.conf"] = nil
        #expect(try machine.load().answers == ["b": "1"])
        machine.restart()
        machine.disk["conf.d/a.conf"] = "site {"
        #expect(try machine.load(.start).answers == ["b": "1"])
    }

    @Test func `of two files with one stem the one that serves stays`() throws {
        let machine = try LiveMachine(
            ["a": answering("1")], machine: "listen 8080\nimport conf.d/*.conf more.d/*.conf\n",
            files: ["more.d/x.conf": answering("x", host: "x.example")])
        try machine.load(.start)
        machine.disk["more.d/a.conf"] = answering("other")
        let revision = try machine.load()
        #expect(revision.answers["a"] == "1")
        #expect(
            revision.errors == [
                "more.d/a.conf:1:1: a tenant's id is its file's stem, and \"a\" is another file's already "
                    + "(see conf.d/a.conf:1:1)"
            ])
        machine.disk["conf.d/a.conf"] = nil
        #expect(try machine.load().answers["a"] == "other")
    }

    @Test func `a shared pool that is taken away leaves its users as they were`() throws {
        let machine = try LiveMachine(
            ["a": "site a.example { proxy web }\n"],
            machine: "listen 8080\npool web { to 127.0.0.1:1 }\nimport conf.d/*.conf\n")
        let first = try #require(try machine.load(.start).configuration)
        machine.disk["chimera.conf"] = LiveMachine.machine
        let revision = try machine.load()
        #expect(revision.configuration?.sites[0] === first.sites[0])
        #expect(revision.service("a") == .lastGood)
    }

    @Test func `guard rails bind old versions too`() throws {
        let machine = try LiveMachine(["a": "site a.example { proxy 127.0.0.1:1 }\n"])
        try machine.load(.start)
        machine.disk["chimera.conf"] = "listen 8080\ntenants { permit files }\nimport conf.d/*.conf\n"
        let revision = try machine.load()
        #expect(revision.configuration?.sites.isEmpty == true)
        #expect(revision.service("a") == TenantStatus.Service.none)
    }

    @Test func `what is kept can be read again, and what is damaged cannot`() throws {
        var bundle = TenantBundle(
            name: "conf.d/a.conf", path: "/etc/a.conf", source: Array("site\nend x\n".utf8))
        bundle.contents = ["/etc/x y\nz": [0, 10, 255], "/b": []]
        bundle.kinds = ["/srv": .directory]
        let bytes = bundle.serialized
        #expect(TenantBundle(serialized: bytes) == bundle)
        for index in stride(from: 0, to: bytes.count, by: 3) {
            #expect(TenantBundle(serialized: Array(bytes[..<index])) == nil)
            var damaged = bytes
            damaged[index] ^= 1
            #expect(TenantBundle(serialized: damaged) != bundle)
        }
    }

    @Test(
        arguments: [
            ("/etc/chimera/chimera.conf", true, "/var/lib/chimera"),
            ("/etc/chimera/chimera.conf", false, "/home/ann/.local/state/chimera"),
        ])
    func `data has a place where the file names none`(file: String, isWritable: Bool, expected: String) {
        let path = DataDirectory.path(
            machineFile: file, environment: { $0 == "HOME" ? "/home/ann" : nil },
            isWritable: { _ in isWritable })
        #expect(path == expected)
        let other = DataDirectory.path(
            machineFile: "/srv/x/chimera.conf", environment: { $0 == "HOME" ? "/home/ann" : nil },
            isWritable: { _ in isWritable })
        #expect(other?.hasPrefix(expected + "/chimera-") == true)
    }
}

struct LiveHostTests {
    private func hosts(_ revision: LiveConfiguration.Revision) -> [String: [String]] {
        Dictionary(
            (revision.configuration?.sites ?? []).map { ($0.site.tenant, $0.site.hosts.map(\.description)) },
            uniquingKeysWith: +)
    }

    @Test func `a host stays with its first owner, after a restart too`() throws {
        var machine = try LiveMachine(["b": answering("b")])
        try machine.load(.start)
        // Before b in the order of the files.
        machine.disk["conf.d/a.conf"] = answering("a")
        let expected =
            "conf.d/a.conf:1:1: the host \"a.example\" belongs to another site (see conf.d/b.conf:1:1)"
        for isRestart in [false, true] {
            if isRestart { machine.restart() }
            let revision = try machine.load()
            #expect(revision.answers == ["b": "b"])
            #expect(revision.errors == [expected])
            #expect(revision.service("a") == TenantStatus.Service.none)
        }
    }

    @Test func `a file that steals a host keeps its last good version`() throws {
        let machine = try LiveMachine(["a": answering("a"), "b": answering("b", host: "b.example")])
        try machine.load(.start)
        machine.disk["conf.d/b.conf"] = answering("b2", host: "b.example a.example")
        let revision = try machine.load()
        #expect(revision.answers == ["a": "a", "b": "b"])
        #expect(revision.service("b") == .lastGood)
        machine.disk["conf.d/a.conf"] = nil
        #expect(try machine.load().answers == ["b": "b2"])
    }

    @Test func `hosts are freed and taken in one reload`() throws {
        let machine = try LiveMachine(["a": answering("a"), "b": answering("b", host: "b.example")])
        try machine.load(.start)
        machine.disk["conf.d/a.conf"] = answering("a", host: "other.example")
        machine.disk["conf.d/b.conf"] = answering("b", host: "a.example b.example")
        let revision = try machine.load()
        #expect(hosts(revision) == ["a": ["other.example"], "b": ["a.example", "b.example"]])
        #expect(revision.errors == [])
    }

    @Test func `who goes back to a last good version has its hosts again`() throws {
        let machine = try LiveMachine(["a": answering("a"), "b": answering("b", host: "b.example")])
        try machine.load(.start)
        // a gives its host up for one that is not free, and b takes what a gave up.
        machine.disk["conf.d/a.conf"] = answering("a2", host: "b.example")
        machine.disk["conf.d/b.conf"] = answering("b2", host: "b.example a.example")
        let revision = try machine.load()
        #expect(revision.answers == ["a": "a", "b": "b"])
        #expect(revision.errors.count == 2)
    }

    @Test(
        arguments: [
            ("*.b.example", "a.b.example", true), ("a.b.example", "*.b.example", true),
            ("**.example", "a.b.example", true), ("a.b.example", "**.example", true),
            ("**.example", "*.b.example", true), ("*.b.example", "**.example", true),
            ("*.b.example", "a.a.b.example", false), ("*.b.example", "b.example", false),
            ("b.example", "*.b.example", false), ("*.b.example", "*.a.b.example", false),
            ("*.b.example", "a.c.example", false), ("*", "a.example", false), ("a.example", "*", false),
            ("**.b.example", "*.b.example", true), ("*.b.example", "**.a.b.example", false),
        ])
    func `wildcards and what is under them belong to one tenant`(
        first: String, second: String, isRefused: Bool
    )
        throws
    {
        let machine = try LiveMachine(["b": answering("b", host: first)])
        try machine.load(.start)
        machine.disk["conf.d/a.conf"] = answering("a", host: second)
        let revision = try machine.load()
        #expect((revision.answers["a"] == nil) == isRefused)
        #expect(revision.answers["b"] == "b")
        #expect(revision.errors.count == (isRefused ? 1 : 0))
        // Within one tenant's file nothing of that is refused.
        let own = try LiveMachine(["a": answering("1", host: first) + answering("2", host: second)])
        #expect(try own.load(.start).errors == [])
    }

    @Test func `the machine's file gives hosts`() throws {
        let rails = "listen 8080\ntenant a { hosts a.b.example }\nimport conf.d/*.conf\n"
        let machine = try LiveMachine(
            ["a": answering("a", host: "a.b.example"), "b": answering("b", host: "*.b.example")],
            machine: rails)
        #expect(try machine.load(.start).errors.count <= 1)
        machine.disk["conf.d/c.conf"] = answering("c", host: "a.b.example")
        let revision = try machine.load()
        #expect(revision.answers["a"] == "a")
        #expect(
            revision.errors.contains(
                "conf.d/c.conf:1:1: the host \"a.b.example\" is given to the tenant \"a\" "
                    + "(see chimera.conf:2:18)")
                || revision.errors.contains { $0.hasPrefix("conf.d/c.conf:1:1: ") })
    }

    @Test func `the host of every host is no tenant's unless it is given`() throws {
        let machine = try LiveMachine(
            ["a": answering("a", host: "*")],
            machine: "listen 8080\ntenants { permit files }\nimport conf.d/*.conf\n")
        let refused = try machine.load(.start)
        #expect(refused.answers == [:])
        #expect(refused.errors.first?.contains("tenant a { hosts * }") == true)
        machine.disk["chimera.conf"] =
            "listen 8080\ntenants { permit files }\ntenant a { hosts * }\nimport conf.d/*.conf\n"
        #expect(try machine.load().answers == ["a": "a"])
    }

    @Test func `ten thousand wildcards and hosts are looked at in one pass`() {
        let position = SourcePosition(file: "t", line: 1, column: 1)
        var owners = HostOwners(rails: GuardRails())
        var conflicts = 0
        for number in 0..<10_000 {
            let hosts: [HostPattern] = [.exact("s\(number).example"), .wildcard("s\(number).example")]
            let site = Site(tenant: "t\(number)", name: "s", hosts: hosts, position: position)
            conflicts += owners.claim([site], of: "t\(number)").count
        }
        #expect(conflicts == 0)
        let above = Site(tenant: "x", name: "x", hosts: [.deepWildcard("example")], position: position)
        #expect(owners.conflicts(of: [above], id: "x").count == 1)
    }
}
