internal import Synchronization

/// How a gateway is at one moment.
package struct GatewayStatus: Sendable {
    /// The open connections of each worker.
    package var workers: [Int]
    /// The addresses that are listened on, as the log names them.
    package var listening: [String]
    /// The sites of the configuration in service.
    package var sites: Int
    /// Requests since the start.
    package var requests: UInt64
    /// Since `start()`.
    package var uptimeMilliseconds: Int64
}

/// One connection, for who asks what is going on.
package struct ConnectionReport: Sendable {
    package enum Activity: String, Sendable {
        /// Waits for a request.
        case idle
        /// Serves one, or reads its head.
        case serving
        /// Its answer is passed on from an upstream.
        case relaying
        /// The last answer is out.
        case closing
    }

    /// The worker's number and the connection's: `1-205`. Never given twice by one gateway.
    package var id: String
    /// The peer's address; `unix` for a Unix socket.
    package var peer: String
    /// The listener's address.
    package var listener: String
    /// The protocol, as the access log names it.
    package var version: String
    /// Since it was accepted.
    package var ageMilliseconds: Int64
    package var activity: Activity
    /// Method, host and path of what it serves, cut to a bounded length; nil where it serves nothing.
    package var request: String?
    /// How long it has served that.
    package var requestMilliseconds: Int64?
    /// On HTTP/2: how many streams are open, and the first of those that are waited for.
    package var streamCount: Int?
    package var streams: [StreamReport] = []
}

/// One stream of a connection of HTTP/2 whose answer is waited for.
package struct StreamReport: Sendable {
    /// RFC 9113 §5.1.1
    package var id: UInt32
    package var activity: ConnectionReport.Activity
    package var request: String?
    package var requestMilliseconds: Int64?
}

/// The answers of workers, added from their threads.
final class WorkerAnswers<Answer: Sendable>: Sendable {
    private let answers = Mutex<[Int: Answer]>([:])

    func add(_ answer: Answer, of worker: Int) { answers.withLock { $0[worker] = answer } }

    var inOrder: [Answer] { answers.withLock { $0.sorted { $0.key < $1.key }.map(\.value) } }
}

extension Gateway {
    /// The open connections, the oldest first, and how many there are in all.
    ///
    /// - Parameter limit: at most so many are reported.
    package func connections(atMost limit: Int) -> (reports: [ConnectionReport], total: Int) {
        let all = ask { ($0.reports(atMost: limit), $0.connectionCount) }
        let reports = all.flatMap(\.0).sorted { $0.ageMilliseconds > $1.ageMilliseconds }
        return (Array(reports.prefix(limit)), all.reduce(0) { $0 + $1.1 })
    }

    /// Ends a connection, whatever it does.
    ///
    /// - Returns: false where there is none with this id.
    package func endConnection(_ id: String) -> Bool { ask { $0.endConnection(id) }.contains(true) }
}
