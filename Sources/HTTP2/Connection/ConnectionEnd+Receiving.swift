internal import ChimeraBytes

extension ConnectionEnd {
    /// What a step made of the input.
    enum Progress {
        /// Something was done, and there may be more to do.
        case again
        /// More input is needed.
        case incomplete
        case event(Event)
        /// A field block of that stream is whole, at this range of the input.
        case block(UInt32, endStream: Bool, Range<Int>)
        /// The field block in `partial` is whole.
        case gathered
    }

    /// A message's first field block, for whichever role this is: of a new stream where there is no slot yet.
    typealias HeadTaker = (UInt32, Int32?, Bool, Span<UInt8>) throws(Violation) -> Progress

    /// Takes the next octets that came, up to the first event.
    ///
    /// - Parameter takeHead: is given the field blocks that begin a message.
    @inline(__always)
    func receive(_ input: Span<UInt8>, at now: Int64, takeHead: HeadTaker) -> Received {
        self.now = now
        var position = 0
        do throws(Violation) {
            while true {
                var progress = try advance(input, &position)
                if case .block(let id, let endStream, let range) = progress {
                    progress = try take(id, endStream, input.extracting(range), takeHead)
                } else if case .gathered = progress, let block = partial {
                    partial = nil
                    progress = try take(block.stream, block.endStream, block.bytes.readable, takeHead)
                }
                switch progress {
                case .again, .block, .gathered: continue
                case .incomplete: return Received(consumed: position, event: nil)
                case .event(let event): return Received(consumed: position, event: event)
                }
            }
        } catch {
            fail(error)
            return Received(consumed: input.count, event: .failed(error))
        }
    }

    /// RFC 9113 §5.4.1: says why, and that nothing more is taken.
    private func fail(_ violation: Violation) {
        failure = violation
        isOver = true
        phase = .failed
        lastData = (0, 0)
        FrameWriter.goAway(
            last: lastProcessed, violation.code, debug: violation.token, to: output)
        partial = nil
    }

    private func advance(_ input: Span<UInt8>, _ position: inout Int) throws(Violation) -> Progress {
        switch phase {
        case .frames, .settings: return try readFrame(input, &position)
        case .data(let stream, let left, let padding, let endStream):
            return readData(input, &position, stream, left, padding, endStream)
        case .skipping(let left):
            let count = min(left, input.count - position)
            position += count
            phase = count == left ? .frames : .skipping(left - count)
            return count == left ? .again : .incomplete
        case .preface(let seen): return try readPreface(input, &position, seen)
        case .failed:
            position = input.count
            return .incomplete
        }
    }

    /// RFC 9113 §3.4: 24 octets that are always the same.
    private func readPreface(_ input: Span<UInt8>, _ position: inout Int, _ seen: Int) throws(Violation)
        -> Progress
    {
        let preface = ConnectionEnd.preface
        var seen = seen
        while seen < preface.utf8CodeUnitCount && position < input.count {
            guard input[position] == preface.utf8Start[seen] else { throw .prefaceWrong }
            seen += 1
            position += 1
        }
        phase = seen == preface.utf8CodeUnitCount ? .settings : .preface(seen)
        return phase == .settings ? .again : .incomplete
    }

    // MARK: Frames

    private func readFrame(_ input: Span<UInt8>, _ position: inout Int) throws(Violation) -> Progress {
        guard input.count - position >= FrameHeader.bytes else { return .incomplete }
        let frame = FrameHeader(input, at: position)
        if phase == .settings {
            // Nor is it what a peer says that speaks another version.
            guard frame.type == .settings, !frame.flags.contains(.ack) else { throw .firstFrameNotSettings }
        }
        // RFC 9113 §4.2.
        guard frame.length <= limits.frameBytesMax else { throw .frameTooLarge }
        if let partial {
            // RFC 9113 §4.3: a field block is contiguous, unknown frames included (§5.5).
            guard frame.type == .continuation, frame.stream == partial.stream else {
                throw .continuationMissing
            }
        }
        guard let type = frame.type else {
            try floods.charge(.unknownFrames, at: now)
            position += FrameHeader.bytes
            phase = .skipping(frame.length)
            return .again
        }
        if type == .data { return try beginData(input, &position, frame) }
        guard input.count - position - FrameHeader.bytes >= frame.length else { return .incomplete }
        let start = position + FrameHeader.bytes
        let payload = input.extracting(start..<(start + frame.length))
        position = start + frame.length
        switch type {
        case .headers: return try receiveHeaders(frame, payload, at: start)
        case .continuation: return try receiveContinuation(frame, payload)
        default: return try receiveControl(type, frame, payload)
        }
    }

