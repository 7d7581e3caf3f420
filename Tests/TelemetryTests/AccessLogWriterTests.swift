import ChimeraEventLoop
import ChimeraHTTPCore
import Glibc
import Synchronization
import Testing

@testable import ChimeraTelemetry

/// A directory of a test's own, removed when the test ends.
private final class Scratch {
    let path: String

    init() {
        var template = Array("/tmp/chimera-log-XXXXXX".utf8CString)
        mkdtemp(&template)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in ["access.log", "access.log.1", "pipe"] { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    func content(_ name: String) -> String {
        let descriptor = open("\(path)/\(name)", O_RDONLY)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        return String(decoding: readAll(descriptor), as: UTF8.self)
    }
}

private func readAll(_ descriptor: Int32) -> [UInt8] {
    var all: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(descriptor, &chunk, chunk.count)
        guard count > 0 else { return all }
        all += chunk[..<count]
    }
}

/// Collects what a writer tells, and lets a test wait for it.
private final class Events: Sendable {
    private let list = Mutex<[AccessLogEvent]>([])
    private let news: WakeEvent

    init() throws { news = try WakeEvent() }

    func add(_ event: AccessLogEvent) {
        list.withLock { $0.append(event) }
        news.signal()
    }

    /// Waits until one of the events fits, for at most ten seconds.
    func waitFor(_ fits: (AccessLogEvent) -> Bool) -> Bool {
        for _ in 0..<100 {
            if list.withLock({ $0.contains(where: fits) }) { return true }
            news.wait(milliseconds: 100)
        }
        return false
    }
}

@Suite struct AccessLogWriterTests {
    private let scratch = Scratch()
    private let events: Events

    init() throws { events = try Events() }

    private func writer(_ name: String = "access.log", halfBytes: Int = 4096) throws -> AccessLogWriter {
        try AccessLogWriter(.file(path: "\(scratch.path)/\(name)"), format: .json, halfBytes: halfBytes) {
            [events] in events.add($0)
        }
    }

    /// Appends a numbered line; true if it found room.
    private func append(_ number: Int, to buffer: AccessLogBuffer) -> Bool {
        buffer.append(AccessRecord(), request: request("GET", Array("/n\(number)".utf8)), labels: .none)
    }

    private func numbers(in text: String) -> [Int] {
        text.split(separator: "\n").compactMap { line in
            guard line.hasPrefix("{\"time\""), line.hasSuffix("}") else { return nil }
            let parts = line.split(separator: "\"path\":\"/n", maxSplits: 1)
            return parts.count == 2 ? Int(parts[1].prefix { $0.isNumber }) : nil
        }
    }

