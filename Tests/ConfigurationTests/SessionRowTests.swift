import ChimeraConfiguration
import Testing

@Suite struct SessionRowTests {
    private func target(_ line: String, machine: String = "listen 8080\n") throws -> SessionTarget {
        let result = load(tenant: "site a.example {\n\(line)\n}\n", machine: machine)
        #expect(!result.hasErrors, "\(result.diagnostics.rendered)")
        let site = try #require(result.configuration?.sites.first?.site)
        guard case .session(let target)? = site.routes.first?.destination else {
            Issue.record("no session")
            throw CancellationError()
        }
        return target
    }

    @Test func `what stands behind two dashes is the command, as it is`() throws {
        let target = try target("session framing=raw -- t/page.html framing=lines -- '{x}' \"a b\" env:HOME")
        #expect(target.command == ["t/page.html", "framing=lines", "--", "{x}", "a b", "env:HOME"])
        #expect(target.program == "/etc/chimera/conf.d/t/page.html")
        #expect(target.directory == "/etc/chimera/conf.d")
        #expect(target.framing == .raw)
    }

    @Test func `without options it has the defaults`() throws {
        let target = try target("/live session -- t/page.html")
        #expect(
            target
                == SessionTarget(
                    program: "/etc/chimera/conf.d/t/page.html", command: ["t/page.html"],
                    directory: "/etc/chimera/conf.d"))
        #expect(target.ping == .milliseconds(30_000) && target.pong == .milliseconds(20_000))
        #expect(target.terminateMilliseconds == 2_000 && target.killMilliseconds == 5_000)
        #expect(target.messageBytesMax == 1 << 20 && target.errorOutput == .log && !target.mayBeRoot)
    }

    @Test func `its options are typed`() throws {
        let target = try target(
            "session stderr=inline origin=b.example origin=*.c.example message=4KiB deflate=off env=A=b env=C= "
                + "ping=none pong=5s idle=1h life=1d end=1s kill=0ms directory=t -- t/page.html")
        #expect(target.errorOutput == .inline && !target.compresses && target.messageBytesMax == 4096)
        #expect(target.origins.map(\.description) == ["b.example", "*.c.example"])
        #expect(target.environment == ["A=b", "C="])
        #expect(target.ping == .unlimited && target.pong == .milliseconds(5_000))
        #expect(target.idle == .milliseconds(3_600_000) && target.life == .milliseconds(86_400_000))
        #expect(target.terminateMilliseconds == 1_000 && target.killMilliseconds == 0)
        #expect(target.directory == "/etc/chimera/conf.d/t")
    }

    @Test func `a program that would run as root has to be said twice`() throws {
        let site = "site a.example { session -- t/page.html }\n"
        let machine = "listen 8080\nuser root\n"
        #expect(load(tenant: site, machine: machine).hasErrors)
        let target = try target("session user=root -- t/page.html", machine: machine)
        #expect(target.mayBeRoot)
        #expect(
            load(tenant: "site a.example { session user=other -- t/page.html }\n", machine: machine).hasErrors
        )
        #expect(load(tenant: "site a.example { session user=www -- t/page.html }\n").hasErrors)
        let plain = try self.target("session user=www -- t/page.html", machine: "listen 8080\nuser www\n")
        #expect(!plain.mayBeRoot)
        // By its number as well.
        #expect(load(tenant: site, machine: "listen 8080\nuser 0:0\n").hasErrors)
        #expect(
            try self.target("session user=root -- t/page.html", machine: "listen 8080\nuser 0\n").mayBeRoot)
        #expect(
            load(
                tenant: "site a.example { session user=root -- t/page.html }\n",
                machine: "listen 8080\nuser www\n"
            )
            .hasErrors)
    }

    @Test(arguments: ["ping", "pong", "idle", "life"])
    func `a time that nobody could live with is none`(_ key: String) throws {
        let said = messages("session \(key)=0s -- t/page.html")
        #expect(said.contains { $0.contains("`none`") }, "\(said)")
        #expect(!load(tenant: "site a.example { session \(key)=none -- t/page.html }\n").hasErrors)
        #expect(!load(tenant: "site a.example { session \(key)=10ms -- t/page.html }\n").hasErrors)
    }

    @Test func `an option without its value is told in one line`() {
        let said = load(tenant: "site a.example { session pty -- t/page.html }\n").diagnostics
        #expect(said.map(\.suggestions) == [["pty=on"]])
        #expect(said.allSatisfy { $0.text.utf8.count < 300 }, "\(said.rendered)")
    }

    @Test func `what a shell would do with a word is a warning`() {
        #expect(messages("session -- t/page.html a | tr a b").contains { $0.contains("no shell") })
        #expect(messages("session -- t/page.html 'a | b'") == [])
    }

    @Test func `a guard on a session guards all of it`() {
        let block = "{ auth basic t/users }"
        #expect(messages("/shell session pty=on -- t/page.html \(block)") == [])
        #expect(messages("/shell respond 200 \(block)").count == 1)
    }

    @Test func `a guard with an error is one error`() {
        let said = messages("/shell session pty=on -- t/page.html { auth basic t/none }")
        #expect(said.count == 1 && said.allSatisfy { $0.contains("t/none") }, "\(said)")
    }

    @Test(arguments: [
        ("session -- ./t/page.html", "/t/page.html"), ("session -- other", "/usr/local/bin/other"),
    ])
    func `a name is looked up where every user may`(_ line: String, _ path: String) throws {
        let result = load(
            tenant: "site a.example {\n\(line)\n}\n",
            files: ["/usr/local/bin/other": "", "/root/bin/other": ""])
        guard case .session(let target)? = result.configuration?.sites.first?.site.routes.first?.destination
        else {
            Issue.record("no session: \(result.diagnostics.rendered)")
            return
        }
        #expect(target.program.hasSuffix(path))
    }

    @Test(arguments: [
        ("session pty=on -- t/page.html", true),
        ("session pty=on open=on -- t/page.html", false),
        ("session pty=on -- t/page.html { auth basic t/users }", false),
        ("auth basic t/users\nsession pty=on -- t/page.html", false),
        ("/shell/* { allow 10.0.0.0/8 }\n/shell session pty=on -- t/page.html", false),
        ("/shell/* { allow 10.0.0.0/8 }\n/* session pty=on -- t/page.html", true),
        ("GET /* { allow 10.0.0.0/8 }\nsession pty=on -- t/page.html", true),
        ("auth basic t/users\nsession pty=on -- t/page.html { auth off }", true),
        ("session pty=on stderr=inline open=on -- t/page.html", true),
        ("session pty=on framing=length open=on -- t/page.html", true),
        ("session -- t/page.html", false),
    ])
    func `a terminal is guarded, or said to be open`(_ content: String, _ isRefused: Bool) {
        let result = load(tenant: "site a.example {\n\(content)\n}\n")
        #expect(result.hasErrors == isRefused, "\(result.diagnostics.rendered)")
    }

    @Test func `a terminal's octets are as they are`() throws {
        #expect(try target("session pty=on open=on -- t/page.html").framing == .raw)
        #expect(try target("session pty=on open=on framing=lines -- t/page.html").framing == .lines)
    }

    @Test func `a tenant's directory belongs to it`() {
        let machine = "listen 8080\ntenants { permit session }\n"
        let inside = load(tenant: "site a.example { session directory=t -- t/page.html }\n", machine: machine)
        #expect(!inside.hasErrors, "\(inside.diagnostics.rendered)")
        let outside = load(
            tenant: "site a.example { session directory=/etc -- t/page.html }\n", machine: machine)
        #expect(outside.hasErrors)
        let denied = load(
            tenant: "site a.example { session -- t/page.html }\n", machine: "listen 8080\ntenants { }\n")
        #expect(denied.hasErrors)
    }

    private func listened(_ line: String, _ route: String) -> LoadResult {
        load(tenant: "site a.example {\n\(route)\n}\n", machine: "listen 8080\n\(line)\n")
    }

    @Test func `a listener leads to a session by its tenant and its path`() throws {
        let result = listened("listen 7000 session=t/live/one", "/live/one session -- t/page.html")
        let listener = try #require(result.configuration?.listeners.last)
        #expect(listener.session == SessionAddress("t/live/one"))
        let address = try #require(listener.session)
        #expect(address.tenant == "t" && address.path == "/live/one" && address.text == "t/live/one")
        let site = try #require(result.configuration?.sites.first?.site)
        #expect(address.leads(to: site))
        #expect(SessionAddress("t/live").map { $0.leads(to: site) } == false)
    }

    @Test func `the machine's own sites have sessions for listeners as well`() {
        let machine =
            "listen 8080\nlisten unix:/run/x.sock session=/a\nsite a.example { /a session -- t/page.html }\n"
        let result = load(machine: machine, files: ["t/page.html": ""])
        #expect(!result.hasErrors, "\(result.diagnostics.rendered)")
    }

    @Test(arguments: [
        ("t", "did you mean \"t/ROUTE\""), ("t/*", "named by its tenant"),
        ("u/a", "there is no tenant \"u\""),
        ("t/b", "did you mean \"session=t/a\""), ("t/page", "this route is no session"),
        ("t/a tls", "`tls` has no place"), ("t/a public=1", "`public` has no place"),
        ("t/secret", "asks for a password"), ("t/post", "not for GET"), ("t/r/1", "no single path"),
    ])
    func `a listener whose session is not to be had is an error`(_ words: String, _ said: String) {
        let routes = """
            /a session -- t/page.html
            /page respond 200
            /secret session -- t/page.html { auth basic t/users }
            POST /post session -- t/page.html
            /r/{n} session -- t/page.html
            """
        let result = listened("listen 7000 session=\(words)", routes)
        #expect(result.diagnostics.rendered.contains(said), "\(result.diagnostics.rendered)")
        #expect(result.hasErrors)
    }

    @Test func `what a password need not guard is open to plain octets`() {
        let route = "/a session -- t/page.html { auth basic t/users ; allow 10.0.0.0/8 ; satisfy any }"
        #expect(!listened("listen 7000 session=t/a", route).hasErrors)
        let certificate = "/a session -- t/page.html\n/b/* { auth basic t/users }"
        #expect(!listened("listen 7000 session=t/a", certificate).hasErrors)
    }

    @Test func `plain HTTP is said, and no terminal has it`() throws {
        #expect(try target("session http=on -- t/page.html").answersHTTP)
        #expect(try !target("session -- t/page.html").answersHTTP)
        let result = load(tenant: "site a.example { session http=on pty=on open=on -- t/page.html }\n")
        #expect(result.diagnostics.rendered.contains("`http=` has no place there"))
    }

    @Test func `what it may take is typed`() throws {
        let bound = try target(
            "session memory=64MiB processes=20 cpu=150% cpu-time=1m files=40 -- t/page.html")
        #expect(bound.resources.memory == 64 << 20 && bound.resources.processes == 20)
        #expect(bound.resources.cpuPercent == 150 && bound.resources.cpuSeconds == 60)
        #expect(bound.resources.files == 40)
        #expect(try target("session -- t/page.html").resources == SessionTarget.Resources())
    }

    @Test(arguments: [
        "memory=1KiB", "memory=many", "processes=0", "processes=1GB", "cpu=50", "cpu=0%", "cpu=%", "cpu=1.5%",
        "cpu-time=100ms", "cpu-time=1500ms", "files=2", "files=0",
    ])
    func `what bounds nothing is refused`(_ option: String) {
        #expect(load(tenant: "site a.example { session \(option) -- t/page.html }\n").hasErrors)
    }

    @Test func `sessions and their starts are counted by user as well`() throws {
        let result = load(
            tenant: """
                site a.example {
                    limit sessions 5 per=user
                    limit starts 10/m burst=3 per=user
                    session -- t/page.html { limit starts 1/s }
                }
                """)
        #expect(!result.hasErrors, "\(result.diagnostics.rendered)")
        let site = try #require(result.configuration?.sites.first?.site)
        #expect(site.settings.sessionLimits.map(\.description) == ["5 per=user"])
        #expect(site.settings.sessionRates.map(\.description) == ["10/m burst=3 per=user"])
        #expect(site.routes.first?.settings.sessionRates.map(\.description) == ["1/s burst=1"])
        #expect(load(tenant: "site a.example { limit requests 5/s per=user ; respond 200 }\n").hasErrors)
    }

    @Test func `what it keeps is typed`() throws {
        let kept = try target("session resume=5m replay=1MiB pool=8 request=line -- t/page.html")
        #expect(kept.resumeMilliseconds == 300_000 && kept.replayBytes == 1 << 20 && kept.poolCount == 8)
        #expect(kept.tellsRequest && kept.sharing == nil)
        let shared = try target("session shared=on tag=json linger=0ms -- t/page.html")
        #expect(shared.sharing?.tag == .json && shared.sharing?.lingerMilliseconds == 0)
        #expect(shared.sharing?.start == .client && shared.replayBytes == 64 * 1024)
        let early = try target("session shared=on start=load -- t/page.html")
        #expect(early.sharing?.start == .load && early.sharing?.tag == .prefix)
        #expect(try target("session shared=off pty=on open=on pool=1 -- t/page.html").sharing == nil)
    }

    @Test(arguments: [
        "shared=on resume=5m", "shared=on pool=2", "shared=on pty=on open=on", "shared=on framing=length",
        "shared=on request=line", "pty=on open=on request=line", "shared=on start=load linger=1s", "tag=off",
        "start=client", "linger=1s", "replay=1MiB", "resume=1ms", "resume=2d", "pool=0", "pool=65",
        "resume=1m replay=1B", "resume=1m framing=length", "resume=1m framing=typed",
    ])
    func `what does not go together is refused`(_ options: String) {
        #expect(load(tenant: "site a.example { session \(options) -- t/page.html }\n").hasErrors)
    }
}
