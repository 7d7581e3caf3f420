import ChimeraBytes
import ChimeraHTTPCore
import ChimeraTestSupport
import Testing

@Suite struct `Cookies, queries, globs and tables` {
    @Test(
        arguments: [
            ("a=1; b=2", "b", "2"), ("a=1;b=2", "a", "1"), ("a=1; a=2", "a", "1"), ("a=x=y", "a", "x=y"),
            ("a=", "a", ""),
            (#"a="q""#, "a", #""q""#), ("A=1", "a", nil), ("ab=1", "a", nil), ("a", "a", nil), ("", "a", nil),
            (";;", "a", nil),
            (" a = 1 ", "a", "1"), ("x; a=1", "a", "1"), ("xa=1; a=2", "a", "2"),
        ] as [(String, String, String?)])
    func `a cookie is found by its name`(_ line: String, _ name: String, _ value: String?) {
        let bytes = Array(line.utf8), nameBytes = Array(name.utf8)
        let range = Cookies.value(of: nameBytes.span, in: bytes.span)
        #expect(range.map { String(decoding: bytes[$0], as: UTF8.self) } == value)
    }

    @Test(
        arguments: [
            ("a=1&b=2", "b", "2"), ("a=1&a=2", "a", "1"), ("a", "a", ""), ("a=", "a", ""),
            ("a=x+y%20z", "a", "x y z"),
            ("%61=%41%", "a", "A%"), ("a+b=1", "a b", "1"), ("a%2=1", "a%2", "1"), ("ab=1", "a", nil),
            ("A=1", "a", nil),
            ("", "a", nil), ("&&", "a", nil), ("=1", "", nil), ("a=b=c", "a", "b=c"), ("x=%00", "x", "\u{0}"),
        ] as [(String, String, String?)])
    func `a parameter is found by its decoded name`(_ query: String, _ name: String, _ value: String?) {
        let bytes = Array(query.utf8), nameBytes = Array(name.utf8)
        var output: [UInt8] = []
        let isFound = QueryParameters.appendValue(of: nameBytes.span, in: bytes.span, to: &output)
        #expect((isFound ? String(decoding: output, as: UTF8.self) : nil) == value)
    }

    @Test(arguments: [
        ("*Mobile*", "Mozilla (Mobile; x)", true), ("*Mobile*", "mobile", false), ("", "", true),
        ("", "a", false), ("*", "", true),
        ("*", "abc", true), ("a*", "abc", true), ("a*", "ba", false), ("*c", "abc", true),
        ("*c", "cb", false),
        ("a*c", "ac", true), ("a*a", "a", false), ("a*b*c", "aXbXc", true), ("a*b*c", "acb", false),
        ("**a**", "bab", true),
        ("*ab*ab*", "abab", true), ("*ab*ab*", "abxb", false), ("*aab*", "aaab", true), ("*a*a*", "a", false),
        ("a**b", "ab", true), ("ab*ba", "aba", false), ("*aba*", "ababab", true),
    ])
    func `a star stands for anything`(_ pattern: String, _ text: String, _ isMatch: Bool) {
        let patternBytes = Array(pattern.utf8), bytes = Array(text.utf8)
        #expect(Glob(patternBytes.span).matches(bytes.span) == isMatch)
    }

    @Test func `case may be left out of account`() {
        let pattern = Array("*MoBile*x".utf8), text = Array("a mObIlE X".utf8)
        #expect(Glob(pattern.span, ignoringCase: true).matches(text.span) == true)
        #expect(Glob(pattern.span).matches(text.span) == false)
    }

    @Test func `a glob agrees with a table of all prefixes`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<20_000 {
            let pattern = (0..<Int.random(in: 0...8, using: &generator)).map { _ in
                "aab*".utf8.randomElement(using: &generator)!
            }
            let text = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                "aab".utf8.randomElement(using: &generator)!
            }
            let comment: Comment = "seed \(seed), \(pattern), \(text)"
            #expect(Glob(pattern.span).matches(text.span) == slowMatch(pattern, text), comment)
        }
    }

    private func slowMatch(_ pattern: [UInt8], _ text: [UInt8]) -> Bool {
        var reachable = [true] + [Bool](repeating: false, count: text.count)
        for byte in pattern {
            var next = [Bool](repeating: false, count: text.count + 1)
            for index in 0...text.count {
                if byte == UInt8(ascii: "*") {
                    next[index] = reachable[index] || (index > 0 && next[index - 1])
                } else if index > 0 {
                    next[index] = reachable[index - 1] && text[index - 1] == byte
                }
            }
            reachable = next
        }
        return reachable[text.count]
    }

    @Test(arguments: Method.allCases)
    func `a method is read from its own token, and only so`(_ method: Method) {
        let token = Array("\(method.token)".utf8), small = Array("\(method.token)".lowercased().utf8)
        #expect(Method(token.span) == method)
        #expect(Method(small.span) == .other)
    }

    @Test func `unknown methods are other`() {
        for text in ["", "G", "GETS", "BREW", "PROPFINDX", "CONNECTION"] {
            let bytes = Array(text.utf8)
            #expect(Method(bytes.span) == .other)
        }
        #expect(!Method.other.isSafe && !Method.other.isIdempotent)
        #expect(Method.delete.isIdempotent && !Method.delete.isSafe && !Method.post.isIdempotent)
        #expect(Method.allCases.filter(\.isRetrieval) == [.get, .head])
    }

    @Test(arguments: [
        (200, "OK"), (103, "Early Hints"), (308, "Permanent Redirect"), (413, "Content Too Large"),
        (421, "Misdirected Request"), (511, "Network Authentication Required"), (299, ""), (418, ""),
        (600, ""), (0, ""),
        (-1, ""), (Int.max, ""),
    ])
    func `a status has its phrase`(_ status: Int, _ phrase: String) {
        #expect("\(ReasonPhrase.of(status))" == phrase)
    }

    @Test func `what a path does not hold becomes escapes`() {
        let bytes = Array("/a b/é%?\n~".utf8)
        var encoded: [UInt8] = []
        PercentEncoding.append(bytes.span, allowing: .path, to: &encoded)
        #expect(String(decoding: encoded, as: UTF8.self) == "/a%20b/%C3%A9%25%3F%0A~")
    }

    @Test func `no octets trap the lookups`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<20_000 {
            let bytes = generator.bytes(upTo: 30, from: #"a=&%4+;a ,"\q=0.5*"#),
                name = generator.bytes(upTo: 2, from: "a=")
            var accept = AcceptEncoding(), options = ConnectionOptions(), output: [UInt8] = []
            accept.add(bytes.span)
            options.add(bytes.span)
            let ranges = [
                Cookies.value(of: name.span, in: bytes.span),
                QueryParameters.value(of: name.span, in: bytes.span),
            ]
            #expect(ranges.allSatisfy { ($0?.upperBound ?? 0) <= bytes.count }, "seed \(seed), \(bytes)")
            _ = QueryParameters.appendValue(of: name.span, in: bytes.span, to: &output)
            #expect(output.count <= bytes.count, "seed \(seed), \(bytes)")
            #expect(Glob(bytes.span).matches(bytes.span) == true, "seed \(seed), \(bytes)")
        }
    }
}
