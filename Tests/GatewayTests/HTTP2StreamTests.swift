import ChimeraEventLoop
import ChimeraHTTP2
import ChimeraTelemetry
import ChimeraTestSupport
import Glibc
import HTTPTypes
import Synchronization
import Testing

@testable import Chimera

/// A client of HTTP/2 by prior knowledge that knows a few frames.
private final class FrameClient {
    private let client: RawClient

    struct Frame {
        let type: UInt8
        let stream: UInt32
        let payload: [UInt8]
    }

    init(_ address: String) throws {
        client = try RawClient(address)
        try client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        try send(type: 4, stream: 0, [])
    }

    private func send(type: UInt8, flags: UInt8 = 0, stream: UInt32, _ payload: [UInt8]) throws {
        let count = UInt32(payload.count)
        let head = [UInt8(count >> 16), UInt8(count >> 8 & 255), UInt8(count & 255), type, flags]
        try client.send(head + number(stream) + payload)
    }

    private func number(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    /// GET of a path, whole.
    func request(_ stream: UInt32, _ path: String) throws {
        // RFC 7541: GET and http of the static table, then a path and an authority that are not.
        let block: [UInt8] =
            [0x82, 0x86, 0x04, UInt8(path.utf8.count)] + Array(path.utf8) + [0x01, 1, UInt8(ascii: "a")]
        try send(type: 1, flags: 5, stream: stream, block)
    }

    func reset(_ stream: UInt32) throws { try send(type: 3, stream: stream, number(8)) }

    /// The next frame of that stream: of its head, or of its end.
    func next(of stream: UInt32) throws -> Frame {
        while true {
            let head = try client.read(9)
            let count = head[..<3].reduce(0) { $0 << 8 | Int($1) }
            let frame = Frame(
                type: head[3], stream: head[5...].reduce(0) { $0 << 8 | UInt32($1) },
                payload: try client.read(count))
            if frame.stream == stream { return frame }
        }
    }
}

/// Keeps who comes, cancelled or not, until it is opened.
private final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

    func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        waiting.forEach { $0.resume() }
    }
}

@Suite struct HTTP2StreamTests {
    private static let streamsMax = ConnectionLimits().streamsMax

    /// RFC 9113 §5.1.2 bounds streams that are open; what serves one that the client has reset is work all the same.
    @Test func `streams that were reset count for as long as somebody serves them`() async throws {
        let gate = Gate()
        let begun = Shared(0)
        let all = Latch()
        let handler = Answering { request, _, _, response in
            guard request.path == "/held" else {
                return try await response.send(HTTPResponse(status: .ok), content: "free")
            }
            if begun.change({
                $0 += 1; return $0
            }) == Self.streamsMax {
                all.open()
            }
            await gate.pass()
        }
        try await serving(handler) { address in
            defer { gate.open() }
            let client = try FrameClient(address)
            let held = (0..<UInt32(Self.streamsMax)).map { $0 * 2 + 1 }
            for stream in held { try client.request(stream, "/held") }
            #expect(all.wait(milliseconds: Int64(RawClient.patienceSeconds) * 1_000))
            for stream in held { try client.reset(stream) }
            var next = UInt32(Self.streamsMax) * 2 + 1
            try client.request(next, "/free")
            let refused = try client.next(of: next)
            #expect(refused.type == 3 && refused.payload == [0, 0, 0, 7])
            gate.open()
            // Each goes on on its worker when it likes.
            for _ in 0..<10_000 {
                next += 2
                try client.request(next, "/free")
                if try client.next(of: next).type == 1 { return }
                usleep(5_000)
            }
            Issue.record("no stream is taken any more")
        }
    }

    @Test func `a handler whose stream is reset is cancelled`() async throws {
        let learnt = Note<Bool>()
        let isWaiting = Note<Void>()
        let handler = Answering { _, _, _, _ in
            isWaiting.set(())
            do { try await Task.sleep(for: .seconds(600)) } catch {
                learnt.set(Task.isCancelled)
                throw error
            }
        }
        try await serving(handler) { address in
            let client = try FrameClient(address)
            try client.request(1, "/")
            _ = isWaiting.wait()
            try client.reset(1)
            #expect(learnt.wait() == true)
        }
    }

    /// The counters have room for what the codec counts.
    @Test func `every violation and every kind of flood has its counter`() {
        #expect(Violation.allCases.allSatisfy { Int($0.rawValue) < HTTP2Kinds.violationsMax })
        #expect(Flood.allCases.allSatisfy { Int($0.rawValue) < HTTP2Kinds.framesMax })
    }

    @Test func `a frame over TLS fills a record`() {
        var limits = ConnectionLimits()
        limits.fit(unitBytes: 16_384)
        #expect(limits.dataBytesMax == 16_375)
    }
}
