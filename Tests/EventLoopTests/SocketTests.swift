import CLinux
import ChimeraBytes
import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Testing

/// A socket on a worker, its observer and the other end.
private final class Ends {
    let socket: Socket
    let peer: Peer
    let watcher = Watcher()
    let worker: Worker

    init(_ worker: Worker, _ pair: (Int32, Peer)) throws {
        self.worker = worker
        socket = try Socket(pair.0, on: worker)
        peer = pair.1
        socket.observe(watcher)
    }

    func wait(until condition: () -> Bool) async -> Bool { await watcher.wait(on: worker, until: condition) }

    func close() {
        socket.close()
        peer.close()
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Reading from a socket` {
    @Test func `a short read means drained, a full one does not`() async throws {
        let steps = try await onWorker { worker in
            let ends = try Ends(worker, try Pair.unix())
            var steps = ["\(ends.socket.isReadable)"]
            ends.peer.write("hello")
            steps.append("\(await ends.wait { ends.socket.isReadable })")
            for count in [2, 2, 2] {
                let (transfer, text) = ends.socket.read(count)
                steps.append("\(transfer) \(text) \(ends.socket.isReadable)")
            }
            ends.peer.write("x")
            steps.append("\(await ends.wait { ends.socket.isReadable })")
            ends.close()
            return steps
        }
        #expect(
            steps == ["false", "true", "bytes(2) he true", "bytes(2) ll true", "bytes(1) o false", "true"])
    }

    @Test func `an empty socket would block, and tells when it has bytes again`() async throws {
        let steps = try await onWorker { worker in
            let ends = try Ends(worker, try Pair.unix())
            ends.peer.write("ab")
            var steps = ["\(await ends.wait { ends.socket.isReadable })"]
            steps.append("\(ends.socket.read(2)) \(ends.socket.isReadable)")
            steps.append("\(ends.socket.read(2).transfer) \(ends.socket.isReadable)")
            ends.peer.write("c")
            steps.append("\(await ends.wait { ends.socket.isReadable }) \(ends.socket.read(2).text)")
            ends.close()
            return steps
        }
        #expect(
            steps == [
                "true", "(transfer: ChimeraEventLoop.Transfer.bytes(2), text: \"ab\") true",
                "wouldBlock false", "true c",
            ])
    }

    @Test(arguments: [false, true])
    func `the peer's end is announced, and what it sent before is read first`(_ isTCP: Bool) async throws {
        let steps = try await onWorker { worker in
            let ends = try Ends(worker, isTCP ? try Pair.tcp() : try Pair.unix())
            ends.peer.write("bye")
            ends.peer.endSending()
            var steps = ["\(await ends.wait { ends.socket.isReadClosed })"]
            let (transfer, text) = ends.socket.read(10)
            // Short, but the end is still to be read.
            steps.append("\(transfer) \(text) \(ends.socket.isReadable)")
            steps.append("\(ends.socket.read(10).transfer) broken \(ends.socket.isBroken)")
            // Our side goes on.
            steps.append("\(ends.socket.write(Array("still here".utf8)))")
            steps.append(String(decoding: ends.peer.read() ?? [], as: UTF8.self))
            ends.socket.shutdownWrite()
            steps.append("\(ends.peer.read() ?? [1])")
            ends.close()
            return steps
        }
        #expect(steps == ["true", "bytes(3) bye true", "end broken false", "bytes(10)", "still here", "[]"])
    }

    @Test func `our end leaves the peer free to send`() async throws {
        let steps = try await onWorker { worker in
            let ends = try Ends(worker, try Pair.tcp())
            ends.socket.shutdownWrite()
            var steps = ["\(ends.peer.read() ?? [1])"]
            ends.peer.write("more")
            steps.append("\(await ends.wait { ends.socket.isReadable }) \(ends.socket.read(10).text)")
            steps.append("\(ends.socket.isReadClosed)")
            ends.close()
            return steps
        }
        #expect(steps == ["[]", "true more", "false"])
    }

    @Test func `a connection that the peer reset is broken`() async throws {
        let (isBroken, transfer) = try await onWorker { worker in
            let ends = try Ends(worker, try Pair.tcp())
            ends.peer.close(reset: true)
            let isBroken = await ends.wait { ends.socket.isBroken }
            let transfer = ends.socket.read(10).transfer
            ends.socket.close()
            return (isBroken, transfer)
        }
        #expect(isBroken)
        #expect(transfer == .failed(ECONNRESET))
    }

