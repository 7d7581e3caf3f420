internal import ChimeraEventLoop
internal import Synchronization

/// A program that outlives its client, or has several: what it wrote last, what it is to read, and who is there.
///
/// ```
///   clients, on any worker                                the owner's worker
///   KeptClient ── input ──▶ ╭─────────────╮ ── input ──▶ KeptRunner ──▶ pipes
///   KeptClient ◀─ output ── │ KeptProgram │ ◀─ output ── KeptRunner ◀── pipes
///                           ╰─────────────╯
/// ```
/// Everything here is under one lock, which is held for copying and never across a wait.
package final class KeptProgram: Sendable {
    /// Whose it is.
    package struct Facts: Sendable, Equatable {
        package var tenant: String
        package var site: String
        package var route: String
        /// Who has proved to be somebody; empty for nobody.
        package var user: String
        /// The command.
        package var command: String

        package init(tenant: String, site: String, route: String, user: String, command: String) {
            (self.tenant, self.site, self.route, self.user) = (tenant, site, route, user)
            self.command = command
        }

        /// Whether a request belongs to the same.
        package func isOf(_ other: Facts) -> Bool {
            (tenant, site, route, user) == (other.tenant, other.site, other.route, other.user)
        }
    }

    /// How many clients it has, and what becomes of it without one.
    package enum Manner: Sendable, Equatable {
        /// One at a time, with this token. Without a client it lives so many milliseconds, and goes on writing.
        case resumed(token: String, milliseconds: Int64)
        /// Any number; it lives so many milliseconds without any, `Int64.max` for ever.
        case shared(ClientTag.Manner, milliseconds: Int64)
    }

    package let id: String
    package let process: Int32
    package let hasTerminal: Bool
    package let manner: Manner
    package let facts: Facts
    /// Standard error is among what clients get.
    package let keepsErrors: Bool
    /// In milliseconds of the monotonic clock.
    package let startedAt: Int64
    /// When its time is over; a client that is there ends it in its own way.
    let lifeEnds: Int64
    let state: Mutex<State>

    struct Seat {
        var position: Int64
        /// It has read all, and wants to know of more.
        var waitsForOutput = true
        /// It has something to say for which there was no room.
        var waitsForRoom = false
        var dismissal: Dismissal?
        /// Since when it holds the program up, until it has read all again.
        var holdsSince: Int64?
        /// It has done so for too long: nobody waits for it any more, until it has read all again.
        var isSlow = false
        let news: @Sendable () -> Void
    }

    struct State {
        var log: OutputLog
        /// Positions before this one are of a process that has died with what it had kept.
        let forgottenBefore: Int64
        var input: [UInt8] = []
        var endsInput = false
        var seats: [Int: Seat] = [:]
        var seatsGiven = 0
        var signals: [Int32] = []
        var size: (columns: Int, rows: Int)?
        /// Since when nobody is there.
        var emptySince: Int64?
        /// The program is to end, as if its client were gone.
        var isToEnd = false
        var isToBeHandedOver = false
        var isHandedOver = false
        /// All output is in the log.
        var end: ProgramEnd?
        var openStreams: Set<TaggedStreams.Stream>
        /// Nobody takes a seat any more.
        var isOver = false
        var octetsIn = 0
        var octetsOut = 0
        var wakeOwner: (@Sendable () -> Void)?
        var ownerIsAwake = false
        /// It has read as much as there is room for.
        var ownerWaitsForRoom = false
    }

    /// How long one of several clients may hold up the others.
    static let patienceMilliseconds: Int64 = 1_000
    /// Octets that wait for the program before clients have to wait.
    static let inputMax = 64 * 1024
    /// The same for the last that a client had to say, who cannot wait.
    static let leavingMax = 4 * inputMax

    /// How long the first client of a program for all may take from its start to its seat.
    private static let arrivalMilliseconds: Int64 = 5_000

    /// - Parameters:
    ///   - remains: what another process has left.
    ///   - lifeMax: milliseconds for all of it; nil for no bound.
    package init(
        _ program: StartedProgram, _ manner: Manner, _ facts: Facts, keepsErrors: Bool,
        _ remains: KeptRemains,
        forgottenBefore: Int64 = 0, startedAt: Int64, lifeMax: Int64? = nil, now: Int64
    ) {
        id = program.id
        process = program.process
        hasTerminal = program.error == nil
        self.manner = manner
        self.facts = facts
        self.keepsErrors = keepsErrors
        self.startedAt = startedAt
        lifeEnds = lifeMax.map { startedAt + $0 } ?? .max
        var open: Set<TaggedStreams.Stream> = [.stdout]
        if keepsErrors && program.error != nil { open.insert(.stderr) }
        let isShared = if case .shared = manner { true } else { false }
        var first = State(log: remains.log, forgottenBefore: forgottenBefore, openStreams: open)
        (first.input, first.endsInput) = (remains.input, remains.endsInput)
        first.emptySince = isShared ? now + Self.arrivalMilliseconds : now
        state = Mutex(first)
    }

    package var isShared: Bool { if case .shared = manner { true } else { false } }

    package var token: String? { if case .resumed(let token, _) = manner { token } else { nil } }

    var milliseconds: Int64 {
        switch manner {
        case .resumed(_, let milliseconds), .shared(_, let milliseconds): milliseconds
        }
    }

    // MARK: For whoever asks

    /// How many clients are there.
    package var clientCount: Int { state.withLock { $0.seats.count { $0.value.dismissal == nil } } }

    /// Octets to the program and from it.
    package var octets: (in: Int, out: Int) { state.withLock { ($0.octetsIn, $0.octetsOut) } }

    /// No client can join it any more.
    package var isOver: Bool { state.withLock { $0.isOver } }

    /// Ends it, and tells its clients why.
    package func end(_ dismissal: Dismissal?) {
        wake { state in
            state.isToEnd = true
            state.isOver = true
            guard let dismissal else { return state.wakeClients { _ in true } }
            return state.dismissAll(dismissal)
        }
    }

    /// Another process takes over; see `KeptRunner`.
    package func handOver() {
        wake { state in
            guard !state.isOver else { return [] }
            state.isToBeHandedOver = true
            state.isOver = true
            return state.dismissAll(.handedOver)
        }
    }

    /// No new client, and the end when the last has gone.
    package func retire() {
        wake { state in
            state.isOver = true
            if state.seats.isEmpty { state.isToEnd = true }
            return []
        }
    }

    /// Changes the state, then tells the owner and those who have news.
    func wake(_ change: (inout State) -> [@Sendable () -> Void]) {
        let (news, owner) = state.withLock { state in
            let news = change(&state)
            return (news, state.owner())
        }
        for tell in news { tell() }
        owner?()
    }
}

