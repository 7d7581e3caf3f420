internal import ChimeraBytes

/// Buffers of connections that are being served; idle ones have none.
struct BufferPool: ~Copyable {
    private var free: [ByteBuffer] = []
    private let capacity: Int
    private let capacityMax: Int
    private let keptMax: Int

    /// - Parameters:
    ///   - capacity: bytes of a fresh buffer.
    ///   - capacityMax: bytes of a buffer that is kept; one that grew past that goes.
    ///   - keptMax: how many are kept for the next.
    init(capacity: Int, capacityMax: Int, keptMax: Int) {
        self.capacity = capacity
        self.capacityMax = capacityMax
        self.keptMax = keptMax
    }

    mutating func take() -> ByteBuffer {
        free.popLast() ?? ByteBuffer(capacity: capacity)
    }

    mutating func give(_ buffer: ByteBuffer) {
        guard free.count < keptMax, buffer.capacity <= capacityMax else { return }
        buffer.clear()
        free.append(buffer)
    }
}
