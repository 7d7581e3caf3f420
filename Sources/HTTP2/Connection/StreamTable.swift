internal import ChimeraBytes
internal import ChimeraHTTPCore

/// Names a stream: where it stands in its connection's table, and its identifier, so that a stale one finds nothing.
package struct StreamHandle: Equatable, Hashable, Sendable {
    /// Its place in the table, below `ConnectionLimits.streamsMax`: an index for what the user keeps of each stream.
    package let slot: Int32
    /// RFC 9113 §5.1.1.
    package let id: UInt32

    package init(slot: Int32, id: UInt32) {
        self.slot = slot
        self.id = id
    }
}

/// What a request asks for, which decides what its answer may have.
enum Asked: UInt8 { case content, head, tunnel }

/// One stream of the table.
///
/// ```
///        HEADERS                     END_STREAM received
///  free ────────▶ open ──────────────────────────────────▶ half-closed (remote)
///    ▲             │ END_STREAM sent                          │ END_STREAM sent
///    │             ▼                                          │
///    │      half-closed (local) ── END_STREAM received ──▶ free ◀╯
///    ╰── RST_STREAM either way, from each of them
/// ```
struct StreamSlot {
    /// 0 for a slot that is free.
    var id: UInt32 = 0
    /// The peer has ended its side: half-closed (remote).
    var remoteEnded = false
    /// END_STREAM was written: half-closed (local).
    var localEnded = false
    /// Our final head was written.
    var headSent = false
    /// The final head is all there is; nothing more is to be sent.
    var endsAfterPending = false
    /// Octets that we may send (RFC 9113 §6.9.1); negative after the peer made its windows smaller.
    var sendWindow = 0
    /// Octets that the peer may send.
    var receiveWindow = 0
    /// Octets of DATA that came and were not consumed.
    var unconsumed = 0
    /// Octets that were consumed and not given back by WINDOW_UPDATE.
    var uncredited = 0
    /// What Content-Length leaves to come; nil where nothing says.
    var bodyLeft: Int?
    /// The peer's final head has come.
    var headReceived = false
    /// The stream is a tunnel that both sides agreed on (RFC 9113 §8.5).
    var isTunnel = false
    /// What the request of ours asks for.
    var asked = Asked.content
    /// What waits to be sent.
    var pending: ByteBuffer?
    /// What is sent behind that.
    var trailers: FieldBlock?
    /// Its user asked for a turn to send.
    var wantsTurn = false
    /// Interim heads that came.
    var interimHeads: UInt32 = 0
    /// Since when something waits without any of it having been sent.
    var waitsSince: Int64 = 0
    var priority = Priority()
    // The queue of streams that have something to send.
    var isQueued = false
    var next: Int32 = -1
    var previous: Int32 = -1

    /// Something waits to be sent.
    var isWaiting: Bool { wantsTurn || pending != nil }
}

/// The streams that are open or half-closed, in slots that are used again, found by identifier.
struct StreamTable {
    private(set) var slots: ContiguousArray<StreamSlot> = []
    /// How many slots are in use.
    private(set) var count = 0
    private var free: ContiguousArray<Int32> = []
    /// Slot number and 1 by hash of the identifier, with linear probing; 0 for none.
    private var index = ContiguousArray<Int32>(repeating: 0, count: 16)

    subscript(slot: Int32) -> StreamSlot {
        _read { yield slots[Int(slot)] }
        _modify { yield &slots[Int(slot)] }
    }

    /// Where the search for an identifier begins: streams that follow each other do not stand side by side, so that one
    /// which leaves has nobody to move up.
    private static func home(of id: UInt32) -> Int { Int(((id >> 1) &* 0x9E37_79B1) >> 16) }

    /// The slot of a handle, if its stream is still there.
    func slot(of stream: StreamHandle) -> Int32? {
        guard stream.slot >= 0, Int(stream.slot) < slots.count, stream.id != 0,
            slots[Int(stream.slot)].id == stream.id
        else { return nil }
        return stream.slot
    }

    func handle(of slot: Int32) -> StreamHandle { StreamHandle(slot: slot, id: slots[Int(slot)].id) }

    /// The slot of the stream with that identifier, or nil.
    func find(_ id: UInt32) -> Int32? {
        let mask = index.count - 1
        var place = StreamTable.home(of: id) & mask
        while index[place] != 0 {
            let slot = index[place] - 1
            if slots[Int(slot)].id == id { return slot }
            place = (place + 1) & mask
        }
        return nil
    }

    /// Opens a stream that is not there yet.
    mutating func open(_ id: UInt32) -> Int32 {
        precondition(id != 0)
        if (count + 1) * 2 > index.count { grow() }
        let slot: Int32
        if let last = free.popLast() {
            slot = last
        } else {
            slot = Int32(slots.count)
            slots.append(StreamSlot())
        }
        slots[Int(slot)].id = id
        count += 1
        enter(slot)
        return slot
    }

