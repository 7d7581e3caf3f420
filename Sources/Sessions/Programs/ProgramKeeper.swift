internal import CLinux
package import ChimeraEventLoop
internal import Glibc

/// All programs of one process that starts them, from their start until nothing of them is left; on one thread, which
/// lives as long as they may.
///
/// ```
///            end(), owner gone          delay             delay
///  running ────────────────▶ inputEnded ─────▶ terminated ─────▶ killed
///     ╰──────────── the first process ends: reaped ───────────────╯
///                        │ others of its group are left
///                        ▼            delay
///                    lingering: SIGTERM ─────▶ SIGKILL ──▶ gone
/// ```
/// What left its program's group is found among the orphans that became children of this process, by the
/// `CHIMERA_SESSION` in their environment, and ended in the same way. A number of a process is signalled only as long as
/// it cannot be another's: a child that was not reaped, or a group that has members.
package final class ProgramKeeper {
    /// Where what left its group is looked for.
    package enum Reach: Sendable {
        /// Among the children: this process adopts orphans.
        case children
        /// Among all processes.
        case everywhere
    }

    private enum Step { case running, inputEnded, terminated, killed }

    private struct Program {
        let process: Int32
        var owner: Int
        let delays: EndingDelays
        var step = Step.running
        /// It has a cgroup of its own.
        let hasGroup: Bool
        /// Its first process is reaped.
        var hasEnded = false
        var deadline = Int64.max
    }

    /// What a program that was reaped is told of.
    package struct Ended: Equatable, Sendable {
        package var id: String
        package var owner: Int
        package var end: ProgramEnd
    }

    /// What the ids of this process begin with.
    package let instance: String
    private let reach: Reach
    private let list: ProgramList?
    private var programs: [String: Program] = [:]
    private var byProcess: [Int32: String] = [:]
    /// Programs whose first process has ended and whose group is left.
    private var lingering: Set<String> = []
    /// Processes that left their program's group, and when they are killed.
    private var strays: [Int32: Int64] = [:]
    private var count: UInt64 = 0
    private var nextDeadline = Int64.max
    private var sweepAt = Int64.max
    private var lastSweep = Int64.min / 2
    /// Of programs that have ended and may have left something that was not found yet.
    private var delaysOfEnded: [String: EndingDelays] = [:]
    /// Programs past which what was left by those before has the usual delays.
    private static let endedMax = 10_000
    /// Another search follows the next one that finds nothing.
    private var looksAgain = false
    /// Nil until a program has limits that need one, or a supervisor before this one has left some; and where there are none.
    private var groups: ControlGroups?
    private var hasAskedForGroups = false
    /// Cgroups that were not empty when they were to go.
    private var emptied: Set<String> = []

    /// Milliseconds between two searches for strays.
    private static let sweepPause: Int64 = 200
    /// Until the second look: a process that is just becoming another program has no environment for a moment.
    private static let secondLook: Int64 = 1_000

    /// - Parameter listPath: where the list of programs is kept; nil for nowhere.
    package init(reach: Reach, listPath: String?) {
        var random = SystemRandomNumberGenerator()
        let name = String(random.next(), radix: 16) + String(random.next(), radix: 16)
        instance = name
        self.reach = reach
        var before: ProgramList.Content?
        if let listPath {
            list = ProgramList(path: listPath, instance: name, before: &before)
        } else {
            list = nil
        }
        if let before {
            Leftovers.kill(before)
            emptied = Set(openGroups()?.kill(instance: before.instance) ?? [])
        }
        list?.begin()
    }

    /// Nothing is left: nobody who comes later has to look.
    package func close() {
        list?.discard()
        removeEmptied()
        groups?.discard()
    }

    /// Whether the list of programs is kept.
    package var keepsList: Bool { list != nil }

    /// Something is left to be ended.
    package var hasWork: Bool { !programs.isEmpty || !strays.isEmpty || sweepAt != .max }

    /// When `expired` wants to be called, in milliseconds of the monotonic clock; `Int64.max` for never.
    package var deadline: Int64 { min(nextDeadline, sweepAt) }

    // MARK: Limits

    /// Makes ready for programs with limits.
    ///
    /// - Returns: which of them are enforced.
    package func prepare(_ wanted: Set<ControlGroups.Controller>) -> Set<ControlGroups.Controller> {
        if wanted.isEmpty { return [] }
        guard let groups = openGroups() else { return [] }
        groups.enable(wanted)
        return groups.enforced
    }

    private func openGroups() -> ControlGroups? {
        if !hasAskedForGroups {
            hasAskedForGroups = true
            // Only one process at a time can say where in the tree it is: the one that has no others beside it.
            if reach == .children { groups = ControlGroups() }
        }
        return groups
    }

    private func makeGroup(_ id: String, _ limits: ProgramLimits) throws(SystemError) -> ProgramGroup? {
        removeEmptied()
        let wanted = limits.controllers
        guard !wanted.isEmpty, let groups = openGroups() else { return nil }
        if !wanted.isSubset(of: groups.enforced) { groups.enable(wanted) }
        return ProgramGroup(directory: try groups.make(id, limits), enforced: groups.enforced)
    }

    private func removeEmptied() { for id in emptied { removeGroup(id) } }

    private func removeGroup(_ id: String) {
        if let groups, !groups.remove(id) { emptied.insert(id) } else { emptied.remove(id) }
    }

    // MARK: Events

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - owner: whoever it is started for; its programs end with it.
    ///   - user: nil for whoever this process is.
    ///   - descriptors: what it may have open; nil for as many as this process.
    package func start(
        _ order: ProgramOrder, owner: Int, as user: ProgramUser?, descriptors: UInt? = nil
    ) throws(SystemError) -> StartedProgram {
        let id = "\(instance).\(count)"
        count += 1
        let environment = order.environment.filter { !$0.hasPrefix("CHIMERA_SESSION=") }
        let group = try makeGroup(id, order.limits)
        defer { if let group { FileDescriptors.close(group.directory) } }
        let tick = ProcessFile.tick
        let started: StartedProgram
        do throws(SystemError) {
            started = try ProgramPipes.start(
                order, id: id, environment: environment + ["CHIMERA_SESSION=\(id)"], as: user,
                descriptors: descriptors, group: group)
        } catch {
            if group != nil { removeGroup(id) }
            throw error
        }
        programs[id] = Program(
            process: started.process, owner: owner, delays: order.ending, hasGroup: group != nil)
        byProcess[started.process] = id
        if let list {
            // It is known already where the clock has not moved on, and the file in /proc costs as much as ten other calls.
            let startedAt =
                ProcessFile.tick == tick ? tick : ProcessFile.startTime(of: started.process) ?? 0
            list.add(ProgramList.Entry(process: started.process, startedAt: startedAt, id: id))
        }
        return started
    }

    /// The program's client is gone, and so is its input.
    package func end(_ id: String, now: Int64) {
        guard let program = programs[id], program.step == .running, !program.hasEnded else { return }
        step(id, .inputEnded, until: now + program.delays.terminate)
    }

    /// The owner is gone: so are our ends of its programs' pipes.
    package func ownerEnded(_ owner: Int, now: Int64) {
        for (id, program) in programs where program.owner == owner { end(id, now: now) }
    }

    /// Whoever a program is for; nil for one that is not there.
    package func owner(of id: String) -> Int? { programs[id]?.owner }

    /// A program's first process; nil for a program that is not there.
    package func process(of id: String) -> Int32? { programs[id]?.process }

    /// A program is for somebody else from now on.
    package func pass(_ id: String, to owner: Int) { programs[id]?.owner = owner }

    /// Everybody is to end.
    package func endAll(now: Int64) { for id in programs.keys { end(id, now: now) } }

    /// Sends a signal to the program's group, as long as it runs.
    package func signal(_ id: String, _ number: Int32) {
        guard let program = programs[id], !program.hasEnded else { return }
        kill(-program.process, number)
    }

    /// A child was reaped.
    ///
    /// - Returns: nil for one that is no program's first process.
    package func reaped(_ process: Int32, waitStatus: Int32, now: Int64) -> Ended? {
        // What it leaves behind are our children now.
        sweepAt = min(sweepAt, max(now, lastSweep + Self.sweepPause))
        looksAgain = true
        guard let id = byProcess.removeValue(forKey: process), var program = programs[id] else {
            strays[process] = nil
            forgetEmptyGroups()
            return nil
        }
        program.hasEnded = true
        let hasLeftGroup = program.hasGroup && endGroup(id)
        if kill(-process, SIGTERM) == 0 || hasLeftGroup {
            program.step = .terminated
            program.deadline = now + program.delays.kill
            nextDeadline = min(nextDeadline, program.deadline)
            programs[id] = program
            lingering.insert(id)
            // Zombies of the group, whose parent was the program, are reaped next.
        } else {
            forget(id)
        }
        return Ended(id: id, owner: program.owner, end: ProgramEnd(waitStatus: waitStatus))
    }

    /// Goes on with what is due.
    package func expired(now: Int64) {
        if now >= sweepAt { sweep(now) }
        guard now >= nextDeadline else { return }
        forgetEmptyGroups()
        for (id, program) in programs where program.deadline <= now { advance(id, program, now) }
        nextDeadline = programs.values.map(\.deadline).min() ?? .max
    }

    // MARK: Steps

    private func step(_ id: String, _ step: Step, until deadline: Int64) {
        programs[id]?.step = step
        programs[id]?.deadline = deadline
        nextDeadline = min(nextDeadline, deadline)
    }

    private func advance(_ id: String, _ program: Program, _ now: Int64) {
        switch program.step {
        case .running: break
        case .inputEnded:
            kill(-program.process, SIGTERM)
            // What is stopped cannot hear it.
            kill(-program.process, SIGCONT)
            step(id, .terminated, until: now + program.delays.kill)
        case .terminated, .killed:
            // A second time: it may hang in the kernel, or be about to be reaped.
            kill(-program.process, SIGKILL)
            if program.hasGroup { groups?.kill(id) }
            step(id, .killed, until: now + 1_000)
        }
    }

    /// Tells what is left in a program's cgroup to end.
    ///
    /// - Returns: whether something is.
    private func endGroup(_ id: String) -> Bool {
        let left = groups?.processes(of: id) ?? []
        for process in left {
            kill(process, SIGTERM)
            kill(process, SIGCONT)
        }
        return !left.isEmpty
    }

    private func forgetEmptyGroups() {
        for id in lingering {
            guard let program = programs[id] else { continue }
            guard kill(-program.process, 0) != 0 && errno == ESRCH else { continue }
            if !program.hasGroup || groups?.processes(of: id).isEmpty != false { forget(id) }
        }
        removeEmptied()
    }

    private func forget(_ id: String) {
        if let program = programs.removeValue(forKey: id) {
            if program.hasGroup { removeGroup(id) }
            if delaysOfEnded.count >= Self.endedMax { delaysOfEnded = [:] }
            delaysOfEnded[id] = program.delays
        }
        lingering.remove(id)
        list?.remove(id)
    }

    // MARK: Strays

    /// Ends what left the groups of programs that have ended.
    private func sweep(_ now: Int64) {
        lastSweep = now
        sweepAt = .max
        var found: [Int32: Int64] = [:]
        for process in candidates() where byProcess[process] == nil {
            guard let id = ProcessFile.session(of: process), id.hasPrefix(instance + ".") else { continue }
            let program = programs[id]
            // Of a program that runs, or of a group that is ended as a whole.
            if let program, !program.hasEnded || getpgid(process) == program.process { continue }
            let delays = program?.delays ?? delaysOfEnded[id] ?? EndingDelays()
            let until = strays[process] ?? now + delays.kill
            if strays[process] == nil {
                kill(process, SIGTERM)
                kill(process, SIGCONT)
            } else if now >= until {
                kill(process, SIGKILL)
            }
            found[process] = until
        }
        strays = found
        if let next = found.values.min() {
            sweepAt = max(next, now + Self.sweepPause)
        } else if looksAgain {
            looksAgain = false
            sweepAt = now + Self.secondLook
        } else {
            delaysOfEnded = [:]
        }
    }

    private func candidates() -> [Int32] {
        if reach == .children, let children = ProcessFile.ownChildren() { return children }
        return ProcessFile.all()
    }
}

