import ChimeraBytes
import ChimeraWebSocket
import Testing

/// RFC 6455 §4.
@Suite struct `Opening handshakes` {
    @Test(arguments: [
        // RFC 6455 §1.3, and OpenSSL's word on the other.
        ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
    ])
    func `an accept answers its key`(_ key: String, _ accept: String) {
        let output = ByteBuffer(capacity: 1)
        let isDone = OpeningHandshake.appendAccept(for: Array(key.utf8).span, to: output)
        #expect(isDone)
        #expect(String(decoding: [UInt8](copying: output.readable), as: UTF8.self) == accept)
        #expect(output.count == OpeningHandshake.acceptOctets)
        let isAnswer = OpeningHandshake.isAnswer(Array(accept.utf8).span, to: Array(key.utf8).span)
        #expect(isAnswer)
        for wrong in [accept.lowercased(), accept + " ", String(accept.dropLast()), ""] {
            let isAnswer = OpeningHandshake.isAnswer(Array(wrong.utf8).span, to: Array(key.utf8).span)
            #expect(!isAnswer)
        }
    }

    @Test(arguments: [
        ("dGhlIHNhbXBsZSBub25jZQ==", true), ("AAAAAAAAAAAAAAAAAAAAAA==", true), ("", false),
        ("dGhlIHNhbXBsZSBub25jZQ", false), ("dGhlIHNhbXBsZSBub25jZQ=", false),
        ("dGhlIHNhbXBsZSBub25j", false),
        ("dGhlIHNhbXBsZSBub25jZWU=", false), ("dGhlIHNhbXBsZSBub25jZR==", false),
        ("dGhlIHNhbXBsZSBub25j*A==", false),
        ("dGhlIHNhbXBsZSBub25jZSE=", false), ("dGhlIHNhbXBsZSBub25jZQ== ", false),
    ])
    func `a key is 16 octets in base 64`(_ key: String, _ isValid: Bool) {
        #expect(OpeningHandshake.isValid(key: Array(key.utf8).span) == isValid)
    }

    @Test func `a client's key is one`() {
        let key = OpeningHandshake.key((0x0123_4567_89AB_CDEF, .max))
        let isValid = OpeningHandshake.isValid(key: key.span)
        #expect(isValid)
        #expect(key != OpeningHandshake.key((0x0123_4567_89AB_CDEF, 0)))
    }

    @Test(arguments: [
        ("13", true), ("8", false), ("", false), ("13, 8", false), ("013", false), ("130", false),
    ])
    func `there is one version`(_ version: String, _ isSupported: Bool) {
        #expect(OpeningHandshake.isSupported(version: Array(version.utf8).span) == isSupported)
    }

    @Test(
        arguments: [
            (["chat"], 0, true), (["superchat, chat"], 0, true), (["other"], nil, true),
            (["chimera.json.v1,chat"], 1, true),
            (["other", " chat "], 0, true), (["Chat"], nil, true), (["chat", "chimera.json.v1"], 0, true),
            ([""], nil, false), (["a b"], nil, false), (["chat, {"], 0, false), ([","], nil, false),
            (["chatt"], nil, true),
        ] as [([String], Int?, Bool)])
    func `the first subprotocol of the client's that is spoken is chosen`(
        _ lines: [String], _ chosen: Int?, _ isWellFormed: Bool
    ) {
        var choice = SubprotocolChoice(["chat", "chimera.json.v1"])
        let taken = lines.map { choice.take(Array($0.utf8).span) }
        #expect(taken.allSatisfy { $0 } == isWellFormed)
        #expect(choice.chosen == chosen)
    }
}

/// RFC 6455 §9.1 and RFC 7692 §5 and §7.1.
@Suite struct `Negotiated compression` {
    private static let all = DeflatePolicy(server: DeflateDirection(), client: DeflateDirection())
    private static let small = DeflatePolicy(
        server: DeflateDirection(windowBits: 12), client: DeflateDirection(windowBits: 10))
    private static let none = DeflatePolicy()

