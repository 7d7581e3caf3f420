import ChimeraHTTPCore
import Testing

@testable import ChimeraTelemetry

@Suite struct EscapingTests {
    private func json(_ bytes: [UInt8]) -> [UInt8] {
        LineWriter.bytes(forTextOf: bytes.count) { $0.put(json: bytes.span, max: .max) }
    }

    private func text(_ bytes: [UInt8], asWord word: Bool = false) -> [UInt8] {
        LineWriter.bytes(forTextOf: bytes.count) { $0.put(text: bytes.span, max: .max, asWord: word) }
    }

    @Test(arguments: [
        ("plain", "plain"), ("\"", "\\\""), ("a\\b", "a\\\\b"), ("\n", "\\u000a"), ("\r\n", "\\u000d\\u000a"),
        ("\u{1b}[31m", "\\u001b[31m"), ("\u{7f}", "\\u007f"), ("\0", "\\u0000"), ("\u{9b}31m", "\\u009b31m"),
        ("é€😀", "é€😀"), ("\u{a0}", "\u{a0}"), ("", ""),
    ])
    func `JSON escapes what could end a string or drive a terminal`(input: String, output: String) {
        #expect(json(Array(input.utf8)) == Array(output.utf8))
    }

    @Test(
        arguments: [
            [0x80], [0xFF], [0xC0, 0xAF], [0xC3], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
            [0xF5, 0x80, 0x80, 0x80], [0xE0, 0x9F, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF], [0xC3, 0x22],
        ] as [[UInt8]])
    func `what is not UTF-8 becomes U+FFFD and takes no byte behind it along`(bytes: [UInt8]) {
        let line = String(validating: json(bytes + [0x22, 0x41]), as: UTF8.self)
        #expect(line?.contains("\u{FFFD}") == true)
        #expect(line?.hasSuffix("\\\"A") == true)
    }

    @Test(arguments: [
        ("plain", "plain"), ("\"", "\\x22"), ("\\", "\\x5c"), ("\n", "\\x0a"), ("\u{1b}", "\\x1b"),
        ("é", "\\xc3\\xa9"), ("\u{7f}", "\\x7f"), ("a b", "a b"),
    ])
    func `text escapes as nginx does`(input: String, output: String) {
        #expect(text(Array(input.utf8)) == Array(output.utf8))
    }

    @Test(arguments: [("", "-"), ("a b", "a\\x20b"), ("a] \"", "a]\\x20\\x22")])
    func `a word without quotes has no space in it and is never empty`(input: String, output: String) {
        #expect(text(Array(input.utf8), asWord: true) == Array(output.utf8))
    }

    @Test func `any byte at any place comes out printable, in the eight-byte steps and behind them`() {
        for length in 1...20 {
            for place in 0..<length {
                for byte in UInt8.min...UInt8.max {
                    var bytes = [UInt8](repeating: UInt8(ascii: "x"), count: length)
                    bytes[place] = byte
                    let safe = json(bytes)
                    guard safe.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }),
                        String(validating: safe, as: UTF8.self) != nil,
                        text(bytes).allSatisfy({ $0 >= 0x20 && $0 < 0x7F && $0 != 0x22 })
                    else {
                        Issue.record("byte \(byte) at \(place) of \(length)")
                        return
                    }
                }
            }
        }
        #expect(LineWriter.hasSpecial(0x7878_7878_7878_7878) == false)
    }

    @Test func `the eight-byte test finds just what the one-byte test finds`() {
        for byte in UInt8.min...UInt8.max {
            for place: UInt64 in 0..<8 {
                let word = 0x4141_4141_4141_4141 & ~(0xFF << (place * 8)) | UInt64(byte) << (place * 8)
                #expect(LineWriter.hasSpecial(word) == LineWriter.isSpecial(byte))
            }
        }
    }

    @Test(arguments: [AccessLogFormat.json, .text])
    func `no client can forge a line`(format: AccessLogFormat) {
        let evil = "x\"}\r\n{\"status\":200,\"a\":\"\u{0}\u{85}\u{2028}"
        var record = fullRecord()
        record.user = evil
        let head = request(
            evil, Array(evil.utf8), host: evil, fields: [(.referer, evil), (.userAgent, evil)])
        let bytes = lineBytes(
            format, record, head, labels: AccessLabels(tenant: evil, site: evil, route: evil))
        #expect(bytes.filter { $0 == 0x0A }.count == 1)
        #expect(bytes.last == 0x0A)
        #expect(bytes.dropLast().allSatisfy { $0 >= 0x20 && $0 != 0x7F })
        let quotes = unescapedQuotes(bytes)
        #expect(
            quotes
                == unescapedQuotes(
                    lineBytes(
                        format, fullRecord(), request(fields: [(.referer, "a"), (.userAgent, "b")]),
                        labels: AccessLabels(tenant: "t", site: "s", route: "r"))))
    }

    private func unescapedQuotes(_ bytes: [UInt8]) -> Int {
        var count = 0
        var isEscaped = false
        for byte in bytes {
            if byte == UInt8(ascii: "\""), !isEscaped { count += 1 }
            isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
        }
        return count
    }
}
