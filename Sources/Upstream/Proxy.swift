package import ChimeraBytes
package import ChimeraEventLoop
internal import ChimeraHTTP1
package import ChimeraHTTPCore

/// Bounds on the time that an upstream may take, in milliseconds; nil for none.
package struct UpstreamTimeouts: Equatable, Sendable {
    /// For a connection to be made, from looking its name up on.
    package var connect: Int64? = 3_000
    /// From the end of the request to the head of the answer.
    package var answer: Int64? = 60_000
    /// Between two reads of the answer, and between two writes of the request.
    package var read: Int64? = 60_000
    /// Without a byte in a tunnel or an event stream.
    package var quiet: Int64? = 3_600_000
    /// Between two reads of the client's body.
    package var body: Int64? = 30_000
    /// Without progress in sending to the client.
    package var send: Int64? = 30_000
    /// For the whole response.
    package var response: Int64?

    package init() {}
}

/// What the log says of an upstream: which one, and when things happened, in nanoseconds of the worker's clock.
package struct UpstreamFigures: Sendable {
    package var address: SocketAddress?
    package var startedAt: Int64 = 0
    package var connectedAt: Int64 = 0
    package var answeredAt: Int64 = 0
    package var endedAt: Int64 = 0
    package var error: UpstreamError?
    /// How often the request was sent again.
    package var retries = 0

    package init() {}
}

/// Whoever asks the proxy to pass a request on, and is told of the answer.
package protocol ProxyClient: AnyObject {
    /// The upstream's final head is in the exchange's response, without what concerned its connection alone; it is
    /// sent after this.
    func upstreamAnswered()

    /// What the log wants to know.
    var upstreamFigures: UpstreamFigures { get set }
}

/// What becomes of a request that was passed on.
package enum ProxyOutcome: Equatable, Sendable {
    /// A final head was sent; the exchange says whether its body was whole.
    case answered
    /// Nothing was sent to the client.
    case failed(UpstreamError)
    /// The request's body could not be read to its end, and nothing was sent to the client.
    case refused(Refusal)
    /// The client went away before anything was sent.
    case clientLost(CloseReason)

    /// Why the upstream gave no answer.
    var error: UpstreamError? {
        if case .failed(let error) = self { error } else { nil }
    }
}

