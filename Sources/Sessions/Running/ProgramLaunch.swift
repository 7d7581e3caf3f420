package import ChimeraEventLoop

/// A program on its way and at its end, as the worker of its session hears of it: what others tell comes by the worker's
/// mail.
package final class ProgramLaunch {
    private let source: any ProgramSource
    /// Where whoever waits for news does so.
    private var scope: Scope?
    /// Nil until it is known.
    package private(set) var result: Result<StartedProgram, SystemError>?
    /// How the program's first process has ended; nil as long as it runs.
    package private(set) var end: ProgramEnd?
    private var isAbandoned = false
    /// Told when a program that nobody wants takes nothing any more.
    private var gone: (() -> Void)?

    /// Asks for a program, on the worker's thread. It must be told where it is not wanted any more.
    package init(_ order: ProgramOrder, from source: any ProgramSource, on worker: Worker, scope: Scope) {
        self.source = source
        self.scope = scope
        let own = Confined(self, to: worker)
        source.start(order) { result in
            own.mail { $0.started(result) }
        } ended: { end in
            own.mail { $0.ended(end) }
        }
    }

    /// Takes a program that runs already.
    package init(_ running: RunningProgram, from source: any ProgramSource, on worker: Worker, scope: Scope) {
        self.source = source
        self.scope = scope
        result = .success(running.program)
        let own = Confined(self, to: worker)
        running.tell { end in own.mail { $0.ended(end) } }
    }

    /// Another scope is woken from now on.
    package func tell(_ scope: Scope?) { self.scope = scope }

    /// Nobody waits for the program: it ends where it runs already, or as soon as it has been started.
    ///
    /// - Parameter gone: told when it has ended, or could not be started; until then it takes what a program takes.
    package func abandon(_ gone: @escaping () -> Void = {}) {
        scope = nil
        isAbandoned = true
        self.gone = gone
        if let result { conclude(result) }
    }

    private func conclude(_ result: Result<StartedProgram, SystemError>) {
        if case .success(let program) = result {
            release(program)
            if end == nil { return }
        }
        tellGone()
    }

    private func tellGone() {
        let told = gone
        gone = nil
        told?()
    }

    /// The program has no input any more, and has to end.
    package func endProgram() {
        if case .success(let program)? = result, end == nil { source.end(program.id) }
    }

    /// Sends a signal to the program's group.
    package func signal(_ number: Int32) {
        if case .success(let program)? = result, end == nil { source.signal(program.id, number) }
    }

    private func started(_ result: Result<StartedProgram, SystemError>) {
        self.result = result
        if isAbandoned { return conclude(result) }
        scope?.wake(.done)
    }

    private func release(_ program: StartedProgram) {
        program.descriptors.forEach(FileDescriptors.close)
        source.end(program.id)
    }

    private func ended(_ end: ProgramEnd) {
        self.end = end
        if isAbandoned { return tellGone() }
        scope?.wake(.done)
    }
}
