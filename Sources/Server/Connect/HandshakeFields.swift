internal import ChimeraBytes
internal import ChimeraWebSocket

/// What the operator adds to the head of an opening handshake.
enum HandshakeFields {
    /// Whether a text is `Name: value`, and no more than one line (RFC 9110 §5.1, §5.5).
    static func isField(_ text: String) -> Bool {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), colon != text.utf8.startIndex else {
            return false
        }
        let isName = text.utf8[..<colon].allSatisfy {
            (48...57).contains($0) || (65...90).contains($0 & 0xDF) || "!#$%&'*+-.^_`|~".utf8.contains($0)
        }
        return isName && text.utf8[colon...].allSatisfy { $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) }
    }

    /// RFC 7617 §2, of `NAME:PASSWORD`.
    static func authorization(_ said: String) -> String {
        "Authorization: Basic " + String(decoding: Base64.encode(Array(said.utf8).span), as: UTF8.self)
    }
}
