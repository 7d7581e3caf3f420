internal import CZlib
internal import ChimeraBytes

/// One direction's compression (RFC 7692 §7.2.1): a raw DEFLATE stream of zlib.
///
/// It takes 2^(bits + 3) octets and 6 KiB: 10 KiB with the smallest window, 262 KiB with the largest.
final class Deflater {
    // zlib's own state points back at it, so it must stay where it is.
    private let stream: UnsafeMutablePointer<z_stream>

    /// - Parameters:
    ///   - windowBits: 9 to 15; zlib has no raw stream with 8.
    ///   - level: 1, the fastest, to 9.
    /// - Returns: nil where there is no memory.
    init?(windowBits: Int, level: Int) {
        precondition((9...15).contains(windowBits) && (1...9).contains(level))
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // zlib's usual proportion of 2^(bits + 2) octets for the window to 2^(memory level + 9) for the hashes; negative
        // bits: raw DEFLATE.
        let code = deflateInit2_(
            stream, CInt(level), Z_DEFLATED, -CInt(windowBits), CInt(windowBits - 7),
            Z_DEFAULT_STRATEGY, zlibVersion(), CInt(MemoryLayout<z_stream>.size))
        guard code == Z_OK else {
            stream.deallocate()
            return nil
        }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// Appends what `bytes` become, up to a whole octet, and with an empty block at its end (Z_SYNC_FLUSH); nothing where
    /// there is nothing behind the last such end.
    func deflate(_ bytes: Span<UInt8>, to output: ByteBuffer) {
        bytes.withUnsafeBufferPointer { deflate($0, to: output) }
    }

    private func deflate(_ bytes: UnsafeBufferPointer<UInt8>, to output: ByteBuffer) {
        precondition(bytes.count <= CInt.max)
        // zlib reads there only, but takes what may be written.
        stream.pointee.next_in = UnsafeMutablePointer(mutating: bytes.baseAddress)
        stream.pointee.avail_in = UInt32(bytes.count)
        repeat {
            // With room for less than seven octets zlib would write the empty block again and again.
            output.reserve(max(64, bytes.count / 2))
            let room = output.writable
            let offered = UInt32(truncatingIfNeeded: min(room.count, Int(CInt.max)))
            stream.pointee.next_out = room.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.pointee.avail_out = offered
            // It fails for a broken state alone, which only we could have broken: Z_BUF_ERROR says that all was done.
            let code = CZlib.deflate(stream, Z_SYNC_FLUSH)
            precondition(code == Z_OK || code == Z_BUF_ERROR)
            output.commit(Int(offered - stream.pointee.avail_out))
        } while stream.pointee.avail_out == 0
        stream.pointee.next_in = nil
        stream.pointee.next_out = nil
    }
}