    @Test func `a socket closed with a reset is broken for the peer`() async throws {
        let (isReset, number) = try await onWorker { worker in
            let ends = try Ends(worker, try Pair.tcp())
            ends.socket.close(reset: true)
            let isReset = ends.peer.read() == nil
            let number = errno
            ends.peer.close()
            return (isReset, number)
        }
        #expect(isReset)
        #expect(number == ECONNRESET)
    }

    @Test func `a closed socket tells nobody anything and may be closed twice`() async throws {
        let (isOpen, news) = try await onWorker { worker in
            let ends = try Ends(worker, try Pair.unix())
            ends.peer.write("x")
            ends.socket.close()
            ends.socket.close()
            await worker.yield()
            await worker.yield()
            ends.peer.close()
            return (ends.socket.isOpen, ends.watcher.news)
        }
        #expect(!isOpen)
        #expect(news == 0)
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Writing to a socket` {
    @Test(arguments: [false, true])
    func `a full socket takes a part, then nothing, and tells when it takes more`(_ isTCP: Bool) async throws
    {
        let steps = try await onWorker { worker in
            let ends = try Ends(worker, isTCP ? try Pair.tcp() : try Pair.unix())
            let bytes = pattern(of: 32_000_000)
            guard case .bytes(let first) = ends.socket.write(bytes) else { throw CallFailed(call: "send") }
            var steps = ["\(first < bytes.count) \(ends.socket.isWritable)"]
            // The kernel moves bytes to the other end by and by, so a second call may find room again.
            var (sent, last) = (0, Transfer.bytes(first))
            while case .bytes(let more) = last {
                sent += more
                last = ends.socket.write(Array(bytes[sent...]))
            }
            steps.append("\(last) \(ends.socket.isWritable)")
            let received = ends.peer.read(exactly: sent)
            steps.append("\(await ends.wait { ends.socket.isWritable }) \(received == Array(bytes[..<sent]))")
            ends.close()
            return steps
        }
        #expect(steps == ["true false", "wouldBlock false", "true true"])
    }

    @Test(arguments: [("", ""), ("head", ""), ("", "body"), ("head ", "body")])
    func `two runs of bytes go as one`(_ first: String, _ second: String) async throws {
        let (transfer, received) = try await onWorker { worker in
            let ends = try Ends(worker, try Pair.unix())
            let transfer = ends.socket.write(Array(first.utf8), Array(second.utf8))
            ends.peer.write("")
            ends.socket.shutdownWrite()
            let received = ends.peer.read(exactly: 100)
            ends.close()
            return (transfer, String(decoding: received, as: UTF8.self))
        }
        #expect(transfer == .bytes(first.utf8.count + second.utf8.count))
        #expect(received == first + second)
    }

    @Test func `a part of two runs is the beginning of both`() async throws {
        let (written, isWritable, isSame) = try await onWorker { worker in
            let ends = try Ends(worker, try Pair.unix())
            let first = Array("the head".utf8)
            let second = pattern(of: 16_000_000)
            guard case .bytes(let written) = ends.socket.write(first, second) else {
                throw CallFailed(call: "sendmsg")
            }
            let isWritable = ends.socket.isWritable
            let received = ends.peer.read(exactly: written)
            ends.close()
            return (written, isWritable, received == Array((first + second)[..<written]))
        }
        #expect(written > 8 && written < 16_000_008)
        #expect(!isWritable)
        #expect(isSame)
    }

    @Test func `writing to a peer that is gone fails without a signal`() async throws {
        let transfer = try await onWorker { worker in
            let ends = try Ends(worker, try Pair.unix())
            ends.peer.close()
            let isBroken = await ends.wait { ends.socket.isBroken }
            let transfer = ends.socket.write([1])
            ends.socket.close()
            return isBroken ? transfer : .wouldBlock
        }
        #expect(transfer == .failed(EPIPE))
    }

    @Test func `a file is sent in parts, and one that is shorter than said ends`() async throws {
        let steps = try await onWorker { worker in
            let ends = try Ends(worker, try Pair.tcp())
            let file = try temporaryFile()
            guard file >= 0, write(file, "0123456789", 10) == 10 else {
                throw CallFailed(call: "write")
            }
            var steps = ["\(ends.socket.sendFile(file, offset: 2, count: 5))"]
            steps.append("\(ends.socket.sendFile(file, offset: 8, count: 5))")
            steps.append("\(ends.socket.sendFile(file, offset: 10, count: 5))")
            steps.append(String(decoding: ends.peer.read(exactly: 7), as: UTF8.self))
            close(file)
            ends.close()
            return steps
        }
        #expect(steps == ["bytes(5)", "bytes(2)", "end", "2345689"])
    }

    @Test func `a file larger than the socket's room goes on when there is room`() async throws {
        let (isPartial, isWritable, tells, isSame) = try await onWorker { worker in
            let ends = try Ends(worker, try Pair.tcp())
            let bytes = pattern(of: 16_000_000)
            let file = try temporaryFile()
            guard file >= 0, write(file, bytes, bytes.count) == bytes.count else {
                throw CallFailed(call: "write")
            }
            guard case .bytes(let sent) = ends.socket.sendFile(file, offset: 0, count: bytes.count) else {
                throw CallFailed(call: "sendfile")
            }
            let isWritable = ends.socket.isWritable
            let received = ends.peer.read(exactly: sent)
            let tells = await ends.wait { ends.socket.isWritable }
            close(file)
            ends.close()
            return (sent < bytes.count, isWritable, tells, received == Array(bytes[..<sent]))
        }
        #expect(isPartial)
        #expect(!isWritable)
        #expect(tells)
        #expect(isSame)
    }
}

