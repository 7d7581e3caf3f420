package import ChimeraBytes

/// What a message holds (RFC 6455 §5.6).
package enum MessageKind: UInt8, Sendable, CaseIterable {
    /// UTF-8, of which a character may be cut between two parts of a message.
    case text = 0x1
    case binary = 0x2
}

/// Some octets of a message, in the order in which they were sent: at most what has come and, where the message is
/// compressed, ``MessageDecoder/inflatedOctetsMax``. How the sender cut its message into frames does not show.
package struct MessagePart: Equatable, Sendable {
    package var kind: MessageKind
    /// Nothing of its message was handed out before.
    package var isFirst: Bool
    /// Nothing of its message comes behind it. A last part may be empty.
    package var isLast: Bool
    /// Octets.
    package var count: Int
    /// They stand in the buffer for what was inflated, not in the connection's own.
    package var isInflated: Bool

    /// The buffer that the octets stand at the front of.
    @inlinable @inline(__always)
    package func buffer(input: ByteBuffer, inflated: ByteBuffer) -> ByteBuffer {
        isInflated ? inflated : input
    }
}

/// How long what a peer sends may be.
package struct MessageLimits: Equatable, Sendable {
    /// Octets of one frame's payload, as it is sent.
    package var frameBytesMax: Int
    /// Octets of one message, after it is inflated.
    package var messageBytesMax: Int

    package init(frameBytesMax: Int = 1 << 20, messageBytesMax: Int = 1 << 20) {
        precondition(frameBytesMax >= 0 && messageBytesMax >= 0)
        self.frameBytesMax = frameBytesMax
        self.messageBytesMax = messageBytesMax
    }
}
