import ChimeraHTTP1
import ChimeraHTTPCore
import Testing

/// Each bound of `Limits` on a head: up to it, past it, and at zero, however the bytes arrive.
@Suite struct `Limits of heads` {
    private func request(_ bytes: [UInt8], _ limits: Limits) -> Outcome<RequestPicture> {
        Chunking.same(bytes) { RequestPicture.parse($0, $1, limits) }
    }

    private func response(_ bytes: [UInt8], _ limits: Limits) -> Outcome<ResponsePicture> {
        Chunking.same(bytes) { ResponsePicture.parse($0, $1, limits) }
    }

    @Test func `a request line has at most startLineBytesMax bytes`() {
        let line = "GET /234567890 HTTP/1.1"
        let bytes = wire(line, "Host: a")
        var limits = Limits()
        limits.startLineBytesMax = line.utf8.count
        #expect(request(bytes, limits).picture?.target == "/234567890")
        limits.startLineBytesMax -= 1
        #expect(request(bytes, limits) == .refused(.targetTooLong))
        limits.startLineBytesMax = 0
        #expect(request(bytes, limits) == .refused(.targetTooLong))
    }

    @Test func `a request line that never ends is refused at the bound`() {
        var limits = Limits()
        limits.startLineBytesMax = 100
        let endless = [UInt8](repeating: UInt8(ascii: "a"), count: 300)
        #expect(request(endless, limits) == .refused(.targetTooLong))
        #expect(RequestPicture.parse(endless, [101], limits) == .incomplete)
        #expect(RequestPicture.parse(endless, [102], limits) == .refused(.targetTooLong))
    }

    @Test func `a bare LF behind the bound of a line is past the bound first`() {
        var limits = Limits()
        limits.startLineBytesMax = 10
        #expect(request(Array("GET /34567890123\nHost: a\r\n\r\n".utf8), limits) == .refused(.targetTooLong))
        #expect(request(Array("GET /3456\nHost: a\r\n\r\n".utf8), limits) == .refused(.lineEndBare))
    }

    @Test func `empty lines before a request count for nothing`() {
        let line = "GET / HTTP/1.1"
        var limits = Limits()
        limits.startLineBytesMax = line.utf8.count
        limits.headBytesMax = line.utf8.count + 2 + 9 + 2
        #expect(request(Array("\r\n\r\n".utf8) + wire(line, "Host: a"), limits).picture?.authority == "a")
    }

    @Test func `a head has at most headBytesMax bytes`() {
        let bytes = wire("GET / HTTP/1.1", "Host: a", "X: 123")
        var limits = Limits()
        limits.headBytesMax = bytes.count
        #expect(request(bytes, limits).picture?.consumed == bytes.count)
        #expect(request(bytes + Array("more".utf8), limits).picture?.consumed == bytes.count)
        limits.headBytesMax = bytes.count - 1
        #expect(request(bytes, limits) == .refused(.headTooLarge))
        limits.headBytesMax = 0
        #expect(request(bytes, limits) == .refused(.headTooLarge))
    }

    @Test func `what is wrong behind the bound of a head is not looked at`() {
        var limits = Limits()
        limits.headBytesMax = 30
        let bytes = wire("GET / HTTP/1.1", "Host: a", "X: 12345678", "no colon")
        #expect(request(bytes, limits) == .refused(.headTooLarge))
    }

    @Test func `a head has at most fieldsMax lines`() {
        let bytes = wire("GET / HTTP/1.1", "Host: a", "X: 1", "X: 2")
        var limits = Limits()
        limits.fieldsMax = 3
        #expect(request(bytes, limits).picture?.fields.count == 3)
        limits.fieldsMax = 2
        #expect(request(bytes, limits) == .refused(.fieldsTooMany))
        limits.fieldsMax = 0
        #expect(request(bytes, limits) == .refused(.fieldsTooMany))
        #expect(request(wire("GET / HTTP/1.0"), limits).picture?.fields == [])
    }

