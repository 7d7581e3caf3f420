internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTPCore

/// What a connection knows of the listener that accepted it.
struct ListenerFacts {
    /// The listener's `name=`; nil where it has none.
    var name: String?
    var port: UInt16
    var isSecure: Bool
}

/// Deadlines of connections, in milliseconds.
struct ConnectionTimeouts {
    var head: Int64 = 10_000
    var body: Int64 = 30_000
    var idle: Int64 = 60_000
    var send: Int64 = 30_000
}

/// All that one worker has for serving: its connections, its buffers, its own dispatcher and destinations.
final class GatewayWorker {
    let worker: Worker
    /// Where a turn reads to and formats answers in; never held across a wait.
    let scratchInput = ByteBuffer(capacity: 64 * 1024)
    let scratchOutput = ByteBuffer(capacity: 64 * 1024)
    @exclusivity(unchecked) var limits = Limits()
    @exclusivity(unchecked) var timeouts = ConnectionTimeouts()
    @exclusivity(unchecked) var buffers = BufferPool(capacity: 4096, keptMax: 1024)
    @exclusivity(unchecked) private(set) var isDraining = false
    @exclusivity(unchecked) private var transactions: [Transaction] = []
    @exclusivity(unchecked) private var connections: [HTTP1Connection?] = []
    @exclusivity(unchecked) private var freeConnections: [Int] = []
    @exclusivity(unchecked) private var dateSeconds: Int64 = -1
    @exclusivity(unchecked) private var dateText = HTTPDate.format(0)

    private static let transactionsKept = 256

    init(worker: Worker) {
        self.worker = worker
    }

    /// The current date in the form of RFC 9110 §5.6.7, made once a second.
    var date: InlineArray<29, UInt8> {
        if worker.wallSeconds != dateSeconds {
            dateSeconds = worker.wallSeconds
            dateText = HTTPDate.format(dateSeconds)
        }
        return dateText
    }

    // MARK: Connections

    var connectionCount: Int { connections.count - freeConnections.count }

    /// Takes over a connection that a listener accepted.
    func accept(_ descriptor: Int32, _ peer: PeerAddress, _ listener: ListenerFacts) {
        guard let socket = try? Socket(descriptor, on: worker) else { return }
        let connection = HTTP1Connection(socket, peer: peer, listener: listener, host: self)
        if let free = freeConnections.popLast() {
            connections[free] = connection
            connection.tableIndex = free
        } else {
            connection.tableIndex = connections.count
            connections.append(connection)
        }
    }

    func connectionClosed(_ connection: HTTP1Connection, _ reason: CloseReason?) {
        connections[connection.tableIndex] = nil
        freeConnections.append(connection.tableIndex)
    }

    // MARK: Transactions

    func takeTransaction() -> Transaction {
        let transaction = transactions.popLast() ?? Transaction()
        transaction.reset()
        return transaction
    }

    func giveTransaction(_ transaction: Transaction) {
        if transactions.count < GatewayWorker.transactionsKept { transactions.append(transaction) }
    }
}
