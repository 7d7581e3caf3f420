import ChimeraBytes
import ChimeraHTTPCore
import Testing

@testable import ChimeraHTTP2

/// What is made of a head.
private func happening(
    _ lines: [String], endStream: Bool = true, _ limits: ConnectionLimits = ConnectionLimits()
)
    -> Happening?
{
    let client = Client(limits)
    client.feed(headers(1, lines, endStream: endStream))
    return client.happenings.first
}

/// The plain head, with other fields and without some.
private func head(_ fields: [String] = [], without: [String] = []) -> [String] {
    plainHead.filter { line in !without.contains { line.hasPrefix($0 + ":") } } + fields
}

/// Lines of a head, and why it is malformed.
struct Malformed: Sendable, CustomTestStringConvertible {
    var lines: [String]
    var violation: Violation
    var endStream = true

    init(_ lines: [String], _ violation: Violation, endStream: Bool = true) {
        self.lines = lines
        self.violation = violation
        self.endStream = endStream
    }

    var testDescription: String { "\(lines)" }
}

@Suite struct `Request heads` {
    /// RFC 9113 §8.3.1, and as every other version has it: with Host.
    @Test func `a request has its parts`() throws {
        let client = Client()
        client.feed(
            headers(
                1,
                [
                    ":method: POST", ":path: /a?b=c", ":scheme: https", ":authority: a.example:8443",
                    "accept: */*",
                    "x-own: 1", "content-length: 5",
                ], endStream: false))
        #expect(
            client.happenings == [
                .head(
                    1,
                    [
                        "POST /a?b=c origin known(5)", "accept: */*", "x-own: 1", "content-length: 5",
                        "host: a.example:8443",
                    ])
            ])
        let head = try #require(client.heads[1])
        #expect(head.method == .post)
        #expect(text(head[head.pathAndQuery]) == "/a?b=c")
        #expect(text(head[head.authority]) == "a.example:8443")
        #expect(text(head[head.scheme]) == "https")
        #expect(head.targetsHTTPS)
        #expect(head.contains(.accept))
        #expect(head.contains(.host))
    }

    /// RFC 9113 §8.3.1: Host where there is no :authority.
    @Test func `Host stands in for the authority`() throws {
        let client = Client()
        client.feed(headers(1, head(["host: b.example"], without: [":authority"])))
        let head = try #require(client.heads[1])
        #expect(text(head[head.authority]) == "b.example")
        #expect(head.occurrences(of: .host) == 1)
    }

    @Test func `Host that says the same as the authority is one field`() throws {
        let client = Client()
        client.feed(headers(1, head(["host: A.example"])))
        #expect(client.heads[1]?.occurrences(of: .host) == 1)
    }

    /// RFC 9113 §8.3.1: `*` for OPTIONS of the server as a whole.
    @Test func `an asterisk is a target of OPTIONS alone`() {
        #expect(
            happening([":method: OPTIONS", ":path: *"] + head(without: [":method", ":path"]))
                == .head(1, ["OPTIONS * asterisk none", "host: a.example"]))
        #expect(
            happening([":method: GET", ":path: *"] + head(without: [":method", ":path"]))
                == .requestFailed(1, .pathMalformed))
    }

    /// RFC 9113 §8.5.
    @Test func `CONNECT has an authority alone`() throws {
        let client = Client()
        client.feed(headers(1, [":method: CONNECT", ":authority: a.example:80"], endStream: false))
        #expect(
            client.happenings == [.head(1, ["CONNECT a.example:80 authority none", "host: a.example:80"])])
        client.feed(data(1, "anything"))
        #expect(client.happenings.last == .data(1, "anything"))
    }

    /// RFC 8441 §4.
    @Test func `extended CONNECT asks for an upgrade`() throws {
        let client = Client()
        client.feed(
            headers(
                1, [":method: CONNECT", ":protocol: websocket"] + head(without: [":method"]), endStream: false
            ))
        let head = try #require(client.heads[1])
        #expect(text(head[head.upgrade]) == "websocket")
        #expect(head.form == .origin)
        #expect(text(head[head.pathAndQuery]) == "/")
        #expect(head.body == .none)
    }

    @Test func `extended CONNECT is malformed where it is not allowed`() {
        var limits = ConnectionLimits()
        limits.allowsExtendedConnect = false
        let lines = [":method: CONNECT", ":protocol: websocket"] + head(without: [":method"])
        #expect(happening(lines, endStream: false, limits) == .requestFailed(1, .pseudoUnknown))
        let client = Client(limits, greets: false)
        #expect(client.sent().first?.payload.count == 24)
    }

    static let malformed: [Malformed] = [
        // RFC 9113 §8.2.1.
        Malformed(head(["Accept: x"]), .fieldMalformed), Malformed(head(["a b: x"]), .fieldMalformed),
        Malformed(head(["a: b\r\nc: d"]), .fieldMalformed), Malformed(head(["a: \u{0}"]), .fieldMalformed),
        Malformed(head(["a:  b"]), .fieldMalformed), Malformed(head(["a: b "]), .fieldMalformed),
        Malformed([":path: /\nx"] + head(without: [":path"]), .fieldMalformed),
        // §8.2.2.
        Malformed(head(["connection: close"]), .fieldConnectionSpecific),
        Malformed(head(["proxy-connection: close"]), .fieldConnectionSpecific),
        Malformed(head(["keep-alive: 1"]), .fieldConnectionSpecific),
        Malformed(head(["transfer-encoding: chunked"]), .fieldConnectionSpecific),
        Malformed(head(["upgrade: x"]), .fieldConnectionSpecific),
        Malformed(head(["te: gzip"]), .teNotTrailers),
        Malformed(head(["te: trailers, gzip"]), .teNotTrailers),
        // §8.3.
        Malformed(head([":method: GET"]), .pseudoRepeated), Malformed(head([":path: /"]), .pseudoRepeated),
        Malformed(head([":scheme: https"]), .pseudoRepeated),
        Malformed(head([":authority: a.example"]), .pseudoRepeated),
        Malformed(head([":status: 200"]), .pseudoUnknown), Malformed(head([":x: 200"]), .pseudoUnknown),
        Malformed(head([":: 200"]), .pseudoUnknown),
        Malformed(head(["a: b", ":path: /"], without: [":path"]), .pseudoMisplaced),
        Malformed(head(["a: b", ":x: /"]), .pseudoMisplaced),
        // §8.3.1.
        Malformed(head(without: [":method"]), .pseudoMissing),
        Malformed(head(without: [":scheme"]), .pseudoMissing),
        Malformed(head(without: [":path"]), .pseudoMissing),
        Malformed(head(without: [":authority"]), .authorityMissing),
        Malformed(head([":authority: "], without: [":authority"]), .authorityMissing),
        Malformed(head(["host: "], without: [":authority"]), .authorityMissing),
        Malformed(head([":authority: u@a"], without: [":authority"]), .authorityMalformed),
        Malformed(head([":authority: a b"], without: [":authority"]), .authorityMalformed),
        Malformed(head(["host: b.example"]), .hostDiffers),
        Malformed(head(["host: a.example", "host: a.example"]), .hostDiffers),
        Malformed(head(["host: a", "host: a"], without: [":authority"]), .hostDiffers),
        Malformed(head([":path: "], without: [":path"]), .pathMalformed),
        Malformed(head([":path: a"], without: [":path"]), .pathMalformed),
        Malformed(head([":path: /a b"], without: [":path"]), .pathMalformed),
        Malformed(head([":path: /a#b"], without: [":path"]), .pathMalformed),
        Malformed(head([":path: /é"], without: [":path"]), .pathMalformed),
        Malformed(head([":path: https://a.example/"], without: [":path"]), .pathMalformed),
        Malformed(head([":method: "], without: [":method"]), .methodMalformed),
        Malformed(head([":method: G T"], without: [":method"]), .methodMalformed),
        Malformed(head([":scheme: "], without: [":scheme"]), .schemeMalformed),
        Malformed(head([":scheme: 1"], without: [":scheme"]), .schemeMalformed),
        Malformed(head([":scheme: https://a"], without: [":scheme"]), .schemeMalformed),
        // §8.5 and RFC 8441 §4.
        Malformed([":method: CONNECT"], .authorityMissing),
        Malformed([":method: CONNECT", "host: a"], .pseudoMissing),
        Malformed([":method: CONNECT", ":authority: a", ":scheme: https"], .pseudoSuperfluous),
        Malformed([":method: CONNECT", ":authority: a", ":path: /"], .pseudoSuperfluous),
        Malformed(
            [":method: CONNECT", ":authority: a", "content-length: 1"], .lengthMalformed, endStream: false),
        Malformed(head([":protocol: websocket"]), .pseudoSuperfluous),
        Malformed([":method: CONNECT", ":authority: a", ":protocol: x"], .pseudoMissing),
        Malformed(
            [":method: CONNECT", ":authority: a", ":protocol: ", ":scheme: https", ":path: /"], .pseudoMissing
        ),
        // §8.1.1.
        Malformed(head(["content-length: 1"]), .lengthMismatched),
        Malformed(head(["content-length: x"]), .lengthMalformed, endStream: false),
        Malformed(head(["content-length: -1"]), .lengthMalformed, endStream: false),
        Malformed(head(["content-length: "]), .lengthMalformed, endStream: false),
        Malformed(head(["content-length: 99999999999999999999"]), .lengthMalformed, endStream: false),
        Malformed(head(["content-length: 1", "content-length: 2"]), .lengthMismatched, endStream: false),
    ]

    /// RFC 9113 §8.1.1: a stream error PROTOCOL_ERROR.
    @Test(arguments: malformed)
    func `a malformed request ends its stream alone`(_ malformed: Malformed) {
        let client = Client()
        client.feed(headers(1, malformed.lines, endStream: malformed.endStream))
        #expect(client.happenings == [.requestFailed(1, malformed.violation)])
        #expect(
            client.sent() == [SentFrame(.resetStream, stream: 1, number(ErrorCode.protocolError.rawValue))])
        client.happenings.removeAll()
        client.feed(data(1, "on its way", endStream: true) + request(3))
        #expect(client.happenings == [.head(3, ["GET / origin none", "host: a.example"]), .end(3)])
    }

    /// RFC 9113 §8.2.3.
    @Test func `cookies in pieces are one field`() throws {
        let client = Client()
        client.feed(headers(1, head(["cookie: a=b", "x: y", "cookie: c=d", "cookie: e"])))
        #expect(
            client.happenings.first
                == .head(1, ["GET / origin none", "x: y", "host: a.example", "cookie: a=b; c=d; e"]))
    }

    /// RFC 9110 §8.6.
    @Test func `a length that is said twice is said once`() {
        #expect(
            happening(head(["content-length: 05", "content-length: 5, 5"]), endStream: false)
                == .head(1, ["GET / origin known(5)", "host: a.example", "content-length: 5"]))
    }

    @Test func `TE may say trailers`() {
        #expect(
            happening(head(["te: trailers"]))
                == .head(1, ["GET / origin none", "te: trailers", "host: a.example"]))
    }

    /// RFC 9110 §10.1.1.
    @Test func `an expectation is noted, and another one refused`() throws {
        let client = Client()
        client.feed(request(1, endStream: false, ["expect: 100-continue"]))
        #expect(client.heads[1]?.expectsContinue == true)
        client.feed(request(3, endStream: true, ["expect: 100-continue"]))
        #expect(client.heads[3]?.expectsContinue == false)
        client.feed(request(5, endStream: false, ["expect: miracles"]))
        #expect(client.happenings.last == .refused(5, .expectationFailed))
        #expect(client.connection.isLive(try #require(client.handles[5])))
    }

    @Test func `another scheme is refused with an answer`() {
        #expect(happening(head([":scheme: ftp"], without: [":scheme"])) == .refused(1, .targetMalformed))
    }

    /// RFC 9113 §10.5.1: 431, and the connection goes on with the same tables.
    @Test func `a head beyond its bounds is refused with an answer`() {
        let client = Client()
        let long = "x: " + String(repeating: "y", count: 9000)
        client.feed(
            frame(.headers, stream: 1, block(plainHead + [long]))
                + frame(.continuation, stream: 1, block([long]))
                + frame(.continuation, stream: 1, block([long]))
                + frame(.continuation, .endHeaders, stream: 1, block([long])))
        #expect(client.happenings == [.refused(1, .headTooLarge)])
        client.feed(data(1, "content that nobody wants", endStream: true))
        #expect(client.happenings.last == .end(1))
        client.feed(request(3, endStream: true, (0..<140).map { "x\($0): y" }))
        #expect(client.happenings.last == .end(3))
        #expect(client.happenings.dropLast().last == .refused(3, .fieldsTooMany))
    }
}

