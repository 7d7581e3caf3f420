import ChimeraBytes
import ChimeraConfiguration
import Testing

struct LoadingTests {
    @Test func `the machine's file becomes typed values`() throws {
        let result = load(
            machine: """
                listen  80
                listen  127.0.0.1:8080 name=internal
                listen  [::1]:8081
                listen  unix:run/x.sock
                workers 4
                data    ./data
                log access json /var/log/access.log     # a comment
                trust   10.0.0.0/8 ::1
                limit body 1MB
                site internal.example { on internal ; respond 200 ok }
                """)
        #expect(result.diagnostics.isEmpty, "\(result.diagnostics.rendered)")
        let configuration = try #require(result.configuration)
        #expect(
            configuration.listeners.map(\.address) == [
                .anyAddress(port: 80), .ip(IPAddress(v4: 0x7f00_0001), port: 8080),
                .ip(IPAddress(high: 0, low: 1), port: 8081), .unix(path: "/etc/chimera/run/x.sock"),
            ])
        #expect(configuration.listeners.map(\.name) == [nil, "internal", nil, nil])
        #expect(configuration.workers == .count(4))
        #expect(configuration.dataDirectory == "/etc/chimera/data")
        #expect(configuration.accessLog == AccessLog(format: .json, target: .file("/var/log/access.log")))
        #expect(configuration.trust.map(\.description) == ["10.0.0.0/8", "::1/128"])
        #expect(configuration.settings.limitBody == 1_000_000)
        #expect(configuration.sites.map(\.tenant) == [""])
        #expect(configuration.sites[0].on == ["internal"])
        #expect(configuration.files == ["/etc/chimera/chimera.conf"])
    }

    @Test func `a tenant's file becomes a site with routes`() throws {
        let files = [
            "conf.d/shop/assets/a.css": "a {}",
            "conf.d/shop.htpasswd": "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", "conf.d/down.html": "down",
            "chimera.conf": "listen 8080\nlimit head 16KiB\nheader X-Machine 1\nimport conf.d/*.conf\n",
            "conf.d/shop.conf": """
            pool web { to 127.0.0.1:9001 ; to unix:web.sock }
            site Shop.localhost *.shop.localhost {
                @office client 10.0.0.0/8
                header X-Site {site}
                /assets/*     files ./shop/assets index=index.html,index.htm
                GET,POST /api/{version}/* proxy web localhost:9003 { prefix /v2 ; timeout answer=5s }
                /admin/*      { auth basic shop.htpasswd ; allow 10.0.0.0/8 }
                !@office      { closed 503 down.html }
                /old/*        redirect /new/{rest} 308
                /*            proxy http://127.0.0.1:9000
            }
            """,
        ]
        let result = ConfigurationLoader(fileSystem: MemoryFileSystem(files: files)).load(
            machineFile: "chimera.conf")
        #expect(result.diagnostics.isEmpty, "\(result.diagnostics.rendered)")
        let configuration = try #require(result.configuration)
        let site = try #require(configuration.sites.first)
        #expect(site.tenant == "shop")
        #expect(site.name == "shop.localhost")
        #expect(site.hosts == [.exact("shop.localhost"), .wildcard("shop.localhost")])
        #expect(site.file == "conf.d/shop.conf")
        #expect(site.position == SourcePosition(file: "conf.d/shop.conf", line: 2, column: 1))
        #expect(site.settings.limitHead == 16 << 10)
        #expect(site.settings.headerOperations.map(\.name) == ["X-Machine", "X-Site"])
        #expect(site.routes.map(\.text) == ["/assets/*", "/api/{version}/*", "/old/*", "/*"])
        #expect(
            site.routes[0].destination
                == .files(
                    FilesTarget(
                        directory: Template(literal: "/etc/chimera/conf.d/shop/assets"),
                        index: ["index.html", "index.htm"], strippedSegments: 1)))
        guard case .proxy(let proxy) = site.routes[1].destination else {
            Issue.record("not a proxy")
            return
        }
        #expect(
            proxy.targets.map(\.address.description) == [
                "127.0.0.1:9001", "unix:/etc/chimera/conf.d/web.sock", "localhost:9003",
            ])
        #expect(proxy.pools == ["shop/web"])
        #expect(proxy.prefix == Template(literal: "/v2"))
        #expect(site.routes[1].methods == ["GET", "HEAD", "POST"])
        #expect(site.routes[1].settings.timeouts.answer == .milliseconds(5000))
        #expect(site.settingsBlocks.count == 2)
        #expect(site.settingsBlocks[0].settings.auth?.owner == "shop")
        #expect(site.settingsBlocks[1].matchers.map(\.isNegated) == [true])
        #expect(site.settingsBlocks[1].settings.closed?.page?.content == Array("down".utf8))
        guard case .redirect(let to, 308) = site.routes[2].destination else {
            Issue.record("not a redirect with 308")
            return
        }
        #expect(to.variables == [.rest(fromSegment: 1)])
        #expect(
            configuration.files == [
                "/etc/chimera/chimera.conf", "/etc/chimera/conf.d/shop.conf",
                "/etc/chimera/conf.d/shop.htpasswd",
                "/etc/chimera/conf.d/down.html",
            ])
    }

    @Test func `a tenant whose file has errors is left out and touches no other`() throws {
        let result = load(
            tenant: "site t.example { respond 200 }",
            files: ["conf.d/broken.conf": "site b.example { respnd 200 }"])
        #expect(result.refusedTenants == ["broken"])
        #expect(result.hasErrors)
        #expect(result.configuration?.sites.map(\.tenant) == ["t"])
    }

    @Test func `a tenant's file that cannot be read touches no other`() {
        var disk = MemoryFileSystem(files: [
            "chimera.conf": "listen 1\nimport conf.d/*.conf\n",
            "conf.d/a.conf": "site a.example { respond 200 }",
            "conf.d/b.conf": "site b.example { respond 200 }",
        ])
        disk.denied = ["/etc/chimera/conf.d/a.conf"]
        let result = ConfigurationLoader(fileSystem: disk).load(machineFile: "chimera.conf")
        #expect(
            result.diagnostics.map(\.rendered) == [
                "conf.d/a.conf: this file cannot be read: permission denied"
            ])
        #expect(result.refusedTenants == ["a"])
        #expect(result.configuration?.sites.map(\.tenant) == ["b"])
    }

    @Test func `an error in the machine's file leaves no configuration`() {
        let result = load(machine: "listen 8080\nworkrs 3\n")
        #expect(result.configuration == nil)
        #expect(result.hasErrors)
    }

    @Test func `a machine's file that is missing is one error`() {
        let result = ConfigurationLoader(fileSystem: MemoryFileSystem()).load(machineFile: "no.conf")
        #expect(result.configuration == nil)
        #expect(result.diagnostics.map(\.rendered) == ["no.conf: this file does not exist"])
        #expect(
            result.diagnostics.map(\.json) == [
                #"{"file":"no.conf","line":null,"column":null,"severity":"error","message":"this file does "#
                    + #"not exist","suggestion":null}"#
            ])
    }

    @Test func `an absolute machine's file gives absolute positions`() {
        let files = [
            "/srv/c/chimera.conf": "listen 1\nimport conf.d/*.conf\n", "/srv/c/conf.d/a.conf": "sit x { }",
        ]
        let result = ConfigurationLoader(fileSystem: MemoryFileSystem(files: files))
            .load(machineFile: "/srv/c/chimera.conf")
        #expect(result.diagnostics.map(\.position.file) == ["/srv/c/conf.d/a.conf"])
    }

    @Test func `an import without a star must exist, and one with a star may match nothing`() {
        #expect(load(machine: "listen 1\nimport conf.d/*.conf\n").diagnostics.isEmpty)
        let result = load(machine: "listen 1\nimport conf.d/a.conf\n")
        #expect(result.diagnostics.map(\.text) == ["\"conf.d/a.conf\" does not exist"])
        #expect(result.diagnostics.first?.position.column == 8)
    }

    @Test func `the machine's file is no tenant of its own`() {
        #expect(load(machine: "listen 1\nimport *.conf\n").diagnostics.isEmpty)
        let result = load(machine: "listen 1\nimport chimera.conf\n")
        #expect(result.diagnostics.map(\.text) == ["the machine's file cannot import itself"])
    }

    @Test func `two files with one stem are an error with both positions`() throws {
        let result = load(
            tenant: "site t.example { respond 200 }", machine: "listen 1\nimport other/*.conf\n",
            files: ["other/t.conf": "site o.example { respond 200 }"])
        let error = try #require(result.diagnostics.first)
        #expect(error.position.file == "conf.d/t.conf")
        #expect(error.other?.file == "other/t.conf")
        #expect(result.diagnostics.count == 1)
    }

    @Test(arguments: ["a.example", "*.a.example", "**.a.example", "*"])
    func `a host that is claimed twice stays with the first file`(host: String) throws {
        let result = load(
            tenant: "# t\nsite other.example { respond 200 }\nsite \(host) { respond 200 }",
            files: ["conf.d/a.conf": "\nsite \(host) { respond 200 }"])
        let error = try #require(result.diagnostics.first)
        #expect(error.message == "the host \"\(host)\" belongs to another site")
        #expect("\(error.position)" == "conf.d/t.conf:3:1")
        #expect(error.other.map { "\($0)" } == "conf.d/a.conf:2:1")
        #expect(result.refusedTenants == ["t"])
        #expect(result.configuration?.sites.map(\.tenant) == ["a"])
    }

    @Test func `hosts are compared in their normal form`() {
        let result = load(tenant: "site A.Example. { respond 200 }\nsite a.example { respond 200 }")
        #expect(result.diagnostics.map(\.message) == ["the host \"a.example\" belongs to another site"])
    }

    @Test func `a named listener has hosts of its own`() {
        let result = load(
            tenant: """
                site a.example * { respond 200 }
                site a.example * { on internal ; respond 200 }
                """, machine: "listen 1\nlisten 2 name=internal\n")
        #expect(result.diagnostics.isEmpty, "\(result.diagnostics.rendered)")
    }

    @Test func `the machine's pools and blocks serve every file, and a file's own come first`() throws {
        let result = load(
            tenant: """
                pool web { to 127.0.0.1:1 }
                define extra { header X-Extra t }
                site a.example { use base ; use extra ; /a/* proxy web ; /b/* proxy shared }
                """,
            machine: """
                listen 8080
                pool web { to 127.0.0.1:2 }
                pool shared { to 127.0.0.1:3 }
                define base { header X-Base m ; error 502 page.html }
                define extra { header X-Extra m }

                """, files: ["page.html": "the machine's"])
        #expect(result.diagnostics.isEmpty, "\(result.diagnostics.rendered)")
        let site = try #require(result.configuration?.sites.first)
        #expect(site.settings.headerOperations.map { "\($0.name)=\($0.value)" } == ["X-Base=m", "X-Extra=t"])
        #expect(site.settings.errorPages.map(\.file.path) == ["/etc/chimera/page.html"])
        let targets = site.routes.compactMap { route in
            if case .proxy(let target) = route.destination { target } else { nil }
        }
        #expect(targets.map(\.pools) == [["t/web"], ["/shared"]])
        #expect(targets.flatMap(\.targets).map(\.address.description) == ["127.0.0.1:1", "127.0.0.1:3"])
    }

    @Test func `one line serves a directory or an upstream`() throws {
        var disk = MemoryFileSystem(currentDirectory: "/home/ann")
        disk.addDirectory("pub {lic}")
        let loader = ConfigurationLoader(fileSystem: disk)
        let files = loader.load(files: "./pub {lic}")
        #expect(files.diagnostics.isEmpty, "\(files.diagnostics.rendered)")
        #expect(
            files.configuration?.listeners.map(\.address) == [.ip(IPAddress(v4: 0x7f00_0001), port: 8080)])
        #expect(files.configuration?.sites.first?.isDefault == true)
        #expect(
            files.configuration?.sites.first?.routes.first?.destination
                == .files(FilesTarget(directory: Template(literal: "/home/ann/pub {lic}"))))
        let proxy = loader.load(proxy: ["127.0.0.1:3000"], listen: ["0", "[::1]:0"])
        #expect(proxy.diagnostics.isEmpty)
        #expect(proxy.configuration?.listeners.count == 2)
        let wrong = loader.load(proxy: ["localhost"])
        #expect(wrong.configuration == nil)
        #expect(
            wrong.diagnostics.rendered == """
                command line:2:7: no pool "localhost" is in this file or the machine's; did you mean "localhost:80"?
                proxy localhost
                      ^~~~~~~~~

                """)
    }

    @Test func `loading the same files twice gives equal configurations`() {
        let text = "site a.example { /a/{x}/* @m proxy 127.0.0.1:1 { header X {x} } ; @m header A b* }"
        #expect(load(tenant: text).configuration == load(tenant: text).configuration)
        #expect(load(tenant: text).configuration != nil)
    }
}