    /// Frees a slot.
    mutating func close(_ slot: Int32) {
        let id = slots[Int(slot)].id
        precondition(id != 0)
        leave(id)
        slots[Int(slot)] = StreamSlot()
        free.append(slot)
        count -= 1
    }

    private mutating func enter(_ slot: Int32) {
        let mask = index.count - 1
        var place = StreamTable.home(of: slots[Int(slot)].id) & mask
        while index[place] != 0 { place = (place + 1) & mask }
        index[place] = slot + 1
    }

    /// Takes an identifier out, and moves up those behind it that would not be found any more.
    private mutating func leave(_ id: UInt32) {
        let mask = index.count - 1
        var hole = StreamTable.home(of: id) & mask
        while slots[Int(index[hole] - 1)].id != id { hole = (hole + 1) & mask }
        var place = hole
        while true {
            place = (place + 1) & mask
            guard index[place] != 0 else { break }
            let home = StreamTable.home(of: slots[Int(index[place] - 1)].id) & mask
            // It may move up if its home does not lie between the hole and its place.
            if (place - home) & mask >= (place - hole) & mask {
                index[hole] = index[place]
                hole = place
            }
        }
        index[hole] = 0
    }

    private mutating func grow() {
        index = ContiguousArray(repeating: 0, count: index.count * 2)
        for slot in slots.indices where slots[slot].id != 0 { enter(Int32(slot)) }
    }
}

/// How streams ended that are in no table any more, the last few of each kind: frames that were on their way are
/// ignored or refused by it (RFC 9113 §5.1).
struct ClosedStreams {
    enum End { case resetByUs, resetByPeer, completed }

    private static let capacity = 128
    private var resetByUs: ContiguousArray<UInt32> = []
    private var resetByPeer: ContiguousArray<UInt32> = []
    private var completed = [16 of UInt32](repeating: 0)
    private var next = (byUs: 0, byPeer: 0, completed: 0)

    mutating func add(_ id: UInt32, _ end: End) {
        switch end {
        case .resetByUs: Self.add(id, &resetByUs, &next.byUs)
        case .resetByPeer: Self.add(id, &resetByPeer, &next.byPeer)
        case .completed:
            completed[next.completed] = id
            next.completed = (next.completed + 1) & 15
        }
    }

    /// How the stream ended; nil where it never was, or too long ago.
    func end(of id: UInt32) -> End? {
        if resetByUs.contains(id) { return .resetByUs }
        if resetByPeer.contains(id) { return .resetByPeer }
        for index in 0..<16 where completed[index] == id { return .completed }
        return nil
    }

    private static func add(_ id: UInt32, _ ids: inout ContiguousArray<UInt32>, _ next: inout Int) {
        if ids.count < capacity {
            ids.append(id)
        } else {
            ids[next] = id
            next = (next + 1) % capacity
        }
    }
}

/// The streams that have something to send, by urgency (RFC 9218 §4.1); those of one urgency take turns.
struct SendQueue {
    /// The first of each urgency, or -1; each list is a ring.
    private var heads = [8 of Int32](repeating: -1)
    /// Bit by bit, which urgencies have any.
    private var used: UInt8 = 0

    var isEmpty: Bool { used == 0 }

    /// The stream whose turn it is.
    var first: Int32? { used == 0 ? nil : heads[used.trailingZeroBitCount] }

    mutating func append(_ slot: Int32, _ streams: inout StreamTable) {
        guard !streams[slot].isQueued else { return }
        let urgency = Int(streams[slot].priority.urgency)
        let head = heads[urgency]
        if head < 0 {
            heads[urgency] = slot
            used |= 1 << UInt8(urgency)
            streams[slot].next = slot
            streams[slot].previous = slot
        } else {
            let last = streams[head].previous
            streams[slot].next = head
            streams[slot].previous = last
            streams[last].next = slot
            streams[head].previous = slot
        }
        streams[slot].isQueued = true
    }

    mutating func remove(_ slot: Int32, _ streams: inout StreamTable) {
        guard streams[slot].isQueued else { return }
        let urgency = Int(streams[slot].priority.urgency)
        let (previous, next) = (streams[slot].previous, streams[slot].next)
        if next == slot {
            heads[urgency] = -1
            used &= ~(1 << UInt8(urgency))
        } else {
            streams[previous].next = next
            streams[next].previous = previous
            if heads[urgency] == slot { heads[urgency] = next }
        }
        streams[slot].isQueued = false
    }

    /// The stream has had its turn, and goes behind the others of its urgency. One that said that it is of use only
    /// when it is whole keeps its turn (RFC 9218 §10).
    mutating func rotate(_ slot: Int32, _ streams: StreamTable) {
        let priority = streams[slot].priority
        if priority.isExplicit && !priority.incremental { return }
        heads[Int(priority.urgency)] = streams[slot].next
    }
}
