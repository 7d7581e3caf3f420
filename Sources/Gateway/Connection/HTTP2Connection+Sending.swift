internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTP2
internal import ChimeraHTTPCore

extension HTTP2Connection {
    /// Octets written in one turn, so that a client with much to get does not keep the others of the worker waiting.
    private static let bytesPerTurn = 256 * 1024

    /// Has the streams that wait put what they may into the output, the most urgent first, and writes it.
    func pump() {
        var written = 0
        while mode == .open {
            let turn = codec.fillOutput()
            switch turn {
            case .produce(let stream, let room): exchange(of: stream)?.produce(room)
            case .drained(let stream): exchange(of: stream)?.hasDrained()
            case .finished(let stream): exchange(of: stream)?.answerFinished()
            case .full, .idle:
                written += codec.output.count
                guard write() else { return }
                if turn == .idle {
                    guard roomIsWanted else { return }
                    wakeForRoom()
                }
                if written >= HTTP2Connection.bytesPerTurn { return hasMore = true }
            }
        }
    }

    /// Writes the output, as much as the kernel takes.
    ///
    /// - Returns: whether that was all.
    @discardableResult
    func write() -> Bool {
        let output = codec.output
        if output.isEmpty { return true }
        guard socket.isWritable else { return false }
        switch socket.write(output.pending) {
        case .bytes(let count):
            output.consume(count)
            progressAt = host.worker.now
        case .wouldBlock: if !isWaitingToWrite { progressAt = host.worker.now }
        case .end, .failed:
            close(.clientFailed)
            return false
        }
        isWaitingToWrite = !output.isEmpty
        return output.isEmpty
    }

    /// The output has room again.
    private func wakeForRoom() {
        roomIsWanted = false
        for exchange in exchanges { exchange?.roomCame() }
    }

    /// Whether the client took something of the connection's output within the time that it has for that.
    func hasProgressed() -> Bool {
        if socket.peerHasProgressed() { progressAt = host.worker.now }
        return host.worker.now - progressAt < host.timeouts.send
    }
}
