import ChimeraBytes
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

@Suite struct `Host and port` {
    /// authority, host in small letters, port, kind
    @Test(
        arguments: [
            ("example.com", "example.com", nil, .name),
            ("Example.COM:8080", "example.com", 8080, .name),
            ("example.com.", "example.com", nil, .name),
            ("EXAMPLE.com.:443", "example.com", 443, .name),
            ("localhost:", "localhost", nil, .name),
            ("a_b-c~d!$&'()*+;=", "a_b-c~d!$&'()*+;=", nil, .name),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", nil, .name),
            ("127.0.0.1:0", "127.0.0.1", 0, .name),
            ("127.0.0.1.", "127.0.0.1", nil, .name),
            ("1.2.3.256", "1.2.3.256", nil, .name),
            ("1.2.3.04", "1.2.3.04", nil, .name),
            ("[::1]", "[::1]", nil, .ipv6),
            ("[2001:DB8::A]:65535", "[2001:db8::a]", 65535, .ipv6),
            ("[::ffff:192.0.2.1]:", "[::ffff:192.0.2.1]", nil, .ipv6),
            ("[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:8]", nil, .ipv6),
            ("[1:2:3:4:5:6:7::]", "[1:2:3:4:5:6:7::]", nil, .ipv6),
        ] as [(String, String, UInt16?, Authority.Kind)])
    func `a host is found without port and final dot`(
        _ text: String, _ host: String, _ port: UInt16?, _ kind: Authority.Kind
    ) throws {
        let bytes = Array(text.utf8)
        let authority = try Authority(bytes.span)
        #expect(String(decoding: bytes[authority.host], as: UTF8.self).lowercased() == host)
        #expect(authority.port == port)
        #expect(authority.kind == kind)
    }

    @Test(
        arguments: [
            ("", .empty), (":80", .empty), (".", .invalidName), ("a..b", .invalidName), (".a", .invalidName),
            ("a..", .invalidName), ("a b", .invalidName), ("a,b", .invalidName), ("a/b", .invalidName),
            ("a%41", .invalidName),
            ("a\u{0}", .invalidName), ("bücher.example", .invalidName), ("a\"", .invalidName),
            ("a\\b", .invalidName),
            ("a?b", .invalidName), ("a#b", .invalidName), (" a", .invalidName), ("a\t", .invalidName),
            ("a]", .invalidName),
            ("user@host", .userInformation), ("user:pass@host", .userInformation), ("@", .userInformation),
            ("a:b", .invalidPort), ("a:65536", .invalidPort), ("a:80:80", .invalidPort),
            ("a:-1", .invalidPort),
            ("a: 80", .invalidPort), ("a:+80", .invalidPort), ("[::1]80", .invalidPort),
            ("[::1]:x", .invalidPort),
            ("[::1].:80", .invalidPort),
            ("::1", .empty), ("[::1", .invalidLiteral), ("[]", .invalidLiteral), ("[", .invalidLiteral),
            ("[1.2.3.4]", .invalidLiteral), ("[v1.x]", .invalidLiteral),
            ("[fe80::1%25eth0]", .invalidLiteral),
            ("[1:2:3:4:5:6:7]", .invalidLiteral), ("[1:2:3:4:5:6:7:8:9]", .invalidLiteral),
            ("[::1::]", .invalidLiteral),
            ("[:::1]", .invalidLiteral), ("[1:2:3:4:5:6:7:8::]", .invalidLiteral),
            ("[12345::]", .invalidLiteral),
            ("[::1:]", .invalidLiteral), ("[:1]", .invalidLiteral), ("[::1.2.3]", .invalidLiteral),
            ("[::g]", .invalidLiteral),
            ("[1.2.3.4::]", .invalidLiteral),
        ] as [(String, Authority.Refusal)])
    func `what two could read differently is refused`(_ text: String, _ refusal: Authority.Refusal) {
        let bytes = Array(text.utf8)
        #expect(throws: refusal) { try Authority(bytes.span) }
    }

    @Test(arguments: [(252, true), (253, true), (254, false)])
    func `a name has at most 253 octets`(_ count: Int, _ isValid: Bool) {
        let bytes = [UInt8](repeating: UInt8(ascii: "a"), count: count)
        let authority = try? Authority(bytes.span)
        #expect((authority != nil) == isValid)
    }

    @Test func `no octets trap the parser`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<30_000 {
            let bytes = generator.bytes(upTo: 24, from: "[]::..1aF09@,")
            guard let authority = try? Authority(bytes.span) else { continue }
            let host = Array(bytes[authority.host])
            let again = try? Authority(host.span)
            #expect(again?.host == 0..<host.count, "seed \(seed), \(bytes)")
        }
    }
}
