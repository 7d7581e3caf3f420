import ChimeraEventLoop
import ChimeraHTTPCore
import Testing

@testable import ChimeraFiles

@Suite struct `A directory is served` {
    private func site() -> Directory {
        let directory = Directory()
        directory.write("www/index.html", "home")
        directory.write("www/a.txt", "text")
        directory.write("www/empty", "")
        directory.write("www/big.bin", [UInt8](repeating: 7, count: 16 * 1024 + 1))
        directory.write("www/edge.bin", [UInt8](repeating: 7, count: 16 * 1024))
        directory.write("www/docs/index.html", "docs")
        directory.write("www/docs/index.htm", "second")
        directory.write("www/second/index.htm", "second")
        directory.makeDirectory("www/bare")
        directory.makeDirectory("www/nested/index.html")
        directory.makeDirectory("www/a#b;c d")
        directory.makePipe("www/pipe")
        directory.write("www/.secret", "no")
        directory.write("www/.well-known/x", "yes")
        directory.write("www/run.php", "source")
        directory.write("www/run.php.bak", "source")
        directory.write("www/ph/index.php", "source")
        directory.write("outside.txt", "outside")
        directory.link("www/inside", to: "docs/index.html")
        directory.link("www/up", to: "bare/../a.txt")
        directory.link("www/escape", to: "../outside.txt")
        directory.link("www/escape-dir", to: "..")
        directory.link("www/absolute", to: "\(directory.path)/www/a.txt")
        directory.link("www/absolute-escape", to: "\(directory.path)/outside.txt")
        directory.link("www/passwd", to: "/etc/passwd")
        directory.link("www/loop", to: "loop")
        directory.link("www/proc", to: "/proc/self/root")
        return directory
    }

    private func options(_ directory: Directory) -> FilesOptions {
        FilesOptions(
            directory: directory.path + "/www", index: ["index.php", "index.html", "index.htm"],
            sourceExtensions: ["php"])
    }

    @Test(arguments: [
        ("/", 200), ("/a.txt", 200), ("/empty", 200), ("/big.bin", 200), ("/index.html", 200),
        ("/docs/", 200),
        ("/second/", 200), ("/inside", 200), ("/up", 200), ("/absolute", 200), ("/.well-known/x", 200),
        ("/docs", 301), ("/bare", 301), ("/nested/index.html", 301), ("/ph", 301),
        ("/nothing", 404), ("/bare/", 404), ("/nested/", 404), ("/a.txt/", 404), ("/a.txt/b", 404),
        ("/.secret", 404), ("/run.php", 404), ("/run.PHP", 404), ("/run.php/", 404), ("/run.php.bak", 404),
        ("/run.php~", 404), ("/ph/", 404), ("/pipe", 404), ("/loop", 404), ("/proc/etc/passwd", 404),
        ("/escape", 404), ("/escape-dir", 404), ("/escape-dir/outside.txt", 404), ("/absolute-escape", 404),
        ("/passwd", 404), ("/" + String(repeating: "x", count: 300), 404),
        ("/" + String(repeating: "x/", count: 4000) + "x", 404),
    ])
    func `by the path alone`(_ path: String, _ status: Int) async throws {
        let directory = site()
        let (first, again) = try await Bench().serve(options(directory)) { client in
            let first = await client.get(path)
            return (first, client.recall(path))
        }
        #expect(first.status == status)
        #expect(again == first, "from memory it is the same")
    }

