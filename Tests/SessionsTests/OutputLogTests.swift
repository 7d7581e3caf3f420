import ChimeraTestSupport
import Testing

@testable import ChimeraSessions

@Suite struct OutputLogTests {
    private func append(_ text: String, _ stream: TaggedStreams.Stream = .stdout, to log: inout OutputLog) {
        Array(text.utf8).withUnsafeBytes { log.append(stream, $0) }
    }

    /// What is kept from a position on, with its streams.
    private func content(of log: OutputLog, from start: Int64? = nil) -> [String] {
        var position = start ?? log.start
        var found: [String] = []
        while let piece = log.piece(at: position) {
            var room = [UInt8](repeating: 0, count: piece.count)
            room.withUnsafeMutableBytes { log.copy(from: position, into: $0) }
            found.append((piece.stream == .stdout ? "out:" : "err:") + String(decoding: room, as: UTF8.self))
            position += Int64(piece.count)
        }
        return found
    }

    @Test func `what was written is read in its order, with its stream`() {
        var log = OutputLog(capacity: 100)
        append("one", to: &log)
        append("two", to: &log)
        append("bad", .stderr, to: &log)
        append("three", to: &log)
        #expect(content(of: log) == ["out:onetwo", "err:bad", "out:three"])
        #expect(content(of: log, from: 4) == ["out:wo", "err:bad", "out:three"])
        #expect(log.start == 0 && log.end == 14 && log.piece(at: 14) == nil)
    }

    @Test func `the oldest gives way, and positions stay`() {
        var log = OutputLog(capacity: 5)
        append("abc", to: &log)
        append("de", .stderr, to: &log)
        append("fg", to: &log)
        #expect(log.start == 2 && log.end == 7)
        #expect(content(of: log) == ["out:c", "err:de", "out:fg"])
        append("0123456789", to: &log)
        #expect(log.start == 12 && content(of: log) == ["out:56789"])
    }

    @Test func `it agrees with a plain record of the same, whatever comes`() {
        var random = SeededGenerator(seed: 5)
        for _ in 0..<50 {
            let capacity = Int.random(in: 1...5000, using: &random)
            var log = OutputLog(capacity: capacity)
            var all: [(TaggedStreams.Stream, UInt8)] = []
            for _ in 0..<100 {
                let stream = Bool.random(using: &random) ? TaggedStreams.Stream.stdout : .stderr
                let bytes = (0..<Int.random(in: 0...capacity, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                bytes.withUnsafeBytes { log.append(stream, $0) }
                all += bytes.map { (stream, $0) }
                #expect(log.end == Int64(all.count) && log.count == min(capacity, all.count))
            }
            var position = log.start
            while let piece = log.piece(at: position) {
                var room = [UInt8](repeating: 0, count: piece.count)
                room.withUnsafeMutableBytes { log.copy(from: position, into: $0) }
                let expected = all[Int(position)..<(Int(position) + piece.count)]
                #expect(expected.allSatisfy { $0.0 == piece.stream } && expected.map(\.1) == room)
                position += Int64(piece.count)
            }
            #expect(position == log.end)
            #expect(content(of: log) == OutputLog(log.encoded, capacity: capacity).map { content(of: $0) })
        }
    }

    @Test func `it goes to another process as it is, and what is none is refused`() {
        var log = OutputLog(capacity: 8, from: 1 << 42)
        append("abcd", to: &log)
        append("efghij", .stderr, to: &log)
        let encoded = log.encoded
        let copy = OutputLog(encoded, capacity: 8)
        #expect(copy?.start == log.start && copy?.end == log.end)
        #expect(OutputLog(encoded, capacity: 7) == nil)
        for length in 0..<encoded.count { #expect(OutputLog(Array(encoded[..<length]), capacity: 8) == nil) }
        #expect(OutputLog(encoded + [0], capacity: 8) == nil)
        #expect(OutputLog(OutputLog(capacity: 4, from: 7).encoded, capacity: 4)?.end == 7)
    }

    @Test func `a character that is cut is passed over`() {
        var log = OutputLog(capacity: 4)
        append("grüße", to: &log)
        #expect(log.start == 3)
        #expect(log.wholeCharacter(from: log.start) == 4 && log.wholeCharacter(from: 4) == 4)
        #expect(log.wholeCharacter(from: log.end) == log.end)
    }
}

@Suite struct ResumeClaimTests {
    private let token = String(repeating: "0123456789abcdef", count: 2) + "01234567"

    private func claim(_ text: String) -> ResumeClaim? { ResumeClaim(Array(text.utf8).span) }

    @Test func `a token is told with a position or without`() {
        #expect(claim(token) == ResumeClaim(token: token))
        #expect(claim(token + ".17") == ResumeClaim(token: token, position: 17))
        let subprotocol = Array("chimera.resume.\(token).0".utf8)
        #expect(ResumeClaim(subprotocol: subprotocol.span) == ResumeClaim(token: token, position: 0))
        #expect(ResumeClaim(subprotocol: Array("chimera.json.v1".utf8).span) == nil)
    }

    @Test(arguments: ["", "0", ".", "x", "-1", "1x", "99999999999999999"])
    func `what is no position makes no claim`(_ text: String) {
        #expect(claim(token + "." + text) == nil || Int64(text) == claim(token + "." + text)?.position)
        #expect(claim(String(token.dropLast())) == nil)
        #expect(claim(token.uppercased()) == nil)
    }

    @Test func `no token is like another`() {
        let tokens = Set((0..<1000).map { _ in ResumeClaim.makeToken() })
        #expect(tokens.count == 1000)
        #expect(tokens.allSatisfy { claim($0)?.token == $0 })
    }
}
