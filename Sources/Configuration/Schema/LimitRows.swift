extension Schema {
    private static let burstOption = Option(
        "burst", .count, default: "the rate's number", "how many may come at once")
    private static let keyOption = Option(
        "per", .limitKey, default: "all together",
        "what is counted by: each client's address, each site, or each value of a field")
    private static let sessionKeyOption = Option(
        "per", .sessionKey, default: "all together",
        "what is counted by: each client's address, each user of `auth`, or each value of a field")

    /// The same as bounds on tenants. They count beside what a tenant sets for itself, which can only tighten them.
    static let countingBounds: [Directive] = [
        Directive(
            name: "limit requests", family: .machine, places: .tenants, arguments: [Argument("RATE", .rate)],
            options: [burstOption, keyOption], isRepeatable: true,
            meaning: """
                Requests in a time, over all sites of a tenant; 429 with Retry-After past it. It counts beside the tenant's \
                own limits. Those of a `tenant` block stand in the place of those of the `tenants` block.
                """,
            effect: .permits { arguments, decoder, permits in
                guard case .rate(let rate)? = arguments.first("RATE")?.value else { return }
                var limit = RequestLimit(
                    rate: rate, burst: arguments.number("burst") ?? rate.count, key: arguments.limitKey,
                    isOfMachine: false, position: decoder.current.position(arguments.keyword))
                limit.isOfTenant = true
                permits.requestLimits.append(limit)
            }),
        Directive(
            name: "limit connections", family: .machine, places: .tenants,
            arguments: [Argument("COUNT", .count)], options: [keyOption], isRepeatable: true,
            meaning: """
                Requests under way at once, over all sites of a tenant; 503 past it. It counts beside the tenant's own \
                limits. Those of a `tenant` block stand in the place of those of the `tenants` block.
                """,
            effect: .permits { arguments, decoder, permits in
                guard let count = arguments.number("COUNT") else { return }
                var limit = ConnectionLimit(
                    count: count, key: arguments.limitKey, isOfMachine: false,
                    position: decoder.current.position(arguments.keyword))
                limit.isOfTenant = true
                permits.connectionLimits.append(limit)
            }),
    ]

    /// Limits that count requests and connections.
    static let countingLimits: [Directive] = [
        Directive(
            name: "limit requests", family: .setting, places: .settings, arguments: [Argument("RATE", .rate)],
            options: [burstOption, keyOption],
            isRepeatable: true, defaultText: "no limit",
            meaning: """
                Requests in a time; 429 with Retry-After past it. A request counts in every limit that covers it, and in none \
                of them where one refuses it. A client with an IPv6 address is its first 64 bits.
                """,
            effect: .setting { arguments, decoder, settings in
                guard case .rate(let rate)? = arguments.first("RATE")?.value else { return }
                settings.requestLimits.append(
                    RequestLimit(
                        rate: rate, burst: arguments.number("burst") ?? rate.count,
                        key: arguments.limitKey, isOfMachine: decoder.place.contains(.machine),
                        position: decoder.current.position(arguments.keyword)))
            }),
        Directive(
            name: "limit connections", family: .setting, places: .settings,
            arguments: [Argument("COUNT", .count)],
            options: [keyOption],
            isRepeatable: true, defaultText: "what the limit of descriptors allows, for the machine",
            meaning: """
                In the machine's file: connections at once; past it accepting pauses and the connections that were idle for \
                longest are closed; with `per=client` a further connection of that address gets 503. In a site or a route, and \
                with `per=site`: requests under way at once; 503 past it.
                """,
            effect: .setting { arguments, decoder, settings in
                guard let count = arguments.number("COUNT") else { return }
                let isOfMachine = decoder.place.contains(.machine)
                if isOfMachine, case .header = arguments.limitKey, let item = arguments.first("per") {
                    decoder.report(
                        item.token, "the machine counts connections, which have no header", ["per=client"])
                    return
                }
                settings.connectionLimits.append(
                    ConnectionLimit(
                        count: count, key: arguments.limitKey, isOfMachine: isOfMachine,
                        position: decoder.current.position(arguments.keyword)))
            }),
        Directive(
            name: "limit sessions", family: .setting, places: [.site, .route],
            arguments: [Argument("COUNT", .count)], options: [sessionKeyOption], isRepeatable: true,
            defaultText: "256, and 16 with `per=client`",
            meaning: """
                Programs of `session` at once, over all routes of the site; 503 past it. One counts until it has ended. A line \
                takes the place of the default, and of less specific lines, with the same `per=`.
                """,
            effect: .setting { arguments, decoder, settings in
                guard let count = arguments.number("COUNT") else { return }
                settings.sessionLimits.append(
                    ConnectionLimit(
                        count: count, key: arguments.limitKey, isOfMachine: false,
                        position: decoder.current.position(arguments.keyword)))
            }),
        Directive(
            name: "limit starts", family: .setting, places: [.site, .route],
            arguments: [Argument("RATE", .rate)], options: [burstOption, sessionKeyOption],
            isRepeatable: true,
            defaultText: "no limit",
            meaning: """
                Programs of `session` that are started in a time, over all routes of the site; 503 with Retry-After past it. \
                A line takes the place of less specific lines with the same `per=`.
                """,
            effect: .setting { arguments, decoder, settings in
                guard case .rate(let rate)? = arguments.first("RATE")?.value else { return }
                settings.sessionRates.append(
                    RequestLimit(
                        rate: rate, burst: arguments.number("burst") ?? rate.count,
                        key: arguments.limitKey, isOfMachine: false,
                        position: decoder.current.position(arguments.keyword)))
            }),
    ]

    /// Where the gateway tells of itself.
    static let metricsDirective = Directive(
        name: "metrics", family: .machine, places: .machine, arguments: [Argument("ADDRESS", .listenAddress)],
        defaultText: "nowhere",
        meaning: """
            Where `/metrics` (Prometheus and OpenMetrics), `/ready` (503 while the gateway drains) and `/status` (JSON) \
            answer. Whoever reaches the address may read them, so it should be a loopback address or `unix:/path`.
            """,
        effect: .machine { arguments, decoder, configuration in
            guard let item = arguments.first("ADDRESS"), case .listenAddress(let address) = item.value else {
                return
            }
            let position = decoder.current.position(arguments.keyword)
            if let first = configuration.listeners.first(where: { $0.address == address }) {
                decoder.report(arguments.keyword, "this address is listened on twice", other: first.position)
                return
            }
            if case .anyAddress(let port) = address {
                decoder.warn(
                    item.token, "everyone who reaches the machine may read the metrics here",
                    ["127.0.0.1:\(port)"])
            }
            configuration.listeners.append(
                Listener(address: address, name: Site.telemetryListener, position: position))
        })
}

extension Arguments {
    /// What `per=` says.
    fileprivate var limitKey: LimitKey {
        if case .limitKey(let key)? = first("per")?.value { key } else { .everything }
    }
}
