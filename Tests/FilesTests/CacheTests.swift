import ChimeraEventLoop
import ChimeraHTTPCore
import Testing

@testable import ChimeraFiles

@Suite struct `The cache of open files` {
    private func site() -> Directory {
        let directory = Directory()
        for index in 0..<8 {
            directory.write("small\(index)", [UInt8](repeating: 1, count: 100))
            directory.write("large\(index)", [UInt8](repeating: 1, count: 20_000))
        }
        return directory
    }

    private func options(_ directory: Directory) -> FilesOptions { FilesOptions(directory: directory.path) }

    // MARK: Age

    @Test func `answers from memory while an entry is fresh`() async throws {
        let directory = site()
        let (replies, loads) = try await Bench().serve(options(directory)) { client in
            let first = await client.get("/small0")
            let replies = [first, client.recall("/small0"), client.recall("/small0", after: 999)]
            return (replies, client.cache.loadCount)
        }
        #expect(replies[0]?.status == 200 && replies[1] == replies[0] && replies[2] == replies[0])
        #expect(loads == 1)
    }

    @Test func `takes one second look beside answers from memory, and answers no later than two seconds`()
        async throws
    {
        let directory = site()
        let (replies, loads) = try await Bench().serve(options(directory)) { client in
            _ = await client.get("/small0")
            directory.write("small0", "changed")
            let replies = [
                client.recall("/small0", after: 1000), client.recall("/small0", after: 1900),
                client.recall("/small0", after: 2000),
            ]
            return (replies, client.cache.loadCount)
        }
        #expect(replies[0]?.length == 100 && replies[1]?.length == 100 && replies[2] == nil)
        #expect(loads == 2)
    }

    @Test func `sees a change after the second look`() async throws {
        let directory = site()
        let (before, after) = try await Bench().serve(options(directory)) { client in
            let before = await client.get("/small0")
            directory.write("small0", "changed")
            _ = client.recall("/small0", after: 1000)
            await client.bench.settle(client.cache)
            return (before, client.recall("/small0"))
        }
        #expect(after?.length == 7 && after?["ETag"] != before["ETag"])
    }

    @Test(arguments: ["small0", "large0"])
    func `keeps what has not changed`(_ name: String) async throws {
        let directory = site()
        let (before, after, resources) = try await Bench().serve(options(directory)) { client in
            let before = await client.get("/" + name)
            let counts = [client.cache.descriptorCount, client.cache.blobByteCount]
            _ = client.recall("/" + name, after: 1500)
            await client.bench.settle(client.cache)
            let after = client.recall("/" + name, after: 2400)
            return (before, after, counts == [client.cache.descriptorCount, client.cache.blobByteCount])
        }
        #expect(before == after && resources)
    }

    @Test func `sees that a file went, and that one came`() async throws {
        let directory = site()
        let statuses = try await Bench().serve(options(directory)) { client in
            var statuses = [await client.get("/small0").status, await client.get("/new").status]
            directory.remove("small0")
            directory.write("new", "new")
            _ = (client.recall("/small0", after: 1000), client.recall("/new", after: 1000))
            await client.bench.settle(client.cache)
            statuses += [client.recall("/small0")?.status ?? 0, client.recall("/new")?.status ?? 0]
            return statuses
        }
        #expect(statuses == [200, 404, 404, 200])
    }

    @Test func `sees a variant that came`() async throws {
        let directory = site()
        let coding = try await Bench().serve(options(directory)) { client in
            _ = await client.get("/large0")
            directory.write("large0.br", "br")
            _ = client.recall("/large0", after: 1000)
            await client.bench.settle(client.cache)
            return client.recall("/large0", [("Accept-Encoding", "br")])?["Content-Encoding"]
        }
        #expect(coding == "br")
    }

    @Test func `reads a young file again, under a strong tag once it has settled`() async throws {
        let directory = site()
        let (young, settled) = try await Bench().serve(options(directory)) { client in
            // A clock without fractions, which ticks every other second.
            directory.write("young", "one", modified: (Int(FileTime.now().seconds) + 1, 0))
            let young = await client.get("/young")
            directory.write("young", "two", modified: (1_700_000_000, 9))
            _ = client.recall("/young", after: 1000)
            await client.bench.settle(client.cache)
            return (young, client.recall("/young"))
        }
        #expect(young["ETag"]?.hasPrefix("W/") == true)
        #expect(settled?["ETag"] == "\"6553f100-9-3\"")
    }