    @Test(arguments: [
        ("/", "home"), ("/docs/", "docs"), ("/second/", "second"), ("/inside", "docs"), ("/absolute", "text"),
        ("/empty", ""), ("/.well-known/x", "yes"),
    ])
    func `with the file's content`(_ path: String, _ content: String) async throws {
        let directory = site()
        let fetched = try await Bench().serve(options(directory)) { await $0.fetch(path) }
        #expect(
            fetched.status == 200 && fetched.text == content && fetched.isFinished && fetched.reason == nil)
    }

    @Test func `with the fields that a file has`() async throws {
        let directory = site()
        let reply = try await Bench().serve(options(directory)) { await $0.get("/a.txt") }
        #expect(
            reply.fields == [
                "Content-Type": "text/plain; charset=utf-8", "Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT",
                "ETag": "\"6553f100-5-4\"", "Accept-Ranges": "bytes",
            ])
        #expect(reply.length == 4)
    }

    @Test func `from memory up to a bound, from an open file past it`() async throws {
        let directory = site()
        let forms = try await Bench().serve(options(directory)) { client in
            [await client.get("/edge.bin").form, await client.get("/big.bin").form]
        }
        #expect(forms == [.bytes, .file])
    }

    @Test func `to HEAD with the length of what GET would get`() async throws {
        let directory = site()
        let (head, fetched) = try await Bench().serve(options(directory)) { client in
            (
                await client.get("/big.bin", [("Range", "bytes=0-1")], method: "HEAD"),
                await client.fetch("/a.txt", method: "HEAD")
            )
        }
        #expect(head.status == 200 && head.length == 16 * 1024 + 1 && head.form == .none)
        #expect(fetched.body.isEmpty && fetched.length == .known(4) && fetched.isFinished)
    }

    @Test(arguments: [("POST", 405), ("PUT", 405), ("DELETE", 405), ("BREW", 405), ("OPTIONS", 204)])
    func `to GET and HEAD alone`(_ method: String, _ status: Int) async throws {
        let directory = site()
        let (known, unknown) = try await Bench().serve(options(directory)) { client in
            (await client.get("/a.txt", method: method), await client.get("/nothing", method: method))
        }
        #expect(known == Reply(status: status, fields: ["Allow": "GET, HEAD"]))
        #expect(unknown == known, "nothing is said of what is there")
    }

    @Test(
        arguments: [
            ("/docs", "", nil, "/docs/"), ("/docs", "/assets", nil, "/assets/docs/"),
            ("", "/assets", nil, "/assets/"),
            ("/docs", "", "a=1&b=%20", "/docs/?a=1&b=%20"), ("/docs", "", "", "/docs/?"), ("", "", nil, "/"),
            ("/a#b;c d", "/é", "x=\"\r\n<é", "/%C3%A9/a%23b%3Bc%20d/?x=%22%0D%0A%3C%C3%A9"),
        ] as [(String, String, String?, String)])
    func `and a directory without its slash is redirected`(
        _ path: String, _ prefix: String, _ query: String?, _ location: String
    ) async throws {
        let directory = site()
        let reply = try await Bench().serve(options(directory)) { client in
            await client.get(path, prefix: prefix, query: query)
        }
        #expect(reply == Reply(status: 301, fields: ["Location": location]))
    }

    @Test func `hidden files too, where they are asked for`() async throws {
        let directory = site()
        var options = options(directory)
        options.servesHidden = true
        let reply = try await Bench().serve(options) { await $0.get("/.secret") }
        #expect(reply.status == 200)
    }

    @Test(arguments: [
        ("/nothing", 200, "app"), ("/nothing/deep/", 200, "app"), ("/bare/", 200, "app"),
        ("/a.txt/", 200, "app"),
        ("/a.txt", 200, "text"), ("/run.php", 404, ""), ("/.secret", 404, ""), ("/docs", 301, ""),
    ])
    func `with a fallback where nothing is found`(_ path: String, _ status: Int, _ content: String)
        async throws
    {
        let directory = site()
        directory.write("www/app.html", "app")
        var options = options(directory)
        options.fallback = "/app.html"
        let (fetched, again) = try await Bench().serve(options) { client in
            (await client.fetch(path), client.recall(path))
        }
        #expect(fetched.status == status && fetched.text == content)
        #expect(again?.status == status)
    }

    @Test(arguments: ["/missing.html", "/bare", "/run.php"])
    func `with 404 where the fallback is nothing to be served`(_ fallback: String) async throws {
        let directory = site()
        var options = options(directory)
        options.fallback = fallback
        let reply = try await Bench().serve(options) { await $0.get("/nothing") }
        #expect(reply == Reply(status: 404))
    }

    @Test func `by names that are not UTF-8`() async throws {
        let directory = site()
        let name: [UInt8] = [0x61, 0xFF, 0xFE]
        directory.rename("www/a.txt", toBytes: Array("www/".utf8) + name)
        let status = try await Bench().serve(options(directory)) { client in
            let response = ResponseHead()
            let file = RequestedFile(path: [0x2F] + name)
            _ = await client.destination.prepare(file, request: RequestHead(), response: response)
            return response.status
        }
        #expect(status == 200)
    }

    @Test func `from wherever the directory's own link points at the time`() async throws {
        let directory = Directory()
        directory.write("one/a", "one")
        directory.write("two/a", "second")
        directory.link("current", to: "one")
        directory.link("next", to: "two")
        let bodies = try await Bench().serve(FilesOptions(directory: directory.path + "/current")) { client in
            let first = await client.fetch("/a").text
            directory.rename("next", to: "current")
            _ = client.recall("/a", after: 1000)
            await client.bench.settle(client.cache)
            return [first, await client.fetch("/a").text]
        }
        #expect(bodies == ["one", "second"])
    }

    @Test(arguments: [
        ("/srv", "/www", 200), ("/srv", "/out", 404), ("/srv/", "/www", 200), ("/sr", "/www", 404),
        ("", "/out", 200),
    ])
    func `within a bound that the directory's own link must not leave`(
        _ base: String, _ name: String, _ status: Int
    ) async throws {
        let directory = Directory()
        directory.write("srv/www/a", "a")
        directory.write("other/a", "a")
        directory.makeDirectory("sr")
        directory.link("srv/out", to: "../other")
        let options = FilesOptions(
            directory: directory.path + "/srv" + name, confinedTo: directory.path + base)
        let reply = try await Bench().serve(options) { await $0.get("/a") }
        #expect(reply.status == status)
    }
}

@Suite struct `Opening by asking where the path leads` {
    @Test(arguments: [
        ("in", true), ("sub/in", true), ("link", true), ("absolute", true), ("up", false), ("passwd", false),
        ("sub/../../out", false), ("missing", false),
    ])
    func `opens what is inside`(_ name: String, _ isInside: Bool) throws {
        let directory = Directory()
        directory.write("out", "out")
        directory.write("www/in", "in")
        directory.write("www/sub/in", "in")
        directory.write("www-other/in", "in")
        directory.link("www/link", to: "sub/in")
        directory.link("www/absolute", to: "\(directory.path)/www/in")
        directory.link("www/up", to: "../www-other/in")
        directory.link("www/passwd", to: "/etc/passwd")
        let root = try RootDirectory(directory.path + "/www", confinedTo: nil)
        let name = name.utf8CString
        let file = try? root.openChecked(Array(name))
        #expect((file != nil) == isInside)
        #expect(file?.read() == (isInside ? Array("in".utf8) : nil))
    }
}
