import CLinux
import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Testing

@Suite(.timeLimit(.minutes(1))) struct `Worker and its tasks` {
    @Test func `tasks that the worker starts run on its thread, in order`() async throws {
        let order = try await onWorker { worker in
            let scope = Scope()
            var order: [Int] = []
            for number in 0..<100 {
                worker.start {
                    worker.onThread()
                    order.append(number)
                    if number == 99 { scope.wake(.done) }
                }
            }
            _ = await scope.wait()
            return order
        }
        #expect(order == Array(0..<100))
    }

    @Test func `a sleep inside a task goes on on the worker`() async throws {
        let places = try await onWorker { worker in
            var places = [worker.isOnThread]
            try await Task.sleep(nanoseconds: 1_000_000)
            places.append(worker.isOnThread)
            await Task.yield()
            places.append(worker.isOnThread)
            return places
        }
        #expect(places == [true, true, true])
    }

    @Test func `what is confined to a worker is reached by its mail`() async throws {
        let isOnThread = try await onWorker { worker in
            let scope = Scope()
            let places = Confined(Places(), to: worker)
            let address = Confined(scope, to: worker)
            let hasStarted = Thread.start(name: "test-other") {
                places.mail { $0.found.append(worker.isOnThread) }
                address.mail { $0.wake(.done) }
            }
            if hasStarted { _ = await scope.wait() }
            return places.value.found
        }
        #expect(isOnThread == [true])
    }

    @Test func `what is confined to a worker is nobody else's`() async {
        setenv("SWIFT_BACKTRACE", "enable=no", 1)
        await #expect(processExitsWith: .failure) {
            let confined = try await onWorker { Confined(7, to: $0) }
            _ = confined.value
        }
    }

    private final class Places {
        var found: [Bool] = []
    }

    @Test func `a continuation that another thread resumes goes on on the worker`() async throws {
        let (value, isOnThread) = try await onWorker { worker in
            let value = await withCheckedContinuation { continuation in
                let hasStarted = Thread.start(name: "test-other") {
                    continuation.resume(returning: worker.isOnThread ? "same" : "other")
                }
                if !hasStarted { continuation.resume(returning: "none") }
            }
            return (value, worker.isOnThread)
        }
        #expect(value == "other")
        #expect(isOnThread)
    }

    @Test func `a stream that another thread feeds is read on the worker`() async throws {
        let (sum, strays) = try await onWorker { worker in
            let (stream, source) = AsyncStream.makeStream(of: Int.self)
            _ = Thread.start(name: "test-source") {
                for number in 1...1_000 { source.yield(number) }
                source.finish()
            }
            var (sum, strays) = (0, 0)
            for await number in stream {
                sum += number
                if !worker.isOnThread { strays += 1 }
            }
            return (sum, strays)
        }
        #expect(sum == 500_500)
        #expect(strays == 0)
    }

    @Test func `what many threads submit arrives once, on the worker, in the order of each`() async throws {
        let running = try RunningWorker()
        let (threads, letters) = (8, 2_000)
        let arrived = Shared<[[Int]]>(Array(repeating: [], count: threads))
        let (strays, left) = (Shared(0), Shared(threads * letters))
        let done = Latch()
        for thread in 0..<threads {
            let hasStarted = Thread.start(name: "test-sender") {
                for letter in 0..<letters {
                    running.worker.submit { worker in
                        if !worker.isOnThread { strays.change { $0 += 1 } }
                        arrived.change { $0[thread].append(letter) }
                        left.change { $0 -= 1 }
                        if left.value == 0 { done.open() }
                    }
                }
            }
            try #require(hasStarted)
        }
        try #require(done.wait(milliseconds: 30_000))
        #expect(strays.value == 0)
        #expect(arrived.value == Array(repeating: Array(0..<letters), count: threads))
        #expect(running.stop())
    }

    @Test func `a task that yields lets the others and the sockets have their turn`() async throws {
        let turns = try await onWorker { worker in
            let (descriptor, peer) = try Pair.unix()
            let watcher = Watcher()
            let watch = try worker.watch(descriptor, watcher)
            var turns: [Int] = [0, 0]
            let scope = Scope()
            for task in 0..<2 {
                worker.start {
                    while watcher.news == 0 {
                        turns[task] += 1
                        if turns[task] == 50 { peer.write("x") }
                        await worker.yield()
                    }
                    scope.wake(.done)
                }
            }
            while !scope.isWaiting { if await scope.wait().contains(.done) { break } }
            worker.unwatch(watch)
            close(descriptor)
            peer.close()
            return turns
        }
        // Neither runs ahead of the other, and the socket's news ends both although they never stop yielding.
        #expect(turns[0] >= 50)
        #expect(abs(turns[0] - turns[1]) <= 1)
    }

    @Test func `tasks that start tasks for ever do not starve the sockets`() async throws {
        let hasNews = try await onWorker { worker in
            let (descriptor, peer) = try Pair.unix()
            let watcher = Watcher()
            let watch = try worker.watch(descriptor, watcher)
            peer.write("x")
            let chain = Chain(worker, watcher)
            chain.start()
            _ = await chain.ended.wait()
            worker.unwatch(watch)
            close(descriptor)
            peer.close()
            return watcher.news > 0
        }
        #expect(hasNews)
    }

    @Test func `timers come behind all events that were there, however many`() async throws {
        let (seen, count) = try await onWorker { worker in
            let events = try (0..<600).map { _ in try Ready() }
            let watches = try events.map { try worker.watch($0.descriptor, $0) }
            let scope = Scope()
            let due = Due {
                defer { scope.wake(.done) }
                return events.count { $0.isSeen }
            }
            worker.set(due.timer, to: worker.now)
            _ = await scope.wait()
            watches.forEach(worker.unwatch)
            events.forEach { close($0.descriptor) }
            return (due.seen, events.count)
        }
        #expect(seen == count)
    }

    @Test func `what is done at the end is done on the worker's thread`() throws {
        let worker = try Worker(index: 7)
        #expect(worker.index == 7)
        #expect(!worker.isOnThread)
        let ended = Latch()
        let wasOnThread = Shared(false)
        let hasStarted = Thread.start(name: "test-worker") {
            worker.run { wasOnThread.change { $0 = worker.isOnThread } }
            ended.open()
        }
        try #require(hasStarted)
        worker.stop()
        try #require(ended.wait(milliseconds: 20_000))
        #expect(wasOnThread.value)
    }

    @Test func `two workers keep their tasks apart`() async throws {
        let (first, second) = (try RunningWorker(index: 0), try RunningWorker(index: 1))
        let other = second.worker
        let places = try await first.run { worker in
            let there = await withCheckedContinuation { continuation in
                other.submit { continuation.resume(returning: [$0.isOnThread, worker.isOnThread]) }
            }
            return there + [worker.isOnThread, other.isOnThread]
        }
        #expect(places == [true, false, true, false])
        #expect(first.stop())
        #expect(second.stop())
    }

    @Test func `a worker's state touched from another thread ends the process`() async throws {
        setenv("SWIFT_BACKTRACE", "enable=no", 1)
        await #expect(processExitsWith: .failure) {
            let worker = try Worker(index: 0)
            worker.start {}
        }
    }

    /// Starts a task that starts a task, until the watcher has news.
    private final class Chain {
        let worker: Worker
        let watcher: Watcher
        let ended = Scope()

        init(_ worker: Worker, _ watcher: Watcher) {
            self.worker = worker
            self.watcher = watcher
        }

        func start() {
            worker.start { [self] in
                if watcher.news == 0 { start() } else { ended.wake(.done) }
            }
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Worker and its clocks` {
    @Test func `a timer is told at its deadline and not before`() async throws {
        let (asked, told, deadlines) = try await onWorker { worker in
            let watcher = Watcher()
            let timer = Timer(target: watcher)
            let asked = worker.now + 5
            worker.set(timer, to: asked)
            _ = await watcher.scope.wait()
            return (asked, worker.now, watcher.deadlines)
        }
        #expect(told >= asked)
        #expect(deadlines == 1)
    }

    @Test func `timers are told in the order of their deadlines, those cancelled never`() async throws {
        let told = try await onWorker { worker in
            let told = Told()
            let owners = (0..<5).map { Told.Owner($0, told) }
            let timers = owners.map { Timer(target: $0) }
            for (timer, delay) in zip(timers, [12, 4, 8, 2, 6] as [Int64]) {
                worker.set(timer, to: worker.now + delay)
            }
            worker.cancel(timers[3])
            worker.set(timers[1], to: worker.now + 10)
            _ = await told.scope.wait()
            return withExtendedLifetime(owners) { told.numbers }
        }
        // One that was moved later keeps its place until its old time has come, so on a slow machine its turn is early.
        #expect(told.filter { $0 != 1 } == [4, 2, 0])
        #expect(told.sorted() == [0, 1, 2, 4])
    }

    @Test func `the clocks agree with the system's`() async throws {
        let before = (Clock.monotonicMilliseconds(), ProcessFigures.wallSeconds)
        let (now, nanoseconds, wall) = try await onWorker { worker in
            await worker.yield()
            return (worker.now, worker.nanoseconds, worker.wallSeconds)
        }
        let after = (Clock.monotonicMilliseconds(), ProcessFigures.wallSeconds)
        #expect((before.0...after.0).contains(now))
        #expect(nanoseconds / 1_000_000 == now)
        #expect((before.1...after.1).contains(wall))
    }

    private final class Told {
        let scope = Scope()
        var numbers: [Int] = []

        final class Owner: TimerTarget {
            let number: Int
            let told: Told

            init(_ number: Int, _ told: Told) {
                self.number = number
                self.told = told
            }

            func deadlineReached(now: Int64) {
                told.numbers.append(number)
                if told.numbers.count == 4 { told.scope.wake(.done) }
            }
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Watched descriptors` {
    /// Both have an event in one turn; whoever is told first closes the other, for which the event is then late.
    @Test(arguments: [false, true])
    func `a late event for a closed descriptor finds nobody`(_ reusesPlace: Bool) async throws {
        let (told, strays) = try await onWorker { worker in
            let rivals = Rivals(worker, reusesPlace: reusesPlace)
            try rivals.begin()
            _ = await rivals.scope.wait()
            await worker.yield()
            await worker.yield()
            rivals.end()
            return (rivals.told, rivals.newcomer.news)
        }
        #expect(told == 1)
        #expect(strays == 0)
    }

    @Test func `a descriptor that cannot be watched is refused, and its place is used again`() async throws {
        let (error, news) = try await onWorker { worker in
            let watcher = Watcher()
            var failure: SystemError?
            do throws(SystemError) {
                _ = try worker.watch(-1, watcher)
            } catch {
                failure = error
            }
            let (descriptor, peer) = try Pair.unix()
            let watch = try worker.watch(descriptor, watcher)
            peer.write("x")
            _ = await watcher.scope.wait()
            worker.unwatch(watch)
            close(descriptor)
            peer.close()
            return (failure, watcher.news)
        }
        #expect(error == SystemError("epoll_ctl", EBADF))
        #expect(news == 1)
    }

    @Test func `a released descriptor stays open and is silent`() async throws {
        let (news, received) = try await onWorker { worker in
            let (descriptor, peer) = try Pair.unix()
            let watcher = Watcher()
            let watch = try worker.watch(descriptor, watcher)
            worker.release(descriptor, watch)
            peer.write("x")
            await worker.yield()
            await worker.yield()
            var byte: UInt8 = 0
            let received = recv(descriptor, &byte, 1, 0)
            close(descriptor)
            peer.close()
            return (watcher.news, received)
        }
        #expect(news == 0)
        #expect(received == 1)
    }

    @Test func `level-triggered news is told for as long as there is some, edge-triggered once`() async throws
    {
        let news = try await onWorker { worker in
            let ends = try (0..<2).map { _ in try Pair.unix() }
            let watchers = [Watcher(), Watcher()]
            let watches = try (0..<2).map {
                try worker.watch(ends[$0].0, levelTriggered: $0 == 0, watchers[$0])
            }
            for (_, peer) in ends { peer.write("x") }
            for _ in 0..<5 { await worker.yield() }
            let news = watchers.map(\.news)
            for (index, (descriptor, peer)) in ends.enumerated() {
                worker.unwatch(watches[index])
                close(descriptor)
                peer.close()
            }
            return news
        }
        #expect(news[0] > 1)
        #expect(news[1] == 1)
    }

    /// Two descriptors that have news at the same time.
    private final class Rivals {
        final class Rival: EventTarget {
            let descriptor: Int32
            let peer: Peer
            var watch: WatchID?
            unowned let rivals: Rivals

            init(_ rivals: Rivals) throws {
                (descriptor, peer) = try Pair.unix()
                self.rivals = rivals
            }

            func ready(_ events: Readiness) { rivals.ready(self) }
        }

        let worker: Worker
        let reusesPlace: Bool
        let scope = Scope()
        let newcomer = Watcher()
        private(set) var told = 0
        private var rivals: [Rival] = []
        private var place: (watch: WatchID, ends: (Int32, Peer))?

        init(_ worker: Worker, reusesPlace: Bool) {
            self.worker = worker
            self.reusesPlace = reusesPlace
        }

        func begin() throws {
            for _ in 0..<2 {
                let rival = try Rival(self)
                rival.watch = try worker.watch(rival.descriptor, rival)
                rivals.append(rival)
            }
            for rival in rivals { rival.peer.write("x") }
        }

        func ready(_ winner: Rival) {
            told += 1
            guard let loser = rivals.first(where: { $0 !== winner }), let watch = loser.watch else { return }
            worker.unwatch(watch)
            loser.watch = nil
            close(loser.descriptor)
            if reusesPlace, let ends = try? Pair.unix(), let watch = try? worker.watch(ends.0, newcomer) {
                place = (watch, ends)
            }
            scope.wake(.done)
        }

        func end() {
            for rival in rivals {
                rival.peer.close()
                guard let watch = rival.watch else { continue }
                worker.unwatch(watch)
                close(rival.descriptor)
            }
            guard let place else { return }
            worker.unwatch(place.watch)
            close(place.ends.0)
            place.ends.1.close()
        }
    }
}

/// A descriptor that is readable from the beginning.
private final class Ready: EventTarget {
    let descriptor: Int32
    private(set) var isSeen = false

    init() throws {
        descriptor = eventfd(1, Int32(EFD_NONBLOCK))
        guard descriptor >= 0 else { throw CallFailed(call: "eventfd") }
    }

    func ready(_ events: Readiness) { isSeen = true }
}

/// Counts something when its time has come.
private final class Due: TimerTarget {
    private(set) lazy var timer = Timer(target: self)
    private let count: () -> Int
    private(set) var seen = 0

    init(_ count: @escaping () -> Int) { self.count = count }

    func deadlineReached(now: Int64) { seen = count() }
}
