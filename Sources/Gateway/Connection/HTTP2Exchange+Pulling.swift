internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraFiles
internal import ChimeraHTTP2
internal import ChimeraHTTPCore
internal import Glibc

/// Bodies that are there as a whole, which go part by part when it is their stream's turn.
extension HTTP2Exchange {
    // MARK: Bodies that are there

    func sendsAlone(_ file: FileHandle, offset: Int64, count: Int) -> Bool {
        sendHead()
        guard takesContent, count > 0 else {
            finish(trailers: nil)
            return true
        }
        pull(.file(file, offset: offset, count: count))
        return true
    }

    /// Sends a body behind the head that went out, part by part when it is the stream's turn.
    func pull(_ body: AnswerBody) {
        mode = .pulling
        hasFinished = true
        pulled.body = body
        askForTurn()
    }

    private func askForTurn() {
        guard let connection else { return }
        connection.touch()
        connection.codec.requestTurn(stream)
        setDeadline(after: host.timeouts.send)
    }

    /// It is the stream's turn: up to `room` octets go.
    func produce(_ room: Int) {
        guard mode == .pulling, let connection else { return hasDrained() }
        let codec = connection.codec
        switch pulled.body {
        case .none: codec.finish(stream)
        case .bytes(let blob):
            // Straight into the output: what waited with the stream behind others would be out of this exchange's hands.
            guard let target = codec.prepareData(stream, min(room, blob.count - pulled.position)) else {
                return askForTurn()
            }
            let end = pulled.position + target.count
            blob.span.extracting(pulled.position..<end).withUnsafeBytes { target.copyMemory(from: $0) }
            codec.commitData(stream, target.count, endStream: end == blob.count)
            moved(target.count, of: blob.count)
        case .file(let file, let offset, let count):
            guard isResident(file, offset, count) else { return }
            guard let target = codec.prepareData(stream, min(room, count - pulled.position)) else {
                return askForTurn()
            }
            let got = pread(
                file.descriptor, target.baseAddress, target.count, off_t(offset) + off_t(pulled.position))
            guard got > 0 else { return abortNow(.fileChanged) }
            codec.commitData(stream, got, endStream: pulled.position + got == count)
            moved(got, of: count)
        }
    }

    private func moved(_ count: Int, of whole: Int) {
        pulled.position += count
        transaction.bytesOut += count
        if pulled.position == whole { answerFinished() } else { askForTurn() }
    }

    /// Whether the next part of a file is in memory. Where it is not, a thread that may block reads it, and the turn comes
    /// after that.
    private func isResident(_ file: FileHandle, _ offset: Int64, _ count: Int) -> Bool {
        if pulled.position < pulled.residentTo { return true }
        let window = min(FileWindow.bytes, count - pulled.position)
        let start = offset + Int64(pulled.position)
        pulled.residentTo = pulled.position + window
        if FileWindow.isResident(file, offset: start, count: window) { return true }
        guard !pulled.isReading else { return false }
        pulled.isReading = true
        setDeadline(after: nil)
        let use = self.use
        worker.start { [self] in
            let descriptor = file.descriptor
            // Where the pool is full, the worker has to wait for the disk itself. The handle outlives the call.
            _ = await host.pool.run { FileWindow.read(descriptor, offset: start, count: window) }
            guard self.use == use, mode == .pulling else { return }
            pulled.isReading = false
            askForTurn()
        }
        return false
    }
}
