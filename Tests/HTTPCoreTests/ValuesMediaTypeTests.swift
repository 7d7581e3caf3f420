import ChimeraBytes
import ChimeraHTTPCore
import ChimeraTestSupport
import Glibc
import Testing

@Suite struct `Media types` {
    @Test(arguments: [
        ("/index.html", "text/html; charset=utf-8"), ("/a/STYLE.CSS", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"), ("m.mjs", "text/javascript; charset=utf-8"),
        ("/a.b/c.json", "application/json"), ("x.tar.gz", "application/gzip"), ("/x.svg", "image/svg+xml"),
        ("/x.woff2", "font/woff2"), ("/site.webmanifest", "application/manifest+json"),
        ("/x.wasm", "application/wasm"),
        ("/x.txt", "text/plain; charset=utf-8"), ("/x.AVIF", "image/avif"), ("/x.mp4", "video/mp4"),
        ("/x.unheardof", "application/octet-stream"), ("/x.abcdefgh", "application/octet-stream"),
        ("/x", "application/octet-stream"), ("/x.", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("/a.html/b", "application/octet-stream"), ("/.html", "application/octet-stream"),
        ("/", "application/octet-stream"),
    ])
    func `a file has the type of its last extension`(_ path: String, _ type: String) {
        let bytes = Array(path.utf8)
        #expect("\(MediaTypes.type(ofPath: bytes.span))" == type)
    }

    @Test func `the table is what its source says, no more and no less`() throws {
        let rows = try source()
        #expect(rows.count == MediaTypes.count && rows.count > 300)
        for (name, type) in rows {
            let bytes = Array(name.utf8), capitals = Array(name.uppercased().utf8)
            #expect(
                MediaTypes.type(ofExtension: bytes.span).map { "\($0)" } == type, "\(name): run mime_types.py"
            )
            #expect(MediaTypes.type(ofExtension: capitals.span).map { "\($0)" } == type)
        }
    }

    /// Tools/generate/mime-types.txt, read anew.
    private func source() throws -> [(String, String)] {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        let file = try #require(fopen(root + "/Tools/generate/mime-types.txt", "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        var rows: [(String, String)] = []
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            var words = line.prefix { $0 != "#" }.split(separator: " ")
            guard words.count > 1 else { continue }
            let type = words.removeFirst()
            let isText = words[0] == "+utf-8"
            for name in words.dropFirst(isText ? 1 : 0) {
                rows.append((String(name), isText ? "\(type); charset=utf-8" : String(type)))
            }
        }
        return rows
    }

    @Test func `no octets trap the lookup`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<5_000 {
            let bytes = generator.bytes(upTo: 12, from: "./htmljsc")
            let type = "\(MediaTypes.type(ofPath: bytes.span))"
            #expect(type.contains("/"), "seed \(seed)")
            let direct = MediaTypes.type(ofExtension: bytes.span)
            #expect(direct == nil || bytes.count <= 16, "seed \(seed)")
        }
    }
}
