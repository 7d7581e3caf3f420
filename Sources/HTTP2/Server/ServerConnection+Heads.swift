internal import ChimeraBytes
package import ChimeraHTTPCore

extension ServerConnection {
    /// Sends the final head of a response (RFC 9113 §8.3.2), with Date and Content-Length.
    ///
    /// - Parameters:
    ///   - method: that of the request.
    ///   - date: 29 octets of IMF-fixdate.
    /// - Returns: whether content may follow; otherwise the answer has ended with the head. False as well for a stream
    ///   that is gone.
    @discardableResult
    package func sendHead(
        _ stream: StreamHandle, _ head: ResponseHead, answering method: Method, date: InlineArray<29, UInt8>
    ) -> Bool {
        guard !isOver, let slot = streams.slot(of: stream), !streams[slot].headSent else {
            return false
        }
        streams[slot].headSent = true
        let start = beginBlock()
        let key = EncodedHeads.Key(status: head.status, body: head.body, isHead: method == .head)
        let (changes, from) = (encoder.changes, output.count)
        let kept = encodedHeads.append(head, key, changes: changes, date: date, to: output)
        let hasContent = kept ?? encode(head, key, date)
        if kept == nil && encoder.changes == changes {
            let output = output
            let block = output.readable.extracting(from...)
            encodedHeads.keep(block, of: head, key, changes: changes, date: date, hasContent: hasContent)
        }
        endBlock(start, slot, endStream: !hasContent)
        return hasContent
    }

    /// - Returns: whether content follows.
    private func encode(_ head: ResponseHead, _ key: EncodedHeads.Key, _ date: InlineArray<29, UInt8>) -> Bool
    {
        encoder.encode(status: head.status, output)
        encodeFields(head)
        if !head.contains(.date) { encoder.encode(WireName(.date), date.span, output) }
        // RFC 9110 §8.6: no Content-Length with 1xx and 204; in a 304 it would describe another message.
        if head.forbidsContent { return false }
        switch key.body {
        case .none:
            encodeLength(0)
            return false
        case .known(let count):
            encodeLength(count)
            return count > 0 && !key.isHead
        case .unknown: return !key.isHead
        }
    }

    /// Sends the head that agrees on a tunnel: 200, without a length (RFC 9113 §8.5, RFC 8441 §5).
    package func sendTunnelHead(_ stream: StreamHandle, _ head: ResponseHead, date: InlineArray<29, UInt8>) {
        guard !isOver, let slot = streams.slot(of: stream), !streams[slot].headSent else { return }
        streams[slot].headSent = true
        let start = beginBlock()
        encoder.encode(status: 200, output)
        encodeFields(head)
        if !head.contains(.date) { encoder.encode(WireName(.date), date.span, output) }
        endBlock(start, slot, endStream: false)
        streams[slot].isTunnel = true
    }

    /// Sends an interim head (RFC 9113 §8.1); 101 is none in this version (§8.6).
    package func sendInformational(_ stream: StreamHandle, status: Int, _ fields: FieldBlock?) {
        guard !isOver, let slot = streams.slot(of: stream), !streams[slot].headSent else { return }
        guard status >= 100, status < 200, status != 101 else { return }
        let start = beginBlock()
        encoder.encode(status: status, output)
        if let fields { encodeFields(fields) }
        endBlock(start, slot, endStream: false)
    }
}
