import ChimeraBytes
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

@Suite struct `Byte ranges` {
    @Test(
        arguments: [
            ("bytes=0-499", .single(0..<500)),
            ("Bytes=500-999", .single(500..<1000)),
            ("bytes=-500", .single(500..<1000)),
            ("bytes=500-", .single(500..<1000)),
            ("bytes=0-", .single(0..<1000)),
            ("bytes=0-0,-1", .several([0..<1, 999..<1000])),
            ("bytes= 0-0 ,, 2-2 ,", .several([0..<1, 2..<3])),
            ("bytes=2-2,0-0", .several([2..<3, 0..<1])),
            ("bytes=-2000", .single(0..<1000)),
            ("bytes=999-5000", .single(999..<1000)),
            ("bytes=0-99999999999999999999999", .single(0..<1000)),
            ("bytes=-99999999999999999999999", .single(0..<1000)),
            ("bytes=1000-", .unsatisfiable),
            ("bytes=99999999999999999999999-", .unsatisfiable),
            ("bytes=-0", .unsatisfiable),
            ("bytes=1000-,5-6", .single(5..<7)),
            ("bytes=5-6,1000-,8-9", .several([5..<7, 8..<10])),
            // Overlapping and touching ones become one.
            ("bytes=0-10,5-20", .single(0..<21)),
            ("bytes=0-9,10-19", .single(0..<20)),
            ("bytes=0-9,11-19", .several([0..<10, 11..<20])),
            ("bytes=0-9,20-29,100-,5-25", .several([0..<30, 100..<1000])),
            ("bytes=100-109,0-9,5-105", .single(0..<110)),
            ("bytes=0-,0-,0-,0-", .single(0..<1000)),
            // Not ours, or malformed
            ("items=0-5", .ignored), ("bytes 0-5", .ignored), ("bytes=", .ignored), ("bytes=,", .ignored),
            ("", .ignored),
            ("bytes=5-4", .ignored), ("bytes=-", .ignored), ("bytes=a-5", .ignored), ("bytes=5-b", .ignored),
            ("bytes=0-5;6-7", .ignored), ("bytes=0 -5", .ignored), ("bytes=0-5,x", .ignored),
            ("bytes=--5", .ignored),
            ("bytes=+0-5", .ignored), ("bytes=0x0-5", .ignored), ("bytes=1000-,7-5", .ignored),
            ("bytes=5", .ignored),
        ] as [(String, ByteRanges)])
    func `a range is single, several, unsatisfiable or ignored`(_ value: String, _ ranges: ByteRanges) {
        let bytes = Array(value.utf8)
        #expect(ByteRanges(bytes.span, length: 1000) == ranges)
    }

    @Test(
        arguments: [("bytes=0-", .unsatisfiable), ("bytes=-5", .ignored), ("bytes=-0", .unsatisfiable)]
            as [(String, ByteRanges)])
    func `nothing has no ranges`(_ value: String, _ ranges: ByteRanges) {
        let bytes = Array(value.utf8)
        #expect(ByteRanges(bytes.span, length: 0) == ranges)
    }

    @Test(arguments: [(0, false), (1, true), (15, true), (16, true), (17, false)])
    func `more ranges than the limit are ignored`(_ count: Int, _ isServed: Bool) {
        let bytes = Array(("bytes=" + (0..<count).map { "\($0 * 2)-\($0 * 2)" }.joined(separator: ",")).utf8)
        #expect((ByteRanges(bytes.span, length: 1000) != .ignored) == isServed)
    }

    @Test func `the greatest length there is does not overflow`() {
        let bytes = Array("bytes=0-,-1,18446744073709551614-18446744073709551615".utf8)
        #expect(ByteRanges(bytes.span, length: .max) == .single(0..<UInt64.max))
    }

    @Test func `ranges are disjoint and within the length, whatever is asked`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<5_000 {
            let specs = (0..<Int.random(in: 1...8, using: &generator)).map { _ in
                let first = Int.random(in: 0...60, using: &generator)
                switch Int.random(in: 0...3, using: &generator) {
                case 0: return "-\(first)"
                case 1: return "\(first)-"
                default: return "\(first)-\(first + Int.random(in: 0...12, using: &generator))"
                }
            }
            let bytes = Array("bytes=\(specs.joined(separator: ","))".utf8)
            let wanted = covered(by: specs, length: 50)
            let comment: Comment = "seed \(seed), \(specs)"
            switch ByteRanges(bytes.span, length: 50) {
            case .ignored: Issue.record(comment)
            case .unsatisfiable: #expect(wanted.isEmpty, comment)
            case .single(let range): #expect(Set(range) == wanted, comment)
            case .several(let ranges):
                #expect(Set(ranges.joined()) == wanted, comment)
                #expect(ranges.map(\.count).reduce(0, +) == wanted.count && ranges.count > 1, comment)
                #expect(
                    ranges.allSatisfy { range in !ranges.contains { $0.upperBound == range.lowerBound } },
                    comment)
            }
        }
    }

    /// Octet by octet.
    private func covered(by specs: [String], length: Int) -> Set<UInt64> {
        var octets: Set<UInt64> = []
        for spec in specs {
            let parts = spec.split(separator: "-", omittingEmptySubsequences: false)
            for index in 0..<length {
                let isIn =
                    parts[0].isEmpty
                    ? index >= length - Int(parts[1])!
                    : index >= Int(parts[0])! && index <= Int(parts[1]) ?? length
                if isIn { octets.insert(UInt64(index)) }
            }
        }
        return octets
    }

    @Test func `no octets trap the parser`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<20_000 {
            let bytes = Array("bytes=".utf8) + generator.bytes(upTo: 40, from: "0123456789--,, ")
            let length =
                UInt64.random(in: 0...UInt64.max, using: &generator)
                >> Int.random(in: 0..<64, using: &generator)
            if case .single(let range) = ByteRanges(bytes.span, length: length) {
                #expect(range.upperBound <= length && !range.isEmpty, "seed \(seed)")
            }
        }
    }

    @Test(
        arguments: [
            (0..<500, 1234, "bytes 0-499/1234"), (999..<1000, 1000, "bytes 999-999/1000"),
            (nil, 1234, "bytes */1234"),
            (nil, 0, "bytes */0"),
            (0..<UInt64.max, .max, "bytes 0-18446744073709551614/18446744073709551615"),
        ] as [(Range<UInt64>?, UInt64, String)])
    func `Content-Range is written`(_ range: Range<UInt64>?, _ length: UInt64, _ text: String) {
        var output: [UInt8] = []
        output.append(addingCapacity: 70) { _ = $0.append(contentRange: range, of: length) }
        #expect(output == Array(text.utf8))
    }

    @Test(arguments: [(20, false), (21, true)])
    func `Content-Range says whether it fitted`(_ room: Int, _ fits: Bool) {
        let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: room)
        defer { buffer.deallocate() }
        var output = OutputSpan(buffer: buffer, initializedCount: 0)
        let isWhole = output.append(contentRange: 100..<200, of: 1_000_000)
        let count = output.finalize(for: buffer)
        #expect(isWhole == fits)
        #expect(Array("bytes 100-199/1000000".utf8).starts(with: buffer.prefix(count)))
    }
}
