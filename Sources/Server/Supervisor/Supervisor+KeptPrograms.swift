internal import CLinux
internal import ChimeraEventLoop
internal import ChimeraSessions
internal import Glibc

/// Programs that outlive data planes: who has them, and how the next one gets them.
extension Supervisor {
    /// The owner of programs that no data plane serves.
    private static let nobody = -1
    /// What a data plane may say of a program.
    private static let factsMax = 16 * 1024
    /// How much longer than without a client a program lives that no data plane serves: until the next one does.
    private static let orphanMilliseconds: Int64 = 30_000

    /// Takes a message about them, and out of `descriptors` what it keeps.
    ///
    /// - Returns: false for another message.
    func receiveKept(
        _ message: ControlMessage, _ descriptors: inout [Int32], from plane: DataPlaneProcess
    ) -> Bool {
        switch message.kind {
        case .keepProgram: keep(message, &descriptors, for: plane)
        case .endInput: message.text(.text).map { kept.endInput($0) }
        case .findProgram: find(message, for: plane)
        case .releaseProgram: released(message, &descriptors, by: plane)
        case .takesPrograms: plane.takesPrograms = true
        default: return false
        }
        return true
    }

    private func keep(
        _ message: ControlMessage, _ descriptors: inout [Int32], for plane: DataPlaneProcess
    ) {
        guard let id = message.text(.text), let token = message.text(.token),
            let facts = message.text(.facts),
            facts.utf8.count <= Self.factsMax, let time = message.number(.milliseconds),
            keeper?.owner(of: id) == plane.generation, kept[id] == nil, kept.id(of: token) == nil,
            (2...3).contains(descriptors.count), let process = keeper?.process(of: id)
        else { return }
        let record = KeptRecord(token: token, facts: facts, milliseconds: max(0, min(time, 86_400_000)))
        var entry = KeptTable.Entry(
            process: process, record: record, hasTerminal: descriptors.count == 2, descriptors: descriptors)
        entry.owner = plane.generation
        descriptors = []
        kept.add(id, entry)
    }

    /// The program has ended, or is to end: nothing here keeps its input open.
    func forgetKept(_ id: String) {
        guard let entry = kept.remove(id) else { return }
        for asker in entry.waiting { answer(asker) }
    }

    private func answer(_ asker: (generation: Int, request: Int64)) {
        planes[asker.generation]?.tell(ControlMessage(.programFound).with(.request, asker.request))
    }

    // MARK: From one to the next

    private func find(_ message: ControlMessage, for plane: DataPlaneProcess) {
        let asker = (generation: plane.generation, request: message.number(.request) ?? 0)
        guard let id = message.text(.token).flatMap({ kept.id(of: $0) }), let entry = kept[id],
            entry.owner != plane.generation
        else { return answer(asker) }
        kept[id]?.waiting.append(asker)
        if let owner = entry.owner.flatMap({ planes[$0] }) {
            owner.tell(ControlMessage(.release).with(.text, id))
        } else {
            handOut(id)
        }
    }

    private func released(
        _ message: ControlMessage, _ descriptors: inout [Int32], by plane: DataPlaneProcess
    ) {
        guard let id = message.text(.text), let entry = kept[id], entry.owner == plane.generation else {
            // One that nobody is to have behind it.
            if let id = message.text(.text), keeper?.owner(of: id) == plane.generation {
                keeper?.end(id, now: Clock.monotonicMilliseconds())
            }
            return
        }
        // It had no room for it, and may have the next time that a client comes back.
        if message.text(.failure) != nil {
            orphan(id)
            if !entry.waiting.isEmpty { handOut(id) }
            return
        }
        // Who lets go unasked is about to end.
        if entry.waiting.isEmpty { plane.takesPrograms = false }
        if let old = entry.log { close(old) }
        kept[id]?.log = descriptors.popLast()
        orphan(id)
        handOut(id)
    }

    /// A data plane has ended without a word: what it had kept of the output is lost.
    ///
    /// - Returns: whether there is any.
    @discardableResult
    func orphanKept(of generation: Int) -> Bool {
        let left = kept.entries.filter { $0.value.owner == generation }
        for (id, entry) in left {
            if let log = entry.log { close(log) }
            kept[id]?.log = nil
            orphan(id)
        }
        return !left.isEmpty
    }

    private func orphan(_ id: String) {
        guard let entry = kept[id] else { return }
        kept[id]?.owner = nil
        kept[id]?.deadline =
            Clock.monotonicMilliseconds() + entry.record.milliseconds + Self.orphanMilliseconds
        keeper?.pass(id, to: Self.nobody)
    }

    /// Gives all that nobody serves to who serves now.
    func handOutKept() { for (id, entry) in kept.entries where entry.owner == nil { handOut(id) } }

    /// Gives a program to who waits for it, or else to who serves now.
    private func handOut(_ id: String) {
        guard let entry = kept[id], entry.owner == nil, status == nil, !plan.isStopping else { return }
        let asking = entry.waiting.compactMap { planes[$0.generation] }.first { $0.takesPrograms }
        let serving = plan.serving.flatMap { planes[$0.generation] }
        guard let plane = asking ?? serving, plane.takesPrograms, let ends = ends(of: entry) else { return }
        kept[id]?.owner = plane.generation
        kept[id]?.handovers += 1
        kept[id]?.deadline = .max
        kept[id]?.log = nil
        kept[id]?.waiting = []
        keeper?.pass(id, to: plane.generation)
        let told = ControlMessage(.programKept).with(.text, id).with(.token, entry.record.token)
            .with(.facts, entry.record.facts).with(.milliseconds, entry.record.milliseconds)
            .with(.count, Int64(entry.process)).with(.more, entry.handovers + 1)
            .with(.terminal, entry.hasTerminal ? 1 : 0).with(.log, entry.log == nil ? 0 : 1)
        plane.tell(told, descriptors: ends + (entry.log.map { [$0] } ?? []))
        for asker in entry.waiting { answer(asker) }
    }

    /// Duplicates for a data plane; nil where there is no descriptor left.
    private func ends(of entry: KeptTable.Entry) -> [Int32]? {
        var copies = FileDescriptors.copies(of: entry.descriptors.filter { $0 >= 0 })
        if entry.descriptors[0] < 0 { copies.insert(chimera_broken_pipe(), at: 0) }
        guard copies.count == entry.descriptors.count, !copies.contains(-1) else {
            for copy in copies where copy >= 0 { close(copy) }
            return nil
        }
        return copies
    }

    /// Ends those that no data plane has come for.
    func endForgottenKept(_ now: Int64) {
        for (id, entry) in kept.entries where entry.deadline <= now {
            forgetKept(id)
            keeper?.end(id, now: now)
        }
    }
}
