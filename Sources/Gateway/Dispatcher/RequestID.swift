internal import ChimeraBytes

/// `{id}`: 128 random bits that name a request in logs and in headers.
struct RequestID: Equatable, Sendable {
    let high: UInt64
    let low: UInt64

    /// Appends the 32 hexadecimal digits.
    func append(to output: ByteBuffer) {
        output.reserve(32)
        RequestID.append(high, to: output)
        RequestID.append(low, to: output)
    }

    private static func append(_ word: UInt64, to output: ByteBuffer) {
        for shift in stride(from: 60, through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: word >> UInt64(shift)) & 0xF
            output.append(digit < 10 ? digit + 0x30 : digit + 0x57)
        }
    }
}

/// Makes request ids, one for each worker: xoshiro256**, seeded by the kernel. The ids name requests, they
/// guard nothing.
final class RequestIDs {
    @exclusivity(unchecked) private var state: (UInt64, UInt64, UInt64, UInt64)

    init() {
        // On Linux the system's generator is getrandom(2).
        var generator = SystemRandomNumberGenerator()
        state = (generator.next(), generator.next(), generator.next(), generator.next() | 1)
    }

    func next() -> RequestID { RequestID(high: draw(), low: draw()) }

    private func draw() -> UInt64 {
        let result = RequestIDs.rotate(state.1 &* 5, by: 7) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = RequestIDs.rotate(state.3, by: 45)
        return result
    }

    private static func rotate(_ value: UInt64, by bits: UInt64) -> UInt64 {
        value << bits | value >> (64 - bits)
    }
}
