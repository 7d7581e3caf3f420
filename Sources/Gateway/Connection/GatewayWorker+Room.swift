internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraTelemetry

/// How many connections there may be, and what gives way to a new one where there are as many.
///
/// ```
///  accepted, as many as may be ─▶ close those that were idle for longest ─▶ go on
///                                          │ nobody is idle here
///                                          ▼
///                        the other workers look for theirs; accepting pauses
///                                          │ a connection ends, or 100 ms
///                                          ▼
///                                    accepting goes on
/// ```
/// The same happens where the kernel has no descriptor left.
extension GatewayWorker {
    /// How long a connection that never sent anything is left alone, in milliseconds: its request may be on its way.
    private static let freshMilliseconds: Int64 = 1_000
    /// How long a pause of accepting lasts at most, in milliseconds.
    static let pauseMilliseconds: Int64 = 100

    /// Connections past which accepting pauses, with so many descriptors: the rest is for upstreams and files.
    static func connectionsMax(descriptors: Int) -> Int {
        max(8, descriptors - max(32, min(descriptors / 4, 1_024)))
    }

    /// Whether there are as many connections as there may be.
    var isFull: Bool { shared.loads.total >= connectionsMax }

    /// A new connection needs a place where there is none.
    func makeRoom(_ hit: LimitHit) {
        counters.add(hit)
        if closeIdle() > 0 { return }
        shared.handover.makeRoom(except: worker.index)
        pauseAccepting()
    }

    /// Closes the connections that were idle for longest: one, or a share of many, so that looking for them costs
    /// each new connection little.
    ///
    /// - Returns: how many were closed.
    @discardableResult
    func closeIdle() -> Int {
        let now = worker.now
        var idle: [(since: Int64, connection: ClientConnection)] = []
        forEachConnection { connection in
            guard !connection.listener.isTelemetry, let since = connection.idleSince,
                connection.hasServed || now - since >= Self.freshMilliseconds
            else { return }
            idle.append((since, connection))
        }
        let wanted = min(idle.count, 1 + idle.count / 64)
        if wanted == 0 { return 0 }
        idle.partition(oldest: wanted)
        var closed = 0
        for (_, connection) in idle.prefix(wanted) where !connection.socket.hasUnread {
            connection.close(.makingRoom)
            closed += 1
        }
        return closed
    }

    /// The kernel gave no descriptor for something else than a connection of a client.
    ///
    /// - Returns: whether one was freed.
    func freeDescriptor() -> Bool {
        counters.add(.descriptors)
        return closeIdle() > 0
    }
}

extension [(since: Int64, connection: ClientConnection)] {
    /// Moves the `count` oldest to the front, in no order (quickselect).
    fileprivate mutating func partition(oldest count: Int) {
        var low = 0
        var high = self.count - 1
        while low < high {
            let pivot = self[(low + high) / 2].since
            var (left, right) = (low, high)
            while left <= right {
                while self[left].since < pivot { left += 1 }
                while self[right].since > pivot { right -= 1 }
                if left <= right {
                    swapAt(left, right)
                    left += 1
                    right -= 1
                }
            }
            if count - 1 <= right {
                high = right
            } else if count - 1 >= left {
                low = left
            } else {
                return
            }
        }
    }
}
