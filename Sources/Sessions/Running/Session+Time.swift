internal import ChimeraBytes
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraWebSocket

/// What a session does when nothing comes: pings, and the bounds of its times.
extension Session {
    func checkTimes(_ frames: ByteBuffer) {
        let now = worker.now
        if now >= closingEndsAt {
            if closing.expired().transport == .release { isReleased = true }
            return
        }
        if closing.maySend, let lifeMax = options.lifeMax, now >= startedAt + lifeMax {
            return close(.goingAway, "its time is over", .life, frames)
        }
        if exchange.isBlocked {
            guard let sendMax = options.sendMax, now >= sendProgressAt + sendMax else { return }
            if exchange.clientHasProgressed() {
                sendProgressAt = now
            } else {
                give(up: .sendTimeout)
            }
            return
        }
        guard closing.maySend else { return }
        if let idleMax = options.idleMax, now >= movedAt + idleMax {
            return close(.goingAway, "idle", .idle, frames)
        }
        checkPresence(now, frames)
    }

    private func checkPresence(_ now: Int64, _ frames: ByteBuffer) {
        if isHeldUp {
            // What a client that has left still had to say waits for a program that does not read.
            if exchange.clientHasEnded && now >= inputProgressAt + options.ending.terminate {
                give(up: .lost)
            }
            return
        }
        guard let pingAfter = options.pingAfter, now >= heardAt + pingAfter else { return }
        if !awaitsPong {
            awaitsPong = true
            ControlFrame.append(.ping, [UInt8]().span, maskingKey: nil, to: frames)
        } else if let pongWithin = options.pongWithin, now >= heardAt + pingAfter + pongWithin {
            give(up: .unanswered)
        }
    }

    func give(up why: SessionEnd) {
        if end == nil { end = why }
        isReleased = true
    }

    func armDeadline() {
        var limit = min(closingEndsAt, failsAt)
        if closing.maySend, let lifeMax = options.lifeMax { limit = min(limit, startedAt + lifeMax) }
        if exchange.isBlocked {
            if let sendMax = options.sendMax { limit = min(limit, sendProgressAt + sendMax) }
        } else if closing.maySend {
            if let idleMax = options.idleMax { limit = min(limit, movedAt + idleMax) }
            limit = min(limit, presenceLimit)
        }
        exchange.setDeadline(after: limit == .max ? nil : max(0, limit - worker.now))
    }

    private var presenceLimit: Int64 {
        if isHeldUp {
            return exchange.clientHasEnded ? inputProgressAt + options.ending.terminate : .max
        }
        guard let pingAfter = options.pingAfter else { return .max }
        guard awaitsPong else { return heardAt + pingAfter }
        return options.pongWithin.map { heardAt + pingAfter + $0 } ?? .max
    }
}
