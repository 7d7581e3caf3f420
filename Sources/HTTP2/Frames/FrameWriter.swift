internal import ChimeraBytes

/// Writes frames (RFC 9113 §4 and §6) behind each other into one buffer.
enum FrameWriter {
    /// Writes the head of a frame.
    static func head(
        _ type: FrameType, _ flags: FrameFlags, stream: UInt32, length: Int, to output: ByteBuffer
    ) {
        precondition(length >= 0 && length < 1 << 24)
        output.reserve(FrameHeader.bytes)
        write(type, flags, stream, length, to: output.base + output.end)
        output.commit(FrameHeader.bytes)
    }

    private static func write(
        _ type: FrameType, _ flags: FrameFlags, _ stream: UInt32, _ length: Int,
        to room: UnsafeMutablePointer<UInt8>
    ) {
        // Sound: the caller made room for nine octets.
        room[0] = UInt8(truncatingIfNeeded: length >> 16)
        room[1] = UInt8(truncatingIfNeeded: length >> 8)
        room[2] = UInt8(truncatingIfNeeded: length)
        room[3] = type.rawValue
        room[4] = flags.rawValue
        room[5] = UInt8(truncatingIfNeeded: stream >> 24)
        room[6] = UInt8(truncatingIfNeeded: stream >> 16)
        room[7] = UInt8(truncatingIfNeeded: stream >> 8)
        room[8] = UInt8(truncatingIfNeeded: stream)
    }

    static func resetStream(_ stream: UInt32, _ code: ErrorCode, to output: ByteBuffer) {
        head(.resetStream, [], stream: stream, length: 4, to: output)
        append32(code.rawValue, to: output)
    }

    static func windowUpdate(_ stream: UInt32, _ increment: Int, to output: ByteBuffer) {
        precondition(increment > 0 && increment <= Int(Int32.max))
        head(.windowUpdate, [], stream: stream, length: 4, to: output)
        append32(UInt32(increment), to: output)
    }

    static func ping(_ payload: Span<UInt8>, isAck: Bool, to output: ByteBuffer) {
        precondition(payload.count == 8)
        head(.ping, isAck ? .ack : [], stream: 0, length: 8, to: output)
        output.append(payload)
    }

    static func goAway(last: UInt32, _ code: ErrorCode, debug: String, to output: ByteBuffer) {
        head(.goAway, [], stream: 0, length: 8 + debug.utf8.count, to: output)
        append32(last, to: output)
        append32(code.rawValue, to: output)
        output.append(string: debug)
    }

    static func settings(_ settings: [(Setting, UInt32)], to output: ByteBuffer) {
        head(.settings, [], stream: 0, length: settings.count * 6, to: output)
        for (setting, value) in settings {
            output.append(UInt8(truncatingIfNeeded: setting.rawValue >> 8))
            output.append(UInt8(truncatingIfNeeded: setting.rawValue))
            append32(value, to: output)
        }
    }

    static func append32(_ value: UInt32, to output: ByteBuffer) {
        output.reserve(4)
        let room = output.base + output.end
        room[0] = UInt8(truncatingIfNeeded: value >> 24)
        room[1] = UInt8(truncatingIfNeeded: value >> 16)
        room[2] = UInt8(truncatingIfNeeded: value >> 8)
        room[3] = UInt8(truncatingIfNeeded: value)
        output.commit(4)
    }

    /// Completes a field block whose octets stand behind the room for a frame's head, from `start` of what is
    /// readable: the head is filled in, and what is longer than `frameBytesMax` goes on in CONTINUATION frames.
    static func closeBlock(
        _ output: ByteBuffer, from start: Int, stream: UInt32, endStream: Bool, frameBytesMax: Int
    ) {
        let length = output.count - start - FrameHeader.bytes
        precondition(length >= 0)
        var flags: FrameFlags = endStream ? .endStream : []
        guard length > frameBytesMax else {
            flags.insert(.endHeaders)
            return write(.headers, flags, stream, length, to: output.base + output.start + start)
        }
        write(.headers, flags, stream, frameBytesMax, to: output.base + output.start + start)
        splitBlock(output, from: start + FrameHeader.bytes + frameBytesMax, stream, frameBytesMax)
    }

    /// Puts a frame's head before each part from `start` on.
    private static func splitBlock(
        _ output: ByteBuffer, from start: Int, _ stream: UInt32, _ frameBytesMax: Int
    ) {
        let rest = output.count - start
        let frames = (rest + frameBytesMax - 1) / frameBytesMax
        output.reserve(frames * FrameHeader.bytes)
        let base = output.base + output.start
        output.commit(frames * FrameHeader.bytes)
        // From the last part to the first, so that none is written over before it has moved.
        for index in (0..<frames).reversed() {
            let count = index == frames - 1 ? rest - index * frameBytesMax : frameBytesMax
            let from = start + index * frameBytesMax
            let to = from + (index + 1) * FrameHeader.bytes
            (base + to).update(from: base + from, count: count)
            write(
                .continuation, index == frames - 1 ? .endHeaders : [], stream, count,
                to: base + to - FrameHeader.bytes)
        }
    }
}