    @Test func `the head of a response has at most headBytesMax bytes`() {
        let bytes = wire("HTTP/1.1 200 OK", "Content-Length: 0")
        var limits = Limits()
        limits.headBytesMax = bytes.count
        #expect(response(bytes, limits).picture?.consumed == bytes.count)
        limits.headBytesMax = bytes.count - 1
        #expect(response(bytes, limits) == .refused(.headTooLarge))
        limits.headBytesMax = 0
        #expect(response(bytes, limits) == .refused(.headTooLarge))
        let endless = Array("HTTP/1.1 200 ".utf8) + [UInt8](repeating: 65, count: 100)
        limits.headBytesMax = 40
        #expect(response(endless, limits) == .refused(.headTooLarge))
    }

    @Test func `the head of a response has at most fieldsMax lines`() {
        let bytes = wire("HTTP/1.1 200 OK", "A: 1", "B: 2")
        var limits = Limits()
        limits.fieldsMax = 2
        #expect(response(bytes, limits).picture?.fields.count == 2)
        limits.fieldsMax = 1
        #expect(response(bytes, limits) == .refused(.fieldsTooMany))
        limits.fieldsMax = 0
        #expect(response(bytes, limits) == .refused(.fieldsTooMany))
    }
}

/// Each bound of `Limits` on what frames a chunked body.
@Suite struct `Limits of chunked bodies` {
    private func decode(_ text: String, _ limits: Limits) -> BodyPicture {
        Chunking.same(Array(text.utf8)) { BodyPicture.decode($0, $1, .chunked, limits) }
    }

    @Test func `the extensions of a chunk have at most chunkExtensionBytesMax bytes`() {
        var limits = Limits()
        limits.chunkExtensionBytesMax = 4
        let text = "1;a=b\r\nx\r\n0\r\n\r\n"
        #expect(decode(text, limits).end == .ended)
        limits.chunkExtensionBytesMax = 3
        #expect(decode(text, limits).end == .refused(.chunkExtensionTooLong))
        limits.chunkExtensionBytesMax = 0
        #expect(decode(text, limits).end == .refused(.chunkExtensionTooLong))
        #expect(decode("1\r\nx\r\n0\r\n\r\n", limits).end == .ended)
        #expect(decode("1;aaaaaaaaaaaaaaaaaaaaaaaa", limits).end == .refused(.chunkExtensionTooLong))
    }

    @Test func `the trailers have at most trailerBytesMax bytes`() {
        let trailers = "A: b\r\nC: d\r\n"
        var limits = Limits()
        limits.trailerBytesMax = trailers.utf8.count
        #expect(decode("0\r\n\(trailers)\r\n", limits).trailers == ["A: b", "C: d"])
        limits.trailerBytesMax -= 1
        #expect(decode("0\r\n\(trailers)\r\n", limits).end == .refused(.trailersTooLarge))
        limits.trailerBytesMax = 0
        #expect(decode("0\r\n\(trailers)\r\n", limits).end == .refused(.trailersTooLarge))
        #expect(decode("0\r\n\r\n", limits).end == .ended)
        #expect(decode("1\r\nx\r\n0\r\n\r\nrest", limits).left == 4)
    }

    @Test func `what is wrong behind the bound of the trailers is not looked at`() {
        var limits = Limits()
        limits.trailerBytesMax = 8
        #expect(decode("0\r\nA: b\r\nno colon\r\n\r\n", limits).end == .refused(.trailersTooLarge))
        #expect(decode("0\r\nA: b\r\nlong\n\r\n", limits).end == .refused(.trailersTooLarge))
    }

    @Test func `the trailers have at most fieldsMax lines`() {
        var limits = Limits()
        limits.fieldsMax = 2
        #expect(decode("0\r\nA: b\r\nC: d\r\n\r\n", limits).trailers.count == 2)
        limits.fieldsMax = 1
        #expect(decode("0\r\nA: b\r\nC: d\r\n\r\n", limits).end == .refused(.trailersTooLarge))
        limits.fieldsMax = 0
        #expect(decode("0\r\nA: b\r\n\r\n", limits).end == .refused(.trailersTooLarge))
        #expect(decode("0\r\n\r\n", limits).end == .ended)
    }
}
