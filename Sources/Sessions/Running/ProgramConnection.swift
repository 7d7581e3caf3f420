internal import CLinux
package import ChimeraBytes
package import ChimeraEventLoop

/// A program that runs, on its worker: its pipes, and what is known of its end.
package final class ProgramConnection {
    package let launch: ProgramLaunch
    let input: PipeEnd
    let output: PipeEnd
    /// Nil where the program has a terminal.
    let error: PipeEnd?
    package let id: String
    package let process: Int32
    /// The client has said that there is no more: what it says behind that is dropped.
    @exclusivity(unchecked) var endsInput = false
    /// What the program has not taken of its input.
    @exclusivity(unchecked) var unwritten: ByteBuffer?
    private let gone: () -> Void

    /// Takes the descriptors of a program that was started over.
    ///
    /// - Parameter gone: told when the program's first process has ended.
    /// - Throws: when epoll refuses one; then none is left open, and the program is told to end.
    package init(
        _ program: StartedProgram, _ launch: ProgramLaunch, on worker: Worker, gone: @escaping () -> Void
    ) throws(SystemError) {
        self.launch = launch
        self.gone = gone
        id = program.id
        process = program.process
        var rest = program.descriptors
        var made: [PipeEnd] = []
        do throws(SystemError) {
            while let descriptor = rest.first {
                rest.removeFirst()
                made.append(try PipeEnd(descriptor, writing: made.isEmpty, on: worker))
            }
        } catch {
            for pipe in made { pipe.close() }
            rest.forEach(FileDescriptors.close)
            launch.endProgram()
            throw error
        }
        (input, output, error) = (made[0], made[1], made.count > 2 ? made[2] : nil)
    }

    package func observe(_ observer: (any PipeObserver)?) {
        for pipe in pipes { pipe.observer = observer }
    }

    private var pipes: [PipeEnd] { [input, output] + (error.map { [$0] } ?? []) }

    /// Tells a program with a terminal how large that is.
    ///
    /// - Returns: false where it has none.
    package func resize(columns: Int, rows: Int) -> Bool {
        guard error == nil, output.isOpen else { return false }
        return chimera_resize_terminal(output.descriptor, UInt16(clamping: columns), UInt16(clamping: rows))
            == 0
    }

    /// Writes what waits, as much as the pipe takes.
    ///
    /// - Returns: whether anything went.
    @discardableResult
    package func flush() -> Bool {
        guard let unwritten else { return false }
        guard input.isOpen else {
            self.unwritten = nil
            return false
        }
        guard input.isReady else { return false }
        switch input.write(unwritten.pending) {
        case .bytes(let count):
            unwritten.consume(count)
            if unwritten.isEmpty { self.unwritten = nil }
            endInputIfDue()
            return count > 0
        case .wouldBlock: return false
        case .end, .failed:
            // It has closed its input, and goes on without.
            input.close()
            self.unwritten = nil
            return false
        }
    }

    /// Writes `bytes` behind what waits, and keeps what does not go.
    package func write(_ bytes: ByteBuffer) {
        guard input.isOpen, !endsInput, !bytes.isEmpty else { return bytes.clear() }
        if let unwritten {
            unwritten.append(bytes.readable)
            bytes.clear()
            return
        }
        switch input.write(bytes.pending) {
        case .bytes(let count): bytes.consume(count)
        case .wouldBlock: break
        case .end, .failed:
            input.close()
            return bytes.clear()
        }
        guard !bytes.isEmpty else { return }
        let rest = ByteBuffer(capacity: bytes.count)
        rest.append(bytes.readable)
        bytes.clear()
        unwritten = rest
    }

    /// Closes the program's input behind all that was said, where nothing else will be.
    package func endInputIfDue() {
        guard endsInput, unwritten == nil, input.isOpen else { return }
        endsInput = false
        input.close()
    }

    // MARK: Ending

    /// Nobody is there any more whom the program serves: it gets the rest of its input, then the end of it, and what it
    /// still says is dropped. Goes on by itself until it has ended.
    package func leave(
        on worker: Worker, scratch: SessionScratch, ending: EndingDelays, errors: ProgramErrors
    ) {
        if launch.end != nil {
            passLastErrors(scratch, errors)
            return close()
        }
        let scope = Scope()
        let waker = ScopeWaker(scope)
        launch.tell(scope)
        observe(waker)
        worker.start { [self] in
            await outlast(worker, scope, scratch, ending, errors)
            close()
            withExtendedLifetime(waker) {}
        }
        // What came before it was listened to.
        scope.wake(.io)
    }

    private func outlast(
        _ worker: Worker, _ scope: Scope, _ scratch: SessionScratch, _ ending: EndingDelays,
        _ errors: ProgramErrors
    ) async {
        let timer = ScopeTimer(scope)
        defer { worker.cancel(timer.timer) }
        var limit = worker.now + ending.terminate
        var isTold = false
        while launch.end == nil {
            if flush() { limit = worker.now + ending.terminate }
            if !isTold && (unwritten == nil || worker.now >= limit) {
                input.close()
                // Nobody is at the terminal any more, which the kernel tells the program.
                if error == nil { output.close() }
                unwritten = nil
                launch.endProgram()
                isTold = true
            }
            drop(output, scratch) { _ in }
            if let error { drop(error, scratch) { errors.take($0) } }
            if pipes.dropFirst().contains(where: { $0.isOpen && $0.isReady }) {
                await worker.yield()
                continue
            }
            if isTold { worker.cancel(timer.timer) } else { worker.set(timer.timer, to: limit) }
            _ = await scope.wait()
        }
        passLastErrors(scratch, errors)
    }

    /// Of a program that has ended: what is there of its last words, and no more than a pipe holds, whoever else has it.
    private func passLastErrors(_ scratch: SessionScratch, _ errors: ProgramErrors) {
        guard error?.isOpen == true else { return }
        for _ in 0..<Self.lastReadsMax {
            guard scratch.passErrors(of: self, to: errors) else { break }
        }
        errors.end()
    }

    private static let lastReadsMax = 16

    private func drop(_ pipe: PipeEnd, _ scratch: SessionScratch, _ sink: (Span<UInt8>) -> Void) {
        guard pipe.isOpen, pipe.isReady else { return }
        let room = scratch.program
        room.clear()
        switch pipe.read(into: room.writable) {
        case .bytes(let count):
            room.commit(count)
            sink(room.readable)
        case .wouldBlock: break
        case .end, .failed: pipe.close()
        }
    }

    /// The program goes on with somebody else, who has its pipes as well.
    func handOver() { close() }

    private func close() {
        observe(nil)
        launch.tell(nil)
        for pipe in pipes { pipe.close() }
        unwritten = nil
        gone()
    }
}

/// Wakes a scope on news of pipes.
final class ScopeWaker: PipeObserver {
    private let scope: Scope

    init(_ scope: Scope) { self.scope = scope }

    func pipeReady() { scope.wake(.io) }
}

/// Wakes a scope at a time.
package final class ScopeTimer: TimerTarget {
    private let scope: Scope
    package private(set) lazy var timer = Timer(target: self)

    package init(_ scope: Scope) { self.scope = scope }

    package func deadlineReached(now: Int64) { scope.wake(.deadline) }
}
