internal import ChimeraBytes
internal import ChimeraHTTPCore

extension ConnectionEnd {
    // MARK: HEADERS and CONTINUATION, RFC 9113 §6.2 and §6.10

    /// - Parameter position: where the payload begins in the input.
    func receiveHeaders(_ frame: FrameHeader, _ payload: Span<UInt8>, at position: Int) throws(Violation)
        -> Progress
    {
        guard frame.stream != 0 else { throw .streamZero }
        // RFC 9113 §5.1.1: streams of clients are odd, and servers may not push.
        guard frame.stream & 1 == 1 else { throw .streamIdentifierUnexpected }
        var (start, padding) = (0, 0)
        if frame.flags.contains(.padded) {
            guard payload.count > 0 else { throw .frameSizeWrong }
            padding = Int(payload[0])
            start = 1
        }
        // RFC 9113 §5.3.2: the priority is skipped.
        if frame.flags.contains(.priority) { start += 5 }
        guard start <= payload.count else { throw .frameSizeWrong }
        guard padding <= payload.count - start else { throw .paddingTooLong }
        let end = payload.count - padding
        let endStream = frame.flags.contains(.endStream)
        guard frame.flags.contains(.endHeaders) else {
            let fragment = payload.extracting(start..<end)
            let bytes = ByteBuffer(capacity: max(1024, fragment.count * 2))
            bytes.append(fragment)
            partial = PartialBlock(stream: frame.stream, endStream: endStream, bytes: bytes)
            return .again
        }
        return .block(frame.stream, endStream: endStream, (position + start)..<(position + end))
    }

    func receiveContinuation(_ frame: FrameHeader, _ payload: Span<UInt8>) throws(Violation) -> Progress {
        guard frame.stream != 0 else { throw .streamZero }
        guard var block = partial else { throw .continuationUnexpected }
        // CVE-2024-27316: a block has few frames and an end.
        block.continuations += 1
        guard block.continuations <= limits.continuationsMax else { throw .tooManyContinuations }
        guard block.bytes.count + payload.count <= limits.blockBytesMax else { throw .blockTooLarge }
        block.bytes.append(payload)
        partial = block
        return frame.flags.contains(.endHeaders) ? .gathered : .again
    }

    /// What a whole field block is for.
    private enum Use {
        /// The head of a message: of a new stream, or of the one in that slot.
        case head(Int32?)
        case trailers(Int32)
        /// For a stream that we reset, or beyond the last that we take.
        case ignored
        /// A frame that ends a stream which is there, or had been.
        case refused(Violation)
    }

    private func use(_ id: UInt32, _ endStream: Bool) throws(Violation) -> Use {
        if id > lastTaken { return .ignored }
        if id > lastStream {
            // RFC 9113 §5.1: a server does not open streams.
            guard role == .server else { throw .streamIdle }
            return .head(nil)
        }
        if let slot = streams.find(id) {
            if streams[slot].remoteEnded { return .refused(.streamClosed) }
            if !streams[slot].headReceived { return .head(slot) }
            // RFC 9113 §8.5.
            if streams[slot].isTunnel { return .refused(.tunnelInterrupted) }
            return endStream ? .trailers(slot) : .refused(.trailersUnfinished)
        }
        switch closed.end(of: id) {
        case .resetByUs: return .ignored
        case .resetByPeer: return .refused(.streamClosed)
        case .completed: throw .streamClosed
        case nil:
            // RFC 9113 §5.1.1: identifiers do not go back. An answer may be to a request that was given up long ago.
            guard role == .client else { throw .streamIdentifierUnexpected }
            return .ignored
        }
    }

    /// Takes a whole field block.
    @inline(__always)
    func take(_ id: UInt32, _ endStream: Bool, _ block: Span<UInt8>, _ takeHead: HeadTaker)
        throws(Violation) -> Progress
    {
        guard block.count <= limits.blockBytesMax else { throw .blockTooLarge }
        switch try use(id, endStream) {
        case .head(let slot): return try takeHead(id, slot, endStream, block)
        case .trailers(let slot): return try takeTrailers(slot, block)
        case .ignored: return try ignore(block)
        case .refused(let violation): return try refuse(block, of: id, violation)
        }
    }

    private func ignore(_ block: Span<UInt8>) throws(Violation) -> Progress {
        // Decoding costs, and nothing else bounds how often.
        if lateBlocks > 0 { lateBlocks -= 1 } else { try floods.charge(.resets, at: now) }
        var sink = IgnoringSink(trailers)
        _ = try decode(block, &sink, listBytesMax: 0)
        return .again
    }

    private func refuse(_ block: Span<UInt8>, of id: UInt32, _ violation: Violation) throws(Violation)
        -> Progress
    {
        var sink = IgnoringSink(trailers)
        _ = try decode(block, &sink, listBytesMax: 0)
        if let slot = streams.find(id) { return try failStream(slot, violation) }
        return try refuseStream(id, violation)
    }

    func decode<Sink: FieldSink>(_ block: Span<UInt8>, _ sink: inout Sink, listBytesMax: Int)
        throws(Violation) -> BlockFacts
    {
        do throws(CompressionProblem) {
            return try decoder.decode(
                block, into: &sink, listBytesMax: listBytesMax, fieldsMax: limits.message.fieldsMax)
        } catch {
            throw Violation(error)
        }
    }

    /// RFC 9113 §8.1: a second field block, which ends the message.
    private func takeTrailers(_ slot: Int32, _ block: Span<UInt8>) throws(Violation) -> Progress {
        var sink = TrailerSink(trailers)
        let facts = try decode(block, &sink, listBytesMax: limits.message.trailerBytesMax)
        if let violation = sink.violation { return try failStream(slot, violation) }
        if facts.isTooLarge { return try failStream(slot, .trailersTooLarge) }
        if let left = streams[slot].bodyLeft, left != 0 { return try failStream(slot, .lengthMismatched) }
        let stream = streams.handle(of: slot)
        endRemote(slot)
        return .event(.trailers(stream))
    }
}