extension KeptProgram.State {
    /// Whether what a client says counts: until it has to go, and where another process goes on, until that has it.
    func hears(_ seat: KeptProgram.Seat?) -> Bool {
        guard let seat, !endsInput, !isToEnd else { return false }
        return seat.dismissal == nil || (seat.dismissal == .handedOver && !isHandedOver)
    }

    /// There is room for more input; for a program that is handed over all of it goes along.
    var hasInputRoom: Bool { input.count < KeptProgram.inputMax || isToBeHandedOver }

    /// There is room for the last that a client has to say.
    var hasLeavingRoom: Bool { input.count < KeptProgram.leavingMax || isToBeHandedOver }

    /// How the owner is told of news; nil where it was told already.
    mutating func owner() -> (@Sendable () -> Void)? {
        guard !ownerIsAwake else { return nil }
        ownerIsAwake = true
        return wakeOwner
    }

    /// Those who are to be told something.
    mutating func wakeClients(_ condition: (KeptProgram.Seat) -> Bool) -> [@Sendable () -> Void] {
        seats.values.filter(condition).map(\.news)
    }

    mutating func dismissAll(_ dismissal: Dismissal) -> [@Sendable () -> Void] {
        for number in seats.keys where seats[number]?.dismissal == nil {
            seats[number]?.dismissal = dismissal
        }
        return seats.values.map(\.news)
    }

    /// Where the client is that decides how much the program may write.
    var pace: Int64? {
        let present = seats.values.filter { $0.dismissal == nil }
        // Who is slow loses something, and holds nobody up; of those alone the fastest counts.
        return present.filter { !$0.isSlow }.map(\.position).min() ?? present.map(\.position).max()
    }

    /// How many octets may be read of the program without taking anything from who paces it.
    var room: Int {
        guard let pace else { return log.capacity }
        return max(0, log.capacity - Int(log.end - max(pace, log.start)))
    }

    /// Gives up on clients that have held the program up for too long.
    mutating func giveUpOnSlow(now: Int64) {
        while room == 0 {
            var changed = false
            for (number, seat) in seats where seat.dismissal == nil && !seat.isSlow {
                guard seat.position <= log.end - Int64(log.capacity) else { continue }
                let since = seat.holdsSince ?? now
                seats[number]?.holdsSince = since
                guard now - since >= KeptProgram.patienceMilliseconds else { continue }
                seats[number]?.isSlow = true
                changed = true
            }
            guard changed else { return }
        }
    }

    /// When somebody has been waited for too long.
    var patienceEnds: Int64 {
        seats.values.filter { !$0.isSlow }.compactMap(\.holdsSince).min()
            .map { $0 + KeptProgram.patienceMilliseconds } ?? .max
    }
}
