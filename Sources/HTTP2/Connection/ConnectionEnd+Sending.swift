internal import ChimeraBytes
package import ChimeraHTTPCore

/// What a call of `fillOutput` found.
package enum SendTurn: Equatable, Sendable {
    /// It is the turn of a stream whose user asked for one: up to so many octets may go now.
    case produce(StreamHandle, Int)
    /// All that waited of a stream is in the output; its user may send more.
    case drained(StreamHandle)
    /// The message of a stream is in the output, its end included.
    case finished(StreamHandle)
    /// The output holds enough; call again when it has been written.
    case full
    /// Nothing waits that could go.
    case idle
}

extension ConnectionEnd {
    // MARK: Field blocks

    func beginBlock() -> Int {
        lastData = (0, 0)
        let start = output.count
        FrameWriter.head(.headers, [], stream: 0, length: 0, to: output)
        encoder.begin(output)
        return start
    }

    func endBlock(_ start: Int, _ slot: Int32, endStream: Bool) {
        FrameWriter.closeBlock(
            output, from: start, stream: streams[slot].id, endStream: endStream,
            frameBytesMax: min(peer.maxFrameSize, limits.frameBytesMax))
        if endStream { endLocal(slot) }
    }

    /// Encodes the fields that may go on: RFC 9113 §8.2.2 keeps back what belongs to a connection of HTTP/1.1, and the
    /// length is said by the head.
    func encodeFields(_ block: FieldBlock) {
        for index in 0..<block.lineCount {
            let line = block.line(at: index)
            guard line.isPresent, !withheld.contains(line.name) else { continue }
            if line.name == .other {
                encoder.encode(name: block[line.nameBytes], block[line.value], output)
            } else {
                encoder.encode(WireName(line.name), block[line.value], output)
            }
        }
    }

