import ChimeraHTTP1
import ChimeraHTTPCore
import Testing

private func parse(
    _ lines: [String], start: String = "GET / HTTP/1.1", _ limits: Limits = Limits(),
    sourceLocation: SourceLocation = #_sourceLocation
) -> Outcome<RequestPicture> {
    let bytes = Array(([start, "Host: a"] + lines + ["", ""]).joined(separator: "\r\n").utf8)
    return Chunking.same(bytes, { RequestPicture.parse($0, $1, limits) }, sourceLocation: sourceLocation)
}

/// RFC 9112 §5, RFC 9110 §5: field lines.
@Suite struct `Field lines` {
    /// RFC 9112 §5: optional white space around the value; RFC 9110 §5.5: obs-text is opaque.
    @Test(
        arguments: [
            ("X:y", "X: y"), ("X: y", "X: y"), ("X: \t y \t ", "X: y"), ("X:", "X: "), ("X: \t ", "X: "),
            ("X: a b\tc", "X: a b\tc"), ("X: a: b", "X: a: b"), ("X: ä", "X: ä"),
            ("X: \"a\\\"b\"", "X: \"a\\\"b\""),
            ("!#$%&'*+-.^_`|~1aZ: y", "!#$%&'*+-.^_`|~1aZ: y"), ("x-\u{60}: y", "x-\u{60}: y"),
            ("X: 12345678901234567", "X: 12345678901234567"),
        ])
    func `a field line gives name and value`(_ line: String, _ field: String) throws {
        let picture = try #require(parse([line]).picture)
        #expect(picture.fields == ["Host: a", field])
    }

    @Test func `lines of one name stay apart and in order`() throws {
        let picture = try #require(parse(["Accept: a", "X: 1", "accept: b", "x: 2"]).picture)
        #expect(picture.fields == ["Host: a", "Accept: a", "X: 1", "accept: b", "x: 2"])
    }

    /// RFC 9112 §5.1: "A server MUST reject […] any received request message that contains whitespace between a header
    /// field name and colon".
    @Test(
        arguments: [
            "X : y", "X\t: y", "X y: z", "X", ": y", "", "X\u{0}: y", "X\u{7f}: y", "Ä: y", "X(: y", "X@y: z",
            "X/y: z",
            "X[0]: y", "X,Y: z", "\"X\": y", "Transfer-Encoding\u{b}: chunked", "X\r: y", "\u{1}X: y", "\r",
        ].filter { !$0.isEmpty })
    func `a line that does not begin with a token and a colon is refused`(_ line: String) {
        #expect(parse([line]) == .refused(.fieldNameMalformed))
    }

    /// RFC 9112 §5.2: obsolete folding, which others unfold; §2.2: white space before the first field.
    @Test(arguments: [
        ["X: a", " b"], ["X: a", "\tb"], ["X: a", " Y: b"], ["X: a", " "], ["X: a", "\t", "Y: b"],
    ])
    func `a folded line is refused`(_ lines: [String]) {
        #expect(parse(lines) == .refused(.fieldFolded))
    }

    @Test func `white space between request line and fields is refused`() {
        let bytes = Array("GET / HTTP/1.1\r\n Host: a\r\n\r\n".utf8)
        #expect(RequestPicture.parse(bytes, [bytes.count]) == .refused(.fieldFolded))
    }

    /// RFC 9110 §5.5: CR, LF and NUL are dangerous, and the other controls are invalid. At each place of a value, since
    /// the check looks at eight bytes at a time.
    @Test(arguments: Array(UInt8(0)...31).filter { $0 != 9 && $0 != 10 } + [127])
    func `a control character in a value is refused wherever it stands`(_ control: UInt8) {
        for length in 1...18 {
            for place in 0..<length {
                var value = [UInt8](repeating: UInt8(ascii: "x"), count: length)
                value[place] = control
                let outcome = self.outcome(ofValue: value)
                #expect(outcome == .refused(.fieldValueMalformed), "at \(place) of \(length)")
            }
        }
    }

    private func outcome(ofValue value: [UInt8]) -> Outcome<RequestPicture> {
        let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8) + value + Array("\r\n\r\n".utf8)
        return RequestPicture.parse(bytes, [bytes.count])
    }

    @Test func `every other byte may stand in a value wherever it stands`() {
        for byte in Array(UInt8(33)...126) + Array(128...255) {
            for length in [1, 7, 8, 9, 17] {
                for place in 0..<length {
                    var value = [UInt8](repeating: UInt8(ascii: "x"), count: length)
                    value[place] = byte
                    let picture = outcome(ofValue: value).picture
                    #expect(picture?.fields.count == 2, "\(byte) at \(place) of \(length)")
                }
            }
        }
    }
}

