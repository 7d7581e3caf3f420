internal import ChimeraBytes

/// A masking key on its way through a payload (RFC 6455 §5.3): octet i of the payload is combined with octet i mod 4 of
/// the key, wherever the payload is cut.
struct MaskingKey: Sendable {
    /// As it lies in memory when the next octet of the payload is combined with its first.
    private var word: UInt32

    /// - Parameter key: its first octet the highest.
    init(_ key: UInt32) { word = key.bigEndian }

    /// Masks, or unmasks, the next `count` octets of the payload where they are.
    mutating func apply(_ octets: UnsafeMutablePointer<UInt8>, _ count: Int) {
        guard word != 0 else { return }
        let bytes = UnsafeMutableRawPointer(octets)
        let long = UInt64(word) << 32 | UInt64(word)
        var index = 0
        // Sound: every access lies below `count`; unaligned ones are allowed for trivial types.
        while index &+ 8 <= count {
            let value = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            bytes.storeBytes(of: value ^ long, toByteOffset: index, as: UInt64.self)
            index &+= 8
        }
        var rest = word.littleEndian
        while index < count {
            octets[index] ^= UInt8(truncatingIfNeeded: rest)
            rest = rest >> 8 | rest << 24
            index &+= 1
        }
        word = UInt32(littleEndian: rest)
    }
}

extension ByteBuffer {
    /// Masks the last `count` octets, a whole payload.
    func maskEnd(_ count: Int, _ key: UInt32) {
        var key = MaskingKey(key)
        // Sound: the caller has just appended so many.
        key.apply(base + (end - count), count)
    }
}
