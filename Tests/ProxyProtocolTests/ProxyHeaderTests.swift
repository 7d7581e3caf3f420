import ChimeraBytes
import ChimeraProxyProtocol
import Testing

private func read(_ bytes: [UInt8]) -> ProxyHeader.Reading { ProxyHeader.read(bytes.span) }

private func read(_ text: String) -> ProxyHeader.Reading { read(Array(text.utf8)) }

private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

/// PROXY protocol §2.1.
@Suite struct `PROXY headers of version 1` {
    @Test(arguments: [
        ("PROXY TCP4 192.0.2.1 198.51.100.1 50000 443\r\n", "192.0.2.1", 50000),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", 65535),
        ("PROXY TCP6 2001:db8::1 ::1 0 1\r\n", "2001:db8::1", 0),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 7 1\r\n", "192.0.2.1", 7),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                + "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535
        ),
    ])
    func `a line names the client`(_ line: String, _ client: String, _ port: UInt16) throws {
        let expected = ProxyHeader(source: .ip(try address(client), port: port), octets: line.utf8.count)
        #expect(read(line) == .complete(expected))
        #expect(read(line + "GET / HTTP/1.1\r\n") == .complete(expected))
        for end in 0..<line.utf8.count {
            #expect(read(Array(line.utf8.prefix(end))) == .incomplete, "cut at \(end)")
        }
    }

    @Test(arguments: [
        "PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "PROXY UNKNOWN what ever\r\n",
    ])
    func `an unknown client is the peer, whatever follows`(_ line: String) {
        #expect(read(line) == .complete(ProxyHeader(source: .peer, octets: line.utf8.count)))
    }

    @Test(arguments: [
        "PROXY TCP4 192.0.2.1 198.51.100.1 50000 443\n", "PROXY TCP4 192.0.2.1 198.51.100.1 50000\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 50000 443 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 50000 443 x\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.1 50000 443\r\n", "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 050 443\r\n", "PROXY TCP4 192.0.2.1 198.51.100.1 -1 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n", "PROXY TCP4 192.0.2.1 198.51.100.1  443\r\n",
        "PROXY TCP4 2001:db8::1 ::1 1 2\r\n", "PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n", "PROXY TCP4 192.0.2.1 198.51.100 1 2\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n", "PROXY \r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY TCP4\r\n", "PROXY unknown\r\n", "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOWN " + String(repeating: "x", count: 100),
    ])
    func `a line that is otherwise is broken`(_ line: String) { #expect(read(line) == .malformed(.line)) }

    @Test(arguments: ["GET / HTTP/1.1\r\n", "PROX\r", "PROXY\r\n", "P R", "\u{0}", "proxy TCP4 "])
    func `what begins otherwise has no header`(_ bytes: String) {
        #expect(read(bytes) == .malformed(.missing))
    }
}

/// PROXY protocol §2.2.
@Suite struct `PROXY headers of version 2` {
    private func header(
        _ kind: UInt8, _ rest: [UInt8], version: UInt8 = 0x21, length: Int? = nil
    ) -> [UInt8] {
        let length = length ?? rest.count
        return [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A, version, kind]
            + [UInt8(length >> 8), UInt8(length & 0xFF)] + rest
    }

