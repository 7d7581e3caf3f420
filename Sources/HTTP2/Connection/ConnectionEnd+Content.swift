internal import ChimeraBytes

extension ConnectionEnd {
    // MARK: DATA, RFC 9113 §6.1

    /// Takes the head of a DATA frame, and its pad length.
    func beginData(_ input: Span<UInt8>, _ position: inout Int, _ frame: FrameHeader) throws(Violation)
        -> Progress
    {
        guard frame.stream != 0 else { throw .streamZero }
        var (start, padding, length) = (position + FrameHeader.bytes, 0, frame.length)
        if frame.flags.contains(.padded) {
            guard length > 0 else { throw .frameSizeWrong }
            guard start < input.count else { return .incomplete }
            padding = Int(input[start])
            start += 1
            length -= 1 + padding
            guard length >= 0 else { throw .paddingTooLong }
        }
        position = start
        // RFC 9113 §6.9: all of the payload counts, whatever becomes of it.
        receiveWindow -= frame.length
        guard receiveWindow >= 0 else { throw .windowExceeded }
        guard let slot = streams.find(frame.stream) else {
            return try ignoreData(frame, length: length, padding: padding)
        }
        return try take(frame, slot, length: length, padding: padding)
    }

    /// DATA for a stream that is not there: it may have been on its way when the stream was reset.
    private func ignoreData(_ frame: FrameHeader, length: Int, padding: Int) throws(Violation) -> Progress {
        if frame.stream <= lastTaken {
            try checkNotIdle(frame.stream)
            switch closed.end(of: frame.stream) {
            case .resetByUs: break
            case .resetByPeer:
                // RFC 9113 §5.1: a stream error, which is counted like a reset.
                lastData = (0, 0)
                FrameWriter.resetStream(frame.stream, .streamClosed, to: output)
                try floods.charge(.resets, at: now)
            case .completed: throw .streamClosed
            // Of an answer to a request that was given up long ago.
            case nil: if role == .server { throw .streamClosed }
            }
        }
        // Be it the stream's end: for that each reset of ours allows one more.
        if length == 0 { try floods.charge(.emptyData, at: now) }
        credit(frame.length)
        phase = .skipping(length + padding)
        return .again
    }

    private func take(_ frame: FrameHeader, _ slot: Int32, length: Int, padding: Int) throws(Violation)
        -> Progress
    {
        if let violation = violation(frame, slot, length) {
            credit(frame.length)
            phase = .skipping(length + padding)
            return try failStream(slot, violation)
        }
        let endStream = frame.flags.contains(.endStream)
        streams[slot].receiveWindow -= frame.length
        streams[slot].unconsumed += length
        if let left = streams[slot].bodyLeft { streams[slot].bodyLeft = left - length }
        // Padding is consumed as it comes.
        if frame.length > length { giveCredit(slot, frame.length - length, toStream: !endStream) }
        if length == 0 && !endStream { try floods.charge(.emptyData, at: now) }
        phase = .data(streams.handle(of: slot), left: length, padding: padding, endStream: endStream)
        return .again
    }

    /// What a DATA frame does against its stream.
    private func violation(_ frame: FrameHeader, _ slot: Int32, _ length: Int) -> Violation? {
        // RFC 9113 §5.1: half-closed (remote).
        if streams[slot].remoteEnded { return .streamClosed }
        // RFC 9113 §8.1: a message begins with its head.
        if !streams[slot].headReceived { return .headMissing }
        if frame.length > streams[slot].receiveWindow { return .windowExceeded }
        guard let left = streams[slot].bodyLeft else { return nil }
        // RFC 9113 §8.1.1: as much as Content-Length says.
        return length > left || frame.flags.contains(.endStream) && length != left ? .lengthMismatched : nil
    }

    /// Gives on what is there of a DATA frame's content, and skips its padding.
    func readData(
        _ input: Span<UInt8>, _ position: inout Int, _ stream: StreamHandle, _ left: Int, _ padding: Int,
        _ endStream: Bool
    ) -> Progress {
        let slot = streams.slot(of: stream)
        let count = min(left, input.count - position)
        guard left == 0 || count > 0 else { return .incomplete }
        let range = position..<(position + count)
        position += count
        guard count == left else {
            phase = .data(stream, left: left - count, padding: padding, endStream: endStream)
            return slot == nil ? .again : .event(.data(stream, range, endStream: false))
        }
        phase = padding > 0 ? .skipping(padding) : .frames
        guard let slot else { return .again }
        if endStream { endRemote(slot) }
        if count > 0 { return .event(.data(stream, range, endStream: endStream)) }
        return endStream ? .event(.end(stream)) : .again
    }

    /// The peer has ended its side of the stream.
    func endRemote(_ slot: Int32) {
        streams[slot].remoteEnded = true
        if streams[slot].localEnded { close(slot, .completed) }
    }

    // MARK: Windows, RFC 9113 §5.2

    /// Octets of a stream's content have gone where they belong, so that as many more may come.
    package func consume(_ stream: StreamHandle, _ count: Int) {
        guard !isOver, let slot = streams.slot(of: stream) else { return }
        let taken = min(max(0, count), streams[slot].unconsumed)
        streams[slot].unconsumed -= taken
        giveCredit(slot, taken, toStream: !streams[slot].remoteEnded)
    }

    /// Octets of a stream's content that came and were not consumed.
    package func unconsumed(_ stream: StreamHandle) -> Int {
        streams.slot(of: stream).map { streams[$0].unconsumed } ?? 0
    }

    private func giveCredit(_ slot: Int32, _ count: Int, toStream: Bool) {
        credit(count)
        guard toStream, !isOver else { return }
        streams[slot].uncredited += count
        // Half a window at a time, so that there are few of these frames.
        let uncredited = streams[slot].uncredited
        guard uncredited > 0, uncredited * 2 >= limits.streamWindow else { return }
        streams[slot].uncredited = 0
        streams[slot].receiveWindow += uncredited
        lastData = (0, 0)
        FrameWriter.windowUpdate(streams[slot].id, uncredited, to: output)
    }

    /// Gives octets back to the window of the connection: half of what streams do not hold unconsumed at a time, so that
    /// those which stall leave all of the rest to the others.
    func credit(_ count: Int) {
        uncredited += count
        guard !isOver, uncredited > 0, uncredited >= receiveWindow else { return }
        receiveWindow += uncredited
        lastData = (0, 0)
        FrameWriter.windowUpdate(0, uncredited, to: output)
        uncredited = 0
    }
}