/// RFC 9112 §6: where a request's body ends, and what cannot be told twice.
@Suite struct `Request framing` {
    @Test(
        arguments: [
            ([], .none), (["Content-Length: 0"], .none), (["Content-Length: 5"], .known(5)),
            (["content-length:5"], .known(5)), (["Content-Length: 5, 5"], .known(5)),
            (["Content-Length: 5", "Content-Length: 5"], .known(5)), (["Content-Length: 0, 0"], .none),
            (["Content-Length: 007"], .known(7)),
            (["Content-Length: 9223372036854775807"], .known(Int.max)),
            (["Transfer-Encoding: chunked"], .unknown), (["transfer-ENCODING:\tCHUNKED "], .unknown),
        ] as [([String], BodyLength)])
    func `the body's length is told by one field`(_ fields: [String], _ body: BodyLength) throws {
        let picture = try #require(parse(fields, start: "POST / HTTP/1.1").picture)
        #expect(picture.body == body)
    }

    /// RFC 9110 §8.6: "replace the duplicated field values with a single valid Content-Length […] prior to determining
    /// the message body length or forwarding the message".
    @Test(
        arguments: [
            (["Content-Length: 5, 5"], "Content-Length: 5"),
            (["Content-Length: 0", "Content-Length: 0"], "Content-Length: 0"),
            (["Content-Length: 12", "X: y", "content-length: 012,12"], "Content-Length: 12"),
        ])
    func `a repeated length is passed on once`(_ fields: [String], _ line: String) throws {
        let picture = try #require(parse(fields, start: "POST / HTTP/1.1").picture)
        #expect(picture.fields.filter { $0.lowercased().hasPrefix("content-length") } == [line])
    }

    /// RFC 9112 §6.3 and §11.2: request smuggling.
    @Test(
        arguments: [
            (["Content-Length: 5, 6"], .lengthsDiffer),
            (["Content-Length: 5", "Content-Length: 6"], .lengthsDiffer),
            (["Content-Length:"], .lengthMalformed), (["Content-Length: +5"], .lengthMalformed),
            (["Content-Length: -1"], .lengthMalformed), (["Content-Length: 5 5"], .lengthMalformed),
            (["Content-Length: 0x5"], .lengthMalformed), (["Content-Length: 5,"], .lengthMalformed),
            (["Content-Length: ,5"], .lengthMalformed), (["Content-Length: 5;a"], .lengthMalformed),
            (["Content-Length: 1e1"], .lengthMalformed),
            (["Content-Length: 5", "Content-Length: x"], .lengthMalformed),
            (["Content-Length: 9223372036854775808"], .lengthMalformed),
            (["Content-Length: 18446744073709551621"], .lengthMalformed),
            (["Content-Length: \"5\""], .lengthMalformed), (["Content-Length: 5.0"], .lengthMalformed),
            (["Transfer-Encoding: chunked", "Content-Length: 5"], .lengthAndCoding),
            (["Content-Length: 5", "Transfer-Encoding: chunked"], .lengthAndCoding),
            (["Content-Length: 0", "Transfer-Encoding: identity"], .lengthAndCoding),
            (["Content-Length: x", "Transfer-Encoding: chunked"], .lengthAndCoding),
            (["Transfer-Encoding:"], .codingMalformed), (["Transfer-Encoding: identity"], .codingMalformed),
            (["Transfer-Encoding: gzip"], .codingMalformed),
            (["Transfer-Encoding: xchunked"], .codingMalformed),
            (["Transfer-Encoding: chunked, gzip"], .codingMalformed),
            (["Transfer-Encoding: chunked, chunked"], .codingMalformed),
            (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], .codingMalformed),
            (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], .codingMalformed),
            (["Transfer-Encoding: chunked;a=b"], .codingMalformed),
            (["Transfer-Encoding: ,chunked"], .codingMalformed),
            (["Transfer-Encoding: \"chunked\""], .codingMalformed),
            (["Transfer-Encoding: chunked x"], .codingMalformed),
            (["Transfer-Encoding: gzip, chunked"], .codingUnsupported),
            (["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], .codingUnsupported),
            (["Transfer-Encoding : chunked"], .fieldNameMalformed),
            (["Transfer-Encoding: chunked\u{b}"], .fieldValueMalformed),
            (["X: y", " Transfer-Encoding: chunked"], .fieldFolded),
            (["Transfer-Encoding\r: chunked"], .fieldNameMalformed),
        ] as [([String], Refusal)])
    func `a length in doubt is refused`(_ fields: [String], _ refusal: Refusal) {
        #expect(parse(fields, start: "POST / HTTP/1.1") == .refused(refusal))
    }

