internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP1
internal import ChimeraHTTPCore
internal import HTTPTypes

// MARK: The request

extension ServedExchange {
    @concurrent
    func read() async throws -> [UInt8]? {
        guard worker.isOnThread else { return try await elsewhere { try await self.readHere() } }
        return try await readHere()
    }

    private func readHere() async throws -> [UInt8]? {
        var chunk: [UInt8] = []
        // In another protocol silence means nothing.
        let timeout = isTunnel ? nil : timeouts.body
        var limit = timeLimit(timeout)
        while true {
            try check()
            if let refusal { throw refuse(refusal) }
            let progress = exchange.readBody { bytes in
                bytes.withUnsafeBufferPointer { chunk.append(contentsOf: $0) }
            }
            // What came before the body proved to be malformed was passed on with it: it is of no use.
            if case .refused(let refusal) = progress { throw refuse(refusal) }
            if case .aborted(let reason) = progress { throw abort(reason) }
            if !chunk.isEmpty {
                await giveWay(after: chunk.count)
                return chunk
            }
            switch progress {
            case .ended: return nil
            case .progressed: limit = timeLimit(timeout)
            case .pending, .refused, .aborted:
                if worker.now >= limit { throw refuse(.bodyTimeout) }
                try await news(until: limit)
            }
        }
    }

    @concurrent
    func trailers() async -> HTTPFields? {
        // A task from elsewhere comes here or not at all.
        guard worker.isOnThread else { return try? await elsewhere { self.trailersHere() } }
        return trailersHere()
    }

    private func trailersHere() -> HTTPFields? {
        guard !hasEnded, let block = exchange.requestTrailers else { return nil }
        let fields = HTTPFields(block)
        return fields.isEmpty ? nil : fields
    }

    /// So many milliseconds from now, on the worker's clock; nil is no bound.
    private func timeLimit(_ milliseconds: Int64?) -> Int64 { milliseconds.map { worker.now + $0 } ?? .max }
}

// MARK: The response

extension ServedExchange {
    /// Bytes handed to the exchange at once.
    private static let windowBytes = 64 * 1024

    @concurrent
    func sendInformational(_ head: HTTPResponse) async throws {
        guard worker.isOnThread else {
            return try await elsewhere { try await self.sendInformationalHere(head) }
        }
        try await sendInformationalHere(head)
    }

    private func sendInformationalHere(_ head: HTTPResponse) async throws {
        try check()
        // 101 is the wire's own business: it would end HTTP on the connection.
        guard 100...199 ~= head.status.code, head.status.code != 101 else {
            throw ExchangeError.headInvalid("\(head.status.code) is no interim status")
        }
        let fields = FieldBlock(byteCapacity: 256, lineCapacity: 8)
        fields.add(head.headerFields)
        HopByHop.remove(from: fields)
        fields.remove(.contentLength)
        exchange.sendInformational(status: head.status.code, fields)
        try await drainOutput()
    }

    @concurrent
    func send(_ head: HTTPResponse) async throws {
        guard worker.isOnThread else { return try await elsewhere { try self.sendHead(head, length: nil) } }
        try sendHead(head, length: nil)
    }

    @concurrent
    func send(_ head: HTTPResponse, content: [UInt8]) async throws {
        guard worker.isOnThread else {
            return try await elsewhere { try await self.sendWhole(head, content) }
        }
        try await sendWhole(head, content)
    }

    private func sendWhole(_ head: HTTPResponse, _ content: [UInt8]) async throws {
        try sendHead(head, length: content.count)
        try await write(here: content.span, isLast: true)
        try await finishHere(trailers: nil)
    }

    @concurrent
    func acceptUpgrade(_ fields: HTTPFields) async throws {
        guard worker.isOnThread else {
            return try await elsewhere { try self.acceptUpgradeHere(fields) }
        }
        try acceptUpgradeHere(fields)
    }

    private func acceptUpgradeHere(_ fields: HTTPFields) throws {
        try check()
        let (request, response) = (exchange.request, exchange.response)
        guard !request.upgrade.isEmpty, !ExtendedConnect.lacksKey(request) else {
            throw ExchangeError.headInvalid("the client asked for no other protocol")
        }
        // RFC 9110 §7.8: the rest of it would be taken for the other protocol.
        guard request.body == .none || exchange.bodyHasEnded else {
            throw ExchangeError.headInvalid("the request's content was not read to its end")
        }
        response.reset(status: 101)
        response.add(fields)
        HopByHop.remove(from: response)
        response.remove(.contentLength)
        ExtendedConnect.prove(request, in: response)
        host.dispatcher.finishResponse(exchange.transaction.context, request, response)
        // Takes out what the client's protocol does not have.
        _ = exchange.agrees(to: response)
        exchange.acceptUpgrade(request[request.upgrade])
        isTunnel = true
        flushSoon()
    }

