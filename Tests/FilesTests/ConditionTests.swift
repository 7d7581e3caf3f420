import ChimeraHTTPCore
import Testing

@testable import ChimeraFiles

@Suite struct `Conditions and ranges` {
    private static let tag = "\"6553f100-5-a\""
    private static let date = "Tue, 14 Nov 2023 22:13:20 GMT"
    private static let earlier = "Tue, 14 Nov 2023 22:13:19 GMT"

    private func ask(_ fields: [(String, String)], _ size: Int = 10) async throws -> (Reply, Fetched) {
        let directory = Directory()
        directory.write("f.txt", (0..<size).map { UInt8(48 + $0 % 10) })
        return try await Bench().serve(FilesOptions(directory: directory.path)) { client in
            (await client.get("/f.txt", fields), await client.fetch("/f.txt", fields))
        }
    }

    @Test(
        arguments: [
            ([("If-None-Match", tag)], 304), ([("If-None-Match", "W/" + tag)], 304),
            ([("If-None-Match", "*")], 304),
            ([("If-None-Match", "\"x\", " + tag)], 304), ([("If-None-Match", "\"x\"")], 200),
            ([("If-Modified-Since", date)], 304), ([("If-Modified-Since", earlier)], 200),
            ([("If-Modified-Since", "nonsense")], 200),
            ([("If-None-Match", "\"x\""), ("If-Modified-Since", date)], 200),
            ([("If-None-Match", tag), ("If-Modified-Since", earlier)], 304),
            ([("If-Match", tag)], 200), ([("If-Match", "*")], 200), ([("If-Match", "\"x\"")], 412),
            ([("If-Match", "W/" + tag)], 412), ([("If-Match", "\"x\""), ("If-None-Match", tag)], 412),
            ([("If-Match", tag), ("If-Unmodified-Since", earlier)], 200),
            ([("If-Unmodified-Since", date)], 200), ([("If-Unmodified-Since", earlier)], 412),
            ([("If-None-Match", tag), ("Range", "bytes=0-1")], 304),
            ([("If-Match", "\"x\""), ("Range", "bytes=0-1")], 412),
        ] as [([(String, String)], Int)])
    func `are judged in the order of RFC 9110 §13.2.2`(_ fields: [(String, String)], _ status: Int)
        async throws
    {
        let (reply, fetched) = try await ask(fields)
        #expect(reply.status == status && fetched.status == status)
        #expect(fetched.body.isEmpty == (status != 200))
    }

    @Test func `304 has the tag, and nothing that describes content`() async throws {
        let (reply, _) = try await ask([("If-None-Match", Self.tag)])
        #expect(reply == Reply(status: 304, fields: ["ETag": Self.tag]))
    }

    @Test(arguments: [
        ("bytes=0-3", "0123", "bytes 0-3/10"), ("bytes=5-", "56789", "bytes 5-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"), ("bytes=8-99", "89", "bytes 8-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"), ("BYTES=0-0", "0", "bytes 0-0/10"),
        ("bytes=0-1,1-3", "0123", "bytes 0-3/10"), ("bytes=2-3,20-", "23", "bytes 2-3/10"),
    ])
    func `one range is 206`(_ range: String, _ content: String, _ contentRange: String) async throws {
        let (reply, fetched) = try await ask([("Range", range)])
        #expect(
            reply.status == 206 && reply["Content-Range"] == contentRange
                && reply.length == content.utf8.count)
        #expect(reply["ETag"] == Self.tag && reply["Content-Type"] == "text/plain; charset=utf-8")
        #expect(fetched.text == content)
    }

    @Test(arguments: ["bytes=10-", "bytes=20-30", "bytes=20-,30-"])
    func `a range past the end is 416 with the length`(_ range: String) async throws {
        let (reply, _) = try await ask([("Range", range)])
        #expect(reply == Reply(status: 416, fields: ["Content-Range": "bytes */10"]))
    }

    @Test(arguments: ["bytes=3-1", "lines=0-1", "bytes=", "bytes", "bytes=a-b"])
    func `a range that makes no sense is not there`(_ range: String) async throws {
        let (reply, fetched) = try await ask([("Range", range)])
        #expect(reply.status == 200 && fetched.text == "0123456789")
    }

    @Test func `two lines of Range are none`() async throws {
        let (request, response) = (
            Client.request("GET", [("Range", "bytes=0-1"), ("Range", "bytes=0-2")]), ResponseHead()
        )
        let directory = Directory()
        directory.write("f", "0123456789")
        let loaded = FileLoader.load(
            LoadRequest(
                directory: directory.path, confinedTo: nil, path: Array("/f".utf8), index: [],
                blobBytesMax: 100, known: []))
        guard case .file(let file) = loaded else {
            Issue.record("not loaded")
            return
        }
        _ = FileResponse(FileResource(file), request, response, wallSeconds: 2_000_000_000).fill()
        #expect(response.status == 200)
    }

    @Test(arguments: [
        (tag, 206), ("W/" + tag, 200), ("\"x\"", 200), (date, 206), (earlier, 200), ("nonsense", 200),
    ])
    func `If-Range lets the range count for the very same content`(_ value: String, _ status: Int)
        async throws
    {
        let (reply, _) = try await ask([("Range", "bytes=0-1"), ("If-Range", value)])
        #expect(reply.status == status)
    }

    @Test(arguments: [10, 40_000])
    func `several ranges are parts between boundaries`(_ size: Int) async throws {
        let (reply, fetched) = try await ask([("Range", "bytes=0-1,4-5,-1")], size)
        #expect(reply.status == 206 && reply.form == .parts && reply["Content-Range"] == nil)
        let boundary = try #require(fetched.contentType.split(separator: "boundary=").last.map(String.init))
        #expect(fetched.contentType == "multipart/byteranges; boundary=\(boundary)")
        let expected = [(0, 1, "01"), (4, 5, "45"), (size - 1, size - 1, "9")].map { first, last, text in
            "--\(boundary)\r\nContent-Type: text/plain; charset=utf-8\r\n"
                + "Content-Range: bytes \(first)-\(last)/\(size)\r\n\r\n\(text)\r\n"
        }
        #expect(fetched.text == expected.joined() + "--\(boundary)--\r\n")
        #expect(fetched.length == .known(fetched.body.count) && fetched.isFinished)
    }

    @Test func `an empty file has no ranges`() async throws {
        let (reply, _) = try await ask([("Range", "bytes=0-")], 0)
        #expect(reply.status == 416 && reply["Content-Range"] == "bytes */0")
    }
}

