package import ChimeraBytes
package import ChimeraHTTPCore

/// One end of an HTTP/2 connection (RFC 9113), sans I/O: octets in, events out; calls in, octets out. What a server's
/// and a client's have in common is all here; `ServerConnection` and `RequestingConnection` add the heads of messages.
///
/// ```
///              receive(input, into: head, at:) ─▶ events        open, sendHead, reset, finishDrain
///  input ────▶ (preface) ▶ SETTINGS ▶ frames … ▶ failed             │
///                                       │                           ▼
///  output ◀──── acks, windows ◀─────────╯   send… ▶ streams' queues ▶ fillOutput
/// ```
/// Whoever drives it calls `receive` until there is no event, sends what it has to, calls `fillOutput` until it says
/// that there is no more, and writes `output`. A stream holds its slot until both sides have ended or either reset it.
///
/// It refuses: frames out of place and of wrong sizes, messages that are malformed, what exceeds a window, and what
/// exceeds a bound of `ConnectionLimits`, each by a `Violation`. No input can trap it.
package class ConnectionEnd {
    /// What is to be written to the peer. Whoever writes consumes it; nobody else appends to it. It may be replaced
    /// while it is empty.
    @exclusivity(unchecked) package final var output: ByteBuffer
    /// The trailer fields that the last event is about.
    package final let trailers = FieldBlock(byteCapacity: 64, lineCapacity: 4)
    /// What the peer has set.
    @exclusivity(unchecked) package internal(set) final var peer = PeerSettings()
    /// The peer has acknowledged our settings (RFC 9113 §6.5.3); if it never does, that is SETTINGS_TIMEOUT.
    @exclusivity(unchecked) package internal(set) final var settingsAcknowledged = false
    /// Nothing more is read or sent: the connection has failed, or was ended.
    @exclusivity(unchecked) package internal(set) final var isOver = false
    /// Why the connection failed.
    @exclusivity(unchecked) package internal(set) final var failure: Violation?
    /// What is counted for the metrics.
    @exclusivity(unchecked) package internal(set) final var figures = Figures()

    final let limits: ConnectionLimits
    final let role: Role
    /// Fields that are not sent as they are.
    final let withheld: FieldNameSet
    @exclusivity(unchecked) final var phase: Phase
    @exclusivity(unchecked) final var decoder: FieldDecoder
    @exclusivity(unchecked) final var encoder: FieldEncoder
    @exclusivity(unchecked) final var floods: FloodGuard
    @exclusivity(unchecked) final var streams = StreamTable()
    @exclusivity(unchecked) final var closed = ClosedStreams()
    @exclusivity(unchecked) final var earlyPriorities = EarlyPriorities()
    @exclusivity(unchecked) final var queue = SendQueue()
    /// The clock of the last call, in milliseconds.
    @exclusivity(unchecked) final var now: Int64 = 0
    /// The highest identifier that was used.
    @exclusivity(unchecked) final var lastStream: UInt32 = 0
    /// Streams beyond it are ignored, since we said that we take no more (RFC 9113 §6.8).
    @exclusivity(unchecked) final var lastTaken = UInt32(Int32.max)
    @exclusivity(unchecked) final var drain = Drain.none
    /// The last of our streams that the peer takes (RFC 9113 §6.8); nil before it goes away.
    @exclusivity(unchecked) final var peerLastStream: UInt32?
    /// Since when a PING of ours waits for its answer, in milliseconds (RFC 9113 §6.7); nil where none does.
    @exclusivity(unchecked) package internal(set) final var unansweredPing: Int64?
    /// Field blocks that may still come for streams that we ended, and count for nothing.
    @exclusivity(unchecked) final var lateBlocks = 0
    /// Octets that we may send on all streams together.
    @exclusivity(unchecked) final var sendWindow = 65_535
    @exclusivity(unchecked) final var receiveWindow = 65_535
    @exclusivity(unchecked) final var uncredited = 0
    /// What new streams may send before our settings are acknowledged, and after.
    @exclusivity(unchecked) final var initialReceiveWindow: Int
    /// A field block whose end has not come (RFC 9113 §4.3).
    @exclusivity(unchecked) final var partial: PartialBlock?
    /// The last thing in `output` is a DATA frame of that stream and of so many octets, head included.
    @exclusivity(unchecked) final var lastData: (stream: UInt32, octets: Int) = (0, 0)
    /// Buffers for what waits, kept for the next stream.
    @exclusivity(unchecked) final var spare: ContiguousArray<ByteBuffer> = []

    /// Where the input stands.
    enum Phase: Equatable {
        /// So many octets of the preface have come.
        case preface(Int)
        /// The peer's first frame is to be its settings.
        case settings
        case frames
        /// Within a DATA frame.
        case data(StreamHandle, left: Int, padding: Int, endStream: Bool)
        /// Within a frame that is ignored.
        case skipping(Int)
        case failed
    }

    enum Drain { case none, announced, done }

    /// Which end of the connection this is.
    enum Role { case server, client }

    /// A field block in pieces.
    struct PartialBlock {
        var stream: UInt32
        var endStream: Bool
        var continuations = 0
        let bytes: ByteBuffer
    }

    /// What went over the connection.
    package struct Figures: Equatable, Sendable {
        package var streamsOpened: UInt64 = 0
        /// Streams that we refused since there were too many.
        package var streamsRefused: UInt64 = 0
    }

    /// Begins with our settings, which are in `output`.
    ///
    /// - Parameter output: a buffer for this connection alone, empty.
    init(_ role: Role, limits: ConnectionLimits, output: ByteBuffer) {
        precondition(limits.streamsMax > 0 && limits.streamsMax < 1 << 16)
        precondition(limits.frameBytesMax >= 16_384 && limits.frameBytesMax < 1 << 24)
        precondition(limits.streamWindow >= 0 && limits.streamWindow <= Int(Int32.max))
        precondition(limits.connectionWindow >= 65_535 && limits.connectionWindow <= Int(Int32.max))
        precondition(limits.dataBytesMax > 0 && limits.outputBytesMax > 0)
        self.role = role
        self.limits = limits
        self.output = output
        phase = role == .server ? .preface(0) : .settings
        withheld = role == .server ? .withheldByServers : .withheldByClients
        decoder = FieldDecoder(tableBytesMax: max(4096, limits.tableBytesMax))
        encoder = FieldEncoder(tableBytesMax: limits.tableBytesMax)
        floods = FloodGuard(limits)
        // RFC 9113 §6.9.3: until it has our settings the peer goes by the initial value.
        initialReceiveWindow = max(65_535, limits.streamWindow)
        writePreface()
    }

    static let preface: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    /// RFC 9113 §3.4: a client's preface, and our settings come first.
    private final func writePreface() {
        if role == .client { output.append(ConnectionEnd.preface) }
        var settings: [(Setting, UInt32)] = [
            role == .server ? (.maxConcurrentStreams, UInt32(limits.streamsMax)) : (.enablePush, 0),
            (.initialWindowSize, UInt32(limits.streamWindow)),
            (.maxHeaderListSize, UInt32(clamping: limits.message.headBytesMax)),
            (.noRFC7540Priorities, 1),
        ]
        if limits.tableBytesMax > 4096 { settings.append((.headerTableSize, UInt32(limits.tableBytesMax))) }
        if limits.frameBytesMax > 16_384 { settings.append((.maxFrameSize, UInt32(limits.frameBytesMax))) }
        if role == .server && limits.allowsExtendedConnect { settings.append((.enableConnectProtocol, 1)) }
        FrameWriter.settings(settings, to: output)
        let more = limits.connectionWindow - receiveWindow
        guard more > 0 else { return }
        FrameWriter.windowUpdate(0, more, to: output)
        receiveWindow += more
    }
}

