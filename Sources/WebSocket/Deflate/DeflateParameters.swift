/// What both sides agreed about permessage-deflate (RFC 7692 §7.1).
package struct DeflateParameters: Equatable, Sendable {
    /// What a server sends.
    package var server = DeflateDirection()
    /// What a client sends.
    package var client = DeflateDirection()

    package init() {}

    /// What `role` sends.
    package func sent(by role: Role) -> DeflateDirection { role == .server ? server : client }
}

/// How one side may compress.
package struct DeflateDirection: Equatable, Sendable {
    /// A message may refer to those before it, so both sides keep their windows between messages (§7.1.1).
    package var keepsContext: Bool
    /// The base-2 logarithm of the largest distance that is referred to, 8 to 15 (§7.1.2).
    package var windowBits: Int

    package static let windowBitsRange = 8...15

    package init(keepsContext: Bool = true, windowBits: Int = 15) {
        precondition(Self.windowBitsRange.contains(windowBits))
        self.keepsContext = keepsContext
        self.windowBits = windowBits
    }
}
