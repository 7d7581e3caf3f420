import ChimeraBytes
import ChimeraHTTP2
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

/// A block of RFC 7541 Appendix C, with what it means and the table behind it.
struct AppendixBlock: Sendable {
    var hex: String
    var lines: [String]
    /// Of the dynamic table, the newest first.
    var table: [String]
    var size: Int
}

private func decode(_ bytes: [UInt8], _ decoder: inout FieldDecoder, listBytesMax: Int = 1 << 20)
    -> Result<([String], BlockFacts), CompressionProblem>
{
    var sink = ListSink()
    do throws(CompressionProblem) {
        let facts = try decoder.decode(
            bytes.span, into: &sink, listBytesMax: listBytesMax, fieldsMax: 1000)
        return .success((sink.lines, facts))
    } catch {
        return .failure(error)
    }
}

private func problem(_ bytes: [UInt8]) -> CompressionProblem? {
    var decoder = FieldDecoder()
    guard case .failure(let problem) = decode(bytes, &decoder) else { return nil }
    return problem
}

private func table(_ decoder: borrowing FieldDecoder) -> [String] {
    (0..<decoder.tableFacts.count).map { age in
        guard let entry = decoder.tableEntry(age) else { return "" }
        return String(decoding: entry.name, as: UTF8.self) + ": "
            + String(decoding: entry.value, as: UTF8.self)
    }
}

@Suite struct `RFC 7541 Appendix C` {
    /// C.2: each kind of field.
    @Test(
        arguments: [
            AppendixBlock(
                hex: "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
                lines: ["custom-key: custom-header"], table: ["custom-key: custom-header"], size: 55),
            AppendixBlock(
                hex: "040c2f73616d706c652f70617468", lines: [":path: /sample/path"], table: [], size: 0),
            AppendixBlock(
                hex: "100870617373776f726406736563726574", lines: ["password: secret"], table: [], size: 0),
            AppendixBlock(hex: "82", lines: [":method: GET"], table: [], size: 0),
        ])
    func `a field of each kind is decoded`(_ example: AppendixBlock) throws {
        try check([example], tableBytesMax: 4096)
    }

    private static let requests = [
        [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
        [
            ":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com",
            "cache-control: no-cache",
        ],
        [
            ":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com",
            "custom-key: custom-value",
        ],
    ]
    private static let requestTables = [
        [":authority: www.example.com"], ["cache-control: no-cache", ":authority: www.example.com"],
        ["custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"],
    ]

    /// C.3 and C.4: requests, plain and Huffman-coded.
    @Test(
        arguments: [
            [
                "828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865",
                "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
            ],
            [
                "828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf",
                "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
            ],
        ])
    func `requests on one connection are decoded`(_ blocks: [String]) throws {
        try check(
            blocks.indices.map {
                AppendixBlock(
                    hex: blocks[$0], lines: Self.requests[$0], table: Self.requestTables[$0],
                    size: [57, 110, 164][$0])
            }, tableBytesMax: 4096)
    }

    private static let dates = ["Mon, 21 Oct 2013 20:13:21 GMT", "Mon, 21 Oct 2013 20:13:22 GMT"]
    private static let cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
    private static let responses = [
        [":status: 302", "cache-control: private", "date: \(dates[0])", "location: https://www.example.com"],
        [":status: 307", "cache-control: private", "date: \(dates[0])", "location: https://www.example.com"],
        [
            ":status: 200", "cache-control: private", "date: \(dates[1])",
            "location: https://www.example.com",
            "content-encoding: gzip", cookie,
        ],
    ]
    private static let responseTables = [
        ["location: https://www.example.com", "date: \(dates[0])", "cache-control: private", ":status: 302"],
        [":status: 307", "location: https://www.example.com", "date: \(dates[0])", "cache-control: private"],
        [cookie, "content-encoding: gzip", "date: \(dates[1])"],
    ]

    /// C.5 and C.6: responses with a table of 256 octets, from which entries are evicted.
    @Test(
        arguments: [
            [
                "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
                    + "6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
                "4803333037c1c0bf",
                "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f"
                    + "3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b20"
                    + "76657273696f6e3d31",
            ],
            [
                "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f"
                    + "0b97c8e9ae82ae43d3",
                "4883640effc1c0bf",
                "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335df"
                    + "dfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
            ],
        ])
    func `responses with evictions are decoded`(_ blocks: [String]) throws {
        try check(
            blocks.indices.map {
                AppendixBlock(
                    hex: blocks[$0], lines: Self.responses[$0], table: Self.responseTables[$0],
                    size: [222, 222, 215][$0])
            }, tableBytesMax: 256)
    }

    private func check(_ blocks: [AppendixBlock], tableBytesMax: Int) throws {
        var decoder = FieldDecoder(tableBytesMax: tableBytesMax)
        for block in blocks {
            guard case .success((let lines, let facts)) = decode(hex(block.hex), &decoder) else {
                Issue.record("\(block.hex) is refused")
                return
            }
            #expect(lines == block.lines)
            #expect(facts.fields == lines.count)
            #expect(facts.listBytes == lines.reduce(0) { $0 + $1.utf8.count - 2 + 32 })
            let (count, size) = decoder.tableFacts
            #expect(size == block.size)
            #expect(count == block.table.count)
            #expect(table(decoder) == block.table)
        }
    }
}

@Suite struct `Field blocks` {
    /// RFC 7541 §2.3.3: an index beyond both tables; §6.1: index 0.
    @Test(arguments: ["80", "be", "ff00", "7e0161", "0f2f0161", "c1"])
    func `an unknown index is refused`(_ block: String) {
        #expect(problem(hex(block)) == .indexUnknown)
    }

