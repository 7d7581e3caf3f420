package import ChimeraBytes

/// A ping or a pong, whole (RFC 6455 §5.5.2, §5.5.3).
package enum ControlFrame {
    /// Appends one.
    ///
    /// - Parameters:
    ///   - opcode: ``Opcode/ping``, ``Opcode/pong`` or ``Opcode/close``.
    ///   - payload: 125 octets at most; of a pong, those of the ping that it answers.
    ///   - maskingKey: nil from a server; from a client what nobody can foresee (§5.3), its first octet the highest.
    package static func append(
        _ opcode: Opcode, _ payload: Span<UInt8>, maskingKey: UInt32?, to output: ByteBuffer
    ) {
        precondition(payload.count <= FrameHeader.controlPayloadMax && opcode.rawValue & 0x8 != 0)
        var header = FrameHeader()
        header.isFinal = true
        header.opcode = opcode.rawValue
        header.payloadLength = UInt64(payload.count)
        header.maskingKey = maskingKey
        header.append(to: output)
        output.append(payload)
        if let maskingKey { output.maskEnd(payload.count, maskingKey) }
    }
}
