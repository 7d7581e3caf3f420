internal import CZlib

/// One direction's decompression (RFC 7692 §7.2.2): a raw DEFLATE stream of zlib, 7 KiB and its window.
final class Inflater {
    /// What became of some octets.
    struct Step {
        var taken = 0
        var made = 0
        /// What was taken may stand in a DEFLATE stream.
        var isSound = true
    }

    /// The room for output was used up: there may be more without more input.
    private(set) var mayHoldOutput = false
    /// The last octet taken ended a block that says that it is the last one.
    private var hasEnded = false
    // zlib's own state points back at it, so it must stay where it is.
    private let stream: UnsafeMutablePointer<z_stream>

    /// What a sender leaves away at the end of each message (§7.2.1): an empty block's two lengths.
    private static let tail: InlineArray<4, UInt8> = [0x00, 0x00, 0xFF, 0xFF]

    /// - Parameter windowBits: 8 to 15.
    /// - Returns: nil where there is no memory.
    init?(windowBits: Int) {
        precondition((8...15).contains(windowBits))
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // Negative: raw DEFLATE, without the header and the trailer of RFC 1950.
        let code = inflateInit2_(
            stream, -CInt(windowBits), zlibVersion(), CInt(MemoryLayout<z_stream>.size))
        guard code == Z_OK else {
            stream.deallocate()
            return nil
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    /// Inflates up to `count` octets for as long as there is room.
    func take(
        _ octets: UnsafeMutablePointer<UInt8>, _ count: Int, into output: UnsafeMutableRawBufferPointer
    ) -> Step {
        var step = Step()
        // zlib counts in 32 bits.
        let offered = min(count, Int(CInt.max))
        let room = min(output.count, Int(CInt.max))
        stream.pointee.next_in = octets
        stream.pointee.avail_in = UInt32(truncatingIfNeeded: offered)
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(truncatingIfNeeded: room)
        run(&step)
        step.taken = offered - Int(stream.pointee.avail_in)
        step.made = room - Int(stream.pointee.avail_out)
        mayHoldOutput = stream.pointee.avail_out == 0
        // Neither points anywhere after this call.
        stream.pointee.next_in = nil
        stream.pointee.next_out = nil
        return step
    }

    private func run(_ step: inout Step) {
        while stream.pointee.avail_out > 0 {
            if stream.pointee.avail_in > 0 { hasEnded = false }
            switch inflate(stream, Z_SYNC_FLUSH) {
            // Z_BUF_ERROR: there was nothing to do.
            case Z_OK, Z_BUF_ERROR:
                step.isSound = stream.pointee.avail_in == 0 || stream.pointee.avail_out == 0
                return
            case Z_STREAM_END:
                // §7.2.3.4: a block may say that it is the last, and others follow it. The window stays.
                hasEnded = true
                guard inflateResetKeep(stream) == Z_OK else {
                    step.isSound = false
                    return
                }
                if stream.pointee.avail_in == 0 { return }
            default:
                step.isSound = false
                return
            }
        }
    }

    /// Takes, behind a message's last octet, what its sender left away.
    ///
    /// - Parameter scratch: some room; sound data leaves nothing in it, since all that came before was read.
    /// - Returns: whether the message ends there, with a block.
    func endsMessage(scratch: UnsafeMutableRawBufferPointer) -> Bool {
        // What ended as a whole stream has nothing left away.
        if hasEnded {
            hasEnded = false
            return true
        }
        var tail = Self.tail
        let step = withUnsafeMutableBytes(of: &tail) { bytes in
            let octets = bytes.assumingMemoryBound(to: UInt8.self)
            guard let base = octets.baseAddress else { return Step() }
            return take(base, octets.count, into: scratch)
        }
        // zlib.h, inflate(): 128 is added behind the end of a block.
        let isBoundary = stream.pointee.data_type & 128 != 0 && !hasEnded
        return step.isSound && step.made == 0 && step.taken == Self.tail.count && isBoundary
    }
}
