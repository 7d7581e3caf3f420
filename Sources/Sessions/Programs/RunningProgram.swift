internal import Synchronization

/// A program that runs and whose end is noted, before anybody is there who serves it.
package final class RunningProgram: Sendable {
    package let program: StartedProgram

    private struct State {
        var end: ProgramEnd?
        var told: (@Sendable (ProgramEnd) -> Void)?
    }

    private let state = Mutex(State())

    package init(_ program: StartedProgram) { self.program = program }

    package var hasEnded: Bool { state.withLock { $0.end != nil } }

    /// It has ended.
    package func ended(_ end: ProgramEnd) {
        let told = state.withLock { state in
            state.end = end
            return state.told
        }
        told?(end)
    }

    /// Whoever is told of the end from now on, also of one that was before.
    package func tell(_ told: @escaping @Sendable (ProgramEnd) -> Void) {
        let end = state.withLock { state in
            state.told = told
            return state.end
        }
        if let end { told(end) }
    }
}