@Suite struct `Precompressed variants` {
    private func ask(
        _ accept: String?, _ fields: [(String, String)] = [], gzipModified: (Int, Int) = (1_700_000_000, 5),
        path: String = "/a.css"
    ) async throws -> (Reply, Fetched) {
        let directory = Directory()
        directory.write("a.css", "identity")
        directory.write("a.css.br", "br")
        directory.write("a.css.zst", "zstd")
        directory.write("a.css.gz", "gzipped", modified: gzipModified)
        directory.write("plain.css", "plain")
        directory.write("old.css", "plain")
        directory.write("old.css.gz", "old", modified: (1_600_000_000, 0))
        directory.makeDirectory("dir.css.gz")
        directory.write("dir.css", "plain")
        directory.write("esc.css", "plain")
        directory.link("esc.css.gz", to: "/etc/passwd")
        let all = fields + (accept.map { [("Accept-Encoding", $0)] } ?? [])
        return try await Bench().serve(FilesOptions(directory: directory.path)) { client in
            (await client.get(path, all), await client.fetch(path, all))
        }
    }

    @Test(
        arguments: [
            ("br, gzip, zstd", "br", "br", "-br"), ("gzip", "gzip", "gzipped", "-gz"),
            ("zstd", "zstd", "zstd", "-zst"),
            ("gzip;q=1, br;q=0.5", "gzip", "gzipped", "-gz"), ("identity", nil, "identity", ""),
            (nil, nil, "identity", ""), ("deflate", nil, "identity", ""), ("*", "br", "br", "-br"),
            ("identity;q=0, *;q=0", nil, "identity", ""), ("br;q=0, *", "zstd", "zstd", "-zst"),
        ] as [(String?, String?, String, String)])
    func `are chosen by Accept-Encoding`(
        _ accept: String?, _ coding: String?, _ content: String, _ suffix: String
    ) async throws {
        let (reply, fetched) = try await ask(accept)
        #expect(reply.status == 200 && reply["Content-Encoding"] == coding && fetched.text == content)
        #expect(reply["Vary"] == "Accept-Encoding")
        #expect(reply["ETag"] == "\"6553f100-5-\(String(content.utf8.count, radix: 16))\(suffix)\"")
        #expect(reply["Content-Type"] == "text/css; charset=utf-8")
    }

    @Test func `have ranges and tags of their own`() async throws {
        let (part, _) = try await ask("gzip", [("Range", "bytes=1-2")])
        #expect(
            part.status == 206 && part["Content-Range"] == "bytes 1-2/7" && part["Content-Encoding"] == "gzip"
        )
        let (same, _) = try await ask("gzip", [("If-None-Match", "\"6553f100-5-7-gz\"")])
        #expect(
            same
                == Reply(
                    status: 304, fields: ["ETag": "\"6553f100-5-7-gz\"", "Vary": "Accept-Encoding"]))
        let (other, _) = try await ask("gzip", [("If-None-Match", "\"6553f100-5-8\"")])
        #expect(other.status == 200)
    }

    @Test(arguments: ["/plain.css", "/old.css", "/dir.css", "/esc.css"])
    func `are not there where none is a current file inside`(_ path: String) async throws {
        let (reply, fetched) = try await ask("gzip, br, zstd", path: path)
        #expect(reply["Vary"] == nil && reply["Content-Encoding"] == nil && fetched.text == "plain")
    }

    @Test func `are plain files when they are asked for themselves`() async throws {
        let (reply, fetched) = try await ask("gzip", path: "/a.css.gz")
        #expect(reply["Content-Encoding"] == nil && reply["Vary"] == nil && fetched.text == "gzipped")
    }
}
