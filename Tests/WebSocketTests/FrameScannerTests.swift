import ChimeraTestSupport
import ChimeraWebSocket
import Testing

private let key: [UInt8] = [1, 2, 3, 4]

/// What a tunnel needs to know of the frames that pass through it.
@Suite struct `Frame scanners` {
    private static func stream(_ role: Role) -> (bytes: [UInt8], boundaries: Set<Int>) {
        var (bytes, boundaries): ([UInt8], Set<Int>) = ([], [0])
        let frames: [(UInt8, Int, Bool)] = [
            (1, 5, true), (1, 0, false), (9, 0, true), (0, 3, false), (10, 125, true), (0, 126, true),
            (2, 70_000, true), (2, 300, true), (1, 125, true), (2, 65_535, true), (2, 65_536, true),
            (1, 0, true),
        ]
        for (opcode, length, final) in frames {
            bytes += frame(opcode, length, final: final, key: role == .client ? key : nil)
            boundaries.insert(bytes.count)
        }
        return (bytes, boundaries)
    }

    @Test(arguments: Role.allCases)
    func `after each octet it knows whether a frame is over`(_ role: Role) {
        let (bytes, boundaries) = Self.stream(role)
        var scanner = FrameScanner(role)
        var wrong: [Int] = scanner.mayBeJoined ? [] : [0]
        for (index, octet) in bytes.enumerated() {
            scanner.follow([octet].span)
            if scanner.mayBeJoined != boundaries.contains(index + 1) { wrong.append(index + 1) }
        }
        #expect(wrong == [])
        #expect(!scanner.isOff && !scanner.hasClosed)
    }

    @Test(arguments: Role.allCases)
    func `a cut anywhere changes nothing`(_ role: Role) {
        // Without the long frames, of which each octet is like the last.
        let closing = frame(8, 2, key: role == .client ? key : nil)
        let bytes =
            frame(1, 5, key: role == .client ? key : nil)
            + header(2, 300, key: role == .client ? key : nil) + Array(repeating: 7, count: 300)
            + header(2, 65_536, key: role == .client ? key : nil) + Array(repeating: 7, count: 65_536)
            + closing
        let whole = ScannerFacts(role, [bytes])
        #expect(whole.hasClosed && whole.isAtBoundary)
        let cuts = Array(0...340) + Array((bytes.count - 40)...bytes.count)
        for cut in cuts {
            #expect(
                ScannerFacts(role, [Array(bytes[..<cut]), Array(bytes[cut...])]) == whole, "cut at \(cut)")
        }
    }

    @Test(arguments: Role.allCases, 0..<20)
    func `random splits change nothing`(_ role: Role, _ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let (bytes, boundaries) = Self.stream(role)
        var scanner = FrameScanner(role)
        var position = 0
        while position < bytes.count {
            let end = min(
                bytes.count,
                position + Int.random(in: 1...[3, 20, 5000].randomElement(using: &random)!, using: &random))
            scanner.follow(bytes.span.extracting(position..<end))
            position = end
            #expect(scanner.mayBeJoined == boundaries.contains(position), "at \(position), seed \(seed)")
        }
    }

    @Test(arguments: Role.allCases)
    func `nothing may follow a close frame`(_ role: Role) {
        let mask = role == .client ? key : nil
        #expect(ScannerFacts(role, [frame(1, 5, key: mask)]).mayBeJoined)
        let closed = ScannerFacts(role, [frame(1, 5, key: mask) + frame(8, 0, key: mask)])
        #expect(closed.hasClosed && closed.isAtBoundary && !closed.mayBeJoined)
        let more = ScannerFacts(role, [frame(8, 2, key: mask) + frame(1, 5, key: mask)])
        #expect(more.hasClosed && !more.mayBeJoined)
        // The payload of one is no Close, whatever it holds.
        #expect(!ScannerFacts(role, [frame(2, 500, key: mask)]).hasClosed)
    }

    @Test(arguments: Role.allCases)
    func `a fragment is a frame, and a control frame may stand behind it`(_ role: Role) {
        let mask = role == .client ? key : nil
        #expect(ScannerFacts(role, [frame(1, 5, final: false, key: mask)]).mayBeJoined)
        #expect(!ScannerFacts(role, [frame(1, 5, final: false, key: mask).dropLast()]).mayBeJoined)
    }

    @Test(arguments: Role.allCases)
    func `what is no WebSocket turns it off for good`(_ role: Role) {
        let mask = role == .client ? key : nil
        let facts = ScannerFacts(role, [Array("HTTP/1.1 200 OK".utf8), frame(1, 5, key: mask)])
        #expect(facts.isOff && !facts.isAtBoundary && !facts.mayBeJoined)
        let other: Role = role == .client ? .server : .client
        #expect(ScannerFacts(other, [frame(1, 5, key: mask)]).isOff)
    }

    @Test func `the longest payload is followed`() {
        var scanner = FrameScanner(.server)
        scanner.follow(header(2, Int.max).span)
        for _ in 0..<10 { scanner.follow(Array(repeating: 0xFF, count: 100_000).span) }
        #expect(!scanner.isAtBoundary && !scanner.isOff)
    }
}