    // MARK: Sharing

    @Test func `requests that miss one path share one look`() async throws {
        let directory = site()
        let (statuses, loads) = try await Bench().serve(options(directory)) { client in
            let scope = Scope()
            var statuses: [Int] = []
            for _ in 0..<5 {
                client.bench.worker.start {
                    statuses.append(await client.get("/small0").status)
                    if statuses.count == 5 { scope.wake(.done) }
                }
            }
            _ = await scope.wait()
            return (statuses, client.cache.loadCount)
        }
        #expect(statuses == [200, 200, 200, 200, 200] && loads == 1)
    }

    @Test func `destinations of one worker have entries of their own, which go with them`() async throws {
        let (one, two) = (Directory(), Directory())
        one.write("a", "one")
        two.write("a", "second")
        let (lengths, left) = try await Bench().run { bench in
            let cache = FilesCache(worker: bench.worker, pool: bench.pool)
            var lengths: [Int?] = []
            let first = Client(
                bench, cache, FilesDestination(options: FilesOptions(directory: one.path), cache: cache))
            do {
                let options = FilesOptions(directory: two.path)
                let second = Client(bench, cache, FilesDestination(options: options, cache: cache))
                lengths = [
                    await first.get("/a").length, await second.get("/a").length, first.recall("/a")?.length,
                ]
                _ = await second.get("/missing")
            }
            cache.checkInvariants()
            return (lengths, [cache.entryCount, cache.missingCount, first.recall("/a")?.length ?? 0])
        }
        #expect(lengths == [3, 6, 3] && left == [1, 0, 3])
    }

    @Test func `a destination may go while its files are looked at`() async throws {
        let directory = site()
        let bench = try Bench(pool: BlockingPool(threadsMax: 1))
        let (status, entries) = await bench.run { bench in
            let cache = FilesCache(worker: bench.worker, pool: bench.pool)
            let place = FilePlace(
                owner: cache.makeOwner(), options: FilesOptions(directory: directory.path), index: [])
            // A look that ends between two looks at whether it has begun would be waited for without an end.
            let gate = Gate()
            #expect(bench.pool.submit { gate.wait() })
            let scope = Scope()
            var entry: FileEntry?
            bench.worker.start {
                entry = await cache.loaded(place, Array("/small0".utf8), now: bench.worker.now)
                scope.wake(.done)
            }
            while cache.loadsUnderWay == 0 { await bench.worker.yield() }
            cache.forget(owner: place.owner)
            gate.open()
            _ = await scope.wait()
            cache.checkInvariants()
            let isFile = if case .file = entry?.content { true } else { false }
            return (isFile, cache.entryCount)
        }
        #expect(status && entries == 0)
    }

    // MARK: Bounds

    @Test(arguments: [0, 1, 3])
    func `keeps so many entries, and drops the one used longest ago`(_ max: Int) async throws {
        let directory = site()
        var limits = FilesLimits()
        limits.entriesMax = max
        let (counts, recalled) = try await Bench().serve(options(directory), limits: limits) { client in
            var counts: [Int] = []
            for index in 0..<5 {
                #expect(await client.get("/small\(index)").status == 200)
                _ = client.recall("/small0")
                client.cache.checkInvariants()
                counts.append(client.cache.entryCount)
            }
            return (counts, (0..<5).filter { client.recall("/small\($0)") != nil })
        }
        #expect(counts == (1...5).map { min($0, max) })
        #expect(recalled == (max == 0 ? [] : max == 1 ? [4] : [0, 3, 4]))
    }

