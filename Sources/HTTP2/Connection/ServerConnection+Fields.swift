internal import ChimeraBytes
internal import ChimeraHTTPCore

extension ServerConnection {
    // MARK: HEADERS and CONTINUATION, RFC 9113 §6.2 and §6.10

    func receiveHeaders(_ frame: FrameHeader, _ payload: Span<UInt8>, _ head: RequestHead) throws(Violation)
        -> Progress
    {
        guard frame.stream != 0 else { throw .streamZero }
        // RFC 9113 §5.1.1: streams of clients are odd.
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
        let fragment = payload.extracting(start..<(payload.count - padding))
        let endStream = frame.flags.contains(.endStream)
        guard frame.flags.contains(.endHeaders) else {
            let bytes = ByteBuffer(capacity: max(1024, fragment.count * 2))
            bytes.append(fragment)
            partial = PartialBlock(stream: frame.stream, endStream: endStream, bytes: bytes)
            return .again
        }
        return try receiveBlock(frame.stream, endStream, fragment, head)
    }

    func receiveContinuation(_ frame: FrameHeader, _ payload: Span<UInt8>, _ head: RequestHead)
        throws(Violation) -> Progress
    {
        guard frame.stream != 0 else { throw .streamZero }
        guard var block = partial else { throw .continuationUnexpected }
        // CVE-2024-27316: a block has few frames and an end.
        block.continuations += 1
        guard block.continuations <= limits.continuationsMax else { throw .tooManyContinuations }
        guard block.bytes.count + payload.count <= limits.blockBytesMax else { throw .blockTooLarge }
        block.bytes.append(payload)
        guard frame.flags.contains(.endHeaders) else {
            partial = block
            return .again
        }
        partial = nil
        return try receiveBlock(block.stream, block.endStream, block.bytes.readable, head)
    }

    /// What a whole field block is for.
    private enum Use {
        case opens
        case trailers(Int32)
        /// For a stream that we reset, or beyond the last that we take.
        case ignored
        /// A frame that ends a stream which is there, or had been.
        case refused(Violation)
    }

    private func use(_ id: UInt32, _ endStream: Bool) throws(Violation) -> Use {
        if id > lastTaken { return .ignored }
        if id > lastStream { return .opens }
        if let slot = streams.find(id) {
            if streams[slot].remoteEnded { return .refused(.streamClosed) }
            return endStream ? .trailers(slot) : .refused(.trailersUnfinished)
        }
        switch closed.end(of: id) {
        case .resetByUs: return .ignored
        case .resetByPeer: return .refused(.streamClosed)
        case .completed: throw .streamClosed
        // RFC 9113 §5.1.1: identifiers do not go back.
        case nil: throw .streamIdentifierUnexpected
        }
    }

    private func receiveBlock(_ id: UInt32, _ endStream: Bool, _ block: Span<UInt8>, _ head: RequestHead)
        throws(Violation) -> Progress
    {
        guard block.count <= limits.blockBytesMax else { throw .blockTooLarge }
        switch try use(id, endStream) {
        case .opens: return try open(id, endStream, block, head)
        case .trailers(let slot): return try takeTrailers(slot, block)
        case .ignored:
            // Decoding costs, and nothing else bounds how often.
            try floods.charge(.resets, at: now)
            var sink = IgnoringSink(trailers)
            _ = try decode(block, &sink, listBytesMax: 0)
            return .again
        case .refused(let violation):
            var sink = IgnoringSink(trailers)
            _ = try decode(block, &sink, listBytesMax: 0)
            if let slot = streams.find(id) { return try failStream(slot, violation) }
            return try refuseStream(id, violation)
        }
    }

    private func decode<Sink: FieldSink>(_ block: Span<UInt8>, _ sink: inout Sink, listBytesMax: Int)
        throws(Violation) -> BlockFacts
    {
        do throws(CompressionProblem) {
            return try decoder.decode(
                block, into: &sink, listBytesMax: listBytesMax, fieldsMax: limits.message.fieldsMax)
        } catch {
            throw Violation(error)
        }
    }

    /// RFC 9113 §8.3.1: a request.
    private func open(_ id: UInt32, _ endStream: Bool, _ block: Span<UInt8>, _ head: RequestHead)
        throws(Violation) -> Progress
    {
        lastStream = id
        var sink = RequestSink(head)
        let facts = try decode(block, &sink, listBytesMax: limits.message.headBytesMax)
        guard streams.count < limits.streamsMax else {
            figures.streamsRefused &+= 1
            return try refuseStream(id, .tooManyStreams)
        }
        var refusal: Refusal?
        if facts.isTooLarge {
            refusal = facts.listBytes > limits.message.headBytesMax ? .headTooLarge : .fieldsTooMany
        }
        do throws(HeadProblem) {
            if refusal == nil {
                try sink.finish(endStream: endStream, allowsExtendedConnect: limits.allowsExtendedConnect)
            } else if let violation = sink.violation {
                throw .malformed(violation)
            }
        } catch {
            switch error {
            case .malformed(let violation): return try refuseStream(id, violation)
            case .refused(let reason): refusal = reason
            }
        }
        let stream = enter(id, endStream, refusal == nil ? head : nil, sink.priority)
        if let refusal { return .event(.headRefused(stream, refusal, endStream: endStream)) }
        return .event(.head(stream, endStream: endStream))
    }

    private func enter(_ id: UInt32, _ endStream: Bool, _ head: RequestHead?, _ priority: Priority)
        -> StreamHandle
    {
        let slot = streams.open(id)
        figures.streamsOpened &+= 1
        streams[slot].remoteEnded = endStream
        streams[slot].sendWindow = peer.initialWindowSize
        streams[slot].receiveWindow = initialReceiveWindow
        streams[slot].priority = priority
        // What was refused may have any content.
        guard let head else { return streams.handle(of: slot) }
        switch head.body {
        case .known(let count): streams[slot].bodyLeft = count
        // A length of 0 that the end of the stream does not say already.
        case .none where head.contains(.contentLength): streams[slot].bodyLeft = 0
        case .none, .unknown: break
        }
        return streams.handle(of: slot)
    }

    /// RFC 9113 §8.1: a second field block, which ends the request.
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
