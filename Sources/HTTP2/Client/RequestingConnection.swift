package import ChimeraBytes
package import ChimeraHTTPCore

/// The client's end of an HTTP/2 connection: it sends requests, of many exchanges at once, and takes the answers.
///
/// ```
///        open(head) ─▶ send…, finish                      reset ─▶ gone
///  free ───────────▶ stream ── head 1xx …, head ── data … ── end, trailers ─▶ gone
///                      ╰── reset (refusedStream: may be sent again), streamFailed ─▶ gone
/// ```
/// What a stream holds unconsumed takes nothing from the others: the window of the connection has room for all that they
/// may send. What the server does to streams of ours is bounded by how many we open; the rest has budgets.
///
/// It refuses: pushes, answers that are malformed (RFC 9113 §8.1.1), frames for streams that were never opened, and all
/// that `ConnectionEnd` does.
package final class RequestingConnection: ConnectionEnd {
    /// What streams of a server that goes away are still to be told of: where the search for them goes on.
    @exclusivity(unchecked) private var unprocessedFrom: Int?

    /// Begins with the preface and our settings, which are in `output`.
    ///
    /// - Parameters:
    ///   - limits: `streamsMax` is how many requests there are at once, whatever more the server allows. So many times
    ///     `streamWindow`, and 65,535 at least, is what the connection may hold, below 2³¹.
    ///   - output: a buffer for this connection alone, empty.
    ///   - lastStream: the highest identifier that counts as used, odd or 0.
    package init(limits: ConnectionLimits, output: ByteBuffer, lastStream: UInt32 = 0) {
        var limits = limits
        let window = limits.streamsMax * max(65_535, limits.streamWindow)
        precondition(window <= Int(Int32.max) && (lastStream == 0 || lastStream & 1 == 1))
        limits.connectionWindow = max(limits.connectionWindow, window)
        super.init(.client, limits: limits, output: output)
        self.lastStream = lastStream
    }

    // MARK: Opening

    /// Streams that a client may have before the server has said how many (RFC 9113 §6.5.2 recommends no fewer).
    private static let streamsBeforeSettings = 100
    /// RFC 9113 §5.1.1: the last identifier; there is no other but on another connection.
    private static let lastIdentifier = UInt32(Int32.max)

    /// How many requests may be sent now. None where either side goes away, and as long as the server leaves too much of
    /// what it was sent unread.
    package var streamRoom: Int {
        guard !isExhausted, output.count <= limits.unreadOutputMax else { return 0 }
        let allowed =
            peer.maxConcurrentStreams ?? (hasBegun ? .max : RequestingConnection.streamsBeforeSettings)
        return max(0, min(limits.streamsMax, allowed) - streams.count)
    }

    /// No request will ever be sent any more, so that the connection ends with the last stream: either side goes away,
    /// or no identifier is left.
    package var isExhausted: Bool {
        isOver || drain != .none || peerLastStream != nil
            || lastStream >= RequestingConnection.lastIdentifier
    }

    /// Opens a stream for a request.
    func enter(asking asked: Asked) -> Int32 {
        lastStream = lastStream == 0 ? 1 : lastStream + 2
        let slot = openSlot(lastStream)
        streams[slot].headSent = true
        streams[slot].asked = asked
        // Some servers have one of each with every answer.
        floods.credit(.emptyData, thousandths: 1000)
        floods.credit(.windowUpdates, thousandths: 1000)
        return slot
    }

    // MARK: Answers

    /// Takes the next octets that came, up to the first event.
    ///
    /// Frames other than DATA are taken when they are whole, so what is to be kept and offered again is at most one
    /// frame of `frameBytesMax` and its head. Acknowledgements and the like are in `output` afterwards.
    ///
    /// A `goAway` is followed by a `reset` with `refusedStream` for each stream that the server will not process.
    ///
    /// - Parameters:
    ///   - input: what came and was not consumed, from its start.
    ///   - head: is emptied and filled with the next head of an answer; after `head` or `headRefused` it belongs to the
    ///     receiver of the event, and the next call gets another one or the same again.
    ///   - now: the time in milliseconds of a clock that does not go back.
    package func receive(_ input: Span<UInt8>, into head: ResponseHead, at now: Int64) -> Received {
        if let stream = takeUnprocessed() {
            return Received(consumed: 0, event: .reset(stream, .refusedStream))
        }
        let received = receive(input, at: now) { (_, slot, endStream, block) throws(Violation) in
            guard let slot else { throw .streamIdle }
            return try takeHead(slot, endStream, block, head)
        }
        if case .goAway = received.event { unprocessedFrom = 0 }
        return received
    }

    /// RFC 9113 §6.8: the next stream beyond the last that the server takes, which is closed with that.
    private func takeUnprocessed() -> StreamHandle? {
        guard let from = unprocessedFrom, let last = peerLastStream, !isOver else { return nil }
        for slot in from..<max(from, streams.slots.count) where streams.slots[slot].id > last {
            unprocessedFrom = slot + 1
            let stream = streams.handle(of: Int32(slot))
            close(Int32(slot), .resetByUs)
            expectLateBlocks()
            return stream
        }
        unprocessedFrom = nil
        return nil
    }

    /// RFC 9113 §8.3.2: the head of an answer, interim or final.
    private func takeHead(_ slot: Int32, _ endStream: Bool, _ block: Span<UInt8>, _ head: ResponseHead)
        throws(Violation) -> Progress
    {
        var sink = ResponseSink(head)
        let facts = try decode(block, &sink, listBytesMax: limits.message.headBytesMax)
        let stream = streams.handle(of: slot)
        if let violation = sink.violation { return try failStream(slot, violation) }
        if let refusal = facts.refusal(limits.message) {
            streams[slot].headReceived = true
            if endStream { endRemote(slot) }
            return .event(.headRefused(stream, refusal, endStream: endStream))
        }
        do throws(Violation) {
            streams[slot].bodyLeft = try sink.finish(endStream: endStream, answering: streams[slot].asked)
        } catch {
            return try failStream(slot, error)
        }
        if head.status < 200 { return try takeInterim(slot) }
        streams[slot].headReceived = true
        streams[slot].isTunnel = streams[slot].asked == .tunnel && head.status < 300
        if endStream { endRemote(slot) }
        return .event(.head(stream, endStream: endStream))
    }

    private func takeInterim(_ slot: Int32) throws(Violation) -> Progress {
        streams[slot].interimHeads += 1
        guard Int(streams[slot].interimHeads) <= limits.message.interimAnswersMax else {
            return try failStream(slot, .tooManyInterimHeads)
        }
        return .event(.head(streams.handle(of: slot), endStream: false))
    }
}
