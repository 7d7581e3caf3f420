import ChimeraHTTP1
import ChimeraHTTPCore
import Testing

private typealias Verb = ChimeraHTTPCore.Method

private func parse(
    _ start: String, _ fields: [String] = [], answering method: Verb = .get,
    sourceLocation: SourceLocation = #_sourceLocation
) -> Outcome<ResponsePicture> {
    let bytes = Array(([start] + fields + ["", ""]).joined(separator: "\r\n").utf8)
    return Chunking.same(
        bytes, { ResponsePicture.parse($0, $1, answering: method) }, sourceLocation: sourceLocation)
}

/// RFC 9112 §4: status lines.
@Suite struct `Status lines` {
    @Test(
        arguments: [
            ("HTTP/1.1 200 OK", 200, 1), ("HTTP/1.1 200 ", 200, 1), ("HTTP/1.1 200", 200, 1),
            ("HTTP/1.0 404 Gone?", 404, 0),
            ("HTTP/1.1 599 a b\tc ä", 599, 1), ("HTTP/1.9 999 X", 999, 1), ("HTTP/1.1 100 Continue", 100, 1),
        ] as [(String, Int, UInt8)])
    func `a status line gives status and version`(_ line: String, _ status: Int, _ minor: UInt8) throws {
        let picture = try #require(parse(line).picture)
        #expect(picture.status == status)
        #expect(picture.minorVersion == minor)
        #expect(picture.persistence.isHTTP10 == (minor == 0))
    }

    @Test(
        arguments: [
            "", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2000", "HTTP/1.1 200OK", "HTTP/1.1  200 OK",
            "HTTP/1.1 099 X", "HTTP/1.1 000 X", "HTTP/1.1 20x X", "HTTP/1.1 -20 X", "HTTP/1.1\t200 OK",
            "HTTP/1.1 200\tOK",
            "http/1.1 200 OK", "HTTP/2.0 200 OK", "HTTP/2 200", "HTTP/1.x 200 OK", "HTTP/1.10 200 OK",
            "ICY 200 OK",
            " HTTP/1.1 200 OK", "HTTP/1.1 200 O\u{0}K", "HTTP/1.1 200 O\rK", "HTTP/1.1 200 \u{7f}", "<html>",
        ])
    func `another status line is refused`(_ line: String) {
        #expect(parse(line) == .refused(.statusLineMalformed))
    }

    @Test(arguments: ["HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\r\nA: b\n\r\n", "\n"])
    func `a line that ends in LF alone is refused`(_ text: String) {
        let outcome = Chunking.same(Array(text.utf8)) { ResponsePicture.parse($0, $1) }
        #expect(outcome == .refused(.lineEndBare))
    }

    @Test(
        arguments: [
            ("A : b", .fieldNameMalformed), (" A: b", .fieldFolded), ("A: b\u{0}", .fieldValueMalformed),
        ]
            as [(String, Refusal)])
    func `its fields are read as strictly as those of requests`(_ line: String, _ refusal: Refusal) {
        #expect(parse("HTTP/1.1 200 OK", [line]) == .refused(refusal))
    }

    @Test func `an interim response comes before the final one in the same bytes`() throws {
        var parser = ResponseParser(limits: Limits())
        let head = ResponseHead()
        let interim = wire("HTTP/1.1 103 Early Hints", "Link: </a>")
        let final = wire("HTTP/1.1 200 OK", "Content-Length: 3", "Connection: close")
        let bytes = interim + final + Array("abc".utf8)
        #expect(try parser.parse(bytes.span, into: head, answering: .get) == .complete(interim.count))
        #expect(head.status == 103)
        head.reset()
        parser.reset()
        let rest = Array(bytes.dropFirst(interim.count))
        #expect(try parser.parse(rest.span, into: head, answering: .get) == .complete(final.count))
        #expect(head.status == 200)
        #expect(parser.framing == .length(3))
        #expect(!parser.persistence.keepAlive)
    }
}

