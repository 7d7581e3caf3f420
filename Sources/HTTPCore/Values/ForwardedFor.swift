internal import ChimeraBytes

/// Finds the client among the addresses that proxies wrote down in `X-Forwarded-For`, once the peer itself is
/// known to be a trusted proxy.
///
/// The client is the rightmost address that is not a trusted proxy's: each trusted proxy vouches for the
/// address before its own, and nobody for those before that. If all are trusted it is the leftmost. An
/// address that is none, `unknown` for example, ends the walk: then it is the address to its right.
///
/// Give the lines in the order in which they came; ``client`` is the answer after the last. It does not
/// matter that the walk goes from left to right: a later address that is not trusted replaces what was found.
package struct ForwardedFor {
    /// An address: the line, as it was numbered, and where in that line's value it stands, without brackets
    /// and port.
    package struct Place: Equatable, Sendable {
        package let line: Int
        package let range: Range<Int>
    }

    /// Where the client's address stands; nil where there is none, and the client is the peer.
    package private(set) var client: Place?

    package init() {}

    /// Takes a line of `X-Forwarded-For`: addresses with commas between them, with ports or without.
    ///
    /// - Parameter isTrusted: whether an address belongs to a trusted proxy; nil where it is no address.
    package mutating func add(
        _ value: Span<UInt8>, line: Int, isTrusted: (Span<UInt8>) -> Bool?
    ) {
        var elements = ListElements(value)
        while let element = elements.next() {
            take(value, value.nodeAddress(element), line, isTrusted)
        }
    }

    private mutating func take(
        _ value: Span<UInt8>, _ address: Range<Int>?, _ line: Int, _ isTrusted: (Span<UInt8>) -> Bool?
    ) {
        guard let address, let trusted = isTrusted(value.extracting(address)) else {
            client = nil
            return
        }
        if !trusted || client == nil { client = Place(line: line, range: address) }
    }
}

extension Span where Element == UInt8 {
    /// The address of a node such as `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or
    /// `[2001:db8::1]:80`, without brackets and port; nil where they do not pair. Whether it is an address is
    /// not looked at.
    fileprivate func nodeAddress(_ node: Range<Int>) -> Range<Int>? {
        guard !node.isEmpty else { return nil }
        let text = extracting(node)
        let start = node.lowerBound
        if text[0] == UInt8(ascii: "[") {
            guard let close = text.firstIndex(of: UInt8(ascii: "]")), close > 1 else { return nil }
            let rest = text.extracting((close + 1)..<text.count)
            guard rest.isEmpty || rest[0] == UInt8(ascii: ":") else { return nil }
            return (start + 1)..<(start + close)
        }
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")) else { return node }
        // One colon is before a port; more are an IPv6 address that nobody put in brackets.
        if text.firstIndex(of: UInt8(ascii: ":"), from: colon + 1) != nil { return node }
        return colon > 0 ? start..<(start + colon) : nil
    }
}
