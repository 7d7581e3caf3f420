import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Synchronization
import Testing

/// Gives work to a pool that must take it.
private func give(_ pool: BlockingPool, _ work: @escaping @Sendable () -> Void) throws {
    let isTaken = pool.submit(work)
    try #require(isTaken)
}

/// How many works run now, and how many ran at once at most.
private final class Gauge: Sendable {
    private let state = Mutex((now: 0, most: 0, ended: 0))

    func begin() {
        state.withLock {
            $0.now += 1
            $0.most = max($0.most, $0.now)
        }
    }

    func end() {
        state.withLock {
            $0.now -= 1
            $0.ended += 1
        }
    }

    var most: Int { state.withLock { $0.most } }
    var ended: Int { state.withLock { $0.ended } }
}

@Suite(.timeLimit(.minutes(1))) struct `Pool for what blocks` {
    @Test func `work runs and its result comes back to the worker`() async throws {
        let pool = BlockingPool(threadsMax: 2)
        let (there, here) = try await onWorker { worker in
            let there = await pool.run { worker.isOnThread }
            return (there, worker.isOnThread)
        }
        #expect(there == false)
        #expect(here)
        pool.stop()
    }

    @Test func `no more threads run than are allowed, and all work is done`() async {
        let pool = BlockingPool(threadsMax: 3)
        let gauge = Gauge()
        await withTaskGroup { group in
            for _ in 0..<200 {
                group.addTask {
                    _ = await pool.run {
                        gauge.begin()
                        sched_yield()
                        gauge.end()
                    }
                }
            }
        }
        #expect(gauge.ended == 200)
        #expect((1...3).contains(gauge.most))
        pool.stop()
    }

    /// Three works that all wait for each other need three threads, whether one of them was idle before or not.
    @Test(arguments: [0, 1])
    func `work that waits gets threads while they are allowed`(_ idle: Int) throws {
        let pool = BlockingPool(threadsMax: 3)
        for _ in 0..<idle {
            let done = Latch()
            try give(pool) { done.open() }
            try #require(done.wait(milliseconds: 10_000))
        }
        let latches = (0..<3).map { _ in Latch() }
        let met = Shared(0)
        let all = Latch()
        for own in 0..<3 {
            let isTaken = pool.submit {
                latches[own].open()
                for latch in latches where !latch.wait(milliseconds: 10_000) { return }
                met.change { $0 += 1 }
                if met.value == 3 { all.open() }
            }
            #expect(isTaken)
        }
        #expect(all.wait(milliseconds: 20_000))
        pool.stop()
    }

    @Test(arguments: [0, 1, 5])
    func `past queueMax work is refused`(_ queueMax: Int) throws {
        let pool = BlockingPool(threadsMax: 1, queueMax: max(1, queueMax))
        let (started, gate, ended) = (Latch(), Latch(), Latch())
        if queueMax == 0 {
            #expect(!BlockingPool(threadsMax: 1, queueMax: 0).submit {})
        }
        try give(pool) {
            started.open()
            gate.wait()
        }
        try #require(started.wait(milliseconds: 10_000))
        for place in 0..<max(1, queueMax) {
            let isLast = place == max(1, queueMax) - 1
            #expect(pool.submit { if isLast { ended.open() } })
        }
        #expect(!pool.submit { Issue.record("refused work was run") })
        gate.open()
        #expect(ended.wait(milliseconds: 10_000))
        pool.stop()
    }

    @Test func `a full pool gives no result`() async throws {
        let pool = BlockingPool(threadsMax: 1, queueMax: 0)
        #expect(await pool.run { 1 } == nil)
    }

    @Test func `a pool that stops finishes what it took and takes no more`() throws {
        let pool = BlockingPool(threadsMax: 1)
        let (gate, ended) = (Latch(), Latch())
        try give(pool) { gate.wait() }
        try give(pool) { ended.open() }
        pool.stop()
        #expect(!pool.submit {})
        gate.open()
        #expect(ended.wait(milliseconds: 10_000))
    }

    @Test func `what was run is let go of while other work waits`() throws {
        let pool = BlockingPool(threadsMax: 1)
        final class Held: Sendable {}
        var held: Held? = Held()
        weak let witness = held
        let (gate, first, last) = (Latch(), Latch(), Latch())
        try give(pool) { [held] in
            withExtendedLifetime(held) {}
            first.open()
        }
        held = nil
        // Work waits at every moment from here on, and more than a bulk of it runs.
        for index in 0..<3_000 {
            try give(pool) { if index == 2_500 { last.open(); gate.wait() } }
        }
        #expect(first.wait(milliseconds: 10_000))
        #expect(last.wait(milliseconds: 10_000))
        #expect(witness == nil)
        gate.open()
        pool.stop()
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Latches` {
    @Test func `a latch that is open lets everybody through`() {
        let latch = Latch()
        latch.open()
        latch.open()
        #expect(latch.wait())
        #expect(latch.wait(milliseconds: 0))
    }

    @Test func `a wait for a closed latch ends with its time`() {
        let latch = Latch()
        #expect(!latch.wait(milliseconds: 0))
        #expect(!latch.wait(milliseconds: 5))
    }

    @Test(arguments: [Int64.max, Int64.max / 1_000, 1 << 44])
    func `a time past all clocks is waited for like a long one`(milliseconds: Int64) {
        let (open, woken) = (Latch(), Latch())
        let hasStarted = Thread.start(name: "test-waiter") {
            if open.wait(milliseconds: milliseconds) { woken.open() }
        }
        #expect(hasStarted)
        open.open()
        #expect(woken.wait(milliseconds: 30_000))
        #expect(!Latch().wait(milliseconds: -milliseconds))
    }

    @Test func `all that wait go on`() {
        let (gate, done) = (Latch(), (0..<4).map { _ in Latch() })
        for latch in done {
            _ = Thread.start(name: "test-waiter") {
                gate.wait()
                latch.open()
            }
        }
        gate.open()
        for latch in done { #expect(latch.wait(milliseconds: 10_000)) }
    }
}

@Suite struct `The machine` {
    @Test func `the usable cores are at least one and no more than there are`() {
        #expect(Machine.usableCores >= 1)
        #expect(Machine.usableCores <= sysconf(Int32(_SC_NPROCESSORS_CONF)))
    }

    @Test func `standard output is a terminal or is not`() {
        #expect(Machine.hasTerminal == (isatty(STDOUT_FILENO) == 1))
    }

    @Test func `our threads have a name and no signals`() throws {
        let seen = Shared<(name: String, blocked: [Bool])?>(nil)
        let done = Latch()
        let hasStarted = Thread.start(name: "test-named") {
            let file = open("/proc/thread-self/comm", O_RDONLY)
            var name = [UInt8](repeating: 0, count: 32)
            let count = read(file, &name, name.count)
            close(file)
            var mask = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &mask)
            let text = String(decoding: name[..<max(0, count - 1)], as: UTF8.self)
            let blocked = [SIGTERM, SIGHUP, SIGPIPE].map { sigismember(&mask, $0) == 1 }
            seen.change { $0 = (text, blocked) }
            done.open()
        }
        try #require(hasStarted)
        try #require(done.wait(milliseconds: 10_000))
        let (name, blocked) = try #require(seen.value)
        #expect(name == "test-named")
        #expect(blocked == [true, true, true])
    }
}
