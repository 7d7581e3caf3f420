internal import ChimeraBytes
internal import ChimeraEventLoop

/// What one worker's sessions use while they have a turn; never held across a wait.
package final class SessionScratch {
    /// Frames of a client.
    let input = ByteBuffer(capacity: 64 * 1024)
    /// Empty between turns.
    let inflated = ByteBuffer(capacity: 1024)
    /// Frames for a client.
    let frames = ByteBuffer(capacity: 64 * 1024)
    /// What a program said.
    let program = ByteBuffer(capacity: 64 * 1024)
    /// What a program is to read.
    let forProgram = ByteBuffer(capacity: 64 * 1024)

    package init() {}
}

/// What a look at a stream of a program found.
enum ProgramReading {
    case nothing
    /// Octets, in `SessionScratch.program`; whether another look may find more, without news.
    case octets(mayHaveMore: Bool)
    /// The stream has ended, and is closed.
    case ended
}

extension SessionScratch {
    /// Reads a stream once. Of a program that has ended what it said is there, whether epoll has told so yet or not, and
    /// what is not there will not come, whoever else may have the pipe open.
    ///
    /// - Parameter most: so many octets at most.
    func read(
        _ stream: SessionProgram.Stream, of program: any SessionProgram, atMost most: Int = .max
    ) -> ProgramReading {
        let toTheEnd = program.end != nil
        guard most > 0, program.isOpen(stream), toTheEnd || program.isReady(stream) else { return .nothing }
        let room = self.program
        room.clear()
        switch program.read(stream, into: UnsafeMutableRawBufferPointer(rebasing: room.writable.prefix(most)))
        {
        case .bytes(let count):
            room.commit(count)
            return .octets(mayHaveMore: toTheEnd)
        case .wouldBlock where !toTheEnd: return .nothing
        case .wouldBlock, .end, .failed:
            program.close(stream)
            return .ended
        }
    }

    /// Passes on what a program writes to standard error, where its client does not get it: also while that takes nothing,
    /// since the log does.
    ///
    /// - Returns: whether another look may find more, without news.
    func passErrors(of program: any SessionProgram, to errors: ProgramErrors) -> Bool {
        switch read(.stderr, of: program) {
        case .nothing: return false
        case .octets(let mayHaveMore):
            let room = self.program
            errors.take(room.readable)
            room.clear()
            return mayHaveMore
        case .ended:
            errors.end()
            return false
        }
    }
}
