internal import Synchronization

/// Buckets of tokens for any number of keys in bounded memory, shared by all workers. Tokens are taken without a lock;
/// a key's first one takes its place under one, so that two workers never give one key two buckets.
///
/// ```
///  key ─▶ row of 8 places  [ key │ full at ] [ key │ full at ] …
/// ```
/// A key has a place in its row, taken when a token of it is first taken. Where the row is taken, it is that of the
/// bucket which is nearest to full: mostly one that is full, so that nothing is lost by forgetting it. A worker that
/// takes a token of a bucket while another one forgets that may give one token too few of the new key, and nothing else.
final class RateTable: Sendable {
    enum Outcome: Equatable {
        case admitted
        /// There is a token in so many nanoseconds.
        case refused(wait: Int64)
    }

    private static let ways = 8

    // Sound: atomics in memory that lives as long as self and is never moved; `calloc` gives it page by page, zeroed,
    // and an atomic's zero is all bits zero.
    private nonisolated(unsafe) let cells: UnsafeMutablePointer<Atomic<UInt64>>
    private let memory: ZeroedMemory
    private let rowMask: Int
    private let forgotten = Atomic<UInt64>(0)
    private let claiming = Mutex(())

    /// - Parameter rows: a power of two; each has 8 places of 16 bytes.
    init(rows: Int = 32 * 1024) {
        precondition(rows > 0 && rows & (rows - 1) == 0)
        rowMask = rows - 1
        let count = rows * Self.ways * 2
        memory = ZeroedMemory(bytes: count * MemoryLayout<Atomic<UInt64>>.stride)
        cells = memory.base.bindMemory(to: Atomic<UInt64>.self, capacity: count)
    }

    /// Buckets that were not full and were forgotten, since their row was taken.
    var forgottenBuckets: UInt64 { forgotten.load(ordering: .relaxed) }

    /// Whether the key has a token now, without taking it.
    func peek(_ key: UInt64, _ rate: TokenRate, now: Int64) -> Outcome {
        guard let place = find(key) else { return .admitted }
        return rate.wait(full: full(place), now: now).map(Outcome.refused) ?? .admitted
    }

    /// Takes a token of the key, where there is one.
    func take(_ key: UInt64, _ rate: TokenRate, now: Int64) -> Outcome {
        let place = find(key) ?? claim(key, now: now)
        let cell = cells + place + 1
        var seen = cell.pointee.load(ordering: .relaxed)
        while true {
            let full = Int64(bitPattern: seen)
            if let wait = rate.wait(full: full, now: now) { return .refused(wait: wait) }
            let next = UInt64(bitPattern: rate.taking(full: full, now: now))
            let (exchanged, original) = cell.pointee.weakCompareExchange(
                expected: seen, desired: next, ordering: .relaxed)
            if exchanged { return .admitted }
            seen = original
        }
    }

    // MARK: Places

    /// The first cell of a key's row.
    private func row(of key: UInt64) -> Int { (Int(truncatingIfNeeded: key >> 8) & rowMask) * Self.ways * 2 }

    private func full(_ place: Int) -> Int64 {
        Int64(bitPattern: (cells + place + 1).pointee.load(ordering: .relaxed))
    }

    private func find(_ key: UInt64) -> Int? {
        let row = row(of: key)
        for place in stride(from: row, to: row + Self.ways * 2, by: 2)
        where (cells + place).pointee.load(ordering: .acquiring) == key { return place }
        return nil
    }

    /// A place for a key that has none, or that which another worker gave it meanwhile.
    private func claim(_ key: UInt64, now: Int64) -> Int {
        claiming.withLock { _ in
            if let place = find(key) { return place }
            let row = row(of: key)
            var best = row
            for place in stride(from: row, to: row + Self.ways * 2, by: 2) where full(place) < full(best) {
                best = place
            }
            if full(best) > now { forgotten.wrappingAdd(1, ordering: .relaxed) }
            // In this order: whoever finds the key finds its bucket full.
            (cells + best + 1).pointee.store(0, ordering: .relaxed)
            (cells + best).pointee.store(key, ordering: .releasing)
            return best
        }
    }
}
