package import ChimeraBytes

/// Writes one direction of a WebSocket's messages (RFC 6455 §5.6, RFC 7692 §7.2.1).
///
/// Control frames may stand between any two frames and need no state: see ``ControlFrame`` and ``CloseFrame``.
///
/// An encoder takes some 50 octets. A message that is compressed needs 2^(bits + 3) octets and 6 KiB, of bits that its
/// size needs where no context is kept; they stay between messages only where one is.
package struct MessageEncoder: ~Copyable {
    /// When, and how hard, is compressed what may be compressed.
    package struct Compression: Equatable, Sendable {
        /// Shorter messages are sent as they are.
        package var octetsMin: Int
        /// 1, the fastest, to 9.
        package var level: Int

        package init(octetsMin: Int = 64, level: Int = 1) {
            precondition(octetsMin >= 0 && (1...9).contains(level))
            self.octetsMin = octetsMin
            self.level = level
        }
    }

    private let role: Role
    private let deflate: DeflateDirection?
    private let compression: Compression
    private var deflater: Deflater?
    /// The streamed message that has begun and not ended.
    private var message: Message?

    private struct Message {
        var kind: MessageKind
        var isCompressed: Bool
        var isFirst = true
    }

    /// - Parameters:
    ///   - role: who sends.
    ///   - deflate: what was agreed about the sender's compression; nil where it must not compress.
    package init(_ role: Role, deflate: DeflateDirection? = nil, compression: Compression = Compression()) {
        self.role = role
        // zlib has no raw stream with a window of 8 bits. Nobody has to compress.
        self.deflate = deflate.flatMap { $0.windowBits > 8 ? $0 : nil }
        self.compression = compression
    }

    /// A streamed message has begun and not ended: no other may begin (§5.4).
    package var isInMessage: Bool { message != nil }

    /// Memory is held for compressing, of a message or of a context that is kept.
    package var holdsDeflater: Bool { deflater != nil }

    /// Appends a whole message, one frame.
    ///
    /// - Parameters:
    ///   - kind: text must be UTF-8, which the caller sees to.
    ///   - maskingKey: nil from a server; from a client what nobody can foresee (§5.3), its first octet the highest.
    package mutating func append(
        _ kind: MessageKind, _ payload: Span<UInt8>, maskingKey: UInt32? = nil, to output: ByteBuffer
    ) {
        precondition(message == nil)
        let isCompressed =
            payload.count > 0 && payload.count >= compression.octetsMin && opensDeflater(payload.count)
        message = Message(kind: kind, isCompressed: isCompressed)
        appendPart(payload, isLast: true, maskingKey: maskingKey, to: output)
    }

    /// Begins a message that is sent in parts as they come, a frame each.
    ///
    /// - Parameter isCompressible: false for what compresses badly, such as pictures.
    package mutating func begin(_ kind: MessageKind, isCompressible: Bool = true) {
        precondition(message == nil)
        message = Message(kind: kind, isCompressed: isCompressible && opensDeflater(nil))
    }

    /// Appends the next part of the message begun, so that its receiver can read all of it at once. An empty part that is
    /// not the last is not sent.
    package mutating func appendPart(
        _ payload: Span<UInt8>, isLast: Bool, maskingKey: UInt32? = nil, to output: ByteBuffer
    ) {
        precondition((maskingKey == nil) == (role == .server))
        guard var current = message else { preconditionFailure("no message has begun") }
        guard payload.count > 0 || isLast else { return }
        var header = FrameHeader()
        header.isFinal = isLast
        header.opcode = current.isFirst ? current.kind.rawValue : Opcode.continuation.rawValue
        header.maskingKey = maskingKey
        if let deflater, current.isCompressed {
            // RFC 7692 §6: the bit stands at a message's first frame.
            header.reserved = current.isFirst ? 4 : 0
            appendDeflated(payload, header, deflater, to: output)
        } else {
            appendPlain(payload, header, to: output)
        }
        current.isFirst = false
        message = isLast ? nil : current
        if isLast && deflate?.keepsContext == false { deflater = nil }
    }

    private func appendPlain(_ payload: Span<UInt8>, _ header: FrameHeader, to output: ByteBuffer) {
        var header = header
        header.payloadLength = UInt64(payload.count)
        output.reserve(FrameHeader.octetsMax + payload.count)
        header.append(to: output)
        output.append(payload)
        if let key = header.maskingKey { output.maskEnd(payload.count, key) }
    }

    /// How long the payload becomes is known behind it: room is left for the header that it would need as it is, and
    /// where the other needs another, the payload moves.
    private func appendDeflated(
        _ payload: Span<UInt8>, _ header: FrameHeader, _ deflater: Deflater, to output: ByteBuffer
    ) {
        let isMasked = header.maskingKey != nil
        let before = output.count
        let gap = FrameHeader.octets(payload: payload.count, isMasked: isMasked)
        output.reserve(gap)
        output.commit(gap)
        deflater.deflate(payload, to: output)
        var length = output.count - before - gap
        if header.isFinal {
            // §7.2.1: without the lengths of the empty block that ends it; §7.2.3.6: where there is nothing, such a block.
            if length >= 4 { output.truncate(to: output.end - 4) } else { output.append(0) }
            length = output.count - before - gap
            // A message that is alone can still be sent as it is.
            if header.reserved != 0 && deflate?.keepsContext == false && length >= payload.count {
                output.truncate(to: output.start + before)
                var plain = header
                plain.reserved = 0
                return appendPlain(payload, plain, to: output)
            }
        }
        var header = header
        header.payloadLength = UInt64(length)
        output.write(header, over: gap, before: length)
        if let key = header.maskingKey { output.maskEnd(length, key) }
    }

    /// - Parameter octets: of the message, where they are known.
    /// - Returns: whether there is one, so that the message can be compressed.
    private mutating func opensDeflater(_ octets: Int?) -> Bool {
        guard let deflate else { return false }
        if deflater != nil { return true }
        var bits = deflate.windowBits
        if let octets, !deflate.keepsContext {
            // A window of twice the message finds all there is, and less memory has to be cleared for it.
            bits = min(bits, max(9, Int.bitWidth - octets.leadingZeroBitCount + 1))
        }
        deflater = Deflater(windowBits: bits, level: compression.level)
        return deflater != nil
    }
}

extension ByteBuffer {
    /// Writes a header into the gap of `gap` octets that stands before the last `length` ones, which move where it is
    /// longer or shorter.
    fileprivate func write(_ header: FrameHeader, over gap: Int, before length: Int) {
        let size = FrameHeader.octets(payload: length, isMasked: header.maskingKey != nil)
        // Nothing may move the payload while it stands behind the end.
        reserve(2 * FrameHeader.octetsMax)
        let payload = end - length
        if size != gap {
            if size > gap { commit(size - gap) }
            // Sound: both ranges lie within what is written, and overlapping is allowed.
            (base + (payload + size - gap)).update(from: base + payload, count: length)
        }
        truncate(to: payload - gap)
        header.append(to: self)
        commit(length)
    }
}
