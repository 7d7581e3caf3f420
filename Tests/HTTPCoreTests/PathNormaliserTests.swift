import ChimeraBytes
import ChimeraHTTPCore
import Testing

@Suite struct `Path normaliser` {
    /// target, sent, matched
    @Test(arguments: [
        ("/", "/", "/"),
        ("/a/b.html", "/a/b.html", "/a/b.html"),
        ("/a/b?x=/../%zz", "/a/b", "/a/b"),
        ("/?", "/", "/"),
        ("/.well-known/x", "/.well-known/x", "/.well-known/x"),
        ("/a/...", "/a/...", "/a/..."),
        ("/a/..b/.c", "/a/..b/.c", "/a/..b/.c"),
        ("/a.b/c..d", "/a.b/c..d", "/a.b/c..d"),
        // RFC 3986 §5.2.4 and its §5.4 examples
        ("/a/b/c/./../../g", "/a/g", "/a/g"),
        ("/b/c/../../../g", "/g", "/g"),
        ("/./g", "/g", "/g"),
        ("/../g", "/g", "/g"),
        ("/b/c/.", "/b/c/", "/b/c/"),
        ("/b/c/..", "/b/", "/b/"),
        ("/..", "/", "/"),
        ("/.", "/", "/"),
        ("/a/%2e%2E/b", "/b", "/b"),
        ("/a/.%2e/b", "/b", "/b"),
        ("/a/%2E./b", "/b", "/b"),
        ("/a/%2e/b", "/a/b", "/a/b"),
        ("/a/%2e", "/a/", "/a/"),
        ("/a//../b", "/a/b", "/a/b"),
        ("/a/..//b", "//b", "/b"),
        ("/%2e%2e%2e/x", "/%2e%2e%2e/x", "/.../x"),
        // decoded once, and once only
        ("/caf%C3%A9", "/caf%C3%A9", "/café"),
        ("/%61dmin", "/%61dmin", "/admin"),
        ("/%252e%252e/x", "/%252e%252e/x", "/%2e%2e/x"),
        ("/%25%32%65", "/%25%32%65", "/%2e"),
        ("/a%2Fb", "/a%2Fb", "/a/b"),
        ("/a%2fb%2F", "/a%2fb%2F", "/a/b/"),
        ("/%2F%2fa", "/%2F%2fa", "/a"),
        ("/a%2Fb/../c", "/c", "/c"),
        ("/a%3Fb", "/a%3Fb", "/a?b"),
        ("/a%23b", "/a%23b", "/a#b"),
        ("/a%20b+c", "/a%20b+c", "/a b+c"),
        // doubled slashes
        ("//a", "//a", "/a"),
        ("/a//b///c//", "/a//b///c//", "/a/b/c/"),
        ("//", "//", "/"),
        // parameters
        ("/a;v=1/b;w", "/a;v=1/b;w", "/a/b"),
        ("/a;v=1;w=2", "/a;v=1;w=2", "/a"),
        ("/;x", "/;x", "/"),
        ("/a/;x/b", "/a/;x/b", "/a/b"),
        ("/a/;x", "/a/;x", "/a/"),
        ("/a;x%41/b", "/a;x%41/b", "/a/b"),
        ("/a;x/../b", "/b", "/b"),
        ("/a;/b", "/a;/b", "/a/b"),
        ("/a%3Bb", "/a%3Bb", "/a;b"),
        ("/a/...;x", "/a/...;x", "/a/..."),
    ])
    func `a path has a form to send and a form to match`(_ target: String, _ sent: String, _ matched: String)
    {
        #expect(Forms(target) == .forms(sent: sent, matched: matched))
    }