/// A layer that has failed.
private final class BrokenLayer: SocketLayer {
    var outcome: Transfer

    init(_ outcome: Transfer) { self.outcome = outcome }

    func becameReady(_ news: SocketNews, on socket: Socket) {}
    func read(into room: UnsafeMutableRawBufferPointer, from socket: Socket) -> Transfer { outcome }
    func write(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, to socket: Socket)
        -> Transfer
    { outcome }
    func sendFile(_ file: Int32, offset: Int64, count: Int, to socket: Socket) -> Transfer { outcome }
    func shutdownWrite(on socket: Socket) {}
    func closing(_ socket: Socket) {}
}

@Suite(.timeLimit(.minutes(1))) struct `What the peer takes` {
    /// A socket that the kernel takes no more on; its peer has read something before, and nothing since.
    private func blocked(_ worker: Worker) async throws -> Ends {
        let ends = try Ends(worker, try Pair.tcp())
        #expect(ends.socket.write(pattern(of: 5)) == .bytes(5))
        #expect(ends.peer.read(exactly: 5).count == 5)
        // The acknowledgement may come a moment later.
        var polls = 0
        while chimera_acknowledged(ends.socket.descriptor) < 5, polls < 10_000 {
            polls += 1
            usleep(1000)
        }
        let piece = pattern(of: 1 << 20)
        while case .bytes = ends.socket.write(piece), ends.socket.isWritable {}
        return ends
    }

    @Test func `what was taken before the wait is no progress`() async throws {
        // What was on its way when the wait began may be taken a moment later, hence more than once.
        let answers = try await onWorker { worker in
            var answers: [Bool] = []
            while answers.count < 20, !answers.contains(false) {
                let ends = try await blocked(worker)
                answers.append(ends.socket.peerHasProgressed())
                ends.close()
            }
            return answers
        }
        #expect(answers.contains(false))
    }

    @Test func `what is taken while waiting is progress`() async throws {
        let progress = try await onWorker { worker in
            let ends = try await blocked(worker)
            _ = ends.peer.read(exactly: 1 << 20)
            let isWritable = await ends.wait { ends.socket.isWritable }
            let progress = ends.socket.peerHasProgressed()
            ends.close()
            return [isWritable, progress]
        }
        #expect(progress == [true, true])
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Layers that fail` {
    @Test(arguments: ["one", "two", "file"])
    func `a socket whose layer takes nothing any more is broken`(way: String) async throws {
        let isBroken = try await onWorker { worker in
            let (descriptor, peer) = try Pair.unix()
            let socket = try Socket(descriptor, on: worker)
            let layer = BrokenLayer(.wouldBlock)
            socket.insert(layer)
            var states: [Bool] = []
            for outcome in [Transfer.wouldBlock, .bytes(1), .failed(EIO), .failed(EPIPE)] {
                layer.outcome = outcome
                switch way {
                case "one": _ = socket.write([1])
                case "two": _ = socket.write([1], [2])
                default: _ = socket.sendFile(0, offset: 0, count: 1)
                }
                states.append(socket.isBroken)
            }
            socket.close()
            peer.close()
            return states
        }
        #expect(isBroken == [false, false, false, true])
    }

    @Test func `a write to a peer that is gone breaks the socket at once`() async throws {
        let (before, after) = try await onWorker { worker in
            let (descriptor, peer) = try Pair.unix()
            let socket = try Socket(descriptor, on: worker)
            peer.close()
            let before = socket.isBroken
            #expect(socket.write([1]) == .failed(EPIPE))
            defer { socket.close() }
            return (before, socket.isBroken)
        }
        #expect(!before)
        #expect(after)
    }
}

@Suite(.timeLimit(.minutes(1))) struct `Connecting` {
    /// Connects and waits for the outcome: 0, or the error number.
    private static func outcome(of address: SocketAddress, on worker: Worker) async throws -> Int32 {
        let (descriptor, isPending) = try Sockets.connect(address)
        let socket = try Socket(descriptor, on: worker, connecting: isPending)
        let watcher = Watcher()
        socket.observe(watcher)
        #expect(socket.isWritable == !isPending)
        let isDone = await watcher.wait(on: worker) { socket.isWritable }
        let number = socket.connectError()
        socket.close()
        return isDone ? number : ETIMEDOUT
    }

    @Test func `a connection is made`() async throws {
        let number = try await onWorker { worker in
            let listener = try Sockets.listen(.ip(.loopback4, port: 0))
            defer { close(listener) }
            let port = Sockets.localAddress(of: listener).port
            return try await Self.outcome(of: .ip(.loopback4, port: port), on: worker)
        }
        #expect(number == 0)
    }

    @Test func `a connection to a port where nobody listens is refused`() async throws {
        let number = try await onWorker { worker in
            // A port that was ours a moment ago, and that no other socket gets while this one is bound to it.
            let listener = try Sockets.listen(.ip(.loopback4, port: 0))
            let port = Sockets.localAddress(of: listener).port
            shutdown(listener, Int32(SHUT_RDWR))
            defer { close(listener) }
            do throws(SystemError) {
                _ = try Sockets.connect(.ip(.loopback4, port: port)).descriptor
            } catch {
                return error.number
            }
            return try await Self.outcome(of: .ip(.loopback4, port: port), on: worker)
        }
        #expect(number == ECONNREFUSED)
        #expect(SystemError("connect", number).isRefusal)
    }

    @Test func `a Unix socket that does not exist is a refusal, a path that is too long is not`() throws {
        let missing = #expect(throws: SystemError.self) {
            try Sockets.connect(.unix(path: "/nonexistent/socket"))
        }
        #expect(missing == SystemError("connect", ENOENT))
        #expect(missing?.isRefusal == true)
        let long = "/tmp/" + String(repeating: "x", count: 200)
        let error = #expect(throws: SystemError.self) { try Sockets.connect(.unix(path: long)) }
        #expect(error?.number == ENAMETOOLONG)
        #expect(error?.isRefusal == false)
    }

    @Test func `options are set on the socket`() async throws {
        let values = try await onWorker { worker in
            let ends = try Ends(worker, try Pair.tcp())
            ends.socket.disableDelay()
            ends.socket.enableKeepAlive(afterSeconds: 40)
            let asked = [
                (Int32(IPPROTO_TCP), TCP_NODELAY), (SOL_SOCKET, SO_KEEPALIVE),
                (Int32(IPPROTO_TCP), TCP_KEEPIDLE),
                (Int32(IPPROTO_TCP), TCP_KEEPINTVL),
            ]
            let values = asked.map { level, name in
                var value: Int32 = 0
                var size = socklen_t(MemoryLayout<Int32>.size)
                getsockopt(ends.socket.descriptor, level, name, &value, &size)
                return value
            }
            ends.close()
            return values
        }
        #expect(values == [1, 1, 40, 10])
    }

    @Test func `an error says its call and the system's text`() {
        #expect(SystemError("bind", EADDRINUSE).description == "bind: Address already in use")
        #expect(throws: SystemError("close", EBADF)) { try SystemError.check(close(-1), "close") }
        #expect(throws: Never.self) { try SystemError.check(0, "close") }
    }
}
