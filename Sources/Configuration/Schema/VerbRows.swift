extension Schema {
    /// What a route leads to.
    static let verbDirectives: [Directive] = [
        Directive(
            name: "files", family: .verb, places: .site,
            arguments: [Argument("DIR", .template(.directory))],
            options: [
                Option(
                    "index", .names, default: "index.html",
                    "the files that answer for a directory, the first that exists"),
                Option(
                    "fallback", .path, "the file that answers where nothing is found, for single-page apps"),
                Option("hidden", .onOff, default: "off", "whether segments that begin with a dot are served"),
                Option("browse", .flag, since: .later, "a listing for a directory without an index"),
            ],
            block: .route,
            meaning: """
                Serves DIR. The leading literal segments of the pattern are taken off (`/assets/* files ./a`: `/assets/x` \
                is `./a/x`), but an exact pattern keeps its last (`/favicon.ico files ./static`). Hidden files are 404 but \
                for `.well-known`; symbolic links must stay inside DIR; a directory without its slash is redirected.
                """,
            effect: .verb { arguments, decoder, _ in decoder.filesTarget(arguments).map { .files($0) } }),
        Directive(
            name: "proxy", family: .verb, places: .site, arguments: [Argument("TARGET", .upstream, .any)],
            block: [.route, .proxy],
            meaning: """
                Passes the request on, path unchanged, to one of the targets in turn: `host:port`, `http://host`, \
                `unix:/path` or the name of a `pool`. Upgrades are passed on as well.
                """,
            effect: .verb { arguments, decoder, draft in
                decoder.proxyTarget(arguments, draft).map { .proxy($0) }
            }),
        Directive(
            name: "redirect", family: .verb, places: .site,
            arguments: [
                Argument("URL", .template(.redirect)),
                Argument("STATUS", .status(300...399, only: [301, 302, 303, 307, 308]), .optional),
            ],
            block: .route, defaultText: "302",
            meaning: "Sends the client elsewhere. The query is kept unless URL has a `?` of its own.",
            effect: .verb { arguments, _, _ in
                arguments.template("URL").map { .redirect(to: $0, status: arguments.number("STATUS") ?? 302) }
            }),
        Directive(
            name: "respond", family: .verb, places: .site,
            arguments: [
                Argument("STATUS", .status(200...599)), Argument("BODY", .template(.body), .optional),
            ],
            block: .route, meaning: "A fixed answer; BODY is a text or `file:PATH`.",
            effect: .verb { arguments, decoder, _ in decoder.respond(arguments) }),
        Directive(
            name: "welcome", family: .verb, places: .site, block: .route,
            meaning:
                "The sample page: cards with live counters. Configuration is shown to loopback clients only.",
            effect: .verb { _, _, _ in .welcome }),
        sessionDirective,
    ]

    /// What stands in the block of `proxy` or in a `pool`.
    static let upstreamDirectives: [Directive] = [
        Directive(
            name: "to", family: .upstream, places: .upstream, arguments: [Argument("ADDRESS", .upstream)],
            options: [
                Option(
                    "weight", .word("NUMBER"), since: .later, default: "1",
                    "how much more often than weight 1"),
                Option("backup", .flag, since: .later, "only where no other target is up"),
            ],
            isRepeatable: true, meaning: "One target more.",
            effect: .upstream { arguments, _, draft in
                if case .upstream(let target)? = arguments.first("ADDRESS")?.value { draft.append(target) }
            }),
        Directive(
            name: "balance", family: .upstream, places: .upstream,
            arguments: [
                Argument(
                    "WAY",
                    .keyword(
                        noun: "balance",
                        [
                            .init("round-robin"), .init("least-requests", .later), .init("fastest", .later),
                            .init("random", .later), .init("hash", .later), .init("sticky", .later),
                        ])),
                Argument("HOW", .word("how"), .any),
            ],
            defaultText: "round-robin", meaning: "How requests are spread over the targets.",
            effect: .upstream { arguments, decoder, _ in
                if let extra = arguments.all("HOW").first {
                    decoder.report(
                        extra.token, "\"\(extra.token.text)\" is one word too many: balance round-robin")
                }
            }),
        Directive(
            name: "prefix", family: .upstream, places: .proxy,
            arguments: [Argument("PATH", .template(.prefix))],
            meaning: "Put before the path of each request.",
            effect: .upstream { arguments, decoder, draft in
                guard let item = arguments.first("PATH"), let prefix = arguments.template("PATH") else {
                    return
                }
                if case .literal(let text)? = prefix.parts.last, text.hasSuffix("/") || text.contains("?") {
                    let shorter = String(item.token.text.dropLast())
                    decoder.report(
                        item.token, "a prefix neither ends in / nor has a ?",
                        text.hasSuffix("/") && !shorter.isEmpty ? [shorter] : [])
                }
                draft.prefix = prefix
            }),
    ]
}
