import ChimeraBytes
import ChimeraTestSupport
import ChimeraWebSocket
import Testing

/// RFC 6455 §8.1; the sequences are those of section 6 of the Autobahn suite.
@Suite struct `Text` {
    private static func isText(_ octets: [UInt8]) -> Bool {
        var validator = UTF8Validator()
        return validator.take(octets.span) && validator.isComplete
    }

    private static let greek: [UInt8] = [0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xCF, 0x83, 0xCE, 0xBC, 0xCE, 0xB5]

    private static let valid: [[UInt8]] = [
        Array("Hello-µ@ßöäüàá-UTF-8!!".utf8), greek,
        // First and last of each length.
        [0x00], [0x7F], [0xC2, 0x80], [0xDF, 0xBF], [0xE0, 0xA0, 0x80], [0xEF, 0xBF, 0xBF],
        [0xF0, 0x90, 0x80, 0x80], [0xF4, 0x8F, 0xBF, 0xBF],
        // Beside the surrogates, and non-characters, which are characters here.
        [0xED, 0x9F, 0xBF], [0xEE, 0x80, 0x80], [0xEF, 0xBF, 0xBD], [0xEF, 0xBF, 0xBE], [0xEF, 0xB7, 0x90],
        [0xF0, 0x9F, 0xBF, 0xBE], [0xF0, 0x9F, 0xBF, 0xBF], [0xF3, 0xAF, 0xBF, 0xBF], [0xEF, 0xBB, 0xBF],
    ]

    private static let malformed: [[UInt8]] = [
        greek + [0xED, 0xA0, 0x80] + Array("edited".utf8),
        greek + [0xF4, 0x90, 0x80, 0x80] + Array("edited".utf8),
        // Continuations that nothing begins.
        [0x80], [0xBF], [0x80, 0xBF], Array(0x80...0xBF), [0x61, 0x80, 0x61],
        // Overlong.
        [0xC0, 0xAF], [0xE0, 0x80, 0xAF], [0xF0, 0x80, 0x80, 0xAF], [0xF8, 0x80, 0x80, 0x80, 0xAF],
        [0xFC, 0x80, 0x80, 0x80, 0x80, 0xAF], [0xC1, 0xBF], [0xE0, 0x9F, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF],
        [0xC0, 0x80], [0xE0, 0x80, 0x80], [0xF0, 0x80, 0x80, 0x80],
        // Five and six octets, and past the last character.
        [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFC, 0x84, 0x80, 0x80, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80],
        [0xF5, 0x80, 0x80, 0x80], [0xF7, 0xBF, 0xBF, 0xBF], [0xFE], [0xFF], [0xFE, 0xFE, 0xFF, 0xFF],
        // Surrogates, alone and in pairs.
        [0xED, 0xA0, 0x80], [0xED, 0xAD, 0xBF], [0xED, 0xAE, 0x80], [0xED, 0xAF, 0xBF],
        [0xED, 0xB0, 0x80], [0xED, 0xBE, 0x80], [0xED, 0xBF, 0xBF],
        [0xED, 0xA0, 0x80, 0xED, 0xB0, 0x80], [0xED, 0xAF, 0xBF, 0xED, 0xBF, 0xBF],
    ]

    /// Beginnings that a space follows.
    private static let alone: [[UInt8]] = (0xC0...0xFD as ClosedRange<UInt8>).map { [$0, 0x20] }

    /// Beginnings with the last octet missing.
    private static let cut: [[UInt8]] = [
        [0xC2], [0xDF], [0xE0, 0xA0], [0xEF, 0xBF], [0xF0, 0x90, 0x80], [0xF4, 0x8F, 0xBF], [0xE2, 0x82],
        [0xC0], [0xF7, 0xBF, 0xBF],
    ]