@Suite struct `Content of requests` {
    /// RFC 9113 §8.1.1.
    @Test(
        arguments: [
            (5, ["hello"]), (5, ["he", "", "llo"]), (0, [""]),
        ])
    func `as much as is declared is taken`(_ length: Int, _ parts: [String]) {
        let client = Client()
        client.feed(request(1, endStream: false, ["content-length: \(length)"]))
        client.happenings.removeAll()
        for (index, part) in parts.enumerated() {
            client.feed(data(1, part, endStream: index == parts.count - 1))
        }
        let content = parts.joined()
        #expect(client.happenings == (content.isEmpty ? [] : [.data(1, content)]) + [.end(1)])
    }

    @Test(
        arguments: [
            (5, data(1, "hell", endStream: true)), (5, data(1, "hello!")),
            (5, data(1, "hello!", endStream: true)),
            (0, data(1, "x")), (5, data(1, "", endStream: true)), (5, headers(1, ["x: y"])),
            (3, data(1, "he") + data(1, "llo")),
        ])
    func `more or less than is declared ends the stream`(_ length: Int, _ bytes: [UInt8]) {
        let client = Client()
        client.feed(request(1, endStream: false, ["content-length: \(length)"]))
        _ = client.sent()
        client.feed(bytes)
        #expect(client.happenings.last == .streamFailed(1, .lengthMismatched))
        #expect(client.sent() == [SentFrame(.resetStream, stream: 1, number(1))])
    }

