import ChimeraEventLoop
import ChimeraHTTPCore
import ChimeraUpstream
import Testing

private let lines = ["GET /chat HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket, other/1"]
private let wire =
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, other/1\r\n\r\n"
private let accepted =
    "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
private let upgraded = ["answered", "upgrade websocket | Sec-WebSocket-Accept: x"]

/// RFC 9110 §7.8: upgrades, and the tunnels behind them.
@Suite(.timeLimit(.minutes(1)), .serialized) struct `Tunnels` {
    private func perform(
        _ script: [UpstreamStep], _ driver: Play.Driver, isBytewise: Bool = false, body: [ClientStep] = []
    ) async throws -> Performance {
        try await Play(request: lines, body: body, upstream: [script], driver: driver, isBytewise: isBytewise)
            .perform()
    }

    @Test(arguments: Play.Driver.allCases, [false, true])
    func `both ends talk until the client ends its side, then the upstream its own`(
        _ driver: Play.Driver, _ isBytewise: Bool
    ) async throws {
        let script: [UpstreamStep] = [
            .expect(wire), .send(accepted + "hello"), .client(.body("ping")), .expect("ping"), .send("pong"),
            .client(.body("last")), .client(.end()), .expect("last"), .expectEnd, .send("bye"), .endSide,
        ]
        let result = try await perform(script, driver, isBytewise: isBytewise)
        #expect(result.failures == [])
        #expect(result.outcome == .answered)
        #expect(result.seen == upgraded + ["body hellopongbye", "tunnel end", "finish"])
        #expect(result.kept == 0)
    }

    @Test(arguments: Play.Driver.allCases)
    func `the upstream ends its side, and the client goes on`(_ driver: Play.Driver) async throws {
        let script: [UpstreamStep] = [
            .expect(wire), .send(accepted + "only"), .endSide, .client(.body("one")), .expect("one"),
            .client(.body("two")), .expect("two"), .client(.end()), .expectEnd,
        ]
        let result = try await perform(script, driver)
        #expect(result.failures == [])
        #expect(result.outcome == .answered)
        #expect(result.seen == upgraded + ["body only", "tunnel end", "finish"])
    }

    @Test(arguments: Play.Driver.allCases)
    func `both ends end at once`(_ driver: Play.Driver) async throws {
        let result = try await perform(
            [.expect(wire), .send(accepted), .endSide, .client(.end()), .expectEnd], driver)
        #expect(result.failures == [])
        #expect(result.outcome == .answered)
        #expect(result.seen == upgraded + ["tunnel end", "finish"])
    }

    @Test func `much goes both ways at the same time`() async throws {
        let piece = String(repeating: "x", count: 100_000)
        let script: [UpstreamStep] = [
            .expect(wire), .send(accepted), .offer(3_000_000), .take(3_000_000), .client(.end()), .expectEnd,
            .endSide,
        ]
        let result = try await perform(script, .task, body: Array(repeating: .body(piece), count: 30))
        #expect(result.failures == [])
        #expect(result.outcome == .answered)
        #expect(
            result.seen.map(\.utf8.count)
                == (upgraded + ["", "tunnel end", "finish"]).map(\.utf8.count).replacing(2, 3_000_005))
    }

    @Test(arguments: Play.Driver.allCases)
    func `an upstream that breaks a tunnel breaks it for the client`(_ driver: Play.Driver) async throws {
        let script: [UpstreamStep] = [.expect(wire), .send(accepted), .reset]
        let result = try await perform(script, driver)
        #expect(result.failures == [])
        #expect(result.seen == upgraded + ["abort upstreamBroken"])
    }

    @Test(arguments: Play.Driver.allCases)
    func `a client that breaks a tunnel ends it for the upstream`(_ driver: Play.Driver) async throws {
        let script: [UpstreamStep] = [
            .expect(wire), .send(accepted), .clientSaw("upgrade"), .client(.lose(.clientFailed)), .awaitEnd,
        ]
        let result = try await perform(script, driver)
        #expect(result.failures == [])
        #expect(result.outcome == .answered)
        #expect(result.seen == upgraded + ["abort clientFailed"])
    }

    // What both send here is in frames whose headers are text: "\u{1}\u{5}" begins a fragment of five octets, and
    // "\u{85}" is C2 85, a frame of five masked octets.

    private static let farewell = String(decoding: [0x88, 0x02, 0x03, 0xF4] as [UInt8], as: UTF8.self)

    /// RFC 6455 §5.5.1, and 1012 of IANA's registry.
    @Test(arguments: Play.Driver.allCases)
    func `a WebSocket that is cut off between frames is closed with a word to both`(
        _ driver: Play.Driver
    ) async throws {
        let script: [UpstreamStep] = [
            .expect(wire), .send(accepted + "\u{1}\u{5}hello"), .client(.body("\u{85}maskhello")),
            .expect("\u{85}maskhello"), .clientSaw("body"), .client(.lose(.draining)), .take(8), .expectEnd,
            .send("\u{1}\u{5}is no"), .endSide, .client(.end()),
        ]
        let result = try await perform(script, driver)
        #expect(result.failures == [])
        #expect(result.outcome == .answered)
        #expect(
            result.seen == upgraded + [
                "body \u{1}\u{5}hello" + Self.farewell, "tunnel end", "abort draining",
            ])
        #expect(result.kept == 0)
    }

    @Test(arguments: Play.Driver.allCases)
    func `a peer that does not end does not keep a WebSocket that is cut off`(
        _ driver: Play.Driver
    ) async throws {
        let script: [UpstreamStep] = [
            .expect(wire), .send(accepted), .clientSaw("upgrade"), .client(.lose(.draining)), .take(8),
            .expectEnd,
            .awaitEnd,
        ]
        let result = try await perform(script, driver)
        #expect(result.failures == [])
        #expect(result.seen == upgraded + ["body " + Self.farewell, "tunnel end", "abort draining"])
    }

    @Test(arguments: Play.Driver.allCases)
    func `who is in the middle of a frame gets none`(_ driver: Play.Driver) async throws {
        let script: [UpstreamStep] = [
            .expect(wire), .send(accepted + "\u{1}\u{5}hel"), .clientSaw("body"), .client(.lose(.draining)),
            .take(8),
            .expectEnd, .endSide, .client(.end()),
        ]
        let result = try await perform(script, driver)
        #expect(result.failures == [])
        #expect(result.seen == upgraded + ["body \u{1}\u{5}hel", "tunnel end", "abort draining"])
    }

    @Test(arguments: Play.Driver.allCases)
    func `where both are in the middle of a frame, both are closed`(_ driver: Play.Driver) async throws {
        let script: [UpstreamStep] = [
            .expect(wire), .client(.body("\u{85}mask")), .expect(""), .send(accepted + "\u{1}\u{5}hel"),
            .clientSaw("body"), .expect("\u{85}mask"), .client(.lose(.draining)), .expectEnd,
        ]
        let result = try await perform(script, driver)
        #expect(result.failures == [])
        #expect(result.seen == upgraded + ["body \u{1}\u{5}hel", "abort draining"])
    }

    @Test(arguments: Play.Driver.allCases)
    func `a tunnel of another protocol is closed without a word`(_ driver: Play.Driver) async throws {
        let script: [UpstreamStep] = [
            .expect(wire), .send("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: other/1\r\n\r\n"),
            .clientSaw("upgrade"), .client(.lose(.draining)), .expectEnd,
        ]
        let result = try await perform(script, driver)
        #expect(result.failures == [])
        #expect(result.seen == ["answered", "upgrade other/1", "abort draining"])
    }

    @Test func `an upstream may decline the upgrade`() async throws {
        let script: [UpstreamStep] = [
            .expect(wire), .send("HTTP/1.1 403 No\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno"),
        ]
        let result = try await perform(script, .task)
        #expect(result.failures == [])
        #expect(result.seen == ["answered", "head 403 | known(2)", "body no", "finish"])
        #expect(result.kept == 1)
    }

    /// RFC 9110 §15.2.2 and §7.8: "A server MUST NOT switch to a protocol that was not indicated by the client".
    @Test(
        arguments: [
            (["GET / HTTP/1.1", "Host: a"], "Upgrade: websocket\r\n"), (lines, ""),
            (lines, "Upgrade: third\r\n"),
            (lines, "Upgrade: other\r\n"), (lines, "Upgrade: websocket, other/1\r\n"),
        ])
    func `a switch that nobody asked for is no answer`(_ request: [String], _ field: String) async throws {
        let script: [UpstreamStep] = [
            .take(20), .send("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n\(field)\r\n"), .awaitEnd,
        ]
        let result = try await Play(request: request, upstream: [script]).perform()
        #expect(result.failures == [])
        #expect(result.outcome == .failed(.upgradeUnexpected))
        #expect(result.seen == [])
        #expect(result.kept == 0)
    }

    /// RFC 9110 §7.8: the request is sent in full before the other protocol begins, or its rest would be taken for that.
    @Test(arguments: Play.Driver.allCases)
    func `a switch before the request's end is no answer`(_ driver: Play.Driver) async throws {
        let head = [
            "POST /chat HTTP/1.1", "Host: a", "Content-Length: 10", "Connection: Upgrade",
            "Upgrade: websocket",
        ]
        let wire = head.joined(separator: "\r\n") + "\r\n\r\nhello"
        let play = Play(
            request: head, body: [.body("hello")], upstream: [[.expect(wire), .send(accepted), .awaitEnd]],
            driver: driver)
        let result = try await play.perform()
        #expect(result.outcome == .failed(.upgradeUnexpected))
        #expect(result.seen == [])
    }

    @Test func `a switch after the whole request is one`() async throws {
        let head = [
            "POST /chat HTTP/1.1", "Host: a", "Content-Length: 5", "Connection: Upgrade",
            "Upgrade: websocket",
        ]
        let script: [UpstreamStep] = [
            .expect(
                "POST /chat HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello"
            ),
            .send("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nContent-Length: 9\r\n\r\n"), .endSide,
            .client(.end()), .expectEnd,
        ]
        let play = Play(request: head, body: [.body("hello"), .end()], upstream: [script])
        let result = try await play.perform()
        #expect(result.failures == [])
        #expect(result.seen == ["answered", "upgrade websocket", "tunnel end", "finish"])
    }
}

extension Array where Element == Int {
    fileprivate func replacing(_ index: Int, _ value: Int) -> [Int] {
        var copy = self
        copy[index] = value
        return copy
    }
}
