import ChimeraBytes
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

@Suite struct `Forwarded addresses` {
    /// Addresses that begin with `10.` or `fd` are trusted; one that holds anything but hex digits, dots and
    /// colons is none.
    private static func isTrusted(_ address: Span<UInt8>) -> Bool? {
        for index in 0..<address.count {
            let byte = address[index]
            guard byte.hexValue != nil || byte == UInt8(ascii: ".") || byte == UInt8(ascii: ":") else {
                return nil
            }
        }
        return address.starts(with: "10.") || address.starts(with: "fd")
    }

    @Test(
        arguments: [
            (["192.0.2.1"], "192.0.2.1"),
            (["192.0.2.1, 10.0.0.1"], "192.0.2.1"),
            (["192.0.2.9, 192.0.2.1, 10.0.0.1, 10.0.0.2"], "192.0.2.1"),
            (["10.0.0.3, 10.0.0.1"], "10.0.0.3"),
            (["192.0.2.1:4711"], "192.0.2.1"),
            (["2001:db8::1"], "2001:db8::1"),
            (["[2001:db8::1]:80, fd00::1"], "2001:db8::1"),
            (["192.0.2.9", "192.0.2.1", "10.0.0.1"], "192.0.2.1"),
            (["192.0.2.9, evil", "10.0.0.1"], "10.0.0.1"),
            (["192.0.2.9, unknown"], nil),
            (["10.0.0.2, unknown, 10.0.0.1"], "10.0.0.1"),
            ([" , "], nil), ([], nil), (["[::1"], nil), (["[::1]x"], nil), ([":80"], nil),
        ] as [([String], String?)])
    func `the client is the last whom no trusted proxy vouches for`(_ lines: [String], _ client: String?) {
        var walk = ForwardedFor()
        for (index, line) in lines.enumerated() {
            let bytes = Array(line.utf8)
            walk.add(bytes.span, line: index, isTrusted: Self.isTrusted)
        }
        #expect(address(walk, lines) == client)
    }

    private func address(_ walk: ForwardedFor, _ lines: [String]) -> String? {
        walk.client.map { String(decoding: Array(lines[$0.line].utf8)[$0.range], as: UTF8.self) }
    }

    @Test func `walking from the right gives the same`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let choice = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "192.0.2.1", "192.0.2.2", "x"]
        for _ in 0..<3_000 {
            let hops = (0..<Int.random(in: 0...6, using: &generator)).map { _ in
                choice.randomElement(using: &generator)!
            }
            var expected: String?
            for hop in hops.reversed() {
                if hop == "x" { break }
                expected = hop
                if !hop.hasPrefix("10.") { break }
            }
            let line = hops.joined(separator: ", ")
            let bytes = Array(line.utf8)
            var walk = ForwardedFor()
            walk.add(bytes.span, line: 0, isTrusted: Self.isTrusted)
            #expect(address(walk, [line]) == expected, "seed \(seed), \(line)")
        }
    }

    @Test func `no octets trap the parsers`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<10_000 {
            let bytes = generator.bytes(upTo: 30, from: #"unknown"[]::1,;\10. "#)
            var walk = ForwardedFor()
            walk.add(bytes.span, line: 1, isTrusted: Self.isTrusted)
            let isInside = walk.client.map { $0.range.upperBound <= bytes.count && !$0.range.isEmpty } ?? true
            #expect(isInside, "seed \(seed), \(bytes)")
        }
    }
}
