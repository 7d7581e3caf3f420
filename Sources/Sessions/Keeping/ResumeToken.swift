internal import ChimeraBytes

/// What a client presents to come back to its program: 160 bits that nobody guesses, and how far it has read.
package struct ResumeClaim: Equatable, Sendable {
    package var token: String
    /// What came before it has arrived; nil for who has nothing any more and wants all that is kept.
    package var position: Int64?

    /// What stands before it in `Sec-WebSocket-Protocol`.
    package static let prefix = "chimera.resume."
    /// The field of those who set their own.
    package static let fieldName = "Chimera-Resume"
    package static let digits = 40

    package init(token: String, position: Int64? = nil) {
        self.token = token
        self.position = position
    }

    /// `TOKEN` or `TOKEN.POSITION`; nil for what is neither.
    package init?(_ text: Span<UInt8>) {
        guard text.count >= Self.digits else { return nil }
        for index in 0..<Self.digits where !Self.isDigit(text[index]) { return nil }
        token = String(decoding: Array(copying: text.extracting(first: Self.digits)), as: UTF8.self)
        guard text.count > Self.digits else { return }
        guard text[Self.digits] == UInt8(ascii: "."), text.count <= Self.digits + 17 else { return nil }
        var number: Int64 = 0
        guard text.count > Self.digits + 1 else { return nil }
        for index in (Self.digits + 1)..<text.count {
            guard (48...57).contains(text[index]) else { return nil }
            number = number * 10 + Int64(text[index] - 48)
        }
        position = number
    }

    /// An element of `Sec-WebSocket-Protocol`; nil for any other.
    package init?(subprotocol: Span<UInt8>) {
        let prefix = Array(Self.prefix.utf8)
        guard subprotocol.count > prefix.count else { return nil }
        for (index, octet) in prefix.enumerated() where subprotocol[index] != octet { return nil }
        self.init(subprotocol.extracting(droppingFirst: prefix.count))
    }

    private static func isDigit(_ octet: UInt8) -> Bool {
        (48...57).contains(octet) || (97...102).contains(octet)
    }

    /// A token that was never there before.
    package static func makeToken() -> String {
        var random = SystemRandomNumberGenerator()
        var text = ""
        while text.utf8.count < digits {
            let part = String(random.next(), radix: 16)
            text += String(repeating: "0", count: 16 - part.utf8.count) + part
        }
        return String(text.prefix(digits))
    }
}