    /// - Parameter length: of the content, where it is known whatever the head says.
    private func sendHead(_ head: HTTPResponse, length: Int?) throws {
        try check()
        let (response, transaction) = (exchange.response, exchange.transaction)
        guard 200...999 ~= head.status.code else {
            throw ExchangeError.headInvalid("\(head.status.code) is no final status")
        }
        response.reset(status: head.status.code)
        response.add(head.headerFields)
        let announced = try announcedLength(of: response) ?? length
        if length != nil, announced != length { throw ExchangeError.contentLengthUnmet }
        if response.connectionOptions.contains(.close) { exchange.closeAfterAnswer() }
        HopByHop.remove(from: response)
        response.remove(.contentLength)
        response.body = announced.map(BodyLength.known) ?? .unknown
        if response.forbidsContent { response.body = .none }
        host.dispatcher.finishResponse(transaction.context, exchange.request, response)
        promised = response.forbidsContent || exchange.request.method == .head ? nil : announced
        exchange.sendHead()
        if length == nil { flushSoon() }
    }

    /// RFC 9110 §8.6
    private func announcedLength(of response: ResponseHead) throws -> Int? {
        guard response.contains(.contentLength) else { return nil }
        var announced: Int?
        for index in 0..<response.lineCount {
            let line = response.line(at: index)
            guard line.isPresent, line.name == .contentLength else { continue }
            let text = String(copying: response[line.value])
            guard let length = Int(text), length >= 0, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
                announced == nil || announced == length
            else { throw ExchangeError.headInvalid("Content-Length: \(text)") }
            announced = length
        }
        return announced
    }

    /// Writes what is queued when the handler waits for something, unless its next write does so before.
    private func flushSoon() {
        worker.start { [self] in if !hasEnded { exchange.flush() } }
    }

    @concurrent
    func write(_ bytes: Span<UInt8>) async throws {
        guard worker.isOnThread else {
            // A span cannot go along with a task that changes its executor.
            let copy = Array(copying: bytes)
            return try await elsewhere { try await self.write(here: copy.span) }
        }
        try await write(here: bytes)
    }

    /// - Parameter isLast: what is left of it goes out with the end of the response.
    private func write(here bytes: Span<UInt8>, isLast: Bool = false) async throws {
        try check()
        if let promised, bytes.count > promised { throw ExchangeError.contentLengthUnmet }
        var offset = 0
        while offset < bytes.count {
            let end = min(bytes.count, offset + ServedExchange.windowBytes)
            let count = end - offset
            exchange.send(bytes.extracting(offset..<end))
            promised? -= count
            offset = end
            if offset == bytes.count && isLast { return }
            try await drainOutput()
            await giveWay(after: count)
            try check()
        }
    }

    @concurrent
    func finish(trailers: HTTPFields?) async throws {
        guard worker.isOnThread else {
            return try await elsewhere { try await self.finishHere(trailers: trailers) }
        }
        try await finishHere(trailers: trailers)
    }

    private func finishHere(trailers: HTTPFields?) async throws {
        try check()
        if let promised, promised > 0 {
            _ = abort(.handlerFailed)
            throw ExchangeError.contentLengthUnmet
        }
        if isTunnel { return try await finishTunnel() }
        var block: FieldBlock?
        if let trailers, !trailers.isEmpty {
            let fields = FieldBlock(byteCapacity: 256, lineCapacity: 8)
            fields.add(trailers)
            TrailerRules.removeForbidden(from: fields)
            block = fields
        }
        exchange.finish(trailers: block)
        hasFinished = true
        try await drainOutput()
    }

    private func finishTunnel() async throws {
        try await drainOutput()
        exchange.finishTunnel()
        exchange.finish(trailers: nil)
        hasFinished = true
        try await drainOutput()
    }

    /// Waits until the client has taken everything.
    private func drainOutput() async throws {
        var unsent = Int.max
        var limit = Int64.max
        while !exchange.flush() {
            try check()
            // Every byte that it takes gives the client its time anew.
            if exchange.unsentBytes < unsent || (worker.now >= limit && exchange.clientHasProgressed()) {
                unsent = exchange.unsentBytes
                limit = timeLimit(timeouts.send)
            } else if worker.now >= limit {
                throw abort(.sendTimeout)
            }
            try await news(until: limit)
        }
        try check()
    }
}

extension FieldBlock {
    /// What the lines of `Connection` say together.
    fileprivate var connectionOptions: ConnectionOptions {
        var options: ConnectionOptions = []
        for index in 0..<lineCount {
            let line = line(at: index)
            if line.isPresent && line.name == .connection { options.add(self[line.value]) }
        }
        return options
    }
}
