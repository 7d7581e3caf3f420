import ChimeraBytes
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

/// The normaliser against a slow model of the same rules, which works on lists of segments and not on octets.
@Suite struct `Path normaliser and its model` {
    private let alphabet = "///...%%%%2225EeFfab;;CcB03?"
    private let pieces = [
        "/", "//", ".", "..", "%2e", "%2E", "%2f", "%2F", "%5c", "%00", "%3b", "%25", ";", ";x=1", "a",
        "admin",
        "%61", "%", "?", "\\", "#", " ", "%c3%a9", "\u{7F}",
    ]

    @Test func `the model and the normaliser agree on random paths`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        var accepted = 0
        for round in 0..<60_000 {
            let target = randomTarget(round, &generator)
            let forms = Forms(target)
            #expect(
                forms == PathModel.forms(target), "seed \(seed), \(String(decoding: target, as: UTF8.self))")
            if case .forms(let sent, let matched) = forms {
                accepted += 1
                check(
                    sent: sent, matched: matched, "seed \(seed), \(String(decoding: target, as: UTF8.self))")
            }
        }
        #expect(accepted > 3_000, "seed \(seed): too few paths are accepted for the test to say much")
    }

    private func randomTarget(_ round: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        if round % 3 == 0 {
            return Array("/".utf8) + generator.bytes(upTo: 12, from: alphabet).filter { $0 < 0x80 }
        }
        let count = Int.random(in: 0...7, using: &generator)
        // Every second path has no piece that alone is refused.
        let choice =
            round % 3 == 1
            ? pieces : Array(pieces.prefix(6)) + ["%2f", "a", "/", "/", ";x=1", "%61", "admin"]
        return Array(("/" + (0..<count).map { _ in choice.randomElement(using: &generator)! }.joined()).utf8)
    }

    private func check(sent: String, matched: String, _ comment: Comment) {
        // The sent form is in normal form, and means the same.
        #expect(Forms(sent) == .forms(sent: sent, matched: matched), comment)
        // The matched form, its delimiters escaped again, is in matched form.
        let escaped = escapingDelimiters(matched)
        if !escaped.utf8.contains(where: { $0 < 0x20 }) {
            #expect(Forms(escaped) == .forms(sent: escaped, matched: matched), comment)
        }
        // Nothing climbs. By octets: a combining mark after a slash would make one character of the two.
        let octets = Array(matched.utf8)
        let segments = octets.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .dropFirst()
        #expect(octets.first == UInt8(ascii: "/"), comment)
        #expect(!segments.contains { $0.elementsEqual("..".utf8) || $0.elementsEqual(".".utf8) }, comment)
        #expect(!segments.dropLast().contains { $0.isEmpty }, comment)
        #expect(!octets.contains(UInt8(ascii: "\\")) && !octets.contains(0), comment)
    }

    /// By octets too: a combining mark after a delimiter hides that from a search by characters.
    private func escapingDelimiters(_ path: String) -> String {
        let escapes: [UInt8: String] = [
            UInt8(ascii: "%"): "%25", UInt8(ascii: ";"): "%3B", UInt8(ascii: "?"): "%3F",
            UInt8(ascii: "#"): "%23", UInt8(ascii: " "): "%20", 0x7F: "%7F",
        ]
        let octets = path.utf8.flatMap { octet in escapes[octet].map { Array($0.utf8) } ?? [octet] }
        return String(decoding: octets, as: UTF8.self)
    }

    @Test func `a combining mark after a slash is data`() {
        #expect(Forms("/%cC%B2ac//") == .forms(sent: "/%cC%B2ac//", matched: "/\u{332}ac/"))
        check(sent: "/%cC%B2ac//", matched: "/\u{332}ac/", "the mark U+0332 after a slash")
        check(sent: "/a%3B%cC%B2", matched: "/a;\u{332}", "the mark U+0332 after a semicolon")
    }

    @Test func `no octets trap the normaliser`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        var normaliser = PathNormaliser()
        for _ in 0..<30_000 {
            var bytes = generator.bytes(upTo: 60, from: alphabet)
            if !bytes.isEmpty { bytes[0] = UInt8(ascii: "/") }
            if case .path(let path) = normaliser.normalise(bytes.span) {
                #expect(normaliser.sent(path, of: bytes.span)[0] == UInt8(ascii: "/"), "seed \(seed)")
                #expect(normaliser.matched(path, of: bytes.span)[0] == UInt8(ascii: "/"), "seed \(seed)")
            }
        }
    }
}