    /// RFC 9112 §6.1: "MUST treat the message as if the framing is faulty, even if a Content-Length is present".
    @Test func `HTTP 1_0 has no transfer codings`() {
        #expect(parse(["Transfer-Encoding: chunked"], start: "POST / HTTP/1.0") == .refused(.codingInHTTP10))
        let both = ["Content-Length: 5", "Transfer-Encoding: chunked"]
        #expect(parse(both, start: "POST / HTTP/1.0") == .refused(.lengthAndCoding))
    }

    @Test func `fields that only look like those that frame mean nothing`() throws {
        let fields = [
            "Transfer_Encoding: chunked", "Content-Lengthy: 5", "X-Content-Length: 6", "TE: chunked",
        ]
        #expect(try #require(parse(fields).picture).body == .none)
    }
}

/// RFC 9112 §9: connections; RFC 9110 §7.8: upgrade; §10.1.1: expectations.
@Suite struct `Request connection` {
    @Test(
        arguments: [
            ("1.1", [], true), ("1.1", ["Connection: close"], false), ("1.1", ["connection: CLOSE"], false),
            ("1.1", ["Connection: keep-alive"], true), ("1.1", ["Connection: keep-alive, close"], false),
            ("1.1", ["Connection: x", "Connection: y,close"], false),
            ("1.1", ["Connection: \"close\""], true),
            ("1.1", ["Connection: closed"], true), ("1.1", ["Connection:"], true), ("1.2", [], true),
            ("1.0", [], false), ("1.0", ["Connection: keep-alive"], true),
            ("1.0", ["Connection: Keep-Alive, x"], true),
            ("1.0", ["Connection: close"], false),
            ("1.0", ["Connection: keep-alive", "Connection: close"], false),
            ("1.0", ["Keep-Alive: timeout=5"], false), ("1.1", ["Proxy-Connection: close"], true),
        ] as [(String, [String], Bool)])
    func `the connection stays open as version and options say`(
        _ version: String, _ fields: [String], _ isKept: Bool
    ) throws {
        let picture = try #require(parse(fields, start: "GET / HTTP/\(version)").picture)
        #expect(picture.persistence.keepAlive == isKept)
        #expect(picture.persistence.isHTTP10 == (version == "1.0"))
    }

    @Test(
        arguments: [
            ("1.1", ["Connection: Upgrade", "Upgrade: websocket"], "websocket"),
            ("1.1", ["Connection: keep-alive, upgrade", "Upgrade: a/1, b"], "a/1, b"),
            ("1.1", ["Upgrade: websocket"], ""), ("1.1", ["Connection: Upgrade"], ""),
            ("1.1", ["Connection: Upgrade", "Upgrade:"], ""),
            ("1.1", ["Connection: close", "Upgrade: a"], ""),
            // RFC 9110 §7.8: "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0 request."
            ("1.0", ["Connection: Upgrade", "Upgrade: websocket"], ""),
        ] as [(String, [String], String)])
    func `an upgrade counts where Connection names it`(
        _ version: String, _ fields: [String], _ upgrade: String
    ) throws {
        let picture = try #require(parse(fields, start: "GET / HTTP/\(version)").picture)
        #expect(picture.upgrade == upgrade)
    }

    /// RFC 9113 §3.1 took the upgrade to HTTP/2 away. Through a tunnel, requests would reach an upstream unseen.
    @Test(arguments: ["h2c", "H2C", "websocket, h2c", "h2c,websocket"])
    func `an upgrade to HTTP 2 is ignored`(_ token: String) throws {
        let fields = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: \(token)", "HTTP2-Settings: AAMAAABk"]
        #expect(try #require(parse(fields).picture).upgrade == "")
    }

    @Test(
        arguments: [
            ("1.1", ["Expect: 100-continue", "Content-Length: 1"], true),
            ("1.1", ["expect: 100-CONTINUE", "Transfer-Encoding: chunked"], true),
            ("1.1", ["Expect: 100-continue"], false),
            ("1.1", ["Expect: 100-continue", "Content-Length: 0"], false),
            // RFC 9110 §10.1.1: "MUST ignore that expectation".
            ("1.0", ["Expect: 100-continue", "Content-Length: 1"], false),
        ] as [(String, [String], Bool)])
    func `an expectation counts where a body follows`(
        _ version: String, _ fields: [String], _ expects: Bool
    ) throws {
        let picture = try #require(parse(fields, start: "PUT / HTTP/\(version)").picture)
        #expect(picture.expectsContinue == expects)
    }

    @Test(
        arguments: [
            ["Expect: 200-ok"], ["Expect:"], ["Expect: 100-continue, x"],
            ["Expect: 100-continue", "Expect: 100-continue"],
            ["Expect: 100-continue;a=b"],
        ])
    func `another expectation is refused`(_ fields: [String]) {
        #expect(
            parse(fields + ["Content-Length: 1"], start: "PUT / HTTP/1.1") == .refused(.expectationFailed))
    }
}
