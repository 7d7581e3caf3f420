internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraSessions

/// How many sessions there may be, and how many may begin in a time, of a site, of each client and of each user: what
/// `limit sessions` and `limit starts` say, and the defaults.
struct SessionLimits {
    /// What a session that may begin has taken, or why it may not.
    enum Admission {
        /// Places, to be given back.
        case admitted([Int32])
        case full
        /// There are too many starts; in so many nanoseconds one is possible.
        case tooFast(wait: Int64)
    }

    private var counts: [LimitKey: Int] = [.everything: 256, .client: 16]
    private var rates: [LimitKey: TokenRate] = [:]

    init(_ settings: CompiledSettings) {
        // The more specific stand behind the others.
        for limit in settings.sessionLimits { counts[limit.key] = limit.count }
        for limit in settings.sessionRates {
            rates[limit.key] = TokenRate(limit.rate, burst: limit.burst)
        }
    }

    /// Takes a place, and a start, under each key; none at all where one refuses.
    ///
    /// - Parameter now: nanoseconds of a clock that never goes back.
    func admit(
        _ transaction: Transaction, _ site: CompiledSite, _ tables: LimitTables, now: Int64
    ) -> Admission {
        func number(_ key: LimitKey) -> UInt64? {
            if key == .user, transaction.context.user.isEmpty { return nil }
            return CompiledLimitKey(key, sessionsOf: site.source)
                .number(transaction.context, transaction.request)
        }
        for (key, rate) in rates {
            guard let number = number(key) else { continue }
            if case .refused(let wait) = tables.rates.peek(number, rate, now: now) {
                return .tooFast(wait: wait)
            }
        }
        var places: [Int32] = []
        for (key, count) in counts {
            guard let number = number(key) else { continue }
            switch tables.places.enter(number, limit: count) {
            case .entered(let place): places.append(place)
            case .uncounted: break
            case .full:
                for place in places { tables.places.leave(place) }
                return .full
            }
        }
        for (key, rate) in rates {
            guard let number = number(key) else { continue }
            if case .refused(let wait) = tables.rates.take(number, rate, now: now) {
                for place in places { tables.places.leave(place) }
                return .tooFast(wait: wait)
            }
        }
        return .admitted(places)
    }

    /// Takes the places of a session that another process has begun, whether the limits have room for it or not.
    ///
    /// - Returns: places, to be given back.
    static func enter(_ record: KeptFacts, _ tables: LimitTables) -> [Int32] {
        let facts = record.facts
        return CompiledLimitKey.numbers(
            ofSessionOf: facts.site, of: facts.tenant, client: record.client, user: facts.user
        ).compactMap { number in
            if case .entered(let place) = tables.places.enter(number, limit: .max) { place } else { nil }
        }
    }
}
