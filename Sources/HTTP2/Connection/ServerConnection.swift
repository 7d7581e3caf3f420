package import ChimeraBytes
package import ChimeraHTTPCore

/// What came on a connection.
package enum Event: Equatable, Sendable {
    /// A request; its head is in what was given to be filled, which is its receiver's from now on.
    case head(StreamHandle, endStream: Bool)
    /// A request that is to be answered with a refusal; as much of its head as was understood is there.
    case headRefused(StreamHandle, Refusal, endStream: Bool)
    /// Content of a request, at this range of the input; it counts against the windows until it is consumed.
    case data(StreamHandle, Range<Int>, endStream: Bool)
    /// The request has ended, without content or trailers in the last frame.
    case end(StreamHandle)
    /// Trailer fields came, which end the request; they are in `trailers` until the next call.
    case trailers(StreamHandle)
    /// The client gave the stream up, with this code; it is gone.
    case reset(StreamHandle, ErrorCode)
    /// The client broke a rule on the stream, which was reset; it is gone.
    case streamFailed(StreamHandle, Violation)
    /// A request that never became a stream was refused or malformed: for log and counters.
    case requestFailed(id: UInt32, Violation)
    /// The client goes away: it opens no further streams, and takes no more than what is under way.
    case goAway(ErrorCode)
    /// The connection has failed. What is unsent goes out, and then it is closed; nothing more is read.
    case failed(Violation)
}

/// What a call of `receive` made of its input.
package struct Received: Equatable, Sendable {
    /// Octets of the input that are done with; the rest is offered again with more behind it.
    package var consumed: Int
    /// Nil where more input is needed.
    package var event: Event?

    package init(consumed: Int, event: Event?) {
        self.consumed = consumed
        self.event = event
    }
}

