extension Schema {
    /// What stands in the machine's `tenants` and `tenant ID` blocks, and these themselves.
    static let guardRailDirectives: [Directive] =
        [
            Directive(
                name: "tenants", family: .machine, places: .machine, block: .tenants, blockIsRequired: true,
                meaning: """
                    Guard rails: what any tenant's file may do. With this block, what is not permitted is denied but for \
                    `redirect` and `respond`; without it the files are the operator's own and nothing binds them.
                    """),
            Directive(
                name: "tenant", family: .machine, places: .machine,
                arguments: [Argument("ID", .word("the stem of the tenant's file"))],
                block: [.tenants, .tenant], blockIsRequired: true, isRepeatable: true,
                meaning: "What one tenant may do beyond that, the hosts that are its own, and its own limits."
            ),
            Directive(
                name: "permit", family: .machine, places: .tenants,
                arguments: [
                    Argument("WHAT", .keyword(noun: "verb", permitted)),
                    Argument("NAME", .word("the environment's names"), .any),
                ],
                options: [
                    Option(
                        "under", .place, isRepeatable: true,
                        "a directory in which a tenant's paths may lie, besides its own `ID/` and `ID.*`"),
                    Option(
                        "to", .outgoing, isRepeatable: true,
                        "addresses that a tenant's connections may lead to, or unix:/path for one socket"),
                ],
                isRepeatable: true,
                meaning: """
                    A verb that tenants may use; `permit env NAME…` permits `env:NAME`. Every `under=` counts for all paths \
                    and every `to=` for all connections, whichever verb it stands with; without a `to=` of addresses any \
                    address may be connected to, and a Unix socket always needs its own.
                    """,
                effect: .permits { arguments, decoder, permits in decoder.permit(arguments, &permits) }),
            Directive(
                name: "hosts", family: .machine, places: .tenant,
                arguments: [Argument("HOST", .host, .oneOrMore)], isRepeatable: true,
                meaning: "Hosts that belong to this tenant, whoever names them.",
                effect: .permits { arguments, decoder, permits in
                    for item in arguments.all("HOST") {
                        guard case .host(let host) = item.value else { continue }
                        permits.hosts.append(
                            Permits.GivenHost(host: host, position: decoder.current.position(item.token)))
                    }
                }),
            Directive(
                name: "limit body", family: .machine, places: .tenants, arguments: [Argument("SIZE", .size)],
                meaning: "The most that a tenant may set for its request bodies.",
                effect: .permits { arguments, _, permits in permits.limitBody = arguments.bytes("SIZE") }),
            Directive(
                name: "limit head", family: .machine, places: .tenants, arguments: [Argument("SIZE", .size)],
                meaning: "The most that a tenant may set for its request heads.",
                effect: .permits { arguments, _, permits in permits.limitHead = arguments.bytes("SIZE") }),
        ] + countingBounds

    /// What `permit` takes: every verb that needs one, and the environment.
    private static let permitted: [ValueType.Keyword] =
        verbDirectives.filter { !Permits.free.contains($0.name) }.map { .init($0.name) } + [.init("env")]
        + laterDirectives.filter { $0.family == .verb }.map { .init($0.name, .later) }
}