/// Passes requests on to the endpoints of one target, in turn; one for each worker and target.
package final class Proxy {
    private let endpoints: [EndpointPool]
    private let worker: Worker
    private let scratch: ByteBuffer
    private let limits: Limits
    @exclusivity(unchecked) private var next = 0

    /// - Parameter scratch: the worker's buffer for one turn, of 64 KiB; an answer is read into it and passed on
    ///   before anything else is done.
    package init(_ endpoints: [EndpointPool], on worker: Worker, scratch: ByteBuffer, limits: Limits) {
        precondition(!endpoints.isEmpty)
        self.endpoints = endpoints
        self.worker = worker
        self.scratch = scratch
        self.limits = limits
    }

    /// Passes the exchange's request on and its answer back.
    ///
    /// - Parameters:
    ///   - head: what the upstream gets: the exchange's own request head or another, without what concerns the
    ///     client's connection alone.
    ///   - target: path and query for the upstream, of the head's bytes.
    package func serve(
        _ exchange: any Exchange, head: RequestHead, target: Slice, timeouts: UpstreamTimeouts,
        client: any ProxyClient
    ) async -> ProxyOutcome {
        client.upstreamFigures.startedAt = worker.nanoseconds
        var mayRetry = true
        while true {
            let endpoint = chooseEndpoint()
            // What is sent again goes over a new connection: the others may have been closed with the first.
            var connection = mayRetry ? endpoint.takeIdle() : nil
            var isReused = connection != nil
            if connection == nil {
                switch await connect(endpoint, exchange, timeouts, client, mayReuse: mayRetry) {
                case .success(let made): connection = made
                case .kept(let kept):
                    connection = kept
                    isReused = true
                case .failure(let error): return note(.failed(error), client)
                case .lost(let reason): return note(.clientLost(reason), client)
                }
            }
            guard let connection else { return note(.failed(.connectionFailed), client) }
            client.upstreamFigures.address = connection.address
            client.upstreamFigures.connectedAt = worker.nanoseconds
            connection.lease(to: exchange.scope)
            let relay = Relay(exchange, connection, timeouts, limits, scratch, client)
            let driver = DirectRelay(worker: worker, scope: exchange.scope)
            let end = await driver.run(relay, head, target: target)
            // RFC 9112 §9.3.1: a kept connection that turns out to be closed says nothing of this request, so it
            // may be sent once more if that does no harm.
            if end.mayRepeat && isReused && mayRetry {
                mayRetry = false
                client.upstreamFigures.retries += 1
                continue
            }
            if end.mayRepeat, let meter = connection.pool.meter {
                meter.asked(nanoseconds: nil)
                if case .failed(let error) = end.outcome { meter.failed(error) }
            }
            return note(end.outcome, client)
        }
    }

    /// Passes the exchange's request on over a kept connection, driven by wakes.
    ///
    /// - Returns: false where no connection is kept: nothing was done, and `serve` is the way.
    package func serveDirectly(
        _ exchange: any Exchange, head: RequestHead, target: Slice, timeouts: UpstreamTimeouts,
        client: any ProxyClient, by driver: DirectRelay, for owner: any RelayOwner
    ) -> Bool {
        let turn = next
        guard let connection = chooseEndpoint().takeIdle() else {
            // It stays this endpoint's turn.
            next = turn
            return false
        }
        client.upstreamFigures.startedAt = worker.nanoseconds
        client.upstreamFigures.address = connection.address
        client.upstreamFigures.connectedAt = worker.nanoseconds
        connection.lease(to: driver.scope)
        let relay = Relay(exchange, connection, timeouts, limits, scratch, client)
        driver.start(relay, head, target: target, owner: owner)
        return true
    }

    private func note(_ outcome: ProxyOutcome, _ client: any ProxyClient) -> ProxyOutcome {
        client.upstreamFigures.endedAt = worker.nanoseconds
        // Also where a first attempt left its own error.
        client.upstreamFigures.error = outcome.error
        return outcome
    }

    /// The next endpoint in turn that did not just refuse a connection.
    private func chooseEndpoint() -> EndpointPool {
        if endpoints.count == 1 { return endpoints[0] }
        for _ in endpoints {
            next = (next + 1) % endpoints.count
            if endpoints[next].avoidedUntil <= worker.now { return endpoints[next] }
        }
        next = (next + 1) % endpoints.count
        return endpoints[next]
    }

    // MARK: Connecting

    private enum Made {
        case success(UpstreamConnection)
        /// The endpoint refused, and another has a connection that is not in use.
        case kept(UpstreamConnection)
        case failure(UpstreamError)
        /// The client went away meanwhile.
        case lost(CloseReason)
    }

    /// Connects to the endpoint, or to another where it refuses: nothing was sent, so that is always safe.
    private func connect(
        _ first: EndpointPool, _ exchange: any Exchange, _ timeouts: UpstreamTimeouts,
        _ client: any ProxyClient, mayReuse: Bool
    ) async -> Made {
        let deadline = timeouts.connect.map { worker.now + $0 }
        var endpoint = first
        var attempts = 0
        var lastError = UpstreamError.connectionFailed
        // Each address of each endpoint once; one without a known address counts for the attempt to resolve it.
        while attempts < endpoints.reduce(0, { $0 + max(1, $1.addressCount) }) {
            if attempts > 0, mayReuse, let kept = endpoint.takeIdle() { return .kept(kept) }
            attempts += 1
            let address: SocketAddress
            switch await resolve(endpoint, exchange, deadline) {
            case .address(let found): address = found
            case .timeout:
                endpoint.meter?.failed(.nameTimeout)
                return .failure(.nameTimeout)
            case .lost(let reason): return .lost(reason)
            case .none:
                endpoint.failed()
                lastError = endpoint.isOutOfReach ? .addressNotPermitted : .nameNotResolved
                endpoint.meter?.failed(lastError)
                endpoint = chooseEndpoint()
                continue
            }
            client.upstreamFigures.address = address
            switch await connect(endpoint, address, exchange, deadline) {
            case .success(let connection):
                endpoint.meter?.connected()
                return .success(connection)
            case .failure(let error):
                endpoint.failed()
                endpoint.meter?.failed(error)
                lastError = error
                if error == .connectionTimeout { return .failure(error) }
                endpoint = chooseEndpoint()
            case .lost(let reason): return .lost(reason)
            case .kept(let kept): return .kept(kept)
            }
        }
        return .failure(lastError)
    }

    /// Starts a connection; where no descriptor is left, an idle client gives way to it.
    private func openSocket(
        to address: SocketAddress
    ) throws(SystemError) -> (descriptor: Int32, isPending: Bool) {
        do throws(SystemError) {
            return try Sockets.connect(address)
        } catch {
            guard error.isExhaustion, worker.whenExhausted?() == true else { throw error }
            return try Sockets.connect(address)
        }
    }

    private func resolve(
        _ endpoint: EndpointPool, _ exchange: any Exchange, _ deadline: Int64?
    ) async -> EndpointPool.Resolution {
        if let known = endpoint.nextKnownAddress() { return .address(known) }
        return await endpoint.resolve(for: exchange, deadline: deadline)
    }

    private func connect(
        _ endpoint: EndpointPool, _ address: SocketAddress, _ exchange: any Exchange, _ deadline: Int64?
    ) async -> Made {
        let connection: UpstreamConnection
        do throws(SystemError) {
            let (descriptor, isPending) = try openSocket(to: address)
            let socket = try Socket(descriptor, on: worker, connecting: isPending)
            connection = UpstreamConnection(socket, to: address, pool: endpoint)
        } catch {
            return .failure(error.isRefusal ? .connectionRefused : .connectionFailed)
        }
        connection.lease(to: exchange.scope)
        defer { connection.endLease() }
        while !connection.socket.isWritable {
            exchange.setDeadline(after: deadline.map { max(0, $0 - worker.now) })
            let wake = await exchange.scope.wait()
            if connection.socket.isWritable { break }
            if let lost = exchange.lost {
                connection.close()
                return .lost(lost)
            }
            if wake.contains(.deadline) {
                connection.close()
                return .failure(.connectionTimeout)
            }
        }
        let number = connection.socket.connectError()
        guard number == 0 else {
            connection.close()
            return .failure(SystemError("connect", number).isRefusal ? .connectionRefused : .connectionFailed)
        }
        return .success(connection)
    }
}