    @Test(arguments: valid, Role.allCases)
    func `characters are read however they are cut`(_ octets: [UInt8], _ role: Role) {
        let text = String(decoding: octets, as: UTF8.self)
        #expect(Self.isText(octets))
        #expect(messages(role, frame(role, 1, octets)) == [.text(text)])
        let padded = Array(repeating: 0x78 as UInt8, count: 61) + octets + Array("y".utf8)
        #expect(messages(role, frame(role, 1, padded)) == [.text(String(decoding: padded, as: UTF8.self))])
        let single = octets.enumerated().flatMap {
            frame(role, $0 == 0 ? 1 : 0, [$1], final: $0 == octets.count - 1)
        }
        #expect(messages(role, single) == [.text(text)])
    }

    @Test(arguments: malformed + alone + cut, Role.allCases)
    func `what is no character fails the connection`(_ octets: [UInt8], _ role: Role) {
        #expect(!Self.isText(octets))
        #expect(messages(role, frame(role, 1, octets)) == [.failed(.textMalformed)])
        #expect(messages(role, frame(role, 2, octets)) == [.binary(octets)])
        let padded = Array(repeating: 0x78 as UInt8, count: 61) + octets
        #expect(messages(role, frame(role, 1, padded)) == [.failed(.textMalformed)])
        let single = octets.enumerated().flatMap {
            frame(role, $0 == 0 ? 1 : 0, [$1], final: $0 == octets.count - 1)
        }
        #expect(messages(role, single) == [.failed(.textMalformed)])
        #expect(ConnectionFailure.textMalformed.status == .invalidData)
    }

    /// Section 6.4.
    @Test func `it fails at the first octet that cannot be`() {
        let bytes = header(1, 100) + Self.greek + [0xF4, 0x90]
        var reader = Reader(.server)
        reader.read(bytes.dropLast())
        #expect(reader.facts == [])
        reader.read(bytes.suffix(1))
        #expect(reader.facts == [.failed(.textMalformed)])
    }

    @Test func `a character may not go on in the next message`() {
        let bytes = frame(.server, 1, [0xC3]) + frame(.server, 1, [0xA9])
        #expect(messages(.server, bytes) == [.failed(.textMalformed)])
    }

    @Test func `every sequence of up to two octets is judged as Swift judges it`() {
        var wrong: [[UInt8]] = []
        for first in UInt8.min ... .max {
            if Self.isText([first]) != (first < 0x80) { wrong.append([first]) }
            for second in UInt8.min ... .max {
                let octets = [first, second]
                let isText = String(validating: octets, as: UTF8.self) != nil
                if Self.isText(octets) != isText { wrong.append(octets) }
            }
        }
        #expect(wrong == [])
    }

    @Test func `sequences of three and four octets are judged as Swift judges them`() {
        let edges: [UInt8] = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xFF]
        var wrong: [[UInt8]] = []
        for first in 0xDF...0xFF as ClosedRange<UInt8> {
            for second in edges {
                for third in edges {
                    for octets in [[first, second, third]] + edges.map({ [first, second, third, $0] }) {
                        let isText = String(validating: octets, as: UTF8.self) != nil
                        if Self.isText(octets) != isText { wrong.append(octets) }
                    }
                }
            }
        }
        #expect(wrong == [])
    }

    @Test(arguments: 0..<40)
    func `random text with a fault or without one is judged as Swift judges it`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            let letters = ["a", "Hello, world! ", "é", "€", "🙂", "\u{7FF}", "\u{FFFF}", "\u{10FFFF}"]
            let count = Int.random(in: 0...30, using: &random)
            var octets = (0..<count).flatMap { _ in letters.randomElement(using: &random)!.utf8 }
            if Bool.random(using: &random), !octets.isEmpty {
                octets[Int.random(in: 0..<octets.count, using: &random)] = UInt8.random(
                    in: 0...255, using: &random)
            }
            let cut = Int.random(in: 0...octets.count, using: &random)
            var validator = UTF8Validator()
            let isText =
                validator.take(Array(octets[..<cut]).span) && validator.take(Array(octets[cut...]).span)
                && validator.isComplete
            #expect(isText == (String(validating: octets, as: UTF8.self) != nil), "seed \(seed)")
        }
    }
}