    private func answer(_ lines: [String], _ policy: DeflatePolicy) -> (text: String, DeflateParameters?)? {
        var negotiation = DeflateNegotiation(policy)
        for line in lines { if !negotiation.take(Array(line.utf8).span) { return nil } }
        let text = written { negotiation.append(to: $0) }
        return (String(decoding: text, as: UTF8.self), negotiation.agreed)
    }

    @Test(
        arguments: [
            ("permessage-deflate", "permessage-deflate"),
            ("Permessage-Deflate", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=15"),
            (
                "permessage-deflate; client_max_window_bits=10",
                "permessage-deflate; client_max_window_bits=10"
            ),
            ("permessage-deflate;server_max_window_bits=10", "permessage-deflate; server_max_window_bits=10"),
            (
                "permessage-deflate; server_max_window_bits=\"10\"",
                "permessage-deflate; server_max_window_bits=10"
            ),
            ("permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=8"),
            (
                "permessage-deflate; server_no_context_takeover",
                "permessage-deflate; server_no_context_takeover"
            ),
            (
                "permessage-deflate; client_no_context_takeover",
                "permessage-deflate; client_no_context_takeover"
            ),
            (
                "permessage-deflate; client_max_window_bits; server_max_window_bits=15; server_no_context_takeover;"
                    + " client_no_context_takeover",
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover;"
                    + " server_max_window_bits=15; client_max_window_bits=15"
            ),
            // Fallbacks, §5.1.
            ("permessage-deflate; server_max_window_bits=7, permessage-deflate", "permessage-deflate"),
            (
                "x-webkit-deflate-frame, permessage-deflate; unknown=1, permessage-deflate; server_max_window_bits=9",
                "permessage-deflate; server_max_window_bits=9"
            ),
            (
                "permessage-deflate; server_no_context_takeover, permessage-deflate",
                "permessage-deflate; server_no_context_takeover"
            ),
            // Declined: unknown, repeated, and values that may not be.
            ("permessage-deflate; unknown", ""), ("permessage-deflate; server_no_context_takeover=1", ""),
            ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", ""),
            ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", ""),
            ("permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", ""),
            ("permessage-deflate; client_max_window_bits; client_max_window_bits=10", ""),
            ("permessage-deflate; server_max_window_bits", ""),
            ("permessage-deflate; server_max_window_bits=16", ""),
            ("permessage-deflate; server_max_window_bits=08", ""),
            ("permessage-deflate; server_max_window_bits=x", ""),
            ("permessage-deflate; client_max_window_bits=7", ""),
            ("permessage-deflate; client_max_window_bits=16", ""),
            ("permessage-deflate; client_max_window_bits=99999999999999999999", ""),
            ("permessage-bzip2", ""), ("foo; bar=baz", ""), ("foo; bar=\"a,b\"", nil),
        ] as [(String, String?)])
    func `the first offer that is usable is accepted as it was made`(_ offer: String, _ expected: String?) {
        let result = answer([offer], Self.all)
        #expect(result?.text == expected)
        #expect((result?.1 != nil) == (expected?.isEmpty == false))
    }

    @Test(arguments: [
        "", ",", ";", "permessage-deflate; =10", "permessage deflate", "permessage-deflate; a b", "a; b=c d",
        "permessage-deflate; server_max_window_bits = 10", "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"", "permessage-deflate; server_max_window_bits=\"\"",
        "permessage-deflate, {",
    ])
    func `what is no list of extensions is malformed`(_ line: String) {
        #expect(answer([line], Self.all) == nil)
    }

    @Test(arguments: [
        ("permessage-deflate", "permessage-deflate", 12, 15),
        (
            "permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=10", 12,
            10
        ),
        (
            "permessage-deflate; client_max_window_bits=9", "permessage-deflate; client_max_window_bits=9",
            12, 9
        ),
        (
            "permessage-deflate; server_max_window_bits=15; client_max_window_bits=15",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=10", 12, 10
        ),
        (
            "permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_max_window_bits=9", 9,
            15
        ),
    ])
    func `windows are as small as both sides want them`(
        _ offer: String, _ expected: String, _ server: Int, _ client: Int
    ) {
        let result = answer([offer], Self.small)
        #expect(result?.text == expected)
        #expect(result?.1?.server == DeflateDirection(windowBits: server))
        #expect(result?.1?.client == DeflateDirection(windowBits: client))
    }

    @Test func `a server may let nothing be kept, also unasked`() {
        let result = answer(["foo", "permessage-deflate; client_max_window_bits"], Self.none)
        #expect(
            result?.text
                == "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=15"
        )
        #expect(result?.1?.sent(by: .server).keepsContext == false)
        #expect(result?.1?.sent(by: .client).keepsContext == false)
    }

