import ChimeraEventLoop
import ChimeraHTTPCore
import Testing

@testable import ChimeraFiles

@Suite struct `A file is sent` {
    private static let size = 3 * FileWindow.bytes + 17

    private func content(_ size: Int) -> [UInt8] { (0..<size).map { UInt8(truncatingIfNeeded: $0 / 7) } }

    private func fetch(
        _ size: Int, _ fields: [(String, String)] = [],
        _ prepare: @escaping @Sendable (TestExchange) -> Void = { _ in }
    ) async throws -> (Fetched, Directory) {
        let directory = Directory()
        directory.write("f", content(size))
        let options = FilesOptions(directory: directory.path)
        return (try await Bench().serve(options) { await $0.fetch("/f", fields, prepare) }, directory)
    }

    @Test(arguments: [
        16 * 1024 + 1, FileWindow.bytes - 1, FileWindow.bytes, FileWindow.bytes + 1, 2 * FileWindow.bytes,
        size,
    ])
    func `whole, window by window`(_ size: Int) async throws {
        let (fetched, _) = try await fetch(size)
        #expect(fetched.body == content(size) && fetched.reason == nil && fetched.isFinished)
    }

    @Test(arguments: [1, 1000, 65_536, FileWindow.bytes])
    func `to a client that takes little at a time`(_ room: Int) async throws {
        let size = room == 1 ? 20_000 : Self.size
        let (fetched, _) = try await fetch(size) { exchange in
            exchange.room = room
            exchange.roomAfterWait = room
        }
        #expect(fetched.body == content(size) && fetched.reason == nil && fetched.isFinished)
    }

    @Test(arguments: [1, 7, 4096])
    func `in several parts to a client that takes little at a time`(_ room: Int) async throws {
        let fields = [("Range", "bytes=0-19999,30000-30009,-1")]
        let (slow, _) = try await fetch(40_000, fields) { exchange in
            exchange.room = room
            exchange.roomAfterWait = room
        }
        #expect(slow.isFinished && slow.reason == nil && slow.body.count + slow.unsent > 20_011)
        #expect(slow.length == .known(slow.body.count + slow.unsent))
    }

    @Test func `as far as it goes when it has become shorter, and the exchange is aborted`() async throws {
        let directory = Directory()
        directory.write("f", content(Self.size))
        let fetched = try await Bench().serve(FilesOptions(directory: directory.path)) { client in
            _ = await client.get("/f")
            directory.truncate("f", to: 100_000)
            return await client.fetch("/f")
        }
        #expect(fetched.reason == .fileChanged && fetched.abortReason == .fileChanged && !fetched.isFinished)
        #expect(fetched.body == Array(content(Self.size).prefix(100_000)))
    }

    @Test func `until the client is gone`() async throws {
        let (fetched, _) = try await fetch(Self.size) { exchange in
            exchange.room = 100_000
            exchange.onBlocked = { exchange in
                exchange.abort(.clientFailed)
                exchange.scope.wake(.io)
            }
        }
        #expect(fetched.reason == .clientFailed && fetched.body.count == 100_000 && !fetched.isFinished)
    }

    /// Nobody wakes who waits for what has failed already.
    @Test func `until sending has failed without a word`() async throws {
        let (fetched, _) = try await fetch(Self.size) { exchange in
            exchange.room = 100_000
            exchange.onBlocked = { $0.abort(.clientFailed) }
        }
        #expect(fetched.reason == .clientFailed && fetched.body.count == 100_000 && !fetched.isFinished)
    }

    @Test func `until the client has taken nothing for too long`() async throws {
        let (fetched, _) = try await fetch(Self.size) { exchange in
            exchange.room = 100_000
            exchange.onBlocked = { $0.scope.wake(.deadline) }
        }
        #expect(fetched.reason == .sendTimeout && fetched.abortReason == .sendTimeout)
        #expect(fetched.body.count == 100_000)
    }

    @Test func `with time to wait that begins anew whenever the client has taken something`() async throws {
        let (fetched, _) = try await fetch(Self.size) { exchange in
            exchange.room = 500_000
            exchange.onBlocked = { exchange in
                exchange.room = 500_000
                exchange.scope.wake(.deadline)
            }
        }
        #expect(fetched.reason == nil && fetched.body.count == Self.size)
        #expect(fetched.deadlines.count == 3 && fetched.deadlines.allSatisfy { $0 == FileSender.timeout })
    }

    @Test func `with time to wait that events without progress do not prolong`() async throws {
        let (fetched, _) = try await fetch(Self.size) { exchange in
            var events = 0
            exchange.room = 100_000
            exchange.onBlocked = { exchange in
                events += 1
                exchange.scope.wake(events > 5 ? .deadline : .io)
            }
        }
        #expect(fetched.reason == .sendTimeout && fetched.deadlines.count == 1)
    }

    @Test func `to its end though the gateway drains`() async throws {
        let (fetched, _) = try await fetch(Self.size) { exchange in
            exchange.room = 100_000
            exchange.onBlocked = { exchange in
                exchange.room += 100_000
                exchange.scope.wake([.abort, .io])
            }
        }
        #expect(fetched.reason == nil && fetched.abortReason == nil)
    }

    @Test func `in part by itself`() async throws {
        let directory = Directory()
        directory.write("f", content(Self.size))
        let body = try await Bench().run { bench in
            let exchange = TestExchange(bench.worker, RequestHead())
            exchange.sendHead()
            guard let file = try? RootDirectory(directory.path, confinedTo: nil).open(Array("f".utf8)) else {
                return [UInt8]()
            }
            let handle = FileHandle(descriptor: file.take())
            let sender = FileSender(exchange: exchange, pool: bench.pool)
            let reason = await sender.send(handle, offset: 10, count: FileWindow.bytes)
            #expect(reason == nil && !exchange.isFinished)
            return exchange.body
        }
        #expect(body == Array(content(Self.size)[10..<(FileWindow.bytes + 10)]))
    }
}

@Suite struct `A window of a file` {
    @Test func `that was read is in memory, and past the end there is nothing to wait for`() throws {
        let directory = Directory()
        directory.write("f", [UInt8](repeating: 1, count: 1 << 20))
        let file = try RootDirectory(directory.path, confinedTo: nil).open(Array("f".utf8))
        let handle = FileHandle(descriptor: file.take())
        FileWindow.read(handle.descriptor, offset: 0, count: 1 << 20)
        #expect(FileWindow.isResident(handle, offset: 0, count: 1 << 20))
        #expect(FileWindow.isResident(handle, offset: 0, count: 0))
        #expect(FileWindow.isResident(handle, offset: (1 << 20) + 5, count: 10))
        // A read that the file ends is no endless one.
        FileWindow.read(handle.descriptor, offset: 1 << 19, count: 1 << 21)
    }
}
