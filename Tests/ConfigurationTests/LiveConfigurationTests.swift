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
        try machine.load(.start)
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
        machine.live.commit()
        #expect(machine.live.persist().isUnfinished)
        old.leaveStore()
        #expect(!machine.live.persist().isUnfinished)
        machine.disk["conf.d/shop.conf"] = "site shop.example { respnd 200 three }"
        // What left writes no more, whatever it reads.
        _ = old.load(.signal)
        old.commit()
        #expect(!old.persist().isUnfinished)
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

    @Test func `after a restart too the file that serves stays, and status names the other`() throws {
        var machine = try LiveMachine(
            ["x": answering("x", host: "x.example")],
            machine: "listen 8080\nimport conf.d/*.conf more.d/*.conf\n",
            files: ["more.d/a.conf": answering("more")])
        try machine.load(.start)
        machine.disk["conf.d/a.conf"] = answering("conf")
        for isRestart in [false, true, true] {
            if isRestart { machine.restart() }
            let revision = try machine.load()
            #expect(revision.answers["a"] == "more")
            #expect(revision.status.refusedFiles.map(\.position.file) == ["conf.d/a.conf"])
            #expect(revision.service("a") == .current)
        }
        machine.disk["more.d/a.conf"] = nil
        let revision = try machine.load()
        #expect(revision.answers["a"] == "conf")
        #expect(revision.status.refusedFiles == [])
    }

    @Test func `what was not served is forgotten`() throws {
        var machine = try LiveMachine(["a": answering("1"), "c": answering("1", host: "c.example")])
        let first = try #require(try machine.load(.start).configuration)
        machine.disk["conf.d/a.conf"] = answering("2", host: "other.example")
        machine.disk["conf.d/b.conf"] = answering("b")
        machine.disk["conf.d/c.conf"] = nil
        #expect(machine.live.load(.signal).answers == ["a": "2", "b": "b"])
        let status = machine.live.refused("cannot listen")
        #expect(status.outcome == .failed)
        #expect(status.machineErrors.map(\.message) == ["cannot listen"])
        #expect(status.tenants.map(\.id) == ["a", "c"])
        #expect(!machine.live.persist().isUnfinished)
        #expect(
            machine.live.runningSources().map(\.text)
                == [answering("1"), answering("1", host: "c.example")].map { Array($0.utf8) })
        machine.disk["conf.d/a.conf"] = "site {"
        let other = machine.live
        other.leaveStore()
        machine.restart()
        // Neither the version nor the host of b was kept.
        #expect(try machine.load(.start).answers == ["a": "1"])
        // What the file said first is no news, and the same objects serve.
        machine.disk["conf.d/a.conf"] = answering("1")
        machine.disk["conf.d/b.conf"] = nil
        machine.disk["conf.d/c.conf"] = answering("1", host: "c.example")
        let again = other.load(.signal)
        #expect(again.status.outcome == .unchanged)
        #expect(again.configuration?.sites.first === first.sites.first)
    }

    @Test func `what was refused is news the next time`() throws {
        let machine = try LiveMachine(["a": answering("1")])
        try machine.load(.start)
        machine.disk["chimera.conf"] = "listen 8080\nlisten 8081\nimport conf.d/*.conf\n"
        for _ in 0..<2 {
            #expect(machine.live.load(.signal).status.outcome == .applied)
            _ = machine.live.refused("cannot listen")
        }
        #expect(try machine.load().status.outcome == .applied)
        #expect(try machine.load().status.outcome == .unchanged)
    }

    @Test func `a folder that becomes another tenant's ends the version that served it`() throws {
        let text = "site a.example { files a.eu }\n"
        let machine = try LiveMachine(
            ["a": text], machine: "listen 8080\ntenants { permit files }\nimport conf.d/*.conf\n",
            files: ["conf.d/a.eu/page": "x"])
        #expect(try machine.load(.start).service("a") == .current)
        machine.disk["conf.d/a.eu.conf"] = answering("eu", host: "eu.example")
        let revision = try machine.load()
        #expect(revision.service("a") == TenantStatus.Service.none)
        #expect(revision.errors.count == 1)
        #expect(revision.answers == ["a.eu": "eu"])
        machine.disk["conf.d/a.eu.conf"] = nil
        #expect(try machine.load().service("a") == .current)
    }

    @Test func `a version whose folder is gone for a moment stays in what is its tenant's own`() throws {
        var machine = try LiveMachine(
            ["a": "site a.example { files a/www }\n"],
            machine: "listen 8080\ntenants { permit files }\nimport conf.d/*.conf\n",
            files: ["conf.d/a/v1/page": "x"])
        machine.disk.change { $0.links["/etc/chimera/conf.d/a/www"] = "v1" }
        #expect(try machine.load(.start).service("a") == .current)
        machine.disk.change { $0.links = [:] }
        for isRestart in [false, true] {
            if isRestart { machine.restart() }
            let revision = try machine.load()
            #expect(revision.service("a") == .lastGood)
            guard case .files(let target)? = revision.configuration?.sites[0].site.routes.first?.destination
            else {
                Issue.record("no files")
                return
            }
            #expect(target.confinement == "/etc/chimera/conf.d/a")
        }
    }

    @Test func `what was refused is not decoded again while nothing changes`() throws {
        let text = "site a.example { error 404 a/page ; respond 200 x }\n"
        let machine = try LiveMachine(
            ["a": text], machine: "listen 8080\ntenants { permit files }\nimport conf.d/*.conf\n",
            files: ["conf.d/a/x": "", "secret": "s"])
        machine.disk.change { $0.links["/etc/chimera/conf.d/a/page"] = "/etc/chimera/secret" }
        #expect(try machine.load(.start).service("a") == TenantStatus.Service.none)
        #expect(machine.live.watchedFiles.contains("/etc/chimera/conf.d/a/page"))
        machine.disk.reads = []
        try machine.load()
        #expect(machine.disk.reads.filter { $0.hasSuffix("page") || $0.hasSuffix("secret") } == [])
        machine.disk.change { $0.links = [:] }
        machine.disk["conf.d/a/page"] = "mine"
        #expect(try machine.load().service("a") == .current)
    }

    @Test func `files that nobody names any more are forgotten`() throws {
        let machine = try LiveMachine(["a": answering("1")])
        try machine.load(.start)
        for number in 0..<50 {
            machine.disk["conf.d/a/page\(number)"] = "\(number)"
            machine.disk["conf.d/a.conf"] = "site a.example { error 404 a/page\(number) ; respond 200 x }\n"
            #expect(try machine.load().service("a") == .current)
            try machine.load()
            #expect(machine.live.digests.count <= 2)
        }
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
        bundle.claims = [
            HostOwners.Claim(listener: nil, host: .deepWildcard("a.example")),
            HostOwners.Claim(listener: "in ner", host: .any),
        ]
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

    @Test(arguments: [
        ("a.giv.example", "*.giv.example", true), ("a.giv.example", "**.giv.example", true),
        ("a.giv.example", "**.example", true), ("a.giv.example", "*.example", false),
        ("*.own.example", "**.own.example", true), ("*.own.example", "**.example", true),
        ("*.own.example", "*.own.example", true), ("*.own.example", "x.own.example", true),
        ("*.own.example", "own.example", false), ("**.own.example", "*.own.example", true),
        ("**.own.example", "*.x.own.example", true), ("**.own.example", "*.example", false),
        ("a.giv.example", "b.giv.example", false),
    ])
    func `what is given is nobody else's, also before its owner names it`(
        given: String, claimed: String, isRefused: Bool
    ) throws {
        let machine = try LiveMachine(
            ["b": answering("b", host: claimed)],
            machine: "listen 8080\ntenant a { hosts \(given) }\nimport conf.d/*.conf\n")
        let revision = try machine.load(.start)
        #expect((revision.answers["b"] == nil) == isRefused, "\(revision.errors)")
        machine.disk["conf.d/a.conf"] = answering("a", host: given)
        #expect(try machine.load().answers["a"] == "a")
    }

    @Test func `a host that is given goes to its owner in the same reload`() throws {
        let machine = try LiveMachine(["b": answering("b"), "a": answering("a", host: "other.example")])
        try machine.load(.start)
        machine.disk["conf.d/a.conf"] = answering("a2")
        machine.disk["chimera.conf"] = "listen 8080\ntenant a { hosts a.example }\nimport conf.d/*.conf\n"
        let revision = try machine.load()
        #expect(revision.answers == ["a": "a2"])
        #expect(revision.service("b") == TenantStatus.Service.none)
    }

    @Test func `a wildcard that was there before goes on, beside the host that is given`() throws {
        let machine = try LiveMachine(["b": answering("b", host: "*.example")])
        try machine.load(.start)
        machine.disk["chimera.conf"] = "listen 8080\ntenant a { hosts a.example }\nimport conf.d/*.conf\n"
        machine.disk["conf.d/a.conf"] = answering("a")
        #expect(try machine.load().answers == ["a": "a", "b": "b"])
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