/// The server's side of one HTTP/2 connection (RFC 9113), sans I/O: octets in, events out; calls in, octets out.
///
/// ```
///              receive(input, into: head, at:) ─▶ events        beginDrain, finishDrain
///  input ────▶ preface ▶ SETTINGS ▶ frames … ▶ failed               │
///                                    │                              ▼
///  output ◀──── acks, windows ◀──────╯   send… ▶ streams' queues ▶ fillOutput
/// ```
/// Whoever drives it calls `receive` until there is no event, sends what it has to, calls `fillOutput` until it says
/// that there is no more, and writes `output`. A stream holds its slot until both sides have ended or either reset it.
///
/// It refuses: frames out of place and of wrong sizes, requests that are malformed, what exceeds a window, and what
/// exceeds a bound of `ConnectionLimits`, each by a `Violation`. No input can trap it.
package final class ServerConnection {
    /// What is to be written to the client. Whoever writes consumes it; nobody else appends to it. It may be replaced
    /// while it is empty.
    @exclusivity(unchecked) package var output: ByteBuffer
    /// The trailer fields that the last event is about.
    package let trailers = FieldBlock(byteCapacity: 64, lineCapacity: 4)
    /// What the client has set.
    @exclusivity(unchecked) package internal(set) var peer = PeerSettings()
    /// The client has acknowledged our settings (RFC 9113 §6.5.3); if it never does, that is SETTINGS_TIMEOUT.
    @exclusivity(unchecked) package internal(set) var settingsAcknowledged = false
    /// Nothing more is read or sent: the connection has failed, or was ended.
    @exclusivity(unchecked) package internal(set) var isOver = false
    /// Why the connection failed.
    @exclusivity(unchecked) package internal(set) var failure: Violation?
    /// DATA frames and their content that were sent, and octets of content that came.
    @exclusivity(unchecked) package internal(set) var figures = Figures()

    let limits: ConnectionLimits
    @exclusivity(unchecked) var phase = Phase.preface(0)
    @exclusivity(unchecked) var decoder: FieldDecoder
    @exclusivity(unchecked) var encoder: FieldEncoder
    @exclusivity(unchecked) var encodedHeads = EncodedHeads()
    @exclusivity(unchecked) var floods: FloodGuard
    @exclusivity(unchecked) var streams = StreamTable()
    @exclusivity(unchecked) var closed = ClosedStreams()
    @exclusivity(unchecked) var queue = SendQueue()
    /// The clock of the last call, in milliseconds.
    @exclusivity(unchecked) var now: Int64 = 0
    /// The highest identifier that the client has used.
    @exclusivity(unchecked) var lastStream: UInt32 = 0
    /// Streams beyond it are ignored (RFC 9113 §6.8).
    @exclusivity(unchecked) var lastTaken = UInt32(Int32.max)
    @exclusivity(unchecked) var drain = Drain.none
    /// Octets that we may send on all streams together.
    @exclusivity(unchecked) var sendWindow = 65_535
    @exclusivity(unchecked) var receiveWindow = 65_535
    @exclusivity(unchecked) var uncredited = 0
    /// What new streams may send before our settings are acknowledged, and after.
    @exclusivity(unchecked) var initialReceiveWindow: Int
    /// A field block whose end has not come (RFC 9113 §4.3).
    @exclusivity(unchecked) var partial: PartialBlock?
    /// The last thing in `output` is a DATA frame of that stream and of so many octets, head included.
    @exclusivity(unchecked) var lastData: (stream: UInt32, octets: Int) = (0, 0)
    /// Buffers for what waits, kept for the next stream.
    @exclusivity(unchecked) var spare: ContiguousArray<ByteBuffer> = []

    /// Where the input stands.
    enum Phase: Equatable {
        /// So many octets of the preface have come.
        case preface(Int)
        /// The client's first frame is to be its settings.
        case settings
        case frames
        /// Within a DATA frame.
        case data(StreamHandle, left: Int, padding: Int, endStream: Bool)
        /// Within a frame that is ignored.
        case skipping(Int)
        case failed
    }

    enum Drain { case none, announced, done }

    /// A field block in pieces.
    struct PartialBlock {
        var stream: UInt32
        var endStream: Bool
        var continuations = 0
        let bytes: ByteBuffer
    }

    /// What went over the connection.
    package struct Figures: Equatable, Sendable {
        package var dataFramesSent: UInt64 = 0
        package var dataBytesSent: UInt64 = 0
        package var dataBytesReceived: UInt64 = 0
        package var streamsOpened: UInt64 = 0
        /// Streams that we refused since there were too many.
        package var streamsRefused: UInt64 = 0
    }

    /// Begins with our settings, which are in `output`.
    ///
    /// - Parameter output: a buffer for this connection alone, empty.
    package init(limits: ConnectionLimits, output: ByteBuffer) {
        precondition(limits.streamsMax > 0 && limits.streamsMax < 1 << 16)
        precondition(limits.frameBytesMax >= 16_384 && limits.frameBytesMax < 1 << 24)
        precondition(limits.streamWindow >= 0 && limits.streamWindow <= Int(Int32.max))
        precondition(limits.connectionWindow >= 65_535 && limits.connectionWindow <= Int(Int32.max))
        precondition(limits.dataBytesMax > 0 && limits.outputBytesMax > 0)
        self.limits = limits
        self.output = output
        decoder = FieldDecoder(tableBytesMax: max(4096, limits.tableBytesMax))
        encoder = FieldEncoder(tableBytesMax: limits.tableBytesMax)
        floods = FloodGuard(limits)
        // RFC 9113 §6.9.3: until it has our settings the client goes by the initial value.
        initialReceiveWindow = max(65_535, limits.streamWindow)
        writePreface()
    }

    /// RFC 9113 §3.4: our settings come first.
    private func writePreface() {
        var settings: [(Setting, UInt32)] = [
            (.maxConcurrentStreams, UInt32(limits.streamsMax)),
            (.initialWindowSize, UInt32(limits.streamWindow)),
            (.maxHeaderListSize, UInt32(clamping: limits.message.headBytesMax)),
            (.noRFC7540Priorities, 1),
        ]
        if limits.tableBytesMax > 4096 { settings.append((.headerTableSize, UInt32(limits.tableBytesMax))) }
        if limits.frameBytesMax > 16_384 { settings.append((.maxFrameSize, UInt32(limits.frameBytesMax))) }
        if limits.allowsExtendedConnect { settings.append((.enableConnectProtocol, 1)) }
        FrameWriter.settings(settings, to: output)
        let more = limits.connectionWindow - receiveWindow
        guard more > 0 else { return }
        FrameWriter.windowUpdate(0, more, to: output)
        receiveWindow += more
    }

    // MARK: Queries

    /// How many streams are open or half-closed.
    package var streamCount: Int { streams.count }

    /// How often something that is counted against a budget has come.
    package func count(of kind: Flood) -> UInt64 { floods.count(kind) }

    /// A field block has begun and not ended (RFC 9113 §4.3).
    package var hasPartialBlock: Bool { partial != nil }

    /// The client has given the whole preface (RFC 9113 §3.4), its settings included.
    package var hasBegun: Bool {
        switch phase {
        case .preface, .settings: false
        default: true
        }
    }

    /// Whether the stream is still there.
    package func isLive(_ stream: StreamHandle) -> Bool { streams.slot(of: stream) != nil }

    /// What the client said of the stream's priority (RFC 9218).
    package func priority(of stream: StreamHandle) -> Priority {
        streams.slot(of: stream).map { streams[$0].priority } ?? Priority()
    }

    /// Whether all of the answer was sent, its end included, or the stream is gone.
    package func hasEnded(_ stream: StreamHandle) -> Bool {
        streams.slot(of: stream).map { streams[$0].localEnded } ?? true
    }

    /// Since when the stream waits to send without anything of it having gone out, be it for the client's windows or for
    /// the output's room; nil where it does not wait.
    package func waitingSince(_ stream: StreamHandle) -> Int64? {
        guard let slot = streams.slot(of: stream), streams[slot].isWaiting else { return nil }
        return streams[slot].waitsSince
    }

    /// Whether the stream has something to send and a window of the client's keeps it from going.
    package func isWindowBlocked(_ stream: StreamHandle) -> Bool {
        guard let slot = streams.slot(of: stream), streams[slot].isWaiting else { return false }
        return streams[slot].sendWindow <= 0 || sendWindow <= 0
    }

    // MARK: Ending streams

    /// Forgets a stream: what of it is unsent is dropped, what is unconsumed is given back to the connection's window.
    func close(_ slot: Int32, _ end: ClosedStreams.End) {
        queue.remove(slot, &streams)
        if let pending = streams[slot].pending { giveBack(pending) }
        let unconsumed = streams[slot].unconsumed
        closed.add(streams[slot].id, end)
        streams.close(slot)
        credit(unconsumed)
    }

    /// Keeps a buffer for the next stream that has to wait, if it is not too large.
    func giveBack(_ buffer: ByteBuffer) {
        buffer.clear()
        if spare.count < 2 && buffer.capacity <= 64 * 1024 { spare.append(buffer) }
    }

    /// Lets go of buffers that are kept for the next stream that has to wait.
    package func releaseSpares() {
        if !spare.isEmpty { spare.removeAll() }
    }

    /// Ends a stream on our side, for a reason of our own: an upstream that failed, a deadline, or an answer that was
    /// whole before the request was (RFC 9113 §8.1, with `noError`).
    package func reset(_ stream: StreamHandle, _ code: ErrorCode) {
        guard !isOver, let slot = streams.slot(of: stream) else { return }
        lastData = (0, 0)
        FrameWriter.resetStream(stream.id, code, to: output)
        close(slot, .resetByUs)
    }

    /// Ends the connection at once for a reason of our own, such as settings that are never acknowledged: the client is
    /// told why, and what is in `output` then is all that it gets.
    package func end(_ code: ErrorCode) {
        guard !isOver else { return }
        isOver = true
        phase = .failed
        partial = nil
        lastData = (0, 0)
        FrameWriter.goAway(last: min(lastStream, lastTaken), code, debug: "", to: output)
    }

    /// The client cannot be reached any more: nothing is read or sent from now on.
    package func abandon() {
        isOver = true
        phase = .failed
        partial = nil
        lastData = (0, 0)
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
        FrameWriter.ping(ServerConnection.drainPing.span, isAck: false, to: output)
    }

    /// Takes no more streams; those that are there go on until they have ended.
    package func finishDrain() {
        guard drain != .done, !isOver else { return }
        drain = .done
        lastTaken = lastStream
        lastData = (0, 0)
        FrameWriter.goAway(last: lastStream, .noError, debug: "", to: output)
    }

    /// Takes no more streams, and has none.
    package var isDrained: Bool { drain == .done && streams.count == 0 }

    static let drainPing: [8 of UInt8] = [0x63, 0x68, 0x69, 0x6D, 0x65, 0x72, 0x61, 0x21]

    // MARK: Invariants

    /// Traps where the state contradicts itself; for tests, after every step.
    package func checkInvariants() {
        precondition(streams.count <= limits.streamsMax)
        precondition(sendWindow <= Int(Int32.max) && receiveWindow <= limits.connectionWindow)
        var (live, unconsumed) = (0, 0)
        for slot in streams.slots.indices where streams.slots[slot].id != 0 {
            let stream = streams.slots[slot]
            live += 1
            unconsumed += stream.unconsumed
            precondition(streams.find(stream.id) == Int32(slot))
            precondition(stream.id & 1 == 1 && stream.id <= lastStream)
            precondition(!(stream.remoteEnded && stream.localEnded))
            precondition(stream.unconsumed >= 0 && stream.uncredited >= 0 && (stream.bodyLeft ?? 0) >= 0)
            precondition(stream.sendWindow <= Int(Int32.max) && !(stream.pending?.isEmpty ?? false))
            precondition(!stream.isQueued || stream.isWaiting)
        }
        precondition(live == streams.count)
        precondition(failure != nil || unconsumed + uncredited + receiveWindow == limits.connectionWindow)
    }
}