    func encodeLength(_ count: Int) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var position = 20
        var rest = max(0, count)
        repeat {
            position -= 1
            digits[position] = UInt8(truncatingIfNeeded: 48 + rest % 10)
            rest /= 10
        } while rest > 0
        encoder.encode(WireName(.contentLength), digits.span.extracting(position..<20), output)
    }

    // MARK: Content

    /// Sends content. All of it is taken: what the windows or the room in the output do not allow waits; see
    /// `isBlocked`.
    ///
    /// - Parameter endStream: the message ends with it.
    package func send(_ stream: StreamHandle, _ bytes: Span<UInt8>, endStream: Bool = false) {
        guard !isOver, let slot = sendable(stream) else { return }
        var sent = 0
        if streams[slot].pending == nil && queue.isEmpty {
            while sent < bytes.count, case let room = room(of: slot), room > 0 {
                let count = min(room, bytes.count - sent)
                let isLast = endStream && sent + count == bytes.count
                writeData(slot, bytes.extracting(sent..<(sent + count)), endStream: isLast)
                sent += count
                if isLast { return endLocal(slot) }
            }
        }
        if sent < bytes.count { wait(slot, bytes.extracting(sent..<bytes.count)) }
        if endStream { finish(stream) }
    }

    /// Whether so many octets would be in the output at once, so that nothing of them had to wait.
    package func hasRoom(_ stream: StreamHandle, for count: Int) -> Bool {
        guard !isOver, queue.isEmpty, let slot = sendable(stream), streams[slot].pending == nil else {
            return false
        }
        return count <= min(streams[slot].sendWindow, sendWindow)
            && output.count + count <= limits.outputBytesMax
    }

    /// Ends the message, with trailers if there are any.
    package func finish(_ stream: StreamHandle, trailers fields: FieldBlock? = nil) {
        guard !isOver, let slot = sendable(stream) else { return }
        streams[slot].wantsTurn = false
        if streams[slot].pending != nil {
            streams[slot].endsAfterPending = true
            guard let fields, fields.lineCount > 0 else { return }
            let copy = FieldBlock(byteCapacity: 256, lineCapacity: 8)
            copy.copyFields(of: fields)
            streams[slot].trailers = copy
            return
        }
        queue.remove(slot, &streams)
        writeEnd(slot, fields)
    }

    /// Whether content of the stream waits to be sent, so that no more should come.
    package func isBlocked(_ stream: StreamHandle) -> Bool {
        guard let slot = streams.slot(of: stream) else { return false }
        return streams[slot].pending != nil || output.count >= limits.outputBytesMax
    }

    /// Octets of the stream that wait for the windows or for their turn.
    package func pendingBytes(_ stream: StreamHandle) -> Int {
        streams.slot(of: stream).flatMap { streams[$0].pending?.count } ?? 0
    }

    /// Asks for a turn of the stream, for a user who has content at hand and does not want it copied twice: `fillOutput`
    /// says when it is its turn, once. Content that was sent before goes first.
    package func requestTurn(_ stream: StreamHandle) {
        guard !isOver, let slot = sendable(stream), !streams[slot].wantsTurn else { return }
        if !streams[slot].isWaiting { streams[slot].waitsSince = now }
        streams[slot].wantsTurn = true
        if streams[slot].sendWindow > 0 { queue.append(slot, &streams) }
    }

    /// Room in the output for up to `count` octets of a stream's content, for a read straight into it; nil where nothing
    /// may go now. `commitData` has to follow before any other call.
    package func prepareData(_ stream: StreamHandle, _ count: Int) -> UnsafeMutableRawBufferPointer? {
        guard !isOver, let slot = sendable(stream), streams[slot].pending == nil else { return nil }
        let room = min(count, room(of: slot))
        guard room > 0 else { return nil }
        output.reserve(FrameHeader.bytes + room)
        return UnsafeMutableRawBufferPointer(
            rebasing: output.writable[FrameHeader.bytes..<(FrameHeader.bytes + room)])
    }

    /// Makes a DATA frame of the first `count` octets of what was written to the room.
    package func commitData(_ stream: StreamHandle, _ count: Int, endStream: Bool = false) {
        guard !isOver, let slot = sendable(stream), count > 0 || endStream else { return }
        precondition(count >= 0 && count <= max(0, min(streams[slot].sendWindow, sendWindow)))
        FrameWriter.head(.data, endStream ? .endStream : [], stream: stream.id, length: count, to: output)
        output.commit(count)
        countData(slot, count, endStream: endStream)
        if endStream {
            queue.remove(slot, &streams)
            endLocal(slot)
        }
    }

    /// Puts what waits into the output, as far as windows and room allow; the streams take turns. To be called until it
    /// says `full` or `idle`.
    package func fillOutput() -> SendTurn {
        while !isOver, let slot = queue.first {
            if streams[slot].sendWindow <= 0 {
                // It comes back with a WINDOW_UPDATE.
                queue.remove(slot, &streams)
                continue
            }
            if sendWindow <= 0 { return .idle }
            if output.count >= limits.outputBytesMax { return .full }
            if let pending = streams[slot].pending {
                if let turn = sendPending(slot, pending) { return turn }
                continue
            }
            streams[slot].wantsTurn = false
            let stream = streams.handle(of: slot)
            let room = room(of: slot)
            queue.remove(slot, &streams)
            return .produce(stream, room)
        }
        return .idle
    }

    // MARK: Parts

    /// The slot of a stream that may still send content.
    private func sendable(_ stream: StreamHandle) -> Int32? {
        guard let slot = streams.slot(of: stream), streams[slot].headSent, !streams[slot].localEnded,
            !streams[slot].endsAfterPending
        else { return nil }
        return slot
    }

    /// Octets of content that may go in one frame now.
    private func room(of slot: Int32) -> Int {
        guard output.count < limits.outputBytesMax else { return 0 }
        return max(0, min(streams[slot].sendWindow, sendWindow, peer.maxFrameSize, limits.dataBytesMax))
    }

    private func wait(_ slot: Int32, _ bytes: Span<UInt8>) {
        if !streams[slot].isWaiting { streams[slot].waitsSince = now }
        let pending = streams[slot].pending ?? spare.popLast() ?? ByteBuffer(capacity: 16 * 1024)
        pending.append(bytes)
        streams[slot].pending = pending
        if streams[slot].sendWindow > 0 { queue.append(slot, &streams) }
    }

    /// Sends one frame of what waits.
    ///
    /// - Returns: what its user has to know.
    private func sendPending(_ slot: Int32, _ pending: ByteBuffer) -> SendTurn? {
        let stream = streams.handle(of: slot)
        let count = min(pending.count, room(of: slot))
        let isLast = count == pending.count && streams[slot].endsAfterPending && streams[slot].trailers == nil
        writeData(slot, pending.readable.extracting(0..<count), endStream: isLast)
        pending.consume(count)
        guard pending.isEmpty else {
            queue.rotate(slot, streams)
            return nil
        }
        streams[slot].pending = nil
        giveBack(pending)
        guard streams[slot].endsAfterPending else {
            if !streams[slot].wantsTurn { queue.remove(slot, &streams) }
            return .drained(stream)
        }
        queue.remove(slot, &streams)
        if isLast { endLocal(slot) } else { writeEnd(slot, streams[slot].trailers) }
        return .finished(stream)
    }

    private func writeData(_ slot: Int32, _ bytes: Span<UInt8>, endStream: Bool) {
        FrameWriter.head(
            .data, endStream ? .endStream : [], stream: streams[slot].id, length: bytes.count, to: output)
        output.append(bytes)
        countData(slot, bytes.count, endStream: endStream)
    }

    private func countData(_ slot: Int32, _ count: Int, endStream: Bool) {
        streams[slot].sendWindow -= count
        sendWindow -= count
        streams[slot].waitsSince = now
        lastData = endStream ? (0, 0) : (streams[slot].id, FrameHeader.bytes + count)
        // A small frame is a peer's dribble of windows only where its window ended the frame; and even then its octets
        // count, since who gives back each frame by itself keeps a window in as many pieces as it once fell into.
        let endedByWindow = !endStream && min(streams[slot].sendWindow, sendWindow) <= 0
        let worth = max(endedByWindow ? 0 : 1000, count * 1000 / 256)
        floods.credit(.windowUpdates, thousandths: 4 * worth)
        // Who measures how much is on its way has each frame followed by a PING.
        floods.credit(.pings, thousandths: worth)
    }

    /// Ends the message behind its content: in the last frame if that is still there, else in one of its own.
    private func writeEnd(_ slot: Int32, _ fields: FieldBlock?) {
        if let fields, fields.lineCount > 0 {
            let start = beginBlock()
            encodeFields(fields)
            return endBlock(start, slot, endStream: true)
        }
        if lastData.stream == streams[slot].id && output.count >= lastData.octets {
            // Sound: the frame is the last thing in the output, and none of it has been written out.
            output.base[output.end - lastData.octets + 4] |= FrameFlags.endStream.rawValue
        } else {
            FrameWriter.head(.data, .endStream, stream: streams[slot].id, length: 0, to: output)
        }
        lastData = (0, 0)
        endLocal(slot)
    }

    /// Our side of the stream has ended.
    private func endLocal(_ slot: Int32) {
        streams[slot].localEnded = true
        if streams[slot].remoteEnded { close(slot, .completed) }
    }
}
