extension Schema {
    /// What merges from the machine's file down to the route.
    static let settingDirectives: [Directive] =
        pathSettings + headerSettings + accessSettings + limitSettings + countingLimits + answerSettings

    private static let pathSettings: [Directive] = [
        Directive(
            name: "strip", family: .setting, places: .settings, arguments: [Argument("PREFIX", .path)],
            meaning: "Takes these segments off the path before it goes on.",
            effect: .setting { arguments, decoder, settings in
                guard let item = arguments.first("PREFIX"), let prefix = arguments.text("PREFIX") else {
                    return
                }
                if settings.rewrite != nil {
                    decoder.report(arguments.keyword, "`strip` and `rewrite` cannot stand in one block")
                }
                let segments = prefix.split(separator: "/")
                guard !segments.isEmpty else {
                    decoder.report(item.token, "\"\(prefix)\" strips nothing")
                    return
                }
                settings.strip = "/" + segments.joined(separator: "/")
            }),
        Directive(
            name: "rewrite", family: .setting, places: .settings,
            arguments: [Argument("PATH", .template(.rewrite))],
            meaning: "Goes on with this path; the query is kept unless PATH has a `?` of its own.",
            effect: .setting { arguments, decoder, settings in
                if settings.strip != nil {
                    decoder.report(arguments.keyword, "`strip` and `rewrite` cannot stand in one block")
                }
                settings.rewrite = arguments.template("PATH")
            }),
        Directive(
            name: "canonical", family: .setting, places: .settings, arguments: [Argument("HOST", .exactHost)],
            meaning: "The one host of the site: requests for its others are redirected there.",
            effect: .setting { arguments, _, settings in settings.canonical = arguments.text("HOST") }),
    ]

    private static let headerSettings: [Directive] = [
        Directive(
            name: "header", family: .setting, places: .settings,
            arguments: [Argument("FIELD", .headerField), Argument("VALUE", .template(.header), .any)],
            isRepeatable: true,
            meaning: """
                Changes the answer's header: `N v` sets, `+N v` adds, `-N` removes, `?N v` sets where N is missing. Several \
                words are joined by a blank. Errors of the gateway's own are never to be kept: their `Cache-Control` stays \
                `no-store`.
                """,
            effect: .setting { arguments, decoder, settings in
                if let operation = decoder.headerOperation(arguments, onRequest: false) {
                    settings.headerOperations.append(operation)
                }
            }),
        Directive(
            name: "request-header", family: .setting, places: .settings,
            arguments: [Argument("FIELD", .headerField), Argument("VALUE", .template(.header), .any)],
            isRepeatable: true,
            meaning:
                "As `header`, for the request that goes on to an upstream; `request-header Host …` changes its host.",
            effect: .setting { arguments, decoder, settings in
                if let operation = decoder.headerOperation(arguments, onRequest: true) {
                    settings.requestHeaderOperations.append(operation)
                }
            }),
    ]

