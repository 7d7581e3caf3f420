package import ChimeraBytes
package import ChimeraHTTPCore

extension RequestingConnection {
    /// Sends the head of a request (RFC 9113 §8.3.1). Its fields go on as they are, but for those of a connection; Host
    /// becomes the authority.
    ///
    /// - Parameters:
    ///   - head: `body` says whether content follows, and what Content-Length is.
    ///   - target: path and query, of `head`'s bytes; for a CONNECT without `upgrade` the authority to connect to.
    ///   - upgrade: the one protocol that the stream shall be of, or empty. It makes the request an extended CONNECT
    ///     (RFC 8441), whatever its method, for which `peer.allowsExtendedConnect` has to hold.
    ///   - isSecure: the scheme is https, else http.
    /// - Returns: the stream, whose side of ours has ended where no content follows (`hasEnded`); nil where `streamRoom`
    ///   is 0, or the server has no extended CONNECT.
    package func open(_ head: RequestHead, target: Slice, upgrade: Slice, isSecure: Bool) -> StreamHandle? {
        guard streamRoom > 0, upgrade.isEmpty || peer.allowsExtendedConnect else { return nil }
        let isTunnel = head.method == .connect || !upgrade.isEmpty
        let slot = enter(asking: isTunnel ? .tunnel : head.method == .head ? .head : .content)
        let stream = streams.handle(of: slot)
        let start = beginBlock()
        if !upgrade.isEmpty {
            encoder.encode(.method, head.connectToken, output)
            encoder.encode(.protocol, head[upgrade], output)
        } else {
            encoder.encode(method: head[head.methodBytes], output)
        }
        encodeTarget(head, target, isPlainConnect: isTunnel && upgrade.isEmpty, isSecure: isSecure)
        encodeFields(head)
        // RFC 9113 §8.2.2: the one thing that TE may say.
        if let te = head[.te], te.equalsIgnoringCase("trailers") { encoder.encode(WireName(.te), te, output) }
        let hasContent = isTunnel || encodeLength(of: head)
        endBlock(start, slot, endStream: !hasContent)
        return stream
    }

    private func encodeTarget(_ head: RequestHead, _ target: Slice, isPlainConnect: Bool, isSecure: Bool) {
        // RFC 9113 §8.5: a CONNECT has neither scheme nor path.
        if isPlainConnect { return encoder.encode(.authority, head[target], output) }
        encoder.encode(isSecure: isSecure, output)
        if let host = head[.host] { encoder.encode(.authority, host, output) }
        encoder.encode(path: head[target], output)
    }

    /// - Returns: whether content follows.
    private func encodeLength(of head: RequestHead) -> Bool {
        switch head.body {
        case .none:
            // RFC 9110 §8.6: who said that there is nothing goes on saying it.
            if head.contains(.contentLength) { encodeLength(0) }
            return false
        case .known(let count):
            encodeLength(count)
            return count > 0
        case .unknown: return true
        }
    }
}

extension RequestHead {
    /// The method of an extended CONNECT (RFC 8441 §4).
    fileprivate var connectToken: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let token = Method.connect.token
            // Sound: a static string lives for ever.
            let span = Span(_unsafeStart: token.utf8Start, count: token.utf8CodeUnitCount)
            return _overrideLifetime(span, borrowing: self)
        }
    }
}