/// The rules of the normaliser on lists of segments. Slow, and sharing no code with it.
enum PathModel {
    static func forms(_ target: [UInt8]) -> Forms {
        guard target.first == UInt8(ascii: "/") else { return .refused(.notAbsolute) }
        let path = Array(target.prefix { $0 != UInt8(ascii: "?") })
        if let refusal = firstBadOctet(path) { return .refused(refusal) }
        let sent = withoutDots(split(path).dropFirst().map { $0 })
        switch matched(sent) {
        case .failure(let refusal): return .refused(refusal)
        case .success(let segments): return .forms(sent: joined(sent), matched: joined(segments))
        }
    }

    private static func firstBadOctet(_ path: [UInt8]) -> PathNormaliser.Refusal? {
        for (index, byte) in path.enumerated() {
            if byte == UInt8(ascii: "%") {
                let digits = String(decoding: path[(index + 1)...].prefix(2), as: UTF8.self)
                guard digits.utf8.count == 2, digits.allSatisfy(\.isHexDigit) else { return .badEscape }
                if digits == "00" { return .encodedNul }
                if digits.lowercased() == "5c" { return .backslash }
            }
            if byte == UInt8(ascii: "#") { return .fragment }
            if byte == UInt8(ascii: "\\") { return .backslash }
            if byte <= 32 || byte == 127 { return .controlCharacter }
        }
        return nil
    }

    private static func split(_ path: [UInt8]) -> [[UInt8]] {
        path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map(Array.init)
    }

    private static func joined(_ segments: [[UInt8]]) -> String {
        segments.map { "/" + String(decoding: $0, as: UTF8.self) }.joined()
    }

    private static func withoutDots(_ segments: [[UInt8]]) -> [[UInt8]] {
        var kept: [[UInt8]] = []
        for (index, segment) in segments.enumerated() {
            let plain = String(decoding: segment, as: UTF8.self).lowercased().replacing("%2e", with: ".")
            if plain == ".." { _ = kept.popLast() }
            if plain == "." || plain == ".." {
                if index == segments.count - 1 { kept.append([]) }
            } else {
                kept.append(segment)
            }
        }
        return kept
    }

    /// Segment by segment: parameters off, decoded, split at the slashes that appear.
    private static func matched(_ sent: [[UInt8]]) -> Result<[[UInt8]], PathNormaliser.Refusal> {
        var pieces: [[UInt8]] = []
        for segment in sent {
            let name = segment.prefix { $0 != UInt8(ascii: ";") }
            let parameters = String(decoding: segment.dropFirst(name.count), as: UTF8.self).lowercased()
            let decoded = split(decode(Array(name)))
            // In the order of the path: what ends before the parameters is looked at first.
            for piece in decoded.dropLast() where isDot(piece) { return .failure(.hiddenDotSegment) }
            if parameters.contains("%2f") { return .failure(.slashInParameters) }
            if isDot(decoded[decoded.count - 1]) { return .failure(.hiddenDotSegment) }
            pieces += decoded
        }
        let last = pieces[pieces.count - 1]
        return .success(pieces.dropLast().filter { !$0.isEmpty } + [last])
    }

    private static func isDot(_ segment: [UInt8]) -> Bool {
        let name = String(decoding: segment.prefix { $0 != UInt8(ascii: ";") }, as: UTF8.self)
        return name == "." || name == ".."
    }

    private static func decode(_ bytes: [UInt8]) -> [UInt8] {
        guard let first = bytes.first else { return [] }
        guard first == UInt8(ascii: "%") else { return [first] + decode(Array(bytes.dropFirst())) }
        let value = UInt8(String(decoding: bytes[1...2], as: UTF8.self), radix: 16)!
        return [value] + decode(Array(bytes.dropFirst(3)))
    }
}