    private static func offer(_ change: (inout DeflateOffer) -> Void) -> DeflateOffer {
        var offer = DeflateOffer()
        change(&offer)
        return offer
    }

    private static let plain = offer { _ in }
    private static let full = offer {
        $0.serverForgets = true
        $0.serverWindowBits = 12
        $0.hasClientWindowBits = true
    }

    @Test(
        arguments: [
            (plain, ["permessage-deflate"], true), (plain, [], false), (nil, [], false),
            (plain, ["permessage-deflate; server_no_context_takeover; client_no_context_takeover"], true),
            (plain, ["permessage-deflate; server_max_window_bits=8"], true),
            (full, ["permessage-deflate; server_no_context_takeover; server_max_window_bits=12"], true),
            (
                full,
                [
                    "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=8"
                ], true
            ),
        ] as [(DeflateOffer?, [String], Bool)])
    func `an answer that the offer allows is accepted`(
        _ offer: DeflateOffer?, _ lines: [String], _ agrees: Bool
    ) {
        var acceptance = DeflateAcceptance(offer)
        for line in lines {
            let isAccepted = acceptance.take(Array(line.utf8).span)
            #expect(isAccepted)
        }
        #expect((acceptance.agreed != nil) == agrees)
    }

    @Test(
        arguments: [
            (nil, "permessage-deflate"), (plain, ""), (plain, "foo"),
            (plain, "permessage-deflate, permessage-deflate"),
            (plain, "permessage-deflate; client_max_window_bits=10"), (plain, "permessage-deflate; unknown"),
            (plain, "permessage-deflate; server_max_window_bits=16"),
            (plain, "permessage-deflate; server_max_window_bits"),
            (full, "permessage-deflate"), (full, "permessage-deflate; server_no_context_takeover"),
            (full, "permessage-deflate; server_max_window_bits=12"),
            (full, "permessage-deflate; server_no_context_takeover; server_max_window_bits=13"),
            (
                full,
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=12; client_max_window_bits"
            ),
        ] as [(DeflateOffer?, String)])
    func `an answer that the offer does not allow is refused`(_ offer: DeflateOffer?, _ line: String) {
        var acceptance = DeflateAcceptance(offer)
        let isAccepted = acceptance.take(Array(line.utf8).span)
        #expect(!isAccepted)
    }

    @Test func `client and server agree on the same`() {
        for policy in [Self.all, Self.small, Self.none] {
            for offer in [Self.plain, Self.full] {
                var negotiation = DeflateNegotiation(policy)
                let isList = negotiation.take(written { offer.append(to: $0) }.span)
                var acceptance = DeflateAcceptance(offer)
                let isAccepted = acceptance.take(written { negotiation.append(to: $0) }.span)
                #expect(isList && isAccepted)
                // A server need not tell that its window is smaller than it may be.
                #expect(acceptance.agreed?.client == negotiation.agreed?.client)
                #expect(acceptance.agreed?.server.keepsContext == negotiation.agreed?.server.keepsContext)
                let told = acceptance.agreed?.server.windowBits ?? 0
                #expect(told >= negotiation.agreed?.server.windowBits ?? 16)
            }
        }
    }
}
