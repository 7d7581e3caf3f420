package import ChimeraBytes
package import ChimeraHTTPCore

/// The server's end of an HTTP/2 connection: it takes requests and sends answers.
package final class ServerConnection: ConnectionEnd {
    @exclusivity(unchecked) var encodedHeads = EncodedHeads()

    /// Begins with our settings, which are in `output`.
    ///
    /// - Parameter output: a buffer for this connection alone, empty.
    package init(limits: ConnectionLimits, output: ByteBuffer) {
        super.init(.server, limits: limits, output: output)
    }

    /// What the client said of the stream's priority (RFC 9218).
    func priority(of stream: StreamHandle) -> Priority {
        streams.slot(of: stream).map { streams[$0].priority } ?? Priority()
    }

    /// How many streams the client may have at once.
    package var streamsMax: Int { limits.streamsMax }

    // MARK: Requests

    /// Gives back a stream whose head has come, and of which nothing else was looked at, so that the client may ask again
    /// (RFC 9113 §8.7).
    package func refuse(_ stream: StreamHandle) {
        guard isLive(stream) else { return }
        figures.streamsRefused &+= 1
        reset(stream, .refusedStream)
    }

    /// Takes the next octets that came, up to the first event.
    ///
    /// Frames other than DATA are taken when they are whole, so what is to be kept and offered again is at most one
    /// frame of `frameBytesMax` and its head. Acknowledgements and the like are in `output` afterwards.
    ///
    /// - Parameters:
    ///   - input: what came and was not consumed, from its start.
    ///   - head: is emptied and filled with the next request; after `head` or `headRefused` it belongs to the receiver
    ///     of the event, and the next call gets another one.
    ///   - now: the time in milliseconds of a clock that does not go back.
    package func receive(_ input: Span<UInt8>, into head: RequestHead, at now: Int64) -> Received {
        receive(input, at: now) { (id, _, endStream, block) throws(Violation) in
            try open(id, endStream, block, head)
        }
    }

    /// RFC 9113 §8.3.1: a request.
    private func open(_ id: UInt32, _ endStream: Bool, _ block: Span<UInt8>, _ head: RequestHead)
        throws(Violation) -> Progress
    {
        lastStream = id
        let early = earlyPriorities.isEmpty ? nil : earlyPriorities.take(id)
        var sink = RequestSink(head)
        let facts = try decode(block, &sink, listBytesMax: limits.message.headBytesMax)
        guard streams.count < limits.streamsMax else {
            figures.streamsRefused &+= 1
            return try refuseStream(id, .tooManyStreams)
        }
        var refusal = facts.refusal(limits.message)
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
        let stream = enter(id, endStream, refusal == nil ? head : nil, early ?? sink.priority)
        if let refusal { return .event(.headRefused(stream, refusal, endStream: endStream)) }
        return .event(.head(stream, endStream: endStream))
    }

    private func enter(_ id: UInt32, _ endStream: Bool, _ head: RequestHead?, _ priority: Priority)
        -> StreamHandle
    {
        let slot = openSlot(id)
        streams[slot].remoteEnded = endStream
        streams[slot].headReceived = true
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

    // MARK: Draining, RFC 9113 §6.8

    /// Announces that the connection will end: the client is told to open no more streams, and those that it opens
    /// meanwhile are served. The answer to a PING behind it shows that the client knows; then, or when its time is over,
    /// `finishDrain` is to be called, which the connection does itself for the former.
    package func beginDrain() {
        guard drain == .none, !isOver else { return }
        drain = .announced
        lastData = (0, 0)
        FrameWriter.goAway(last: UInt32(Int32.max), .noError, debug: "", to: output)
        FrameWriter.ping(ConnectionEnd.drainPing.span, isAck: false, to: output)
    }
}
