internal import COpenSSL
package import ChimeraBytes

/// What the opening handshake is made of beside what every request has (RFC 6455 §4). Over HTTP/2 and HTTP/3 only the
/// version, the subprotocols and the extensions are left of it (RFC 8441 §5.1).
package enum OpeningHandshake {
    /// The one version there is. A server answers another with 426 and this one in Sec-WebSocket-Version (§4.4).
    package static let version: StaticString = "13"
    /// Characters of Sec-WebSocket-Key.
    package static let keyOctets = 24
    /// Characters of Sec-WebSocket-Accept.
    package static let acceptOctets = 28

    /// Whether a request's Sec-WebSocket-Version, there once, is one that is spoken here.
    package static func isSupported(version value: Span<UInt8>) -> Bool { value.equals(version) }

    /// Whether a request's Sec-WebSocket-Key, there once, is the base 64 form of 16 octets (§4.2.1, item 5).
    package static func isValid(key: Span<UInt8>) -> Bool {
        key.count == keyOctets && Base64.decode(key)?.count == 16
    }

    /// A client's key from 16 octets that nobody has used before (§4.1, item 7).
    package static func key(_ nonce: (UInt64, UInt64)) -> [UInt8] {
        withUnsafeBytes(of: nonce) { octets in
            // Sound: the tuple is 16 octets, and lives until the body returns.
            Base64.encode(Span(_unsafeBytes: octets))
        }
    }

    /// Appends the Sec-WebSocket-Accept that answers a key (§4.2.2, item 5.4).
    ///
    /// - Returns: false where libcrypto refuses SHA-1: then nothing is appended, and no WebSocket can be opened.
    package static func appendAccept(for key: Span<UInt8>, to output: ByteBuffer) -> Bool {
        guard let digest = digest(of: key) else { return false }
        output.append(Base64.encode(digest.span).span)
        return true
    }

    /// Whether a server's Sec-WebSocket-Accept, there once, answers the key that it was sent (§4.1).
    package static func isAnswer(_ accept: Span<UInt8>, to key: Span<UInt8>) -> Bool {
        guard let digest = digest(of: key) else { return false }
        return accept.equals(Base64.encode(digest.span).span)
    }

    /// SHA-1 of the key and of RFC 6455's own identifier.
    private static func digest(of key: Span<UInt8>) -> [UInt8]? {
        var text = [UInt8](copying: key)
        text.append(contentsOf: "258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)
        // SHA-1's 20 octets; EVP_MAX_MD_SIZE, which libcrypto assumes, is 64.
        var digest = [UInt8](repeating: 0, count: 64)
        var count = digest.count
        guard EVP_Q_digest(nil, "SHA1", nil, text, text.count, &digest, &count) == 1, count == 20 else {
            return nil
        }
        digest.removeLast(digest.count - count)
        return digest
    }
}
