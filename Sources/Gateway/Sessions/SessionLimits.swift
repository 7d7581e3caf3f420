internal import ChimeraConfiguration

/// How many sessions there may be, of a site and of each client: what `limit sessions` says, and the defaults.
struct SessionLimits {
    private var counts: [LimitKey: Int] = [.everything: 256, .client: 16]

    init(_ limits: some Sequence<ConnectionLimit>) {
        // The more specific stand behind the others.
        for limit in limits { counts[limit.key] = limit.count }
    }

    /// Takes a place under each key.
    ///
    /// - Returns: the places, to be given back; nil where one is full.
    func enter(_ transaction: Transaction, _ site: CompiledSite, _ table: PlaceTable) -> [Int32]? {
        var places: [Int32] = []
        for (key, count) in counts {
            let number = CompiledLimitKey(key, sessionsOf: site.source)
                .number(transaction.context, transaction.request)
            switch table.enter(number, limit: count) {
            case .entered(let place): places.append(place)
            case .uncounted: break
            case .full:
                for place in places { table.leave(place) }
                return nil
            }
        }
        return places
    }
}
