internal import CLinux
internal import Glibc
internal import Synchronization

/// What the worker tells when a descriptor that it watches has news.
package protocol EventTarget: AnyObject {
    /// The descriptor became readable or writable, or its peer went away.
    func ready(_ events: Readiness)
}

/// Somebody without a task who wants another turn.
package protocol TurnTarget: AnyObject {
    func takeTurn()
}

/// What a descriptor is ready for.
package struct Readiness: OptionSet, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let readable = Readiness(rawValue: EPOLLIN.rawValue)
    package static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
    /// The peer will send no more.
    package static let readClosed = Readiness(rawValue: EPOLLRDHUP.rawValue)
    /// The connection is gone in both directions.
    package static let closed = Readiness(rawValue: EPOLLHUP.rawValue)
    package static let failed = Readiness(rawValue: EPOLLERR.rawValue)
}

/// A place in a worker's table of watched descriptors. The generation makes a late event for a descriptor that
/// was closed find nobody.
package struct WatchID: Equatable, Sendable {
    fileprivate var index: UInt32
    fileprivate var generation: UInt32
}

/// One thread, one epoll, one task executor: everything that a connection does happens on its worker's thread.
///
/// ```
///  epoll ──▶ watched descriptors ──▶ EventTarget.ready        (no task)
///  heap  ──▶ timers              ──▶ TimerTarget.deadlineReached
///  ring  ──▶ jobs of this thread's tasks          ◀── enqueue (this thread)
///  mail  ──▶ closures and jobs of other threads   ◀── submit, enqueue (any other thread), with an eventfd
/// ```
/// It is the one unchecked Sendable root: what hangs from it is touched on its thread only, and `onThread` asserts it.
/// After two rounds of the ring it looks at epoll again, so that no task starves the sockets.
package final class Worker: TaskExecutor, @unchecked Sendable {
    /// The worker's number, from 0.
    package let index: Int

    private let epoll: Int32
    private let wakeFD: Int32
    private let mail = Mutex(Mail())
    private let stopping = Atomic<Bool>(false)

    @exclusivity(unchecked) private var ring = JobRing()
    @exclusivity(unchecked) private var timers = Timers()
    @exclusivity(unchecked) private var watched: [Watch] = []
    @exclusivity(unchecked) private var freeWatches: [UInt32] = []
    @exclusivity(unchecked) private var yielded: [UnsafeContinuation<Void, Never>] = []
    @exclusivity(unchecked) private var postponed: [any TurnTarget] = []
    /// The worker's clock in milliseconds, read once for each turn of its loop; monotonic.
    @exclusivity(unchecked) package private(set) var now: Int64
    /// The same clock in nanoseconds.
    @exclusivity(unchecked) package private(set) var nanoseconds: Int64 = 0
    /// The wall clock in whole seconds since 1970, read once for each turn.
    @exclusivity(unchecked) package private(set) var wallSeconds: Int64 = 0
    /// Nanoseconds of the wall clock's second.
    @exclusivity(unchecked) package private(set) var wallNanoseconds: Int64 = 0

    /// What the worker's turns took; any thread may read it.
    package let turns = TurnCounters()
    @exclusivity(unchecked) private var isReloadTurn = false
    /// Asked on the worker's thread where the kernel gave no descriptor; says whether one was freed.
    @exclusivity(unchecked) package var whenExhausted: (() -> Bool)?

    /// The number of events taken from the kernel at once.
    private static let eventsPerTurn = 256

    private struct Watch {
        var generation: UInt32
        var target: (any EventTarget)?
    }

    private struct Mail {
        var jobs: [UnownedJob] = []
        var letters: [@Sendable (Worker) -> Void] = []
    }

    /// - Throws: `SystemError` when the kernel gives no descriptor.
    package init(index: Int) throws(SystemError) {
        self.index = index
        epoll = try SystemError.check(epoll_create1(Int32(EPOLL_CLOEXEC)), "epoll_create1")
        do throws(SystemError) {
            wakeFD = try SystemError.check(eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)), "eventfd")
        } catch {
            close(epoll)
            throw error
        }
        now = Clock.monotonicMilliseconds()
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = UInt64.max
        try SystemError.check(epoll_ctl(epoll, EPOLL_CTL_ADD, wakeFD, &event), "epoll_ctl")
    }

    deinit {
        close(epoll)
        close(wakeFD)
    }

    // MARK: Running

    /// Traps unless it is called on the worker's thread.
    @inline(__always)
    package func onThread() {
        precondition(isOnThread, "a worker's state was touched from another thread")
    }

    /// Whether this is the worker's thread.
    package var isOnThread: Bool {
        chimera_thread_worker() == Unmanaged.passUnretained(self).toOpaque()
    }

    /// Runs the loop on this thread until `stop()`, and then `ending`, which still is on the worker's thread.
    package func run(_ ending: () -> Void = {}) {
        precondition(chimera_thread_worker() == nil, "this thread has a worker already")
        chimera_set_thread_worker(Unmanaged.passUnretained(self).toOpaque())
        defer { chimera_set_thread_worker(nil) }
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: Worker.eventsPerTurn)
        defer { events.deallocate() }
        readClocks()
        while !stopping.load(ordering: .relaxed) { turn(events) }
        runJobs(rounds: 2)
        ending()
    }

    /// Ends `run()` after the current turn; from any thread.
    package func stop() {
        stopping.store(true, ordering: .relaxed)
        wakeUp()
    }

    private func turn(_ events: UnsafeMutablePointer<epoll_event>) {
        runJobs(rounds: 2)
        let ended = Clock.monotonicNanoseconds()
        turns.turnEnded(nanoseconds: ended - nanoseconds, isReload: isReloadTurn)
        isReloadTurn = false
        var count = epoll_wait(epoll, events, Int32(Worker.eventsPerTurn), waitMilliseconds())
        readClocks()
        turns.waited(nanoseconds: nanoseconds - ended)
        // Timers come behind all that has happened: what came in time is not late. What the kernel had ready is told
        // in so many takes; what is told for as long as it is so, and what comes meanwhile, ends in another turn.
        var takesLeft = watched.count / Worker.eventsPerTurn
        while deliver(events, count), takesLeft > 0 {
            count = epoll_wait(epoll, events, Int32(Worker.eventsPerTurn), 0)
            takesLeft -= 1
        }
        while let target = timers.popExpired(now: now) { target.deadlineReached(now: now) }
        resumeYielded()
        runPostponed()
    }

    /// Says that the turn under way has changed the configuration, so that what such turns take is seen.
    package func noteReload() {
        onThread()
        isReloadTurn = true
    }

    private func waitMilliseconds() -> Int32 {
        if !ring.isEmpty || !yielded.isEmpty || !postponed.isEmpty { return 0 }
        let earliest = timers.earliest
        if earliest == .max { return -1 }
        return Int32(clamping: max(0, earliest - now))
    }

    private func readClocks() {
        nanoseconds = Clock.monotonicNanoseconds()
        now = nanoseconds / 1_000_000
        var wall = timespec()
        clock_gettime(CLOCK_REALTIME, &wall)
        wallSeconds = Int64(wall.tv_sec)
        wallNanoseconds = Int64(wall.tv_nsec)
    }

    /// - Returns: whether there may be more.
    private func deliver(_ events: UnsafeMutablePointer<epoll_event>, _ count: Int32) -> Bool {
        var index = 0
        while index < Int(count) {
            deliver(events[index])
            index += 1
        }
        return index == Worker.eventsPerTurn
    }

    private func deliver(_ event: epoll_event) {
        let key = event.data.u64
        if key == .max { return takeMail() }
        let slot = Int(UInt32(truncatingIfNeeded: key))
        guard watched[slot].generation == UInt32(truncatingIfNeeded: key >> 32) else { return }
        watched[slot].target?.ready(Readiness(rawValue: event.events))
    }

    /// Lets the other tasks and the sockets of the worker have a turn. `Task.yield` would leave the worker.
    package func yield() async {
        onThread()
        await withUnsafeContinuation { yielded.append($0) }
    }

    /// Gives `target` another turn after the sockets of the worker had theirs.
    package func postpone(_ target: any TurnTarget) {
        onThread()
        postponed.append(target)
    }

    private func runPostponed() {
        guard !postponed.isEmpty else { return }
        let due = postponed
        postponed.removeAll(keepingCapacity: true)
        for target in due { target.takeTurn() }
    }

    private func resumeYielded() {
        guard !yielded.isEmpty else { return }
        let due = yielded
        yielded.removeAll(keepingCapacity: true)
        for continuation in due { continuation.resume() }
    }

    // MARK: Descriptors

    /// Watches a descriptor, edge-triggered, for input and the peer's end; `target` is kept until `unwatch`.
    ///
    /// - Parameter levelTriggered: news is told for as long as there is some, for what takes one piece at a time.
    package func watch(
        _ descriptor: Int32, writable: Bool = false, levelTriggered: Bool = false, _ target: any EventTarget
    ) throws(SystemError) -> WatchID {
        onThread()
        let index: UInt32
        if let free = freeWatches.popLast() {
            index = free
        } else {
            index = UInt32(watched.count)
            watched.append(Watch(generation: 0, target: nil))
        }
        let id = WatchID(index: index, generation: watched[Int(index)].generation)
        do throws(SystemError) {
            try control(EPOLL_CTL_ADD, descriptor, id, writable: writable, levelTriggered: levelTriggered)
        } catch {
            freeWatches.append(index)
            throw error
        }
        watched[Int(index)].target = target
        return id
    }

    /// Also tells when the descriptor becomes writable; armed only after a short write.
    package func watchWritable(_ descriptor: Int32, _ id: WatchID) throws(SystemError) {
        try control(EPOLL_CTL_MOD, descriptor, id, writable: true)
    }

    /// Forgets the descriptor, which the caller closes next; events under way for it find nobody.
    package func unwatch(_ id: WatchID) {
        onThread()
        let slot = Int(id.index)
        precondition(watched[slot].generation == id.generation, "unwatched twice")
        watched[slot].generation &+= 1
        watched[slot].target = nil
        freeWatches.append(id.index)
    }

    /// Takes a descriptor that stays open out of epoll.
    package func release(_ descriptor: Int32, _ id: WatchID) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil)
        unwatch(id)
    }

    private func control(
        _ operation: Int32, _ descriptor: Int32, _ id: WatchID, writable: Bool, levelTriggered: Bool = false
    ) throws(SystemError) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | EPOLLRDHUP.rawValue
        if !levelTriggered { event.events |= EPOLLET.rawValue }
        if writable { event.events |= EPOLLOUT.rawValue }
        event.data.u64 = UInt64(id.index) | UInt64(id.generation) << 32
        try SystemError.check(epoll_ctl(epoll, operation, descriptor, &event), "epoll_ctl")
    }

    // MARK: Timers

    /// Sets a timer's deadline, in milliseconds of `now`; `Int64.max` for none. Moving it later costs a store.
    @inline(__always)
    package func set(_ timer: Timer, to deadline: Int64) {
        timers.set(timer, to: deadline)
    }

    /// Takes a timer out, before its owner goes.
    package func cancel(_ timer: Timer) {
        timers.cancel(timer)
    }

    // MARK: Tasks and mail

    /// Starts a task on this worker; everything that it awaits resumes here. Only on the worker's thread, which
    /// is why the body need not be Sendable.
    package func start(_ body: @escaping () async -> Void) {
        onThread()
        // Sound: the task is created on this thread and its executor is this thread, so nothing is shared.
        nonisolated(unsafe) let confined = body
        Task(executorPreference: self) { await confined() }
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        if isOnThread {
            ring.append(unowned)
        } else {
            let first = mail.withLock { mail in
                mail.jobs.append(unowned)
                return mail.jobs.count + mail.letters.count == 1
            }
            if first { wakeUp() }
        }
    }

    /// Runs a closure on the worker's thread, soon; from any thread.
    package func submit(_ letter: @escaping @Sendable (Worker) -> Void) {
        let first = mail.withLock { mail in
            mail.letters.append(letter)
            return mail.jobs.count + mail.letters.count == 1
        }
        if first { wakeUp() }
    }

    private func wakeUp() {
        var one: UInt64 = 1
        _ = write(wakeFD, &one, 8)
    }

    private func takeMail() {
        var count: UInt64 = 0
        _ = read(wakeFD, &count, 8)
        let taken = mail.withLock { mail in
            defer { mail = Mail() }
            return mail
        }
        for job in taken.jobs { ring.append(job) }
        for letter in taken.letters { letter(self) }
    }

    private func runJobs(rounds: Int) {
        let executor = asUnownedTaskExecutor()
        for _ in 0..<rounds {
            var left = ring.count
            if left == 0 { return }
            while left > 0 {
                ring.removeFirst().runSynchronously(on: executor)
                left -= 1
            }
        }
    }
}