    private static let accessSettings: [Directive] = [
        Directive(
            name: "auth basic", family: .setting, places: .settings, arguments: [Argument("FILE", .file)],
            options: [Option("realm", .text, default: "restricted", "what the client shows to its user")],
            meaning: "A name and a password of this htpasswd file (bcrypt, SHA-crypt or apr1).",
            effect: .setting { arguments, decoder, settings in
                guard let file = decoder.passwordFile(arguments) else { return }
                let realm = arguments.text("realm") ?? "restricted"
                guard realm.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
                    decoder.report(arguments.keyword, "a realm has no control characters")
                    return
                }
                decoder.setAuth(.basic(file: file, realm: realm), arguments, &settings)
            }),
        Directive(
            name: "auth off", family: .setting, places: .settings,
            meaning: "Lifts the `auth` that the same file set above.",
            effect: .setting { arguments, decoder, settings in decoder.setAuth(.off, arguments, &settings) }),
        Directive(
            name: "allow", family: .setting, places: .settings,
            arguments: [Argument("WHO", .subject, .oneOrMore)],
            isRepeatable: true,
            meaning: """
                Admits these clients, and any `allow` denies the rest with 403; `deny` is tried first. `allow all` lifts \
                what the same file set above.
                """,
            effect: .setting { arguments, decoder, settings in decoder.addAccess(.allow, arguments, &settings)
            }),
        Directive(
            name: "deny", family: .setting, places: .settings,
            arguments: [Argument("WHO", .subject, .oneOrMore)],
            isRepeatable: true, meaning: "Refuses these clients with 403.",
            effect: .setting { arguments, decoder, settings in decoder.addAccess(.deny, arguments, &settings)
            }),
        Directive(
            name: "satisfy", family: .setting, places: .settings,
            arguments: [Argument("WHAT", .keyword(noun: "satisfy", [.init("any")]))], defaultText: "both",
            meaning: "Either `auth` or `allow` suffices.",
            effect: .setting { _, decoder, settings in decoder.accessGroup(&settings) { $0.satisfyAny = true }
            }),
        Directive(
            name: "closed", family: .setting, places: .settings,
            arguments: [Argument("STATUS", .status(400...599)), Argument("FILE", .file, .optional)],
            meaning: "Answers everything that its place covers with this status and page, before any route.",
            effect: .setting { arguments, decoder, settings in
                guard let status = arguments.number("STATUS") else { return }
                settings.closed = ClosedRule(
                    status: status, page: arguments.file("FILE"),
                    position: decoder.current.position(arguments.keyword))
            }),
    ]

    private static let limitSettings: [Directive] = [
        Directive(
            name: "limit body", family: .setting, places: .settings, arguments: [Argument("SIZE", .size)],
            defaultText: "10GB", meaning: "The most that a request's body may have; 413 past it.",
            effect: .setting { arguments, decoder, settings in
                guard let bytes = arguments.bytes("SIZE"), let item = arguments.first("SIZE"),
                    decoder.isWithin(\.limitBody, bytes, item.token)
                else { return }
                settings.limitBody = bytes
            }),
        Directive(
            name: "limit head", family: .setting, places: .settings, arguments: [Argument("SIZE", .size)],
            defaultText: "32KiB",
            meaning: "The most that a request's head may have; 431 past it (414 for its first line).",
            effect: .setting { arguments, decoder, settings in
                guard let bytes = arguments.bytes("SIZE"), let item = arguments.first("SIZE") else { return }
                guard (1024...(1 << 20)).contains(bytes) else {
                    decoder.reportMismatch(item.token, "between 1KiB and 1MiB")
                    return
                }
                guard decoder.isWithin(\.limitHead, bytes, item.token) else { return }
                settings.limitHead = bytes
            }),
        Directive(
            name: "timeout", family: .setting, places: .settings, options: timeoutOptions, isRepeatable: true,
            meaning: "How long to wait for what; `none` waits without end.",
            effect: .setting { arguments, decoder, settings in
                decoder.setTimeouts(arguments, &settings.timeouts)
            }),
    ]

    private static let timeoutOptions: [Option] = [
        Option("head", .timeLimit, default: "10s", "for a request's head; the machine's file only; 408"),
        Option("body", .timeLimit, default: "30s", "between two reads of a request's body; 408"),
        Option("idle", .timeLimit, default: "60s", "for an idle connection; the machine's file only"),
        Option("send", .timeLimit, default: "30s", "without progress in sending"),
        Option("response", .timeLimit, default: "none", "for a whole response"),
        Option("connect", .timeLimit, default: "3s", "to connect to an upstream; 504"),
        Option("answer", .timeLimit, default: "60s", "for the head of an upstream's answer; 504"),
        Option("read", .timeLimit, default: "60s", "between two reads of an upstream's answer"),
        Option(
            "quiet", .timeLimit, default: "1h", "without a byte either way in a tunnel or an event stream"),
    ]

    private static let answerSettings: [Directive] = [
        Directive(
            name: "error", family: .setting, places: .settings,
            arguments: [Argument("STATUS", .status(400...599), .oneOrMore), Argument("FILE", .file)],
            isRepeatable: true, meaning: "The page for these statuses of the gateway's own.",
            effect: .setting { arguments, decoder, settings in
                guard let file = arguments.file("FILE") else { return }
                var statuses: [Int] = []
                for item in arguments.all("STATUS") {
                    guard case .number(let status) = item.value else { continue }
                    if statuses.contains(status) || settings.errorPage(for: status) != nil {
                        decoder.report(item.token, "status \(status) has two pages in this block")
                    }
                    statuses.append(status)
                }
                settings.errorPages.append(ErrorPage(statuses: statuses, file: file))
            }),
        Directive(
            name: "log access", family: .setting, places: [.site, .route],
            arguments: [Argument("WHETHER", .onOff)], defaultText: "on",
            meaning: "Whether requests stand in the access log.",
            effect: .setting { arguments, _, settings in settings.logAccess = arguments.isOn("WHETHER") }),
    ]
}