    /// RFC 7541 §5.1: integers beyond what an implementation takes are an error.
    @Test(arguments: [
        "ffffffffff7f", "ffffffffffff01", "7fffffffffffff", "3fffffffffff0f", "ff8080808080808000",
    ])
    func `an integer that is too large is refused`(_ block: String) {
        #expect(problem(hex(block)) == .integerTooLarge)
    }

    @Test(arguments: [
        "ff", "ff80", "40", "4001", "400161", "40016105", "0085f2b2", "400161857878", "3f", "7f",
    ])
    func `a block that ends within a field is refused`(_ block: String) {
        #expect(problem(hex(block)) == .cut)
    }

    /// RFC 7541 §5.2: EOS in a string, padding of a whole octet, padding that is not all ones.
    @Test(arguments: [
        "0084ffffffff00", "00821fff00", "00811800", "0085ffffffffff00", "00811900",
    ])
    func `a broken Huffman code is refused`(_ block: String) {
        #expect(problem(hex(block)) == .codeBroken)
    }

    /// RFC 7541 §4.2: a change of the table's size stands at the start; §6.3: within the limit.
    @Test(arguments: ["823fe11f", "3fe21f", "8220"])
    func `a change of the table's size is refused where it may not be`(_ block: String) {
        #expect(problem(hex(block)) == .resizeRefused)
    }

    @Test func `the table can be emptied and given its size again at the start of a block`() {
        var decoder = FieldDecoder()
        _ = decode(hex("4001610162"), &decoder)
        #expect(decoder.tableFacts.count == 1)
        _ = decode(hex("203fe11f"), &decoder)
        #expect(decoder.tableFacts.count == 0)
        _ = decode(hex("4001610162"), &decoder)
        #expect(table(decoder) == ["a: b"])
    }

    /// RFC 7541 §4.4: an entry larger than the table empties it, and is no error.
    @Test func `a field larger than the table empties it and is given on`() {
        var decoder = FieldDecoder(tableBytesMax: 64)
        _ = decode(hex("4001610162"), &decoder)
        let long = [UInt8(0x40), 1, 0x61, 40] + [UInt8](repeating: 0x78, count: 40)
        guard case .success((let lines, _)) = decode(long, &decoder) else {
            Issue.record("refused")
            return
        }
        #expect(lines == ["a: " + String(repeating: "x", count: 40)])
        #expect(decoder.tableFacts.count == 0)
    }

    /// RFC 7541 §4.4: the name of an entry that the insertion evicts.
    @Test func `a name is taken from an entry that goes for the new one`() {
        var decoder = FieldDecoder(tableBytesMax: 40)
        _ = decode(hex("4003616263017a"), &decoder)
        guard case .success((let lines, _)) = decode(hex("7e0479797979"), &decoder) else {
            Issue.record("refused")
            return
        }
        #expect(lines == ["abc: yyyy"])
        #expect(table(decoder) == ["abc: yyyy"])
    }