    /// Frames that carry neither content nor fields.
    private func receiveControl(_ type: FrameType, _ frame: FrameHeader, _ payload: Span<UInt8>)
        throws(Violation) -> Progress
    {
        switch type {
        case .settings: return try receiveSettings(frame, payload)
        case .ping: return try receivePing(frame, payload)
        case .windowUpdate: return try receiveWindowUpdate(frame, payload)
        case .resetStream: return try receiveReset(frame, payload)
        case .goAway: return try receiveGoAway(frame, payload)
        case .priority: return try receivePriority(frame, payload)
        case .priorityUpdate: return try receivePriorityUpdate(frame, payload)
        // RFC 9113 §8.4: a client cannot push, and a server may not, since we say so.
        case .pushPromise, .data, .headers, .continuation: throw .pushRefused
        }
    }

    /// RFC 9113 §6.5.
    private func receiveSettings(_ frame: FrameHeader, _ payload: Span<UInt8>) throws(Violation) -> Progress {
        guard frame.stream == 0 else { throw .streamNotZero }
        try floods.charge(.settings, at: now)
        if frame.flags.contains(.ack) {
            guard payload.isEmpty else { throw .settingsAckWithPayload }
            if !settingsAcknowledged { acknowledgeOurs() }
            return .again
        }
        let before = peer
        try peer.apply(payload, entriesMax: limits.settingsMax, from: role == .server ? .client : .server)
        phase = .frames
        if peer.headerTableLow < before.headerTableSize { encoder.limitTable(peer.headerTableLow) }
        if peer.headerTableSize != peer.headerTableLow { encoder.limitTable(peer.headerTableSize) }
        if peer.initialWindowSize != before.initialWindowSize {
            try moveSendWindows(by: peer.initialWindowSize - before.initialWindowSize)
        }
        try checkUnread()
        lastData = (0, 0)
        FrameWriter.head(.settings, .ack, stream: 0, length: 0, to: output)
        return .again
    }

    /// RFC 9113 §6.9.2: windows of streams move with the setting, below zero too.
    private func moveSendWindows(by difference: Int) throws(Violation) {
        for slot in streams.slots.indices where streams.slots[slot].id != 0 {
            let slot = Int32(slot)
            guard streams[slot].sendWindow + difference <= Int(Int32.max) else { throw .windowOverflow }
            streams[slot].sendWindow += difference
            if streams[slot].isWaiting && streams[slot].sendWindow > 0 { queue.append(slot, &streams) }
        }
    }

    /// The peer has our settings: windows that are smaller than the initial value hold from now on.
    private func acknowledgeOurs() {
        settingsAcknowledged = true
        let difference = limits.streamWindow - initialReceiveWindow
        initialReceiveWindow = limits.streamWindow
        guard difference != 0 else { return }
        for slot in streams.slots.indices where streams.slots[slot].id != 0 {
            streams[Int32(slot)].receiveWindow += difference
        }
    }

    /// RFC 9113 §6.7.
    private func receivePing(_ frame: FrameHeader, _ payload: Span<UInt8>) throws(Violation) -> Progress {
        guard frame.stream == 0 else { throw .streamNotZero }
        guard payload.count == 8 else { throw .frameSizeWrong }
        try floods.charge(.pings, at: now)
        guard !frame.flags.contains(.ack) else {
            // The client has read that we go away.
            if drain == .announced && payload.equals(ConnectionEnd.drainPing.span) { finishDrain() }
            if payload.equals(ConnectionEnd.livenessPing.span) { unansweredPing = nil }
            return .again
        }
        try checkUnread()
        lastData = (0, 0)
        FrameWriter.ping(payload, isAck: true, to: output)
        return .again
    }

    /// A peer that has us answer and reads none of it would have us keep the answers (CVE-2019-9512, CVE-2019-9515).
    private func checkUnread() throws(Violation) {
        if output.count > limits.unreadOutputMax { throw .outputStalled }
    }

    /// RFC 9113 §6.9.
    private func receiveWindowUpdate(_ frame: FrameHeader, _ payload: Span<UInt8>) throws(Violation)
        -> Progress
    {
        guard payload.count == 4 else { throw .frameSizeWrong }
        try floods.charge(.windowUpdates, at: now)
        let increment = Int(payload.bigEndian32(at: 0) & 0x7FFF_FFFF)
        guard frame.stream != 0 else {
            guard increment > 0 else { throw .windowUpdateZero }
            guard sendWindow + increment <= Int(Int32.max) else { throw .windowOverflow }
            sendWindow += increment
            return .again
        }
        guard let slot = streams.find(frame.stream) else {
            // RFC 9113 §5.1: a stream that has ended may still get some.
            try checkNotIdle(frame.stream)
            return .again
        }
        guard increment > 0 else { return try failStream(slot, .windowUpdateZero) }
        guard streams[slot].sendWindow + increment <= Int(Int32.max) else {
            return try failStream(slot, .windowOverflow)
        }
        streams[slot].sendWindow += increment
        if streams[slot].isWaiting && streams[slot].sendWindow > 0 { queue.append(slot, &streams) }
        return .again
    }