    private let v4: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 1, 0xC3, 0x50, 0x01, 0xBB]
    private let v6: [UInt8] =
        [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]
        + [UInt8](repeating: 0, count: 15) + [1, 0xC3, 0x50, 0x01, 0xBB]

    @Test func `addresses of either family, and what follows them`() throws {
        let more: [UInt8] = [0x04, 0, 2, 0, 0, 0xE1, 0, 0]
        for (kind, rest, client) in [
            (0x11, v4, "192.0.2.1"), (0x21, v6, "2001:db8::1"), (0x12, v4, "192.0.2.1"),
        ] {
            for bytes in [header(UInt8(kind), rest), header(UInt8(kind), rest + more)] {
                let source = ProxyHeader.Source.ip(try address(client), port: 50000)
                #expect(read(bytes) == .complete(ProxyHeader(source: source, octets: bytes.count)))
                #expect(read(bytes + [1, 2]) == .complete(ProxyHeader(source: source, octets: bytes.count)))
                for end in 0..<bytes.count { #expect(read(Array(bytes.prefix(end))) == .incomplete) }
            }
        }
    }

    @Test func `a mapped address is one of IPv4`() throws {
        let mapped = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 192, 0, 2, 1]
        let bytes = header(0x21, mapped + mapped + [0, 1, 0, 2])
        let source = ProxyHeader.Source.ip(try address("192.0.2.1"), port: 1)
        #expect(read(bytes) == .complete(ProxyHeader(source: source, octets: bytes.count)))
    }

    @Test func `a Unix socket's client has no address`() {
        let bytes = header(0x31, [UInt8](repeating: 0, count: 216))
        #expect(read(bytes) == .complete(ProxyHeader(source: .unix, octets: 232)))
    }

    @Test func `the proxy's own connections, and those of which it says nothing, are the peer's`() {
        #expect(read(header(0x11, v4, version: 0x20)) == .complete(ProxyHeader(source: .peer, octets: 28)))
        #expect(
            read(header(0xFF, [1, 2, 3], version: 0x20)) == .complete(ProxyHeader(source: .peer, octets: 19)))
        #expect(read(header(0x10, v4)) == .complete(ProxyHeader(source: .peer, octets: 28)))
        #expect(read(header(0, v4)) == .complete(ProxyHeader(source: .peer, octets: 28)))
        #expect(read(header(0, [], version: 0x21)) == .complete(ProxyHeader(source: .peer, octets: 16)))
        #expect(
            read(header(0x01, [4, 0, 0], version: 0x21)) == .complete(ProxyHeader(source: .peer, octets: 19)))
    }

    @Test func `a checksum has to be right`() throws {
        var bytes = header(0x11, v4 + [0x03, 0, 4, 0, 0, 0, 0])
        #expect(read(bytes) == .malformed(.checksum))
        let sum = slowSum(bytes)
        for index in 0..<4 { bytes[31 + index] = UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * index)) }
        let source = ProxyHeader.Source.ip(try address("192.0.2.1"), port: 50000)
        #expect(read(bytes) == .complete(ProxyHeader(source: source, octets: 35)))
        bytes[16] ^= 1
        #expect(read(bytes) == .malformed(.checksum))
        #expect(read(header(0x11, v4 + [0x03, 0, 2, 0, 0])) == .malformed(.checksum))
    }

    /// By polynomial division of the reflected bits.
    private func slowSum(_ bytes: [UInt8]) -> UInt32 {
        var bits: [Bool] = bytes.flatMap { byte in (0..<8).map { (byte >> UInt8($0)) & 1 == 1 } }
        for index in 0..<32 { bits[index].toggle() }
        bits += [Bool](repeating: false, count: 32)
        let polynomial = (0..<32).map { (0x1EDC_6F41 as UInt32) >> UInt32(31 - $0) & 1 == 1 }
        for index in 0..<bits.count - 32 where bits[index] {
            for place in 0..<32 where polynomial[place] { bits[index + 1 + place].toggle() }
        }
        return ~bits.suffix(32).enumerated().reduce(0 as UInt32) { sum, bit in
            bit.element ? sum | 1 << UInt32(bit.offset) : sum
        }
    }

    @Test func `what says otherwise is broken`() {
        for (bytes, fault) in [
            (header(0x11, v4, version: 0x11), ProxyHeader.Fault.command),
            (header(0x11, v4, version: 0x22), .command),
            (header(0x11, v4, version: 0x2F), .command), (header(0x11, Array(v4.dropLast())), .length),
            (header(0x21, v4), .length), (header(0x31, v6), .length), (header(0x41, v6), .length),
            (header(0x13, v4), .length), (header(0x11, v4 + [4]), .length),
            (header(0x11, v4 + [4, 0, 1]), .length),
            (header(0x11, v4, length: 4081), .tooLong),
            (header(0, [], version: 0x20, length: 65535), .tooLong),
        ] { #expect(read(bytes) == .malformed(fault), "\(bytes)") }
        var other = header(0x11, v4)
        other[11] = 0x0B
        #expect(read(other) == .malformed(.missing))
        let longest = header(0, [UInt8](repeating: 0, count: 4080), version: 0x20)
        #expect(read(longest) == .complete(ProxyHeader(source: .peer, octets: ProxyHeader.octetsMax)))
    }
}