extension ConnectionEnd {
    // MARK: Queries

    /// How many streams are open or half-closed.
    package var streamCount: Int { streams.count }

    /// How often something that is counted against a budget has come.
    package func count(of kind: Flood) -> UInt64 { floods.count(kind) }

    /// A field block has begun and not ended (RFC 9113 §4.3).
    package var hasPartialBlock: Bool { partial != nil }

    /// The peer has given the whole preface (RFC 9113 §3.4), its settings included.
    package var hasBegun: Bool {
        switch phase {
        case .preface, .settings: false
        default: true
        }
    }

    /// Whether the stream is still there.
    package func isLive(_ stream: StreamHandle) -> Bool { streams.slot(of: stream) != nil }

    /// Whether all of our message was sent, its end included, or the stream is gone.
    package func hasEnded(_ stream: StreamHandle) -> Bool {
        streams.slot(of: stream).map { streams[$0].localEnded } ?? true
    }

    /// Since when the stream waits to send without anything of it having gone out, be it for the peer's windows or for
    /// the output's room; nil where it does not wait.
    package func waitingSince(_ stream: StreamHandle) -> Int64? {
        guard let slot = streams.slot(of: stream), streams[slot].isWaiting else { return nil }
        return streams[slot].waitsSince
    }

    /// Whether the stream has something to send and a window of the peer's keeps it from going.
    package func isWindowBlocked(_ stream: StreamHandle) -> Bool {
        guard let slot = streams.slot(of: stream), streams[slot].isWaiting else { return false }
        return streams[slot].sendWindow <= 0 || sendWindow <= 0
    }

