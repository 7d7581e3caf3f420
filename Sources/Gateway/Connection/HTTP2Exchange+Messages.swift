internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP2
internal import ChimeraHTTPCore
internal import Glibc

/// What whoever serves the exchange sees of it.
extension HTTP2Exchange {
    // MARK: Request body

    var bodyHasEnded: Bool { requestHasEnded && (input?.isEmpty ?? true) }

    var lost: CloseReason? {
        if let abortReason { return abortReason }
        if let lossReason { return lossReason }
        return connection?.isCutOff == true ? .draining : nil
    }

    var clientHasEnded: Bool { connection?.readHasEnded ?? true }

    var hasAllOfRequest: Bool { requestHasEnded || clientHasEnded }

    func continueBody() {
        guard owesContinue, let connection else { return }
        owesContinue = false
        connection.touch()
        if !hasSentHead { connection.codec.sendInformational(stream, status: 100, nil) }
    }

    func readBody(into sink: (Span<UInt8>) -> Void) -> BodyProgress {
        if let lossReason { return .aborted(lossReason) }
        guard let input, !input.isEmpty else {
            if requestHasEnded { return .ended }
            continueBody()
            return .pending
        }
        let count = min(input.count, HTTP2Exchange.windowBytes)
        transaction.bytesIn += count
        guard isTunnel || transaction.bytesIn <= host.bodyLimit(transaction) else {
            return .refused(.bodyTooLarge)
        }
        let readable = input.readable
        sink(readable.extracting(0..<count))
        input.consume(count)
        if let connection {
            connection.touch()
            connection.codec.consume(stream, count)
        }
        return .progressed
    }

    // MARK: Response

    func sendInformational(status: Int, _ fields: FieldBlock) {
        guard !hasSentHead, let connection else { return }
        if status == 100 { owesContinue = false }
        connection.touch()
        connection.codec.sendInformational(stream, status: status, fields)
    }

    func sendHead() {
        precondition(!hasSentHead, "a second final response")
        hasSentHead = true
        transaction.hasAnswer = true
        transaction.answeredAt = worker.nanoseconds
        let isRefused = ExtendedConnect.mustRefuse(request, status: response.status)
        if isRefused { response.reset(status: 501) }
        guard let connection else { return }
        connection.touch()
        takesContent = connection.codec.sendHead(
            stream, response, answering: request.method, date: host.date)
    }

    func agrees(to response: ResponseHead) -> Bool {
        ExtendedConnect.agrees(response, to: transaction.plan?.head ?? request)
    }

    func acceptUpgrade(_ token: Span<UInt8>) {
        precondition(!hasSentHead, "a second final response")
        hasSentHead = true
        transaction.hasAnswer = true
        transaction.answeredAt = worker.nanoseconds
        response.status = 200
        isTunnel = true
        takesContent = true
        guard let connection else { return }
        connection.touch()
        connection.codec.sendTunnelHead(stream, response, date: host.date)
        connection.socket.enableKeepAlive(afterSeconds: 60)
    }

    func send(_ bytes: Span<UInt8>) {
        guard bytes.count > 0, takesContent, let connection else { return }
        transaction.bytesOut += bytes.count
        connection.touch()
        connection.codec.send(stream, bytes)
    }

    func sendFile(_ file: FileHandle, offset: Int64, count: Int) -> Int? {
        guard takesContent, let connection else { return count }
        connection.touch()
        let codec = connection.codec
        var sent = 0
        while sent < count, let room = codec.prepareData(stream, count - sent) {
            let got = pread(file.descriptor, room.baseAddress, room.count, off_t(offset) + off_t(sent))
            if got <= 0 { return sent > 0 ? sent : nil }
            codec.commitData(stream, got)
            sent += got
        }
        transaction.bytesOut += sent
        if sent == 0 { codec.requestTurn(stream) }
        return sent
    }

    func finish(trailers: FieldBlock?) {
        guard !hasFinished else { return }
        hasFinished = true
        guard takesContent, let connection else { return }
        connection.touch()
        connection.codec.finish(stream, trailers: trailers)
    }

    func finishTunnel() {
        guard let connection, takesContent else { return }
        takesContent = false
        connection.touch()
        connection.codec.finish(stream)
    }

    @discardableResult
    func flush() -> Bool {
        connection?.touch()
        return !isBlocked
    }

    var isBlocked: Bool {
        guard let connection, connection.codec.isBlocked(stream) else { return false }
        // Of what waits with its stream, for a window as well, `hasDrained` tells.
        if connection.codec.pendingBytes(stream) == 0 {
            wantsRoom = true
            connection.roomIsWanted = true
        }
        return true
    }

    var unsentBytes: Int { connection?.codec.pendingBytes(stream) ?? 0 }

    func clientHasProgressed() -> Bool {
        guard let connection else { return false }
        let codec = connection.codec
        if let since = codec.waitingSince(stream), worker.now - since < host.timeouts.send { return true }
        return !codec.isWindowBlocked(stream) && connection.hasProgressed()
    }

    func abort(_ reason: CloseReason) {
        if abortReason == nil { abortReason = reason }
    }

    func setDeadline(after milliseconds: Int64?) {
        scope.forgetDeadline()
        deadline = milliseconds.map { worker.now + $0 } ?? .max
        if deadline != .max { connection?.exchangeWaits(until: deadline) }
    }
}
