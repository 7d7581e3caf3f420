import ChimeraBytes
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

@Suite struct `Message framing` {
    @Test(
        arguments: [
            (["0"], 0), (["42"], 42), (["042"], 42), (["9223372036854775807"], 9_223_372_036_854_775_807),
            (["42, 42"], 42), (["42", "42"], 42), (["42 ,\t042"], 42), ([], nil),
        ] as [([String], UInt64?)])
    func `lengths that agree are one length`(_ lines: [String], _ value: UInt64?) throws {
        #expect(try contentLength(lines) == value)
    }

    @Test(
        arguments: [
            ([""], .malformed), (["+1"], .malformed), (["-1"], .malformed), (["1 2"], .malformed),
            (["0x10"], .malformed),
            (["1,"], .malformed), ([",1"], .malformed), (["1,,1"], .malformed), (["1.0"], .malformed),
            (["1e3"], .malformed),
            (["1;2"], .malformed), (["१"], .malformed), (["9223372036854775808"], .tooGreat),
            (["99999999999999999999999999"], .tooGreat), (["1, 2"], .differing), (["1", "2"], .differing),
        ] as [([String], ContentLength.Refusal)])
    func `a length that is in doubt is refused`(_ lines: [String], _ refusal: ContentLength.Refusal) {
        #expect(throws: refusal) { try contentLength(lines) }
    }

    private func contentLength(_ lines: [String]) throws -> UInt64? {
        var length = ContentLength()
        for line in lines {
            let bytes = Array(line.utf8)
            try length.add(bytes.span)
        }
        return length.value
    }

    @Test(arguments: [(["chunked"], true), (["Chunked "], true), ([], false)] as [([String], Bool)])
    func `chunked alone is understood`(_ lines: [String], _ isChunked: Bool) throws {
        #expect(try transferEncoding(lines) == isChunked)
    }

    @Test(
        arguments: [
            (["gzip"], .notChunked), (["identity"], .notChunked), (["xchunked"], .notChunked),
            (["chunked, gzip"], .notChunked),
            (["chunked", "identity"], .notChunked), (["gzip", "deflate"], .notChunked),
            (["gzip, chunked"], .unsupported), (["gzip", "chunked"], .unsupported),
            (["gzip;q=\"a,b\", chunked"], .unsupported),
            ([""], .malformed), (["chunked,"], .malformed), ([", chunked"], .malformed),
            (["chunked, chunked"], .malformed),
            (["chunked", "chunked"], .malformed), (["chunked;a=b"], .malformed), (["chunked;"], .malformed),
            (["\"chunked\""], .malformed), (["chun ked"], .malformed), (["chunked\u{B}"], .malformed),
            (["gzip chunked"], .malformed), (["\u{0}chunked"], .malformed),
        ] as [([String], TransferEncoding.Refusal)])
    func `any other coding is refused`(_ lines: [String], _ refusal: TransferEncoding.Refusal) {
        #expect(throws: refusal) { try transferEncoding(lines) }
    }

    private func transferEncoding(_ lines: [String]) throws -> Bool {
        var encoding = TransferEncoding()
        for line in lines {
            let bytes = Array(line.utf8)
            try encoding.add(bytes.span)
        }
        return try encoding.isChunked()
    }

    @Test func `random lines are chunked only if they say so`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let pieces = ["chunked", "CHUNKED", ",", " ", ";", "gzip", "\t", "\"", "\u{0}"]
        for _ in 0..<5_000 {
            let line = (0..<Int.random(in: 0...4, using: &generator)).map { _ in
                pieces.randomElement(using: &generator)!
            }.joined()
            let isChunked = (try? transferEncoding([line])) == true
            let trimmed = line.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }
                .reversed()
            #expect(isChunked == (String(trimmed).lowercased() == "chunked"), "seed \(seed), \(line)")
            let digits = generator.bytes(upTo: 22, from: "0123456789")
            let length = try? contentLength([String(decoding: digits, as: UTF8.self)])
            #expect(
                (length == nil) == (Int64(decimal: digits.trimmed.span) == nil), "seed \(seed), \(digits)")
        }
    }
}

extension [UInt8] {
    /// Without white space at the ends; a comma that makes a list of one value is left to the test.
    fileprivate var trimmed: [UInt8] { [UInt8](copying: span.trimmingWhitespace()) }
}