    // MARK: Streams

    /// Opens a stream.
    func openSlot(_ id: UInt32) -> Int32 {
        let slot = streams.open(id)
        figures.streamsOpened &+= 1
        floods.credit(.priorities, thousandths: 2000)
        floods.credit(.unknownFrames, thousandths: 2000)
        streams[slot].sendWindow = peer.initialWindowSize
        streams[slot].receiveWindow = initialReceiveWindow
        return slot
    }

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

    /// Ends a stream for a reason of our own: the other side of an exchange that failed, a deadline, or an answer that was
    /// whole before the request was (RFC 9113 §8.1, with `noError`).
    package func reset(_ stream: StreamHandle, _ code: ErrorCode) {
        guard !isOver, let slot = streams.slot(of: stream) else { return }
        writeReset(slot, code)
    }

    func writeReset(_ slot: Int32, _ code: ErrorCode) {
        lastData = (0, 0)
        FrameWriter.resetStream(streams[slot].id, code, to: output)
        floods.credit(.emptyData, thousandths: 1000)
        close(slot, .resetByUs)
        expectLateBlocks()
    }

    /// What a server has under way for a request that we gave up is no fault of its own, and it has no say in how many
    /// we give up.
    func expectLateBlocks() {
        if role == .client { lateBlocks += ConnectionEnd.lateBlocksOfStream }
    }

    /// Two heads, interim and final, and trailers.
    private static let lateBlocksOfStream = 3

    /// Ends the connection at once for a reason of our own, such as settings that are never acknowledged: the peer is
    /// told why, and what is in `output` then is all that it gets.
    package func end(_ code: ErrorCode) {
        guard !isOver else { return }
        isOver = true
        phase = .failed
        partial = nil
        lastData = (0, 0)
        FrameWriter.goAway(last: lastProcessed, code, debug: "", to: output)
    }

    /// The last stream of the peer's that we may have done something with: of a server none, since it may not push.
    var lastProcessed: UInt32 { role == .server ? min(lastStream, lastTaken) : 0 }

    /// The peer cannot be reached any more: nothing is read or sent from now on.
    package func abandon() {
        isOver = true
        phase = .failed
        partial = nil
        lastData = (0, 0)
    }

    // MARK: Draining, RFC 9113 §6.8

    /// Takes or opens no more streams; those that are there go on until they have ended.
    package func finishDrain() {
        guard drain != .done, !isOver else { return }
        drain = .done
        if role == .server { lastTaken = lastStream }
        lastData = (0, 0)
        FrameWriter.goAway(last: lastProcessed, .noError, debug: "", to: output)
    }

    /// Takes or opens no more streams, and has none.
    package var isDrained: Bool { drain == .done && streams.count == 0 }

    static let drainPing: [8 of UInt8] = [0x63, 0x68, 0x69, 0x6D, 0x65, 0x72, 0x61, 0x21]

    // MARK: Liveness, RFC 9113 §6.7

    /// Asks the peer for a sign of life, unless one is awaited already; `unansweredPing` says since when.
    package func sendPing(at now: Int64) {
        guard unansweredPing == nil, !isOver else { return }
        unansweredPing = now
        lastData = (0, 0)
        FrameWriter.ping(ConnectionEnd.livenessPing.span, isAck: false, to: output)
    }

    static let livenessPing: [8 of UInt8] = [0x63, 0x68, 0x69, 0x6D, 0x65, 0x72, 0x61, 0x3F]

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