    @Test(arguments: [0, 1, 3])
    func `keeps so many open descriptors`(_ max: Int) async throws {
        let directory = site()
        var limits = FilesLimits()
        limits.descriptorsMax = max
        let counts = try await Bench().serve(options(directory), limits: limits) { client in
            var counts: [Int] = []
            for index in 0..<5 {
                let fetched = await client.fetch("/large\(index)")
                #expect(fetched.body.count == 20_000 && fetched.reason == nil)
                client.cache.checkInvariants()
                counts.append(client.cache.descriptorCount)
            }
            return counts
        }
        #expect(counts == (1...5).map { min($0, max) })
    }

    @Test(arguments: [0, 100, 399])
    func `keeps so many bytes of small files`(_ max: Int) async throws {
        let directory = site()
        var limits = FilesLimits()
        limits.blobBytesTotalMax = max
        let counts = try await Bench().serve(options(directory), limits: limits) { client in
            var counts: [Int] = []
            for index in 0..<5 {
                let fetched = await client.fetch("/small\(index)")
                #expect(fetched.body.count == 100)
                counts.append(client.cache.blobByteCount)
            }
            return counts
        }
        #expect(counts == (1...5).map { min($0 * 100, max / 100 * 100) })
    }

    @Test(arguments: [0, 99, 100])
    func `keeps files up to a size in memory`(_ max: Int) async throws {
        let directory = site()
        var limits = FilesLimits()
        limits.blobBytesMax = max
        let (form, fetched) = try await Bench().serve(options(directory), limits: limits) { client in
            (await client.get("/small0").form, await client.fetch("/small0"))
        }
        #expect(form == (max < 100 ? .file : .bytes))
        #expect(fetched.body == [UInt8](repeating: 1, count: 100))
    }

    @Test(arguments: [0, 1, 3])
    func `keeps so many paths with nothing behind them, which drive out no files`(_ max: Int) async throws {
        let directory = site()
        var limits = FilesLimits()
        limits.missingMax = max
        limits.entriesMax = 1
        let (counts, kept) = try await Bench().serve(options(directory), limits: limits) { client in
            _ = await client.get("/small0")
            var counts: [Int] = []
            for index in 0..<5 {
                #expect(await client.get("/none\(index)").status == 404)
                client.cache.checkInvariants()
                counts.append(client.cache.missingCount)
            }
            return (counts, client.recall("/small0")?.status)
        }
        #expect(counts == (1...5).map { min($0, max) })
        #expect(kept == 200)
    }

    @Test(arguments: [0, 1, 2])
    func `takes so many looks at once, and says 503 past that`(_ max: Int) async throws {
        let directory = site()
        var limits = FilesLimits()
        limits.loadsMax = max
        let statuses = try await Bench().serve(options(directory), limits: limits) { client in
            let scope = Scope()
            var statuses: [Int] = []
            for index in 0..<3 {
                client.bench.worker.start {
                    statuses.append(await client.get("/small\(index)").status)
                    if statuses.count == 3 { scope.wake(.done) }
                }
            }
            _ = await scope.wait()
            return statuses
        }
        #expect(statuses.filter { $0 == 503 }.count == 3 - max && statuses.filter { $0 == 200 }.count == max)
    }

    @Test func `takes second looks past that bound`() async throws {
        let directory = site()
        var limits = FilesLimits()
        limits.loadsMax = 1
        let bench = try Bench(pool: BlockingPool(threadsMax: 1))
        let (underWay, status) = await bench.serve(options(directory), limits: limits) { client in
            _ = await client.get("/small0")
            let gate = Gate()
            #expect(client.bench.pool.submit { gate.wait() })
            let scope = Scope()
            client.bench.worker.start {
                _ = await client.get("/small1")
                scope.wake(.done)
            }
            while client.cache.loadsUnderWay == 0 { await client.bench.worker.yield() }
            let refused = await client.get("/small2")
            _ = client.recall("/small0", after: 1000)
            let underWay = client.cache.loadsUnderWay
            gate.open()
            _ = await scope.wait()
            return (underWay, refused.status)
        }
        #expect(underWay == 2 && status == 503)
    }

    @Test func `says 503 when the pool has no room`() async throws {
        let directory = site()
        let bench = try Bench(pool: BlockingPool(threadsMax: 1, queueMax: 0))
        let reply = await bench.serve(options(directory)) { await $0.get("/small0") }
        #expect(reply == Reply(status: 503))
    }
}
