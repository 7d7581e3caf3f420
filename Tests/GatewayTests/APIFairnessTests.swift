import HTTPTypes
import Synchronization
import Testing

@testable import Chimera

/// Holds the first requests of two connections until both are there, and notes in which order all are served.
private final class Order: Sendable {
    private struct State {
        var waiting: CheckedContinuation<Void, Never>?
        var served: [String] = []
    }

    private let state = Mutex(State())

    func note(_ path: String) { state.withLock { $0.served.append(path) } }

    func meet() async {
        let other = state.withLock { $0.waiting.take() }
        if let other { return other.resume() }
        await withCheckedContinuation { continuation in state.withLock { $0.waiting = continuation } }
    }

    /// The most requests of one connection that were served behind each other.
    var longestRun: Int {
        let served = state.withLock { $0.served }
        var (longest, run) = (0, 0)
        for (index, path) in served.enumerated() {
            run = index > 0 && served[index - 1] == path ? run + 1 : 1
            longest = max(longest, run)
        }
        return longest
    }
}

@Suite struct APIFairnessTests {
    @Test func `a connection with a long pipeline lets the others of its worker have their turn`()
        async throws
    {
        let order = Order()
        let handler = Answering { request, _, _, response in
            if request.path == "/meet" { await order.meet() } else { order.note(request.path ?? "") }
            try await response.send(HTTPResponse(status: .ok), content: "x")
        }
        let gateway = try Gateway(listening: ["127.0.0.1:0"], directives: "workers 1", handler: handler)
        try gateway.start()
        let address = try #require(gateway.listeningAddresses.first)
        try await blocking {
            let clients = try ["/one", "/two"].map { path in
                let client = try RawClient(address)
                let request = "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n"
                try client.send(
                    "GET /meet HTTP/1.1\r\nHost: a\r\n\r\n" + String(repeating: request, count: 500))
                return client
            }
            for client in clients { for _ in 0...500 { #expect(try client.response().status == 200) } }
        }
        gateway.drain(deadlineMilliseconds: 5_000)
        try await blocking { gateway.waitUntilStopped() }
        #expect(order.longestRun <= 100)
    }
}
