package import ChimeraBytes

/// The frame that says why a connection is closed (RFC 6455 §5.5.1).
package enum CloseFrame {
    /// Appends one with two octets of payload, the status.
    ///
    /// - Parameter maskingKey: nil from a server; from a client what nobody can foresee (§5.3), its first octet the
    ///   highest.
    package static func append(_ status: CloseStatus, maskingKey: UInt32?, to output: ByteBuffer) {
        var payload = (
            UInt8(truncatingIfNeeded: status.rawValue >> 8), UInt8(truncatingIfNeeded: status.rawValue)
        )
        output.append(0x80 | Opcode.close.rawValue)
        output.append((maskingKey == nil ? 0 : 0x80) | 2)
        if let maskingKey {
            let key = maskingKey.bigEndian
            withUnsafeBytes(of: key) { octets in
                output.append(octets)
                payload.0 ^= octets[0]
                payload.1 ^= octets[1]
            }
        }
        output.append(payload.0)
        output.append(payload.1)
    }
}
