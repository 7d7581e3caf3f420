/// What a limit counts by.
package enum LimitKey: Sendable, Hashable {
    /// All that the limit's place covers, together.
    case everything
    /// Each client address; of IPv6 the first 64 bits, which is what one client can choose within.
    case client
    /// Each site; for limits of the machine's file.
    case site
    /// Each user whose password was verified; who is none does not count. For sessions alone.
    case user
    /// Each value of a request's field, by its name in small letters; requests without it count together.
    case header(String)
}

/// `100/s`: so many in a time.
package struct Rate: Sendable, Hashable {
    package var count: Int
    package var milliseconds: Int64

    package init(count: Int, milliseconds: Int64) {
        self.count = count
        self.milliseconds = milliseconds
    }

    /// Nil for what is no rate.
    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let unit = Rate.units[String(parts[1])],
            parts[0].utf8.allSatisfy({ (48...57).contains($0) }), let count = Int(parts[0]),
            (1...1_000_000_000).contains(count)
        else { return nil }
        self.init(count: count, milliseconds: unit)
    }

    private static let units: [String: Int64] = [
        "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000,
    ]

    fileprivate static func unit(ofMilliseconds milliseconds: Int64) -> String {
        units.first { $0.value == milliseconds }?.key ?? "\(milliseconds)ms"
    }

    /// What the author of a wrong rate may have meant.
    static func suggestions(for text: String) -> [String] {
        let digits = text.prefix { $0.isASCII && $0.isWholeNumber }
        guard !digits.isEmpty else { return [] }
        let unit = text.dropFirst(digits.count).drop { $0 == "/" || $0 == "r" || $0 == "p" }.lowercased()
        guard let first = unit.first else { return ["\(digits)/s", "\(digits)/m"] }
        return units[String(first)] == nil ? [] : ["\(digits)/\(first)"]
    }
}

/// One `limit requests` line: a bucket of `burst` tokens for each value of the key, filled at the rate.
package struct RequestLimit: Sendable, Hashable {
    package var rate: Rate
    /// How many requests may come at once.
    package var burst: Int
    package var key: LimitKey
    /// It stands in the machine's file outside of any site, so it counts over all sites.
    package var isOfMachine: Bool
    /// It stands in a `tenants` or `tenant` block, so it counts over all sites of a tenant.
    package var isOfTenant = false
    package var position: SourcePosition

    package init(rate: Rate, burst: Int, key: LimitKey, isOfMachine: Bool, position: SourcePosition) {
        self.rate = rate
        self.burst = burst
        self.key = key
        self.isOfMachine = isOfMachine
        self.position = position
    }
}

/// One `limit connections` line. In the machine's file it counts connections, elsewhere requests under way.
package struct ConnectionLimit: Sendable, Hashable {
    package var count: Int
    package var key: LimitKey
    /// As in `RequestLimit`.
    package var isOfMachine: Bool
    /// As in `RequestLimit`.
    package var isOfTenant = false
    package var position: SourcePosition

    package init(count: Int, key: LimitKey, isOfMachine: Bool, position: SourcePosition) {
        self.count = count
        self.key = key
        self.isOfMachine = isOfMachine
        self.position = position
    }

    /// Whether it counts requests under way, which is when a site is known.
    package var countsRequests: Bool { !isOfMachine || key == .site }
}

extension LimitKey: CustomStringConvertible {
    /// What `per=` takes; empty where nothing tells requests apart.
    package var description: String {
        switch self {
        case .everything: ""
        case .client: "client"
        case .site: "site"
        case .user: "user"
        case .header(let name): "header:\(name)"
        }
    }

    fileprivate var option: String { self == .everything ? "" : " per=\(self)" }
}

extension RequestLimit: CustomStringConvertible {
    /// What stands behind `limit requests`.
    package var description: String {
        let unit = Rate.unit(ofMilliseconds: rate.milliseconds)
        return "\(rate.count)/\(unit) burst=\(burst)\(key.option)"
    }
}

extension ConnectionLimit: CustomStringConvertible {
    /// What stands behind `limit connections`.
    package var description: String { "\(count)\(key.option)" }
}
