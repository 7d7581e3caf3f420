internal import ChimeraBytes
internal import ChimeraHTTPCore

/// Requests for another protocol on a stream (RFC 8441), as what they are in HTTP/1.1: a GET with an upgrade, so that
/// nothing behind the connection tells the two apart.
enum ExtendedConnect {
    private static let key: StaticString = "sec-websocket-key"
    private static let accept: StaticString = "sec-websocket-accept"

    /// Makes the head that HTTP/1.1 would have of it. RFC 8441 §5: what a WebSocket's key is for is the stream's own
    /// business here, so the one for an upstream is ours.
    static func normalise(_ request: RequestHead) {
        request.method = .get
        let get: InlineArray<3, UInt8> = [UInt8(ascii: "G"), UInt8(ascii: "E"), UInt8(ascii: "T")]
        request.methodBytes = request.store(get.span)
        guard isWebSocket(request) else { return }
        var random: InlineArray<16, UInt8> = InlineArray(repeating: 0)
        for index in 0..<16 { random[index] = UInt8.random(in: .min ... .max) }
        request.remove(name: bytes(of: key))
        request.add(name: bytes(of: key), value: Base64.encode(random.span).span)
    }

    /// Whether an answer of that status would agree to a protocol that nobody here speaks.
    static func mustRefuse(_ request: RequestHead, status: Int) -> Bool {
        request.majorVersion == 2 && !request.upgrade.isEmpty && status >= 200 && status < 300
    }

    /// RFC 6455 §4.1: whether an upstream has understood the key; what proves it is taken out, since the client did not
    /// ask for it.
    ///
    /// - Parameter request: the head that the upstream got.
    static func agrees(_ response: ResponseHead, to request: RequestHead) -> Bool {
        guard isWebSocket(request) else { return true }
        guard let asked = request.index(ofName: bytes(of: key)),
            let answered = response.index(ofName: bytes(of: accept)),
            let expected = proof(of: request[request.line(at: asked).value]),
            response[response.line(at: answered).value].equals(expected.span)
        else { return false }
        response.remove(name: bytes(of: accept))
        return true
    }

    /// RFC 6455 §4.2.1: what is asked for cannot be agreed to without a key.
    static func lacksKey(_ request: RequestHead) -> Bool {
        isWebSocket(request) && request.index(ofName: bytes(of: key)) == nil
    }

    /// RFC 6455 §4.2.2: proves that the key was understood, where it is a WebSocket that is agreed to.
    static func prove(_ request: RequestHead, in response: ResponseHead) {
        guard isWebSocket(request), let asked = request.index(ofName: bytes(of: key)),
            let proof = proof(of: request[request.line(at: asked).value])
        else { return }
        response.remove(name: bytes(of: accept))
        response.add(name: bytes(of: accept), value: proof.span)
    }

    /// RFC 6455 §1.3
    static func proof(of key: Span<UInt8>) -> [UInt8]? {
        guard var digest = MessageDigest(.sha1) else { return nil }
        digest.begin()
        digest.update(key)
        digest.update(bytes(of: "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
        return digest.finish().map { Base64.encode($0.span) }
    }

    private static func isWebSocket(_ request: RequestHead) -> Bool {
        request[request.upgrade].equalsIgnoringCase("websocket")
    }

    @_lifetime(immortal)
    private static func bytes(of text: StaticString) -> Span<UInt8> {
        // Sound: a static string lives for ever.
        let span = Span(_unsafeStart: text.utf8Start, count: text.utf8CodeUnitCount)
        return _overrideLifetime(span, copying: ())
    }
}