    @Test func `what was appended is in the file when the writer has stopped`() throws {
        let writer = try writer()
        let buffer = writer.makeBuffer()
        #expect(writer.start())
        for number in 0..<5 { #expect(append(number, to: buffer)) }
        #expect(writer.stop(deadlineMilliseconds: 10_000))
        #expect(numbers(in: scratch.content("access.log")) == [0, 1, 2, 3, 4])
        #expect(writer.droppedRecords == 0)
        #expect(writer.lostBytes == 0)
    }

    @Test func `the file is created for its owner and group alone`() throws {
        _ = try writer()
        var status = stat()
        #expect(stat("\(scratch.path)/access.log", &status) == 0)
        #expect(status.st_mode & 0o777 & ~0o640 == 0)
        #expect(status.st_mode & 0o600 == 0o600)
    }

    @Test func `a file that cannot be opened is an error at once`() {
        #expect(throws: SystemError.self) { try writer("no/such/directory") }
    }

    @Test func `lines reach the file without a stop`() throws {
        let path = "\(scratch.path)/pipe"
        #expect(mkfifo(path, 0o600) == 0)
        let reader = open(path, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        let writer = try writer("pipe")
        let buffer = writer.makeBuffer()
        writer.start()
        #expect(append(7, to: buffer))
        var polled = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
        #expect(poll(&polled, 1, 10_000) == 1)
        #expect(numbers(in: String(decoding: readAll(reader), as: UTF8.self)) == [7])
        #expect(writer.stop(deadlineMilliseconds: 10_000))
    }

    @Test func `where both halves are full a record is dropped and counted, and the worker does not wait`()
        throws
    {
        // The thread is not started, so nothing is drained.
        let writer = try writer()
        let buffer = writer.makeBuffer()
        var taken = 0
        while append(taken, to: buffer) { taken += 1 }
        #expect(taken > 10)
        #expect(!append(taken, to: buffer))
        #expect(writer.droppedRecords == 2)
        writer.start()
        #expect(writer.stop(deadlineMilliseconds: 10_000))
        #expect(numbers(in: scratch.content("access.log")) == Array(0..<taken))
    }

    @Test func `a record that no half could hold is dropped and counted`() throws {
        let writer = try writer(halfBytes: 512)
        let buffer = writer.makeBuffer()
        #expect(!append(0, to: buffer))
        #expect(writer.droppedRecords == 1)
    }

    @Test
    func `lines of several workers are whole and in each worker's order, over many turns of the halves`()
        throws
    {
        let writer = try writer()
        writer.start()
        let tally = try Tally(threads: 4)
        for worker in 0..<4 {
            let buffer = writer.makeBuffer()
            _ = Thread.start(name: "test-worker") {
                let all = (0..<5000).map { worker * 10_000 + $0 }
                tally.end(
                    all.filter { number in
                        buffer.append(
                            AccessRecord(), request: request("GET", Array("/n\(number)".utf8)), labels: .none)
                    })
            }
        }
        let accepted = try #require(tally.wait())
        #expect(writer.stop(deadlineMilliseconds: 10_000))
        let written = numbers(in: scratch.content("access.log"))
        #expect(written.count == scratch.content("access.log").split(separator: "\n").count)
        #expect(written.sorted() == accepted.sorted())
        #expect(UInt64(20_000 - accepted.count) == writer.droppedRecords)
        for worker in 0..<4 {
            let mine = written.filter { $0 / 10_000 == worker }
            #expect(mine == mine.sorted())
        }
    }

    @Test func `after a rotation and reopen() lines go to the new file`() throws {
        let writer = try writer()
        let buffer = writer.makeBuffer()
        #expect(append(1, to: buffer))
        writer.start()
        #expect(rename("\(scratch.path)/access.log", "\(scratch.path)/access.log.1") == 0)
        writer.reopen()
        #expect(events.waitFor { $0 == .reopened })
        #expect(append(2, to: buffer))
        #expect(writer.stop(deadlineMilliseconds: 10_000))
        #expect(numbers(in: scratch.content("access.log.1")) == [1])
        #expect(numbers(in: scratch.content("access.log")) == [2])
    }

    @Test func `a rotation is noticed without a signal`() throws {
        let writer = try writer()
        let buffer = writer.makeBuffer()
        writer.start()
        #expect(rename("\(scratch.path)/access.log", "\(scratch.path)/access.log.1") == 0)
        #expect(events.waitFor { $0 == .reopened })
        #expect(append(3, to: buffer))
        #expect(writer.stop(deadlineMilliseconds: 10_000))
        #expect(numbers(in: scratch.content("access.log")) == [3])
    }

    @Test func `a full pipe loses no line that was taken, and none is torn`() throws {
        let path = "\(scratch.path)/pipe"
        #expect(mkfifo(path, 0o600) == 0)
        let reader = open(path, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        // F_SETPIPE_SZ, which the Glibc module does not have.
        _ = fcntl(reader, 1031, 4096)
        let writer = try writer("pipe", halfBytes: 16_384)
        let (one, two) = (writer.makeBuffer(), writer.makeBuffer())
        var taken = 0
        while append(taken, to: taken % 2 == 0 ? one : two) { taken += 1 }
        writer.start()
        var bytes: [UInt8] = []
        for _ in 0..<1000 where numbers(in: String(decoding: bytes, as: UTF8.self)).count < taken {
            var polled = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
            poll(&polled, 1, 1000)
            bytes += readAll(reader)
        }
        #expect(writer.stop(deadlineMilliseconds: 10_000))
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(numbers(in: text).sorted() == Array(0..<taken))
        #expect(text.split(separator: "\n").count == taken)
    }

    @Test func `a target that nobody reads any more is told once, and the stop keeps its deadline`() throws {
        let path = "\(scratch.path)/pipe"
        #expect(mkfifo(path, 0o600) == 0)
        let reader = open(path, O_RDONLY | O_NONBLOCK)
        let writer = try writer("pipe")
        let buffer = writer.makeBuffer()
        close(reader)
        #expect(append(1, to: buffer))
        writer.start()
        #expect(events.waitFor { $0 == .writeFailed(SystemError("write", EPIPE)) })
        #expect(!writer.stop(deadlineMilliseconds: 50))
        #expect(writer.lostBytes > 0)
    }

    @Test func `lines that waited for a target follow when it takes some again`() throws {
        let path = "\(scratch.path)/pipe"
        #expect(mkfifo(path, 0o600) == 0)
        let first = open(path, O_RDONLY | O_NONBLOCK)
        let writer = try writer("pipe")
        let buffer = writer.makeBuffer()
        close(first)
        #expect(append(1, to: buffer))
        writer.start()
        #expect(events.waitFor { if case .writeFailed = $0 { true } else { false } })
        let second = open(path, O_RDONLY | O_NONBLOCK)
        defer { close(second) }
        #expect(append(2, to: buffer))
        #expect(events.waitFor { $0 == .writeRecovered(droppedRecords: 0) })
        #expect(writer.stop(deadlineMilliseconds: 10_000))
        #expect(numbers(in: String(decoding: readAll(second), as: UTF8.self)) == [1, 2])
    }

    @Test func `a device without room fails and ends nothing`() throws {
        let writer = try AccessLogWriter(.file(path: "/dev/full"), format: .text, halfBytes: 4096) {
            [events] in events.add($0)
        }
        let buffer = writer.makeBuffer()
        writer.start()
        #expect(append(1, to: buffer))
        #expect(events.waitFor { $0 == .writeFailed(SystemError("write", ENOSPC)) })
        #expect(!writer.stop(deadlineMilliseconds: 50))
    }
}

/// What the threads of one test share: the numbers that found room, and how many threads still run.
private final class Tally: Sendable {
    private let state = Mutex<(left: Int, taken: [Int])>((0, []))
    private let finished: WakeEvent

    init(threads: Int) throws {
        finished = try WakeEvent()
        state.withLock { $0.left = threads }
    }

    func end(_ numbers: [Int]) {
        let left = state.withLock { state in
            state.taken += numbers
            state.left -= 1
            return state.left
        }
        if left == 0 { finished.signal() }
    }

    /// All numbers, once every thread has ended; nil after a minute.
    func wait() -> [Int]? {
        finished.wait(milliseconds: 60_000) ? state.withLock { $0.taken } : nil
    }
}