    @Test(
        arguments: [
            ("", .notAbsolute), ("*", .notAbsolute), ("a/b", .notAbsolute), ("?a", .notAbsolute),
            ("http://a/", .notAbsolute),
            ("/%", .badEscape), ("/%4", .badEscape), ("/%4g", .badEscape), ("/%%41", .badEscape),
            ("/a%?41", .badEscape),
            ("/%zz/..", .badEscape), ("/a;%zz", .badEscape), ("/.%2", .badEscape),
            ("/a%00b", .encodedNul), ("/%00/..", .encodedNul), ("/a;%00", .encodedNul),
            ("/a%5Cb", .backslash), ("/a%5cb", .backslash), ("/a\\b", .backslash),
            ("/..%5c..%5c", .backslash),
            ("/a b", .controlCharacter), ("/a\tb", .controlCharacter), ("/a\u{7F}", .controlCharacter),
            ("/a\u{0}", .controlCharacter),
            ("/a#b", .fragment), ("/#", .fragment),
            ("/a%2F..", .hiddenDotSegment), ("/a%2F../b", .hiddenDotSegment),
            ("/a/..%2Fb", .hiddenDotSegment),
            ("/%2e%2e%2fb", .hiddenDotSegment), ("/a%2F%2E%2e%2fb", .hiddenDotSegment),
            ("/.%2Fb", .hiddenDotSegment),
            ("/..;/b", .hiddenDotSegment), ("/a/..;x=1/b", .hiddenDotSegment), ("/.;x", .hiddenDotSegment),
            ("/%2e%2E;x/b", .hiddenDotSegment), ("/..%3Bx/b", .hiddenDotSegment),
            ("/..%3b", .hiddenDotSegment),
            ("/a;x%2Fb", .slashInParameters), ("/a;%2F..", .slashInParameters),
        ] as [(String, PathNormaliser.Refusal)])
    func `a path that two could take differently is refused`(
        _ target: String, _ refusal: PathNormaliser.Refusal
    ) {
        #expect(Forms(target) == .refused(refusal))
    }

    @Test(arguments: ["/", "/a/b", "/index.html?q=%zz", "/a.b-c_d~e!$&'()*+,=:@"])
    func `a plain path is used where it stands`(_ target: String) {
        let bytes = Array(target.utf8)
        var normaliser = PathNormaliser()
        guard case .path(let path) = normaliser.normalise(bytes.span) else {
            Issue.record("refused")
            return
        }
        #expect(path.isUnchanged)
        let sentIsInPlace = bytes.span.withUnsafeBufferPointer { whole in
            normaliser.matched(path, of: bytes.span).withUnsafeBufferPointer {
                $0.baseAddress == whole.baseAddress
            }
        }
        #expect(sentIsInPlace)
    }

    @Test func `the query begins after the first question mark`() {
        let bytes = Array("/a%41?x?y".utf8)
        var normaliser = PathNormaliser()
        guard case .path(let path) = normaliser.normalise(bytes.span) else {
            Issue.record("refused")
            return
        }
        #expect(path.query(inTargetOf: bytes.count) == 6..<9)
        #expect(path.query(inTargetOf: 5) == nil)
        #expect(!path.sentIsRewritten && path.matchedIsRewritten)
    }

    @Test func `octets beyond ASCII pass as they are`() {
        #expect(Forms("/é/../ü%2e") == .forms(sent: "/ü%2e", matched: "/ü."))
    }

    @Test func `a normaliser forgets the path before`() {
        var normaliser = PathNormaliser()
        for (target, matched) in [
            ("/a/../long%41name", "/longAname"), ("/x%41", "/xA"), ("/y", "/y"), ("/%42", "/B"),
        ] {
            let bytes = Array(target.utf8)
            guard case .path(let path) = normaliser.normalise(bytes.span) else {
                Issue.record("refused")
                continue
            }
            #expect([UInt8](copying: normaliser.matched(path, of: bytes.span)) == Array(matched.utf8))
        }
    }
}

/// What the normaliser makes of a target, as strings.
enum Forms: Equatable {
    case forms(sent: String, matched: String)
    case refused(PathNormaliser.Refusal)

    init(_ target: String) { self.init(Array(target.utf8)) }

    init(_ bytes: [UInt8]) {
        var normaliser = PathNormaliser()
        switch normaliser.normalise(bytes.span) {
        case .refused(let refusal): self = .refused(refusal)
        case .path(let path):
            self = .forms(
                sent: String(
                    decoding: [UInt8](copying: normaliser.sent(path, of: bytes.span)), as: UTF8.self),
                matched: String(
                    decoding: [UInt8](copying: normaliser.matched(path, of: bytes.span)), as: UTF8.self))
        }
    }
}