    /// RFC 9113 §6.4.
    private func receiveReset(_ frame: FrameHeader, _ payload: Span<UInt8>) throws(Violation) -> Progress {
        guard frame.stream != 0 else { throw .streamZero }
        guard payload.count == 4 else { throw .frameSizeWrong }
        guard let slot = streams.find(frame.stream) else {
            try checkNotIdle(frame.stream)
            try floods.charge(.resets, at: now)
            return .again
        }
        let stream = streams.handle(of: slot)
        close(slot, .resetByPeer)
        try chargeReset()
        return .event(.reset(stream, ErrorCode(code: payload.bigEndian32(at: 0))))
    }

    /// Counts a stream that was reset before its time. What a server resets is bounded by what we asked it for.
    private func chargeReset() throws(Violation) {
        if role == .server { try floods.charge(.resets, at: now) }
    }

    /// RFC 9113 §6.8.
    private func receiveGoAway(_ frame: FrameHeader, _ payload: Span<UInt8>) throws(Violation) -> Progress {
        guard frame.stream == 0 else { throw .streamNotZero }
        guard payload.count >= 8 else { throw .frameSizeWrong }
        try floods.charge(.settings, at: now)
        let last = payload.bigEndian32(at: 0) & 0x7FFF_FFFF
        guard last <= peerLastStream ?? last else { throw .goAwayIncreased }
        peerLastStream = last
        return .event(.goAway(ErrorCode(code: payload.bigEndian32(at: 4))))
    }

    /// RFC 9113 §6.3: checked and ignored.
    private func receivePriority(_ frame: FrameHeader, _ payload: Span<UInt8>) throws(Violation) -> Progress {
        guard frame.stream != 0 else { throw .streamZero }
        try floods.charge(.priorities, at: now)
        guard payload.count == 5 else {
            // A stream error, of a stream that may not exist: then nobody can be told but all.
            guard let slot = streams.find(frame.stream) else { throw .frameSizeWrong }
            return try failStream(slot, .frameSizeWrong)
        }
        return .again
    }

    /// RFC 9218 §7.1: clients alone send it. What is said of a stream before its request is kept for that.
    private func receivePriorityUpdate(_ frame: FrameHeader, _ payload: Span<UInt8>) throws(Violation)
        -> Progress
    {
        guard role == .server else { throw .priorityUpdateMisplaced }
        guard frame.stream == 0 else { throw .streamNotZero }
        guard payload.count >= 4 else { throw .frameSizeWrong }
        try floods.charge(.priorities, at: now)
        let id = payload.bigEndian32(at: 0) & 0x7FFF_FFFF
        guard id & 1 == 1 else { throw .streamIdentifierUnexpected }
        let priority = Priority(parsing: payload.extracting(4..<payload.count))
        guard let slot = streams.find(id) else {
            if id > lastStream && id <= lastTaken { try keep(priority, of: id) }
            return .again
        }
        let isQueued = streams[slot].isQueued
        queue.remove(slot, &streams)
        streams[slot].priority = priority
        if isQueued { queue.append(slot, &streams) }
        return .again
    }

    /// RFC 9218 §7.1: streams that are open and those that are only spoken of are together no more than may be open. A client
    /// that does not know our settings yet cannot know how many that are.
    private func keep(_ priority: Priority, of id: UInt32) throws(Violation) {
        let isKept = earlyPriorities.add(id, priority, countMax: limits.streamsMax - streams.count)
        guard isKept || !settingsAcknowledged else { throw .streamsPrioritizedTooMany }
    }

    // MARK: Errors of streams

    /// RFC 9113 §5.1: a frame for a stream that was never opened.
    func checkNotIdle(_ id: UInt32) throws(Violation) {
        if id & 1 == 0 || id > lastStream && id <= lastTaken { throw .streamIdle }
    }

    /// Resets a stream for what the peer did (RFC 9113 §5.4.2), which counts like a reset of its own.
    func failStream(_ slot: Int32, _ violation: Violation) throws(Violation) -> Progress {
        let stream = streams.handle(of: slot)
        writeReset(slot, violation.code)
        try chargeReset()
        return .event(.streamFailed(stream, violation))
    }

    /// Refuses a stream that was not opened.
    func refuseStream(_ id: UInt32, _ violation: Violation) throws(Violation) -> Progress {
        lastData = (0, 0)
        FrameWriter.resetStream(id, violation.code, to: output)
        floods.credit(.emptyData, thousandths: 1000)
        closed.add(id, .resetByUs)
        try floods.charge(.resets, at: now)
        return .event(.requestFailed(id: id, violation))
    }
}
