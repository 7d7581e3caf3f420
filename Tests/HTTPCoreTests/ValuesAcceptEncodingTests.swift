import ChimeraBytes
import ChimeraHTTPCore
import Testing

@Suite struct `Accept-Encoding` {
    @Test(
        arguments: [
            ("gzip, deflate, br, zstd", .br),
            ("gzip, deflate", .gzip),
            ("zstd, gzip", .zstd),
            ("GZIP", .gzip),
            ("x-gzip", .gzip),
            ("deflate", .identity),
            ("", .identity),
            ("*", .br),
            ("br;q=0, *", .zstd),
            ("br;q=0.5, gzip;q=0.8", .gzip),
            ("br;q=0.8, gzip; q=0.8", .br),
            ("br ; q=0.001", .br),
            ("gzip;q=0", .identity),
            ("gzip;q=0.5, identity", .identity),
            ("gzip;q=0.5, identity;q=0.5", .gzip),
            ("gzip;q=0.5, identity;q=0.4", .gzip),
            ("identity;q=0", nil),
            ("*;q=0", nil),
            ("*;q=0, identity;q=0.1", .identity),
            ("*;q=0, gzip", .gzip),
            ("identity;q=0, gzip;q=0.1", .gzip),
            ("identity;q=0, *;q=0.1", .br),
            ("br;q=x, gzip;q=0.1", .gzip),
            ("br;q=\"1\", gzip", .gzip),
            ("br;Q=0, gzip", .gzip),
            ("gzip, gzip;q=0", .gzip),
        ] as [(String, ContentCoding?)])
    func `the best coding is the heaviest, and at equal weight the first of ours`(
        _ value: String, _ best: ContentCoding?
    ) {
        let bytes = Array(value.utf8)
        var accept = AcceptEncoding()
        accept.add(bytes.span)
        #expect(accept.best() == best)
    }

    @Test func `a coding that is not at hand is not chosen`() {
        let bytes = Array("br, gzip;q=0.1, identity;q=0".utf8)
        var accept = AcceptEncoding()
        accept.add(bytes.span)
        #expect(accept.best { $0 == .gzip } == .gzip)
        #expect(accept.best { _ in false } == nil)
    }

    @Test func `lines add up`() {
        let first = Array("gzip".utf8), second = Array("br;q=0.5, gzip;q=0".utf8)
        var accept = AcceptEncoding()
        #expect(accept.best() == .identity)
        accept.add(first.span)
        accept.add(second.span)
        #expect(accept.best() == .gzip)
    }

    @Test(arguments: ContentCoding.allCases)
    func `a coding is read from its own token`(_ coding: ContentCoding) {
        let bytes = Array("\(coding.token)".utf8)
        #expect(ContentCoding(bytes.span) == coding)
    }
}
