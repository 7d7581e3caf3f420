extension Schema {
    /// What only the machine's file says.
    static let machineDirectives: [Directive] = [
        Directive(
            name: "listen", family: .machine, places: .machine,
            arguments: [Argument("ADDRESS", .listenAddress)],
            options: [
                Option("name", .name("listener's name"), "only sites with `on NAME` answer here"),
                Option("tls", .flag, "TLS; which certificate is shown is the sites' business"),
                Option(
                    "session", .word("TENANT/ROUTE"),
                    "each connection gets a program of that session route, and speaks nothing but its octets"),
                Option(
                    "public", .port, "the port to name in redirects, where something maps it to this one"),
                Option(
                    "proxy-protocol", .onOff, default: "off",
                    "peers that `trust` names begin with a PROXY header, which says who the client is"),
                Option("h3", .onOff, since: .later, default: "on", "HTTP/3"),
            ],
            isRepeatable: true,
            meaning: """
                Where to accept connections: a port alone (all IPv6 and IPv4 addresses, or IPv4 only where the machine \
                has no IPv6), `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/x.sock`. Port 0 takes a free one.
                """,
            effect: .machine { arguments, decoder, configuration in
                guard case .listenAddress(let address)? = arguments.first("ADDRESS")?.value else { return }
                if let first = configuration.listeners.first(where: { $0.address == address }) {
                    decoder.report(
                        arguments.keyword, "this address is listened on twice", other: first.position)
                    return
                }
                var listener = Listener(
                    address: address, tls: arguments.isOn("tls") ?? false, name: arguments.text("name"),
                    position: decoder.current.position(arguments.keyword))
                listener.publicPort = arguments.number("public").map { UInt16($0) }
                listener.hasProxyHeaders = arguments.isOn("proxy-protocol") ?? false
                decoder.setSession(arguments, &listener)
                configuration.listeners.append(listener)
            }),
        Directive(
            name: "workers", family: .machine, places: .machine, arguments: [Argument("COUNT", .workers)],
            defaultText: "auto: one for each core, or the cgroup's quota if that is less",
            meaning: "How many threads serve connections.",
            effect: .machine { arguments, _, configuration in
                guard case .workers(let count)? = arguments.first("COUNT")?.value else { return }
                configuration.workers = count
            }),
        Directive(
            name: "data", family: .machine, places: .machine, arguments: [Argument("DIR", .place)],
            meaning: "The directory for what is kept across restarts.",
            effect: .machine { arguments, decoder, configuration in
                configuration.dataDirectory = arguments.text("DIR").map(decoder.resolve)
            }),
        Directive(
            name: "log access", family: .machine, places: .machine,
            arguments: [
                Argument("FORMAT", .keyword(noun: "format", [.init("text"), .init("json"), .init("off")])),
                Argument("PATH", .place, .optional),
            ],
            defaultText: "text on a terminal, JSON elsewhere, to standard output",
            meaning: "The access log and where it goes; `-` is standard output.",
            effect: .machine { arguments, decoder, configuration in
                guard let format = arguments.text("FORMAT").flatMap(AccessLog.Format.init) else { return }
                let path = arguments.text("PATH") ?? "-"
                if format == .off, let path = arguments.first("PATH") {
                    decoder.report(path.token, "a log that is off has no path")
                }
                configuration.accessLogPosition = decoder.current.position(arguments.keyword)
                configuration.accessLog = AccessLog(
                    format: format, target: path == "-" ? .standardOutput : .file(decoder.resolve(path)))
            }),
        Directive(
            name: "trust", family: .machine, places: .machine,
            arguments: [Argument("CIDR", .cidr, .oneOrMore)],
            isRepeatable: true, defaultText: "nobody",
            meaning: "The peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.",
            effect: .machine { arguments, _, configuration in
                for item in arguments.all("CIDR") {
                    if case .cidr(let block) = item.value { configuration.trust.append(block) }
                }
            }),
        Directive(
            name: "import", family: .machine, places: .machine,
            arguments: [Argument("PATTERN", .word("the files' paths, with `*`"), .oneOrMore)],
            options: [
                Option(
                    "watch", .onOff, default: "on",
                    "whether a change in the files' directory is a reload, once it was quiet for 200 ms")
            ],
            isRepeatable: true,
            meaning: "The tenants' files, one tenant each. A tenant's id is its file's stem."),
        metricsDirective,
    ]

    /// Sites and shared names.
    static let structureDirectives: [Directive] = [
        Directive(
            name: "site", family: .structure, places: .file, arguments: [Argument("HOST", .host, .oneOrMore)],
            block: [.site, .route], blockIsRequired: true, isRepeatable: true,
            meaning: """
                What answers to these hosts. `*.x` is one label before `x`, `**.x` any number of them, `*` every host that \
                no other site names. Exact hosts come before the longest wildcard, and that before `*`.
                """),
        Directive(
            name: "on", family: .structure, places: .site,
            arguments: [Argument("NAME", .name("listener's name"), .oneOrMore)], isRepeatable: true,
            defaultText: "the listeners without a name",
            meaning: "The site answers on these named listeners only, and may repeat hosts of other sites.",
            effect: .site { arguments, decoder, site in
                for item in arguments.all("NAME") {
                    guard case .text(let name) = item.value else { continue }
                    decoder.checkListener(name, item.token)
                    if !site.on.contains(name) { site.on.append(name) }
                }
            }),
        Directive(
            name: "pool", family: .structure, places: .file,
            arguments: [Argument("NAME", .name("pool's name"))],
            block: .pool, blockIsRequired: true, isRepeatable: true,
            meaning:
                "A name for upstreams, for `proxy NAME` in the same file; those of the machine's file serve every file."
        ),
        Directive(
            name: "define", family: .structure, places: .file,
            arguments: [Argument("NAME", .name("block's name"))],
            block: [.machine, .site, .route, .proxy, .pool], blockIsRequired: true, isRepeatable: true,
            meaning:
                "A block to share: `use NAME` stands for its content. Those of the machine's file serve every file."
        ),
        Directive(
            name: "use", family: .structure, places: [.machine, .tenantFile, .site, .route, .proxy, .pool],
            arguments: [Argument("NAME", .name("block's name"))], isRepeatable: true,
            meaning: "The content of `define NAME`, here."),
    ]
}
