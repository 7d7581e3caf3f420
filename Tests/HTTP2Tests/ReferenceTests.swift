import ChimeraBytes
import ChimeraHTTPCore
import Testing

@testable import ChimeraHTTP2

@Suite struct `What other implementations write` {
    /// Octets of fields as lines: values are no UTF-8.
    private func lines(_ sink: RawSink) -> [UInt8] { Array(sink.lines.joined(separator: [10])) }

    @Test(arguments: ReferenceVectors.sequences)
    func `blocks of Python's hpack are decoded`(_ sequence: String) throws {
        var decoder = FieldDecoder()
        let blocks = sequence.split(separator: ";")
        #expect(blocks.count == 10)
        for block in blocks {
            let parts = block.split(separator: "=", omittingEmptySubsequences: false).map { hex(String($0)) }
            var sink = RawSink()
            let octets = parts[0]
            _ = try decoder.decode(octets.span, into: &sink, listBytesMax: 1 << 20, fieldsMax: 100)
            #expect(lines(sink) == parts[1])
        }
    }

    /// What Python's hpack decodes to these lines, as `Tools/generate/hpack-vectors.py` checks.
    @Test func `what we encode is what Python's hpack decodes`() {
        var encoder = FieldEncoder()
        let output = ByteBuffer(capacity: 64)
        let fields = ["x-own: Value \u{FF}", "x-trace: 0123456789abcdef", "x-frame-options: DENY"]
        for round in 0..<4 {
            output.clear()
            if round == 2 {
                encoder.limitTable(0)
                encoder.limitTable(200)
            }
            encoder.begin(output)
            encoder.encode(status: round == 1 ? 404 : 302, output)
            encoder.encode(WireName(.contentType), Array("text/html; charset=utf-8".utf8).span, output)
            encoder.encode(WireName(.setCookie), Array("a=b".utf8).span, output)
            encoder.encode(WireName(.cookie), Array("short=1".utf8).span, output)
            encoder.encode(WireName(.altSvc), Array("h3=\":443\"".utf8).span, output)
            for field in fields {
                let parts = field.split(separator: ": ").map { Array($0.utf8) }
                let (name, value) = (parts[0], parts[1])
                encoder.encode(name: name.span, value.span, output)
            }
            #expect([UInt8](copying: output.readable) == hex(ReferenceVectors.encoded[round]))
        }
    }

    /// Frames with padding, priority, trailers, CONTINUATION and resets.
    @Test(arguments: [1, 7, 100, 100_000])
    func `a client of Python's h2 is understood`(_ step: Int) throws {
        let client = Client(greets: false)
        let bytes = hex(ReferenceVectors.conversation)
        let ends = stride(from: step, to: bytes.count, by: step).map { $0 } + [bytes.count]
        client.feed(bytes, ends)
        let post = "POST /upload?x=1 origin"
        #expect(
            client.happenings == [
                .head(
                    1,
                    [
                        post + " known(10)", "content-length: 10", "user-agent: h2", "host: a.example",
                        "cookie: a=b; c=d",
                    ]), .data(1, "01234"),
                .head(3, ["GET / origin none", "priority: u=1, i", "host: a.example"]), .end(3),
                .data(1, "56789"),
                .trailers(1, ["checksum: " + String(repeating: "1", count: 40)]), .end(1),
                .head(
                    5,
                    [post + " unknown", "x-big: " + String(repeating: "y", count: 400), "host: a.example"]),
                .reset(5, .cancel),
            ])
        #expect(client.connection.failure == nil)
        #expect(client.connection.priority(of: try #require(client.handles[3])).urgency == 1)
    }

    /// A connection that has asked for four things.
    private func asked() throws -> Server {
        let server = Server(greets: false)
        let agent = ["Host: a.example", "User-Agent: chimera"]
        let post = try #require(server.ask("POST", "/upload?x=1", .unknown, agent + ["TE: trailers"]))
        server.connection.send(post, Array("0123456789".utf8).span)
        let trailers = FieldBlock()
        trailers.add(name: Array("Checksum".utf8).span, value: Array("1".utf8).span)
        server.connection.finish(post, trailers: trailers)
        server.ask("GET", "/", .none, agent)
        server.ask("HEAD", "/", .none, agent)
        server.ask("CONNECT", "b.example:443")
        return server
    }

    /// What Python's h2 understands, as `Tools/generate/hpack-vectors.py` checks.
    @Test func `what we ask is what a server of Python's h2 takes`() throws {
        let server = try asked()
        let output = server.connection.output
        #expect([UInt8](copying: output.readable) == hex(ReferenceVectors.requests))
    }

    /// Interim heads, padding, CONTINUATION, trailers, and the end in an orderly way.
    @Test(arguments: [1, 7, 100, 100_000])
    func `a server of Python's h2 is understood`(_ step: Int) throws {
        let server = try asked()
        let bytes = hex(ReferenceVectors.answers)
        let ends = stride(from: step, to: bytes.count, by: step).map { $0 } + [bytes.count]
        server.feed(bytes, ends)
        #expect(
            server.happenings == [
                .head(1, ["103 none", "link: </a>; rel=preload"]),
                .head(1, ["200 unknown", "server: h2", "set-cookie: a=b"]), .data(1, "01234"),
                .head(3, ["404 none", "server: h2", "x-big: " + String(repeating: "y", count: 400)]), .end(3),
                .data(1, "56789"), .trailers(1, ["checksum: " + String(repeating: "1", count: 40)]), .end(1),
                .reset(7, .refusedStream), .head(5, ["200 known(7)", "content-length: 7"]), .end(5),
                .goAway(.noError),
            ])
        #expect(server.connection.failure == nil && server.connection.streamCount == 0)
    }
}

/// Takes fields as lines of octets.
private struct RawSink: FieldSink {
    let block = FieldBlock()
    var lines: [[UInt8]] = []

    mutating func add(_ field: DecodedField) {
        var name = [UInt8](copying: block[field.nameBytes])
        if name.isEmpty {
            name =
                field.name == .path
                ? Array(":path".utf8) : Array("\(field.name.field.text)".lowercased().utf8)
        }
        lines.append(name + Array(": ".utf8) + [UInt8](copying: block[field.value]))
    }
}
