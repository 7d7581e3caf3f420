/// How a data plane has ended.
enum ProcessEnd: Equatable, Sendable {
    case exited(Int32)
    case signalled(Int32)

    var isClean: Bool { self == .exited(0) }
}

/// Which data planes there are, and what becomes of them: the supervisor's rules, without processes and clocks.
///
/// ```
///            ready                another is ready
///  starting ───────▶ serving ──────────────────────▶ draining ──▶ gone
///     │                 │                                │
///     ╰── ended ────────┴── ended: another is started ───╯
/// ```
/// A process that dies closes its line to the supervisor before it is gone, and the kernel may take long between the two:
/// another is started at the first of them.
///
/// One serves; another may be starting, and at most three live. One that ends while it serves is replaced: at once,
/// and later each time where that happens again and again. An upgrade whose data plane does not get ready changes
/// nothing. What comes after the first request to stop only ends.
struct ProcessPlan {
    enum Image: Equatable, Sendable {
        /// The binary of the data plane that serves, or served last.
        case current
        /// The file that is at the binary's path now.
        case replacement
    }

    enum Order: Equatable, Sendable {
        /// Finish what is under way; `isLast` where nobody accepts after it.
        case drain(isLast: Bool)
        case stopNow
        case reload
        case reopenLogs
    }

    enum Action: Equatable, Sendable {
        case start(generation: Int, Image)
        case tell(generation: Int, Order)
        case kill(generation: Int)
        /// Its binary is the current one from now on, and its sockets are those that are needed.
        case adopt(generation: Int)
        /// The gateway serves, for the first time.
        case announce
        /// A data plane ended that was not to end.
        case report(generation: Int, ProcessEnd)
        /// The upgrade that was asked for has come to its end; the reason where it failed.
        case upgraded(failure: String?)
        /// Nobody accepts any more.
        case closeListeners
        /// The supervisor ends.
        case end(status: Int32)
    }

    enum Phase: String, Sendable { case starting, serving, draining }

    struct Plane: Sendable {
        let generation: Int
        let image: Image
        var phase = Phase.starting
        /// It served when it closed its line, and another has its place.
        var isLost = false
        /// When it is killed unless it has moved on, in milliseconds.
        var deadline = Int64.max
    }

    private(set) var planes: [Plane] = []
    /// When a replacement starts that waits, in milliseconds.
    private(set) var restartAt: Int64?
    private(set) var upgradeWaits = false
    private var generations = 0
    private var hasServed = false
    private var stops = 0
    private var deaths: [Int64] = []
    /// How long the data plane that serves gives to a drain, in milliseconds.
    var drainMilliseconds: Int64 = 30_000

    static let planesMax = 3
    /// What a data plane has beyond its drain until it is killed.
    static let graceMilliseconds: Int64 = 10_000
    /// How long the data plane of a new binary may take until it serves.
    static let upgradeMillisecondsMax: Int64 = 120_000
    /// Deaths that count for the next delay are not older than this.
    static let memoryMilliseconds: Int64 = 60_000
    /// So many deaths are answered by a start at once.
    static let deathsWithoutDelay = 2
    static let firstDelay: Int64 = 100
    static let longestDelay: Int64 = 10_000

    var isStopping: Bool { stops > 0 }

    /// The data plane that serves.
    var serving: Plane? { planes.first { $0.phase == .serving } }

    private var starting: Plane? { planes.first { $0.phase == .starting } }

    /// When `expired` wants to be called, in milliseconds; `Int64.max` for never.
    var deadline: Int64 { planes.map(\.deadline).reduce(restartAt ?? .max, min) }

    // MARK: Events

    mutating func begin() -> [Action] { [start(.current, now: 0)] }

    /// A data plane serves.
    mutating func ready(_ generation: Int, now: Int64) -> [Action] {
        guard let index = planes.firstIndex(where: { $0.generation == generation && $0.phase == .starting })
        else { return [] }
        guard !isStopping else { return [] }
        var actions: [Action] = [.adopt(generation: generation)]
        for other in planes.indices where planes[other].phase == .serving {
            planes[other].phase = .draining
            planes[other].deadline = now + drainMilliseconds + Self.graceMilliseconds
            actions.append(.tell(generation: planes[other].generation, .drain(isLast: false)))
        }
        planes[index].phase = .serving
        planes[index].deadline = .max
        if !hasServed {
            hasServed = true
            actions.append(.announce)
        }
        if planes[index].image == .replacement { actions.append(.upgraded(failure: nil)) }
        return actions + startWaiting(now: now)
    }

    /// A data plane has closed its line: its process is about to be gone, and takes no connections any more. One that is
    /// only starting is not waited for, and so many that are not gone yet wait for that.
    mutating func hungUp(_ generation: Int, now: Int64) -> [Action] {
        guard !isStopping, planes.count < Self.planesMax,
            let index = planes.firstIndex(where: { $0.generation == generation && $0.phase == .serving })
        else { return [] }
        planes[index].phase = .draining
        planes[index].isLost = true
        planes[index].deadline = now + Self.graceMilliseconds
        return starting == nil ? replace(now: now) + startWaiting(now: now) : []
    }

