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
        if exchange.isBlocked { return checkSending(now, frames) }
        guard closing.maySend else { return }
        if let idleMax = options.idleMax, now >= movedAt + idleMax {
            return close(.goingAway, "idle", .idle, frames)
        }
        checkPresence(now, frames)
    }

    /// What a client takes shows only when it is asked about.
    private func checkSending(_ now: Int64, _ frames: ByteBuffer) {
        let isLate = options.sendMax.map { now >= sendProgressAt + $0 } ?? false
        guard isLate || now >= blockedIdleLimit else { return }
        if exchange.clientHasProgressed() {
            sendProgressAt = now
        } else if isLate {
            give(up: .sendTimeout)
        } else {
            close(.goingAway, "idle", .idle, frames)
        }
    }

    /// When a client that takes nothing has been idle for too long.
    private var blockedIdleLimit: Int64 {
        guard closing.maySend, let idleMax = options.idleMax else { return .max }
        return max(movedAt, sendProgressAt) + idleMax
    }

    private func checkPresence(_ now: Int64, _ frames: ByteBuffer) {
        if isDeaf {
            // What a client that has left still had to say waits for a program that does not read.
            if now >= leftLimit { give(up: .lost) }
            return
        }
        guard let pingAfter = options.pingAfter else { return }
        if let pingedAt {
            if let pongWithin = options.pongWithin, now >= pingedAt + pongWithin { give(up: .unanswered) }
        } else if now >= heardAt + pingAfter {
            pingedAt = now
            ControlFrame.append(.ping, [UInt8]().span, maskingKey: nil, to: frames)
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
            limit = min(limit, blockedIdleLimit)
        } else if closing.maySend {
            if let idleMax = options.idleMax { limit = min(limit, movedAt + idleMax) }
            limit = min(limit, presenceLimit)
        }
        exchange.setDeadline(after: limit == .max ? nil : max(0, limit - worker.now))
    }

    private var presenceLimit: Int64 {
        if isDeaf { return leftLimit }
        guard let pingAfter = options.pingAfter else { return .max }
        guard let pingedAt else { return heardAt + pingAfter }
        return options.pongWithin.map { pingedAt + $0 } ?? .max
    }

    private var leftLimit: Int64 {
        isHeldUp && exchange.hasAllOfRequest ? inputProgressAt + options.ending.terminate : .max
    }
}
