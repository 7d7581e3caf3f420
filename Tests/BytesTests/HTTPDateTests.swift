import ChimeraBytes
import ChimeraTestSupport
import Testing

@Suite struct `HTTP dates` {
    /// 2026-01-01T00:00:00Z
    private let now: Int64 = 1_767_225_600

    @Test(
        arguments: [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (-62_167_219_200, "Sat, 01 Jan 0000 00:00:00 GMT"),
        ] as [(Int64, String)])
    func `a date is written as an IMF fixdate and read again`(_ seconds: Int64, _ text: String) {
        #expect(formatted(seconds) == text)
        #expect(parsed(text) == seconds)
    }

    @Test(
        arguments: [
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("Sun Nov 16 08:49:37 1994", 784_975_777),
            ("Wed, 31 Dec 2008 23:59:60 GMT", 1_230_768_000),
            // 2076 is fifty years ahead of 2026 and no more; 2077 would be.
            ("Wednesday, 01-Jan-76 00:00:00 GMT", 3_345_062_400),
            ("Saturday, 01-Jan-77 00:00:00 GMT", 220_924_800),
            ("Saturday, 01-Jan-00 00:00:00 GMT", 946_684_800),
        ] as [(String, Int64)])
    func `the obsolete forms are read`(_ text: String, _ seconds: Int64) {
        #expect(parsed(text) == seconds)
    }

    @Test func `two digits of a year never mean one that cannot be written`() {
        let text = Array("Friday, 31-Dec-49 23:59:59 GMT".utf8)
        #expect(HTTPDate.parse(text.span, now: .max) == 251_824_463_999)
    }

    @Test(arguments: [
        "", "0", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT ",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 31 Apr 1994 08:49:37 GMT", "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT", "Son, 06 Nov 1994 08:49:37 GMT", "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37", "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94", ",", "Sun,", "Sunday,                        ",
    ])
    func `what is no date is nil`(_ text: String) {
        #expect(parsed(text) == nil)
    }

    @Test func `every day of eight centuries is the day after the one before`() {
        var day: Int64 = -141_427
        var expected = (year: 1582, month: 10, day: 15)
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let weekdays = ["Fri", "Sat", "Sun", "Mon", "Tue", "Wed", "Thu"]
        var mismatches = 0
        for index in 0..<300_000 {
            let text = formatted(day * 86_400 + Int64(index % 86_400))
            let dayOfMonth = expected.day < 10 ? "0\(expected.day)" : "\(expected.day)"
            let prefix =
                "\(weekdays[index % 7]), \(dayOfMonth) \(names[expected.month - 1]) \(expected.year) "
            if !text.hasPrefix(prefix) || parsed(text) != day * 86_400 + Int64(index % 86_400) {
                mismatches += 1
            }
            let isLeap = expected.year % 4 == 0 && (expected.year % 100 != 0 || expected.year % 400 == 0)
            expected.day += 1
            if expected.day > lengths[expected.month - 1] + (expected.month == 2 && isLeap ? 1 : 0) {
                expected.day = 1
                expected.month += 1
            }
            if expected.month > 12 { expected = (expected.year + 1, 1, 1) }
            day += 1
        }
        #expect(mismatches == 0)
    }

    @Test func `a time without four year digits is moved to the nearest that has them`() {
        #expect(formatted(.max) == formatted(HTTPDate.representable.upperBound))
        #expect(formatted(.min) == formatted(HTTPDate.representable.lowerBound))
    }

    @Test func `no octets trap the parser`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let samples = [
            "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
        ]
        for round in 0..<20_000 {
            var bytes = Array(samples[round % 3].utf8)
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(
                    in: 0...255, using: &generator)
            }
            bytes.removeLast(Int.random(in: 0...3, using: &generator))
            let clock = Int64.random(in: .min ... .max, using: &generator)
            let date = HTTPDate.parse(bytes.span, now: clock)
            #expect(date.map { HTTPDate.representable.contains($0 - 1) || $0 <= 0 } ?? true, "seed \(seed)")
        }
    }

    private func parsed(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        return HTTPDate.parse(bytes.span, now: now)
    }

    private func formatted(_ seconds: Int64) -> String {
        let text = HTTPDate.format(seconds)
        return String(decoding: (0..<text.count).map { text[$0] }, as: UTF8.self)
    }
}