    /// RFC 9113 §8.1.
    @Test func `trailers end a request`() {
        let client = Client()
        client.open(1, endStream: false)
        client.feed(data(1, "abc") + headers(1, ["checksum: 1", "x: y"]))
        #expect(client.happenings == [.data(1, "abc"), .trailers(1, ["checksum: 1", "x: y"]), .end(1)])
    }

    @Test(
        arguments: [
            ([":path: /"], true, Violation.pseudoMisplaced), (["X: y"], true, .fieldMalformed),
            (["connection: x"], true, .fieldConnectionSpecific),
            (["te: trailers"], true, .fieldConnectionSpecific),
            (["x: y"], false, .trailersUnfinished),
            (["x: " + String(repeating: "y", count: 9000)], true, .trailersTooLarge),
        ])
    func `trailers that are malformed end the stream`(
        _ lines: [String], _ endStream: Bool, _ violation: Violation
    ) {
        let client = Client()
        client.open(1, endStream: false)
        client.feed(headers(1, lines, endStream: endStream))
        #expect(client.happenings == [.streamFailed(1, violation)])
        client.feed(request(3))
        #expect(client.happenings.last == .end(3))
    }
}

@Suite struct `Priorities` {
    /// RFC 9218 §4, RFC 8941 §4.2.2.
    @Test(
        arguments: [
            ("u=0", 0, false), ("u=7, i", 7, true), ("i", 3, true), ("i=?1", 3, true), ("i=?0", 3, false),
            ("u=1,i=?1", 1, true), ("i, u=5, i=?0", 5, false), ("u=8", 3, false), ("u=-1", 3, false),
            ("u=1.0", 3, false), ("u=\"1\"", 3, false), ("u", 3, false), ("u=2;x=1, i;y", 2, true),
            ("foo=bar, u=2", 2, false), ("*a, u=2", 2, false), ("u=1, u=2", 2, false), ("", 3, false),
        ])
    func `a value is read`(_ value: String, _ urgency: UInt8, _ incremental: Bool) {
        #expect(
            Priority(parsing: Array(value.utf8).span) == Priority(urgency: urgency, incremental: incremental))
    }

    /// RFC 9218 §4: what cannot be parsed is as if it was not there.
    @Test(arguments: ["U=1", "=1", "u=1,", "u=1,,i", "1=u", "u@1", "u=1 i"].filter { $0 != "u=1 i" })
    func `what is no dictionary is ignored`(_ value: String) {
        #expect(Priority(parsing: Array(value.utf8).span) == Priority())
    }

    @Test func `the field and later frames say a stream's priority`() throws {
        let client = Client()
        client.feed(request(1, endStream: true, ["priority: u=1, i"]))
        let stream = try #require(client.handles[1])
        #expect(client.connection.priority(of: stream) == Priority(urgency: 1, incremental: true))
        client.feed(frame(.priorityUpdate, number(1) + Array("u=6".utf8)))
        #expect(client.connection.priority(of: stream) == Priority(urgency: 6, incremental: false))
    }

    /// RFC 9218 §7: the last that was said before the request comes.
    @Test func `a frame before its request says the stream's priority`() throws {
        let client = Client()
        for value in ["u=1", "u=6, i"] {
            client.feed(frame(.priorityUpdate, number(3) + Array(value.utf8)))
        }
        client.feed(request(1, endStream: true) + request(3, endStream: true, ["priority: u=2"]))
        #expect(client.connection.priority(of: try #require(client.handles[1])) == Priority())
        let later = try #require(client.handles[3])
        #expect(client.connection.priority(of: later) == Priority(urgency: 6, incremental: true))
    }

    @Test func `frames before their requests are kept for as many streams as there may be`() throws {
        let client = Client()
        let countMax = UInt32(client.connection.streamsMax)
        for index in 0..<countMax {
            client.feed(frame(.priorityUpdate, number(2 * index + 1) + Array("u=1".utf8)))
        }
        // Another word about one of them is none about one more.
        client.feed(frame(.priorityUpdate, number(1) + Array("u=2".utf8)))
        let kept = 2 * countMax - 1
        client.feed(request(kept))
        #expect(client.connection.priority(of: try #require(client.handles[kept])).urgency == 1)
        // What was kept of streams that were passed over is gone: there is room again.
        client.feed(frame(.priorityUpdate, number(kept + 2) + Array("u=1".utf8)) + request(kept + 2))
        #expect(client.connection.priority(of: try #require(client.handles[kept + 2])).urgency == 1)
        #expect(client.connection.failure == nil)
    }

    /// RFC 9218 §7.1: "MUST NOT exceed the value of the SETTINGS_MAX_CONCURRENT_STREAMS parameter", else PROTOCOL_ERROR.
    @Test(arguments: [0, 1, 100])
    func `streams that are open and those with a frame are no more than may be open`(open: UInt32) {
        let client = Client()
        let countMax = UInt32(client.connection.streamsMax)
        for index in 0..<open { client.feed(request(2 * index + 1)) }
        for index in open..<countMax {
            client.feed(frame(.priorityUpdate, number(2 * index + 1) + Array("u=1".utf8)))
        }
        #expect(client.connection.failure == nil)
        client.feed(frame(.priorityUpdate, number(2 * countMax + 1) + Array("u=1".utf8)))
        #expect(client.connection.failure == .streamsPrioritizedTooMany)
        #expect(Violation.streamsPrioritizedTooMany.code == .protocolError)
    }

    @Test func `a client that does not know the settings yet may announce more, of which nothing is kept`()
        throws
    {
        let client = Client(greets: false)
        client.feed(Client.preface + frame(.settings))
        let beyond = 2 * UInt32(client.connection.streamsMax) + 1
        for id in stride(from: 1, through: beyond, by: 2) {
            client.feed(frame(.priorityUpdate, number(id) + Array("u=1".utf8)))
        }
        #expect(client.connection.failure == nil)
        client.feed(request(beyond))
        #expect(client.connection.priority(of: try #require(client.handles[beyond])).urgency == 3)
    }
}