    /// A data plane's process is gone.
    mutating func ended(_ generation: Int, _ end: ProcessEnd, now: Int64) -> [Action] {
        guard let index = planes.firstIndex(where: { $0.generation == generation }) else { return [] }
        let plane = planes.remove(at: index)
        if isStopping {
            let report = end.isClean ? [] : [Action.report(generation: generation, end)]
            return report + (planes.isEmpty ? [.end(status: 0)] : [])
        }
        if !hasServed, plane.phase == .starting {
            let report: [Action] =
                if case .signalled = end { [.report(generation: generation, end)] } else { [] }
            return report + [.end(status: Self.status(of: end))]
        }
        switch plane.phase {
        case .draining:
            let report = end.isClean && !plane.isLost ? [] : [Action.report(generation: generation, end)]
            return report + startWaiting(now: now)
        case .starting:
            var actions: [Action] = [.report(generation: generation, end)]
            if plane.image == .replacement {
                actions.append(.upgraded(failure: "the new data plane did not get ready: \(end.text)"))
            }
            if serving == nil { actions += replace(now: now) }
            return actions + startWaiting(now: now)
        case .serving:
            // Where another is starting already, it takes over.
            let report = [Action.report(generation: generation, end)]
            return report + (starting == nil ? replace(now: now) + startWaiting(now: now) : [])
        }
    }

    /// The data plane of the file that is at the binary's path now is to take over.
    mutating func upgrade(now: Int64) -> [Action] {
        guard !isStopping else { return [.upgraded(failure: "the gateway is stopping")] }
        upgradeWaits = true
        return startWaiting(now: now)
    }

    /// An order for the data plane that serves, and for the one that starts: what it has read may be older. Where there
    /// is none because a replacement waits, it waits no longer.
    mutating func reload(now: Int64) -> [Action] {
        guard !isStopping else { return [] }
        if restartAt != nil && serving == nil && starting == nil { return [start(.current, now: now)] }
        return [serving, starting].compactMap { $0.map { .tell(generation: $0.generation, .reload) } }
    }

    func reopenLogs() -> [Action] { planes.map { .tell(generation: $0.generation, .reopenLogs) } }

    /// The gateway is to end: the first time in order, the second at once, the third whatever happens.
    mutating func stop(now: Int64) -> [Action] {
        stops += 1
        restartAt = nil
        let hadWaiting = upgradeWaits || planes.contains { $0.phase == .starting && $0.image == .replacement }
        upgradeWaits = false
        guard !planes.isEmpty else { return [.closeListeners, .end(status: 0)] }
        switch stops {
        case 1:
            for index in planes.indices {
                planes[index].deadline = now + drainMilliseconds + Self.graceMilliseconds
            }
            return tellAll(.drain(isLast: true)) + [.closeListeners]
                + (hadWaiting ? [.upgraded(failure: "the gateway is stopping")] : [])
        case 2: return tellAll(.stopNow)
        default: return planes.map { .kill(generation: $0.generation) } + [.end(status: 0)]
        }
    }

    /// A deadline has passed.
    mutating func expired(now: Int64) -> [Action] {
        var actions: [Action] = []
        for index in planes.indices where planes[index].deadline <= now {
            planes[index].deadline = .max
            actions.append(.kill(generation: planes[index].generation))
        }
        if let at = restartAt, at <= now { actions.append(start(.current, now: now)) }
        return actions
    }

    // MARK: Rules

    private func tellAll(_ order: Order) -> [Action] {
        planes.map { .tell(generation: $0.generation, order) }
    }

    private mutating func start(_ image: Image, now: Int64) -> Action {
        restartAt = nil
        generations += 1
        let deadline = image == .replacement ? now + Self.upgradeMillisecondsMax : .max
        planes.append(Plane(generation: generations, image: image, deadline: deadline))
        return .start(generation: generations, image)
    }

    private mutating func replace(now: Int64) -> [Action] {
        deaths = deaths.filter { now - $0 < Self.memoryMilliseconds } + [now]
        let repeated = deaths.count - Self.deathsWithoutDelay
        guard repeated > 0 else { return [start(.current, now: now)] }
        let delay = min(Self.longestDelay, Self.firstDelay << Int64(min(repeated - 1, 16)))
        restartAt = now + delay
        return []
    }

    /// Starts the upgrade that waits, where there is room for it and nothing else starts.
    private mutating func startWaiting(now: Int64) -> [Action] {
        guard upgradeWaits, !isStopping, starting == nil, planes.count < Self.planesMax else { return [] }
        upgradeWaits = false
        return [start(.replacement, now: now)]
    }

    /// What the supervisor ends with where the first data plane never served.
    private static func status(of end: ProcessEnd) -> Int32 {
        switch end {
        case .exited(let status): status == 0 ? CommandStatus.cannotServe.rawValue : status
        case .signalled: CommandStatus.cannotServe.rawValue
        }
    }
}