    /// RFC 9113 §6.5.2: each field counts its octets and 32; §10.5.1.
    @Test(arguments: [(33, true), (34, false), (35, false), (68, false)])
    func `a list beyond its bound is decoded and given to nobody`(_ bound: Int, _ isTooLarge: Bool) {
        var decoder = FieldDecoder()
        guard case .success((let lines, let facts)) = decode(hex("4001610162"), &decoder, listBytesMax: bound)
        else {
            Issue.record("refused")
            return
        }
        #expect(facts.isTooLarge == isTooLarge)
        #expect(lines.isEmpty == isTooLarge)
        #expect(table(decoder) == ["a: b"])
    }

    /// A block of 16 kB may name a field of 4 kB sixteen thousand times.
    @Test func `a bomb of indexed fields costs no more than its bound`() {
        var decoder = FieldDecoder()
        let value = [UInt8](repeating: 0x78, count: 3000)
        var bomb: [UInt8] = [0x40, 1, 0x61, 0x7F, 0xB9, 0x16] + value
        bomb += [UInt8](repeating: 0xBE, count: 16_000)
        var sink = ListSink()
        let facts = try? decoder.decode(bomb.span, into: &sink, listBytesMax: 32 * 1024, fieldsMax: 128)
        #expect(facts?.isTooLarge == true)
        #expect(facts?.fields == 16_001)
        #expect(sink.lines.count == 10)
        #expect(sink.block.byteCount < 40_000)
    }

    /// RFC 9113 §8.2.1: in names, and in values, wherever they come from.
    @Test(
        arguments: [
            ("A: b", false), ("a b: c", false), ("a\u{1}: c", false), ("aé: c", false), ("a: \u{0}", false),
            ("a: b\nc", false), ("a: b\rc", false), ("a:  b", false), ("a: b ", false), ("a: \tb", false),
            ("a: b\t", false), ("a: b\u{7F}", false), ("a: 1234567\u{1}9", false), ("a: é", true),
            ("a: b c", true),
            ("a: b\tc", true), ("a: ", true), ("accept: x", true), ("Accept: x", false), ("x_y: z", true),
        ])
    func `what may not stand in a message is told, and stays so in the table`(_ line: String, _ isValid: Bool)
    {
        var decoder = FieldDecoder()
        var literal = block([line])
        literal[0] = 0x40
        for bytes in [literal, [0xBE]] {
            var sink = ListSink()
            _ = try? decoder.decode(bytes.span, into: &sink, listBytesMax: 4096, fieldsMax: 10)
            #expect(sink.lines.count == 1)
            #expect(sink.isValid == isValid)
        }
    }

    @Test func `an empty name is malformed`() {
        var decoder = FieldDecoder()
        var sink = ListSink()
        _ = try? decoder.decode(hex("00000161").span, into: &sink, listBytesMax: 4096, fieldsMax: 10)
        #expect(!sink.isValid)
    }
}

@Suite struct `The Huffman code` {
    @Test func `every octet is coded and decoded`() {
        for octet in UInt8.min...UInt8.max {
            for count in 1...9 {
                let bytes = [UInt8](repeating: octet, count: count)
                #expect(decoded(encoded(bytes)) == bytes)
            }
        }
    }

    @Test(arguments: 0..<20)
    func `random octets are coded and decoded`(_ seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        for _ in 0..<50 {
            let bytes = (0..<Int.random(in: 0...200, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            let coded = encoded(bytes)
            #expect(coded.count == HuffmanCode.shared.encodedCount(bytes.span))
            #expect(decoded(coded) == bytes)
        }
    }

    /// What is accepted is what an encoder writes: no two codes of one text.
    @Test(arguments: 0..<20)
    func `what is decoded is coded the same again`(_ seed: Int) {
        var generator = SeededGenerator(seed: UInt64(1000 + seed))
        var accepted = 0
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 1...4, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            guard let text = decoded(bytes) else { continue }
            accepted += 1
            #expect(encoded(text) == bytes)
        }
        #expect(accepted > 0)
    }

    private func encoded(_ bytes: [UInt8]) -> [UInt8] {
        let count = HuffmanCode.shared.encodedCount(bytes.span)
        return [UInt8](unsafeUninitializedCapacity: count + 1) { room, written in
            written = HuffmanCode.shared.encode(bytes.span, to: room.baseAddress!)
        }
    }

    private func decoded(_ bytes: [UInt8]) -> [UInt8]? {
        let room = UnsafeMutablePointer<UInt8>.allocate(capacity: HuffmanCode.decodedMax(bytes.count))
        defer { room.deallocate() }
        return HuffmanCode.shared.decode(bytes.span, to: room).map {
            Array(UnsafeBufferPointer(start: room, count: $0))
        }
    }
}
