import ChimeraEventLoop
import ChimeraTestSupport
import Glibc
import Testing

@Suite(.timeLimit(.minutes(1))) struct `Waiting in a scope` {
    @Test func `what happened before a wait ends it at once, all of it`() async throws {
        let wakes = try await onWorker { _ in
            let scope = Scope()
            scope.wake(.io)
            scope.wake(.deadline)
            return [await scope.wait()]
        }
        #expect(wakes == [[.io, .deadline]])
    }

    @Test func `a wake resumes the task that waits, and a second one finds nobody`() async throws {
        let seen = try await onWorker { worker in
            let scope = Scope()
            var seen: [(isWaiting: Bool, wake: Wake)] = []
            worker.start {
                // The other task waits by now: it ran until it had nothing more to do.
                seen.append((scope.isWaiting, []))
                scope.wake(.io)
                seen.append((scope.isWaiting, []))
                scope.wake(.abort)
                seen.append((scope.isWaiting, []))
            }
            let first = await scope.wait()
            seen.append((scope.isWaiting, first))
            scope.wake(.done)
            seen.append((scope.isWaiting, await scope.wait()))
            return seen.map { "\($0.isWaiting) \($0.wake.rawValue)" }
        }
        // Both wakes came before the task ran again, so it sees them as one; each is seen once.
        #expect(seen == ["true 0", "false 0", "false 0", "false 5", "false 8"])
    }

    @Test func `a wake while the task runs is seen at its next wait`() async throws {
        let wakes = try await onWorker { worker in
            let scope = Scope()
            worker.start { scope.wake(.io) }
            var wakes = [await scope.wait()]
            scope.wake(.abort)
            wakes.append(await scope.wait())
            return wakes
        }
        #expect(wakes == [.io, .abort])
    }

    @Test func `a scope that was reset has forgotten what was latched`() async throws {
        let wake = try await onWorker { worker in
            let scope = Scope()
            scope.wake(.abort)
            scope.reset()
            worker.start { scope.wake(.done) }
            return await scope.wait()
        }
        #expect(wake == .done)
    }

    @Test func `a deadline that was set anew is not over because of the one before`() async throws {
        let wake = try await onWorker { worker in
            let scope = Scope()
            scope.wake(.deadline)
            scope.wake(.io)
            scope.forgetDeadline()
            return await scope.wait()
        }
        #expect(wake == .io)
    }

    @Test func `two tasks that wait in one scope end the process`() async throws {
        setenv("SWIFT_BACKTRACE", "enable=no", 1)
        await #expect(processExitsWith: .failure) {
            _ = try await onWorker { worker in
                let scope = Scope()
                worker.start { _ = await scope.wait() }
                return await scope.wait()
            }
        }
    }
}
