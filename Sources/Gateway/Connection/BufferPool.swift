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
        guard free.count < keptMax, (capacity...capacityMax).contains(buffer.capacity) else { return }
        buffer.clear()
        free.append(buffer)
    }
}

/// How much of what served a request one worker keeps for the next. The process keeps so much in all, however many
/// workers share it: what a burst of connections leaves behind does not grow with the cores.
struct SpareLimits {
    /// Connections past which an idle one keeps neither its exchange nor its buffers, some 10 KiB.
    let active: Int
    let buffers: Int
    let transactions: Int

    /// - Parameter workers: how many share.
    init(workers: Int) {
        // Some stay for each: a worker with that many clients at once should not allocate for each request.
        func share(_ count: Int) -> Int { max(count / workers, 64) }
        (active, buffers, transactions) = (share(384), share(768), share(256))
    }
}
