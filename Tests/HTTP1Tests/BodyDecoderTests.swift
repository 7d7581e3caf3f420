import ChimeraHTTP1
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

/// RFC 9112 §6 and §7: bodies by length, in chunks and until the connection ends.
@Suite struct `Body decoder` {
    private func decode(
        _ text: String, _ framing: WireFraming, closes: Bool = false,
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> BodyPicture {
        Chunking.same(
            Array(text.utf8), { BodyPicture.decode($0, $1, framing, closes: closes) },
            sourceLocation: sourceLocation)
    }

    // MARK: Length

    @Test func `no body ends before its first byte`() {
        #expect(BodyDecoder(.none, limits: Limits()).isDone)
        #expect(BodyDecoder(.length(0), limits: Limits()).isDone)
        #expect(decode("GET /", .none) == BodyPicture(end: .ended, left: 5))
        #expect(decode("GET /", .length(0)) == BodyPicture(end: .ended, left: 5))
    }

    @Test(arguments: [(5, "hello", 0), (3, "hel", 2), (1, "h", 4)])
    func `a body of known length takes so many bytes`(_ length: Int, _ content: String, _ left: Int) {
        #expect(decode("hello", .length(length)) == BodyPicture(content: content, end: .ended, left: left))
    }

    /// RFC 9112 §8: "a message body that […] is considered incomplete".
    @Test func `a body that ends early is not whole`() {
        #expect(decode("hell", .length(5), closes: true) == BodyPicture(content: "hell"))
        #expect(decode("", .length(5), closes: true).end == .incomplete)
        for text in [
            "", "5", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "0\r\n", "0\r\nA: b\r\n", "0\r\n\r",
        ] {
            #expect(decode(text, .chunked, closes: true).end == .incomplete, "\(text.debugDescription)")
        }
    }

    // MARK: Until close

    @Test func `a body until the connection's end takes everything`() {
        #expect(decode("0\r\n\r\n", .untilClose) == BodyPicture(content: "0\r\n\r\n"))
        #expect(decode("abc", .untilClose, closes: true) == BodyPicture(content: "abc", end: .ended))
        #expect(decode("", .untilClose, closes: true) == BodyPicture(end: .ended))
    }

    // MARK: Chunks, RFC 9112 §7.1

    @Test(
        arguments: [
            ("0\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"),
            ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"), ("a\r\n0123456789\r\n000\r\n\r\n", "0123456789"),
            ("0005\r\nhello\r\n0\r\n\r\n", "hello"), ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
            ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"), ("000000000000001\r\nx\r\n0\r\n\r\n", "x"),
            // Extensions, §7.1.1: "A recipient MUST ignore unrecognized chunk extensions."
            ("1;a\r\nx\r\n0\r\n\r\n", "x"), ("1;a=b\r\nx\r\n0;c\r\n\r\n", "x"),
            ("1 ;\ta = b\r\nx\r\n0\r\n\r\n", "x"),
            ("1;a=\"b;c\"\r\nx\r\n0\r\n\r\n", "x"), ("1\t;a;b=c;d\r\nx\r\n0 ;e\r\n\r\n", "x"),
        ])
    func `chunks are joined`(_ text: String, _ content: String) {
        #expect(decode(text, .chunked) == BodyPicture(content: content, end: .ended))
        #expect(decode(text + "GET", .chunked) == BodyPicture(content: content, end: .ended, left: 3))
    }

    @Test(
        arguments: [
            ("\r\n", .chunkMalformed), ("x\r\n", .chunkMalformed), ("-1\r\n", .chunkMalformed),
            ("+1\r\nx", .chunkMalformed),
            (" 1\r\nx", .chunkMalformed), ("0x1\r\nx", .chunkMalformed), ("1 \r\nx", .chunkMalformed),
            ("1\t\r\nx", .chunkMalformed),
            ("1 x\r\nx", .chunkMalformed), ("1\nx\r\n", .chunkMalformed), ("1\rx\r\n", .chunkMalformed),
            ("g\r\n", .chunkMalformed),
            (";a\r\n", .chunkMalformed), ("1,1\r\nx", .chunkMalformed), ("1;a\nx", .chunkMalformed),
            ("1;a\rb\r\nx", .chunkMalformed),
            ("1;a\u{0}\r\nx", .chunkMalformed), ("1;\"a\nb\"\r\nx", .chunkMalformed),
            ("1\u{b};a\r\nx", .chunkMalformed),
            ("1_0\r\nx", .chunkMalformed), ("１\r\nx", .chunkMalformed), ("1=a\r\nx", .chunkMalformed),
            // What follows the data, §7.1: CRLF and nothing else.
            ("1\r\nxy\r\n", .chunkMalformed), ("1\r\nx\n0\r\n\r\n", .chunkMalformed),
            ("1\r\nx\r0\r\n\r\n", .chunkMalformed),
            ("1\r\nx0\r\n\r\n", .chunkMalformed), ("1\r\nx\r\r\n", .chunkMalformed),
            ("2\r\nx\r\n0\r\n\r\n", .chunkMalformed),
            // "A recipient […] MUST anticipate potentially large hexadecimal numerals and prevent parsing errors".
            ("1000000000000000\r\n", .chunkTooLarge), ("ffffffffffffffff\r\n", .chunkTooLarge),
            ("10000000000000001\r\nx", .chunkTooLarge), ("0000000000000000\r\n\r\n", .chunkTooLarge),
            // Trailers, §7.1.2.
            ("0\r\n \r\n\r\n", .trailerMalformed), ("0\r\nno colon\r\n\r\n", .trailerMalformed),
            ("0\r\nA : b\r\n\r\n", .trailerMalformed), ("0\r\nA: b\r\n c\r\n\r\n", .trailerMalformed),
            ("0\r\nA: \u{1}\r\n\r\n", .trailerMalformed), ("0\r\n: b\r\n\r\n", .trailerMalformed),
            ("0\r\n\n", .lineEndBare), ("0\r\nA: b\n\r\n", .lineEndBare), ("0\n\r\n", .chunkMalformed),
        ] as [(String, Refusal)])
    func `what is no chunk is refused`(_ text: String, _ refusal: Refusal) {
        #expect(decode(text, .chunked).end == .refused(refusal))
        let behind = decode("3\r\nabc\r\n" + text, .chunked)
        #expect(behind.end == .refused(refusal))
        #expect(behind.content.hasPrefix("abc"))
    }

    @Test func `the largest chunk is announced and not awaited at once`() {
        #expect(decode("fffffffffffffff\r\nabc", .chunked) == BodyPicture(content: "abc"))
    }

    @Test(
        arguments: [
            ("0\r\nA: b\r\n\r\n", ["A: b"]),
            ("0\r\nA: b\r\nETag:  \"x\" \r\na: c\r\n\r\n", ["A: b", "ETag: \"x\"", "a: c"]),
            ("3\r\nabc\r\n0\r\nDigest: sha=1\r\n\r\n", ["Digest: sha=1"]), ("0;x=y\r\nA:\r\n\r\n", ["A: "]),
        ])
    func `trailer fields come with the end`(_ text: String, _ trailers: [String]) {
        let picture = decode(text, .chunked)
        #expect(picture.end == .ended)
        #expect(picture.trailers == trailers)
        #expect(decode(text + "rest", .chunked).left == 4)
    }

    /// The end is found with the bytes at hand, without asking for more: a peer that has said everything says no more.
    @Test func `a body that is there as a whole ends without another byte`() throws {
        var decoder = BodyDecoder(.chunked, limits: Limits())
        let body = Array("5\r\nhello\r\n0\r\nA: b\r\n\r\n".utf8)
        #expect(try decoder.next(body.span) == .content(3..<8))
        let rest = Array(body[8...])
        #expect(try decoder.next(rest.span) == .end(consumed: rest.count))
        #expect(decoder.isDone)
        #expect(decoder.trailers.map(fieldLines) == ["A: b"])
    }

    @Test(arguments: 0..<20)
    func `random chunked bodies come out as they went in`(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var content = ""
        var wire = ""
        for _ in 0..<Int.random(in: 0...8, using: &generator) {
            let piece = String(
                (0..<Int.random(in: 1...40, using: &generator)).map { _ in
                    "\r\n0;aA".randomElement(using: &generator) ?? "x"
                })
            let size = String(piece.utf8.count, radix: 16, uppercase: Bool.random(using: &generator))
            wire += [size, size + ";x=y", "0" + size].randomElement(using: &generator) ?? size
            wire += "\r\n" + piece + "\r\n"
            content += piece
        }
        wire += "0\r\nX: y\r\n\r\n"
        #expect(decode(wire, .chunked) == BodyPicture(content: content, trailers: ["X: y"], end: .ended))
    }

    // MARK: Trailer rules

    /// RFC 9110 §6.5.1: "Trailer fields […] a sender MUST NOT generate […]": framing, routing, authentication and the like.
    @Test func `fields that may not stand in a trailer section are taken out`() {
        let block = FieldBlock()
        let lines = [
            "Content-Length: 5", "Transfer-Encoding: chunked", "Host: a", "Digest: x", "Authorization: b",
            "set-cookie: c",
            "X-Forwarded-For: d", "ETag: e", "Content-Type: f", "Trailer: g", "Grpc-Status: 0",
        ]
        for line in lines {
            let parts = line.split(separator: ": ").map { Array($0.utf8) }
            let (name, value) = (parts[0], parts[1])
            block.add(name: name.span, value: value.span)
        }
        TrailerRules.removeForbidden(from: block)
        #expect(fieldLines(block) == ["Digest: x", "ETag: e", "Grpc-Status: 0"])
    }
}
