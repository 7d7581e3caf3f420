import ChimeraBytes
import ChimeraHTTPCore
import Testing

@Suite struct `Lists and parameters` {
    @Test(arguments: [
        ("a, b", ["a", "b"]), ("", []), (",", []), (" , ,\t", []), ("a", ["a"]), (",a,,b ,", ["a", "b"]),
        (#""a,b", c"#, [#""a,b""#, "c"]), (#""a\",b", c"#, [#""a\",b""#, "c"]),
        (#"x="a,b";y, c"#, [#"x="a,b";y"#, "c"]),
        (#""a, b"#, [#""a, b"#]), (#"a\,b"#, [#"a\"#, "b"]), (#""\"#, [#""\"#]),
    ])
    func `elements stand between the commas outside quotes`(_ value: String, _ elements: [String]) {
        let bytes = Array(value.utf8)
        var list = ListElements(bytes.span)
        var found: [String] = []
        while let range = list.next() { found.append(String(decoding: bytes[range], as: UTF8.self)) }
        #expect(found == elements)
    }

    @Test func `a token is found in any case`() {
        let bytes = Array("foo, Chunked;x,  KEEP-alive".utf8)
        #expect(ListElements.contains("keep-alive", in: bytes.span) == true)
        #expect(ListElements.contains("foo", in: bytes.span) == true)
        #expect(ListElements.contains("chunked", in: bytes.span) == false)
    }

    @Test(arguments: [
        ("a=1;b=2", ["a|1", "b|2"]), ("; a=1 ;; b = 2 ", ["a|1", "b | 2!"]),
        (#"a="x;y";b"#, ["a|x;y\"", "b!"]),
        (#"a="x\"y""#, [#"a|x\"y""#]), (#"a="x"#, [#"a|"x!"#]), ("a=", ["a|!"]), ("=b", ["|b!"]),
        (#"a="x"y"#, [#"a|"x"y!"#]),
        (#"a="""#, [#"a|""#]), (#"a="x\""#, [#"a|"x\"!"#]), ("", []),
    ])
    func `parameters have a name, a value and a verdict`(_ value: String, _ expected: [String]) {
        let bytes = Array(value.utf8)
        var parameters = FieldParameters(bytes.span)
        var found: [String] = []
        while let parameter = parameters.next() {
            var text = String(decoding: bytes[parameter.name], as: UTF8.self)
            if let range = parameter.value { text += "|" + String(decoding: bytes[range], as: UTF8.self) }
            found.append(text + (parameter.isQuoted ? "\"" : "") + (parameter.isValid ? "" : "!"))
        }
        #expect(found == expected)
    }

    @Test(
        arguments: [
            ("1", 1000), ("0", 0), ("0.5", 500), ("0.", 0), ("1.", 1000), ("1.000", 1000), ("0.001", 1),
            ("0.12", 120),
            ("1.001", nil), ("0.1234", nil), ("2", nil), ("", nil), (".5", nil), ("0,5", nil), ("-0", nil),
            ("0.5 ", nil),
            ("01", nil), ("1e0", nil),
        ] as [(String, Int?)])
    func `a weight has at most three decimals`(_ text: String, _ thousandths: Int?) {
        let bytes = Array(text.utf8)
        #expect(QualityValue(bytes.span).map { Int($0.thousandths) } == thousandths)
    }

    @Test(
        arguments: [
            ("close", [.close], true), ("Keep-Alive, Upgrade", [.keepAlive, .upgrade], true),
            ("keep-alive, X-Foo", [.keepAlive, .otherField], true), ("", [], true), (", ,", [], true),
            ("close, a b", [.close], false), ("closed", [.otherField], true), (#""close""#, [], false),
        ] as [(String, ConnectionOptions, Bool)])
    func `connection options are tokens`(_ value: String, _ options: ConnectionOptions, _ isValid: Bool) {
        let bytes = Array(value.utf8)
        var found = ConnectionOptions()
        #expect(found.add(bytes.span) == isValid)
        #expect(found == options)
    }

    @Test(arguments: [
        ("Host", false), ("X-Forwarded-For", false), ("Cookie", false), ("X-Foo", true), ("close", true),
    ])
    func `a client cannot have fields removed that the next hop decides by`(_ name: String, _ isAllowed: Bool)
    {
        let bytes = Array(name.utf8)
        #expect(HopByHop.mayBeNamed(bytes.span) == isAllowed)
    }
}