/// RFC 9112 §6.3: where a response's body ends, in the order of its rules.
@Suite struct `Response framing` {
    @Test(
        arguments: [
            ("1.1 200", .get, ["Content-Length: 5"], .length(5), .known(5)),
            ("1.1 200", .get, ["Content-Length: 0"], .length(0), .known(0)),
            ("1.1 200", .get, ["Content-Length: 5, 5"], .length(5), .known(5)),
            ("1.1 200", .get, ["Transfer-Encoding: chunked"], .chunked, .unknown),
            ("1.1 200", .get, [], .untilClose, .unknown), ("1.0 200", .get, [], .untilClose, .unknown),
            ("1.0 200", .get, ["Content-Length: 5"], .length(5), .known(5)),
            ("1.1 500", .post, [], .untilClose, .unknown),
            // Rule 1: HEAD, 1xx, 204 and 304 have no body, whatever the fields say.
            ("1.1 200", .head, ["Content-Length: 5"], .none, .known(5)),
            ("1.1 200", .head, ["Transfer-Encoding: chunked"], .none, .unknown),
            ("1.1 200", .head, [], .none, .unknown),
            ("1.1 404", .head, ["Content-Length: 9"], .none, .known(9)),
            ("1.1 204", .get, [], .none, .none), ("1.1 204", .get, ["Content-Length: 5"], .none, .none),
            ("1.1 204", .get, ["Transfer-Encoding: chunked"], .none, .none),
            ("1.1 304", .get, ["Content-Length: 5"], .none, .none), ("1.1 304", .get, [], .none, .none),
            ("1.1 304", .get, ["Transfer-Encoding: chunked"], .none, .none),
            ("1.1 304", .head, ["Content-Length: 5"], .none, .none),
            ("1.1 100", .post, [], .none, .none), ("1.1 103", .get, ["Content-Length: 5"], .none, .none),
            ("1.1 101", .get, ["Upgrade: x", "Connection: upgrade"], .none, .none),
            ("1.1 199", .get, [], .none, .none),
        ] as [(String, ChimeraHTTPCore.Method, [String], WireFraming, BodyLength)])
    func `status, method and fields frame the body`(
        _ start: String, _ method: ChimeraHTTPCore.Method, _ fields: [String], _ framing: WireFraming,
        _ body: BodyLength
    ) throws {
        let picture = try #require(parse("HTTP/\(start) X", fields, answering: method).picture)
        #expect(picture.framing == framing)
        #expect(picture.body == body)
    }

    @Test(
        arguments: [
            ("1.1", ["Content-Length: 5", "Content-Length: 6"], .lengthsDiffer),
            ("1.1", ["Content-Length: x"], .lengthMalformed),
            ("1.1", ["Content-Length: 99999999999999999999"], .lengthMalformed),
            ("1.1", ["Content-Length: 5", "Transfer-Encoding: chunked"], .lengthAndCoding),
            ("1.1", ["Transfer-Encoding: gzip"], .codingMalformed),
            ("1.1", ["Transfer-Encoding: gzip, chunked"], .codingUnsupported),
            ("1.1", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], .codingMalformed),
            // RFC 9112 §6.1: an HTTP/1.0 message with Transfer-Encoding is framed wrongly.
            ("1.0", ["Transfer-Encoding: chunked"], .codingInHTTP10),
            ("1.0", ["Transfer-Encoding: chunked", "Content-Length: 5"], .lengthAndCoding),
        ] as [(String, [String], Refusal)])
    func `a length in doubt is refused, even where no body follows`(
        _ version: String, _ fields: [String], _ refusal: Refusal
    ) {
        for (status, method) in [(200, .get), (200, .head), (304, .get), (204, .get)] as [(Int, Verb)] {
            #expect(parse("HTTP/\(version) \(status) X", fields, answering: method) == .refused(refusal))
        }
    }

    /// RFC 9112 §9.3.
    @Test(
        arguments: [
            ("1.1 200", ["Content-Length: 5"], true),
            ("1.1 200", ["Content-Length: 5", "Connection: close"], false),
            ("1.0 200", ["Content-Length: 5"], false),
            ("1.0 200", ["Content-Length: 5", "Connection: keep-alive"], true),
            ("1.1 200", ["Transfer-Encoding: chunked"], true), ("1.1 204", [], true),
            ("1.1 304", ["Content-Length: 5"], true),
            // A body that ends with the connection leaves none to keep.
            ("1.1 200", [], false), ("1.0 200", ["Connection: keep-alive"], false),
            // RFC 9112 §6.1 and RFC 9110 §8.6 forbid those; whether a body follows is anyone's guess.
            ("1.1 204", ["Transfer-Encoding: chunked"], false), ("1.1 204", ["Content-Length: 5"], false),
            ("1.1 204", ["Content-Length: 0"], true), ("1.1 304", ["Transfer-Encoding: chunked"], true),
        ] as [(String, [String], Bool)])
    func `the connection is kept where the next response is sure to be found`(
        _ start: String, _ fields: [String], _ isKept: Bool
    ) throws {
        #expect(try #require(parse("HTTP/\(start) X", fields).picture).persistence.keepAlive == isKept)
    }
}
