import ChimeraTestSupport
import Testing

/// The ways in which a run of bytes is offered to a parser: whole, byte by byte, and in pieces of random size. A
/// parser must make the same of all of them.
enum Chunking {
    /// For each way, how many bytes are there at each call; the last is always all of them.
    static func ways(_ count: Int, seed: UInt64 = 1) -> [[Int]] {
        guard count > 0 else { return [[0]] }
        var generator = SeededGenerator(seed: seed)
        let pieces = (0..<6).map { way in random(count, atMost: [2, 3, 7, 16, 40, count][way], &generator) }
        return [[count], Array(1...count)] + pieces
    }

    private static func random(_ count: Int, atMost size: Int, _ generator: inout SeededGenerator) -> [Int] {
        var ends: [Int] = []
        var end = 0
        while end < count {
            end = min(count, end + Int.random(in: 1...max(1, size), using: &generator))
            ends.append(end)
        }
        return ends
    }

    /// What `parse` makes of `bytes` offered whole, after checking that every other way gives the same.
    static func same<Outcome: Equatable>(
        _ bytes: [UInt8], _ parse: ([UInt8], [Int]) -> Outcome,
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> Outcome {
        let ways = ways(bytes.count)
        let whole = parse(bytes, ways[0])
        for way in ways.dropFirst() {
            let outcome = parse(bytes, way)
            #expect(outcome == whole, "in pieces that end at \(way)", sourceLocation: sourceLocation)
            if outcome != whole { break }
        }
        return whole
    }
}

/// The bytes of a head: its lines, each ended by CRLF, and the empty line.
func wire(_ lines: String...) -> [UInt8] {
    Array((lines + ["", ""]).joined(separator: "\r\n").utf8)
}
