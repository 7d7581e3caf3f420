package import ChimeraHTTPCore

/// What a peer may do so often: at once, and each second after that.
package struct Budget: Equatable, Sendable {
    package var burst: Int
    package var perSecond: Int

    package init(burst: Int, perSecond: Int) {
        self.burst = burst
        self.perSecond = perSecond
    }
}

/// Every bound on an HTTP/2 connection in one place; those on one message are in `Limits`.
package struct ConnectionLimits: Equatable, Sendable {
    /// Bounds on messages; a head within them always fits into a block.
    package var message = Limits() {
        didSet {
            blockBytesMax = max(64 * 1024, message.headBytesMax + 16 * 1024)
            continuationsMax = max(8, blockBytesMax / frameBytesMax + 1)
        }
    }
    /// SETTINGS_MAX_CONCURRENT_STREAMS of a server; of a client how many it opens at most.
    package var streamsMax = 128
    /// SETTINGS_MAX_FRAME_SIZE: octets of a frame's payload that we take, 16,384 at least.
    package var frameBytesMax = 16_384
    /// SETTINGS_INITIAL_WINDOW_SIZE: octets of a message's content that may wait to be consumed.
    package var streamWindow = 256 * 1024
    /// The same for all messages of the connection together, 65,535 at least. A client's is no less than all its streams
    /// may hold, so that those of others which stall take nothing from one that does not.
    package var connectionWindow = 1024 * 1024
    /// SETTINGS_HEADER_TABLE_SIZE, and what we use of the peer's table, in octets.
    package var tableBytesMax = 4096
    /// Octets of a field block as it is sent, in all its frames.
    package var blockBytesMax = 64 * 1024
    /// CONTINUATION frames of a field block.
    package var continuationsMax = 8
    /// Entries of a SETTINGS frame.
    package var settingsMax = 32
    /// Octets of a DATA frame that we send.
    package var dataBytesMax = 16_384
    /// Octets of output up to which DATA is put into it; behind that it waits with its stream.
    package var outputBytesMax = 64 * 1024
    /// Octets of output that a peer who sends frames which have to be answered may leave unread.
    package var unreadOutputMax = 256 * 1024
    /// RFC 8441: SETTINGS_ENABLE_CONNECT_PROTOCOL of a server.
    package var allowsExtendedConnect = true

    // Abuse, RFC 9113 §10.5.

    /// Streams that a client resets or makes us reset (CVE-2023-44487, CVE-2025-8671); of a server what concerns streams
    /// that are not there.
    package var resets = Budget(burst: 200, perSecond: 20)
    package var settings = Budget(burst: 20, perSecond: 2)
    /// PING frames; each DATA frame that we send allows one more, as WINDOW_UPDATE.
    package var pings = Budget(burst: 50, perSecond: 10)
    /// DATA frames without content that do not end their stream (CVE-2019-9518).
    package var emptyData = Budget(burst: 100, perSecond: 10)
    /// WINDOW_UPDATE frames; every 64 octets of DATA that we send allow one more, and four each DATA frame that the
    /// peer's windows did not end.
    package var windowUpdates = Budget(burst: 1000, perSecond: 200)
    /// PRIORITY and PRIORITY_UPDATE frames; each request allows two more.
    package var priorities = Budget(burst: 500, perSecond: 50)
    /// Frames of types that nobody knows; each request allows two more.
    package var unknownFrames = Budget(burst: 100, perSecond: 10)

    package init() {}
}

/// What is counted against a budget.
package enum Flood: UInt8, CaseIterable, Sendable {
    case resets, settings, pings, emptyData, windowUpdates, priorities, unknownFrames

    /// The token in metrics.
    package var token: String {
        switch self {
        case .resets: "resets"
        case .settings: "settings"
        case .pings: "pings"
        case .emptyData: "empty-data"
        case .windowUpdates: "window-updates"
        case .priorities: "priorities"
        case .unknownFrames: "unknown"
        }
    }

    /// What it is when the budget is spent.
    var violation: Violation {
        switch self {
        case .resets: .resetFlood
        case .settings: .settingsFlood
        case .pings: .pingFlood
        case .emptyData: .emptyDataFlood
        case .windowUpdates: .windowUpdateFlood
        case .priorities: .priorityFlood
        case .unknownFrames: .unknownFrameFlood
        }
    }

    func budget(_ limits: ConnectionLimits) -> Budget {
        switch self {
        case .resets: limits.resets
        case .settings: limits.settings
        case .pings: limits.pings
        case .emptyData: limits.emptyData
        case .windowUpdates: limits.windowUpdates
        case .priorities: limits.priorities
        case .unknownFrames: limits.unknownFrames
        }
    }
}

/// The budgets of a connection, and how often each kind came.
struct FloodGuard {
    private struct Account {
        /// In thousandths of one.
        var level: Int64 = 0
        var filledAt: Int64 = .min
        var burst: Int64 = 0
        var perSecond: Int64 = 0
        var count: UInt64 = 0
    }

    private var accounts = [7 of Account](repeating: Account())

    init(_ limits: ConnectionLimits) {
        for kind in Flood.allCases {
            let budget = kind.budget(limits)
            let burst = Int64(budget.burst) * 1000
            accounts[Int(kind.rawValue)] = Account(
                level: burst, burst: burst, perSecond: Int64(budget.perSecond))
        }
    }

    /// How often `kind` came on this connection.
    func count(_ kind: Flood) -> UInt64 { accounts[Int(kind.rawValue)].count }

    /// Counts one of `kind`.
    ///
    /// - Throws: its violation where the budget is spent.
    mutating func charge(_ kind: Flood, at now: Int64) throws(Violation) {
        let index = Int(kind.rawValue)
        var account = accounts[index]
        account.count &+= 1
        // A clock that went back fills nothing.
        if account.filledAt == .min { account.filledAt = now }
        let elapsed = min(max(0, now &- account.filledAt), 1 << 30)
        account.level = min(account.burst, account.level + elapsed * account.perSecond)
        account.filledAt = max(now, account.filledAt)
        account.level -= 1000
        accounts[index] = account
        if account.level < 0 { throw kind.violation }
    }

    /// Allows `thousandths` of one more of `kind`, up to its burst.
    mutating func credit(_ kind: Flood, thousandths: Int) {
        let index = Int(kind.rawValue)
        accounts[index].level = min(accounts[index].burst, accounts[index].level + Int64(thousandths))
    }
}
