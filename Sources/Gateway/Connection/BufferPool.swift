internal import ChimeraBytes

/// Buffers of connections that are being served; idle ones have none.
struct BufferPool: ~Copyable {
    private var free: [ByteBuffer] = []
    private let capacity: Int
    private let keptMax: Int

    /// - Parameters:
    ///   - capacity: bytes of a fresh buffer; one that grew past four times that is not kept.
    ///   - keptMax: how many are kept for the next.
    init(capacity: Int, keptMax: Int) {
        self.capacity = capacity
        self.keptMax = keptMax
    }

    mutating func take() -> ByteBuffer {
        free.popLast() ?? ByteBuffer(capacity: capacity)
    }

    mutating func give(_ buffer: ByteBuffer) {
        guard free.count < keptMax, buffer.capacity <= capacity * 4 else { return }
        buffer.clear()
        free.append(buffer)
    }
}
