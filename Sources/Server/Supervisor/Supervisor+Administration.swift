internal import ChimeraAdministration
internal import ChimeraEventLoop
internal import Glibc

/// The operator's requests: what is the supervisor's it does, all else goes to a data plane with the connection.
extension Supervisor {
    func receive(_ visit: AdminDesk.Visit) {
        switch AdminRequest.parse(visit.line) {
        case .failure(let malformed):
            AdminDesk.answer(visit.connection, AdminRequest.failed(malformed.reason))
        case .success(let request): perform(request, visit)
        }
    }

    private func perform(_ request: AdminRequest, _ visit: AdminDesk.Visit) {
        switch request.command {
        case .status:
            guard let plane = plan.serving.flatMap({ planes[$0.generation] }) else {
                return AdminDesk.answer(visit.connection, AdminRequest.done(.of(["supervisor": report])))
            }
            pass(visit, to: plane)
        case .upgrade: upgrade(for: visit.connection)
        case .stop(let atOnce):
            if stopWaiters.count < Supervisor.waitersMax {
                AdminDesk.write(.of(["stopping": .bool(true)]), to: visit.connection)
                stopWaiters.append(visit.connection)
            } else {
                AdminDesk.answer(
                    visit.connection,
                    AdminRequest.failed("the gateway is stopping, and too many wait for its end"))
            }
            stop()
            // The second one is the word for "at once".
            if atOnce { stop() }
        case .dataPlane(let generation):
            let wanted = generation ?? plan.serving?.generation
            guard let plane = wanted.flatMap({ planes[$0] }) else {
                let reason = generation.map { "there is no data plane of generation \($0)" }
                return AdminDesk.answer(
                    visit.connection, AdminRequest.failed(reason ?? "no data plane serves at the moment"))
            }
            pass(visit, to: plane)
        }
    }

    private func pass(_ visit: AdminDesk.Visit, to plane: DataPlaneProcess) {
        let question = ControlMessage(.question).with(.text, String(decoding: visit.line, as: UTF8.self))
            .with(.context, report.text)
        plane.tell(question, descriptors: [visit.connection])
    }

    private func upgrade(for connection: Int32) {
        guard upgradeWaiters.count < Supervisor.waitersMax else {
            return AdminDesk.answer(connection, AdminRequest.failed("too many wait for an upgrade"))
        }
        upgradeWaiters.append(connection)
        perform(plan.upgrade(now: Clock.monotonicMilliseconds()))
    }

    /// What the supervisor knows.
    private var report: JSON {
        let now = Clock.monotonicMilliseconds()
        let known = plan.planes.compactMap { plane -> JSON? in
            guard let process = planes[plane.generation] else { return nil }
            return .of([
                "generation": .integer(Int64(plane.generation)), "pid": .integer(Int64(process.pid)),
                "version": .string(process.version), "state": .string(plane.phase.rawValue),
                "uptime_ms": .integer(now - process.startedAt),
            ])
        }
        return .of([
            "version": .string(Version.text), "pid": .integer(Int64(getpid())),
            "uptime_ms": .integer(now - startedAt), "stopping": .bool(plan.isStopping),
            "data_planes": .array(known), "restarts": .integer(Int64(restarts)),
            "restart_in_ms": plan.restartAt.map { .integer(max(0, $0 - now)) },
            "upgrade_waits": .bool(plan.upgradeWaits),
            "last_death": lastDeath.map { death in
                .of([
                    "generation": .integer(Int64(death.generation)), "how": .string(death.end.text),
                    "ago_ms": .integer(now - death.at), "lines": .array(death.lines.map { .string($0) }),
                ])
            },
        ])
    }
}