/// What a supervisor that was killed has left.
package enum Leftovers {
    /// Searches, each of which may find what the one before has missed since it was just being made.
    private static let passesMax = 5

    /// Ends at once what the programs are of that have these ids.
    package static func kill(ofSession id: String) {
        guard let dot = id.lastIndex(of: ".") else { return }
        kill(instance: String(id[..<dot]))
    }

    /// Ends it all, at once: nobody is there any more for whom it could have something to finish.
    static func kill(_ content: ProgramList.Content) {
        guard content.boot == ProcessFile.bootID(), !content.instance.isEmpty else { return }
        for entry in content.entries where entry.process > 1 {
            // The same number and the same start: it is the same process.
            guard ProcessFile.startTime(of: entry.process) == entry.startedAt else { continue }
            Glibc.kill(-entry.process, SIGKILL)
            Glibc.kill(entry.process, SIGKILL)
        }
        kill(instance: content.instance)
    }

    /// Ends every process whose session's id begins so.
    package static func kill(instance: String) {
        for _ in 0..<passesMax {
            let found = ProcessFile.all().filter { process in
                guard let id = ProcessFile.session(of: process), id.hasPrefix(instance + ".") else {
                    return false
                }
                return Glibc.kill(process, SIGKILL) == 0
            }
            if found.isEmpty { return }
        }
    }
}
