extension Schema {
    /// `session … -- COMMAND…`
    static let sessionDirective = Directive(
        name: "session", family: .verb, places: .site,
        options: runningOptions + endingOptions + keepingOptions + resourceOptions,
        block: .route,
        meaning: """
            A WebSocket client gets a program of its own, joined to it through standard input, output and error. COMMAND \
            is run word by word, without a shell; a path in its first word counts from this file's directory. \
            An `Origin` other than the site's own is 403.
            """,
        effect: .verb { arguments, decoder, _ in decoder.sessionTarget(arguments).map { .session($0) } },
        takesCommand: true)

    private static let runningOptions: [Option] = [
        Option(
            "pty", .onOff, default: "off",
            "a terminal in the place of pipes, for shells and programs that draw; `framing` is `raw` then, where it is not given"
        ),
        Option(
            "open", .onOff, default: "off",
            "a terminal that neither `auth`, `allow`, `deny` nor `client require` guards is meant to be so"),
        Option("directory", .place, default: "the file's own", "where the program runs"),
        Option(
            "framing",
            .keyword(noun: "framing", SessionTarget.Framing.allCases.map { ValueType.Keyword($0.rawValue) }),
            default: "lines",
            """
            `lines`: a line is a text message and a message is a line; `raw`: what was written at once is a binary \
            message; `length`: each message has its length before it, four octets, the highest first; `typed`: the same \
            behind one octet, `t` for a text message and `b` for a binary one
            """),
        Option(
            "stderr",
            .keyword(
                noun: "place for stderr",
                SessionTarget.ErrorOutput.allCases.map { ValueType.Keyword($0.rawValue) }),
            default: "log",
            "where the program's standard error goes: the gateway's log, the client, or nowhere"),
        Option(
            "origin", .host, isRepeatable: true,
            "a host whose pages may connect as well; `*` for every page, also one that tells no origin"),
        Option("message", .size, default: "1MiB", "the most that a client's message may have; 1009 past it"),
        Option(
            "http", .onOff, default: "off",
            """
            a POST without a WebSocket is served as well: its body is the program's input, and its answer the output, as \
            server-sent events for who asks for `text/event-stream`
            """),
        Option("deflate", .onOff, default: "on", "whether compression is agreed to with who offers it"),
        Option(
            "env", .word("NAME=VALUE"), isRepeatable: true,
            "a variable of the program's environment"),
        Option(
            "user", .word("user"),
            """
            who runs the program; only the machine's `user`, and `root` has to be said here as well
            """),
    ]

    private static let endingOptions: [Option] = [
        Option(
            "ping", .timeLimit, default: "30s", "silence behind which the client is asked for a sign of life"),
        Option("pong", .timeLimit, default: "20s", "how long it has for that"),
        Option("idle", .timeLimit, default: "none", "the most without a message either way; 1001 past it"),
        Option("life", .timeLimit, default: "none", "the most for a session as a whole; 1001 past it"),
        Option(
            "end", .duration, default: "2s",
            "how long a program has, whose client is gone, from the end of its input to SIGTERM"),
        Option("kill", .duration, default: "5s", "and from SIGTERM to SIGKILL"),
    ]

    private static let keepingOptions: [Option] = [
        Option(
            "resume", .duration,
            "how long the program survives a lost connection, for a client that comes back with its token"),
        Option(
            "replay", .size, default: "64KiB",
            "how much of the last output is kept for a client that comes back, or is slow among several"),
        Option(
            "pool", .count,
            "programs that wait for clients, so that connecting is instant; they know nothing of a request"),
        Option("shared", .onOff, default: "off", "one program for all clients: its output goes to each"),
        Option(
            "tag", .keyword(noun: "tag", SessionTarget.Tag.allCases.map { ValueType.Keyword($0.rawValue) }),
            default: "prefix",
            """
            of `shared`, how the program is told whose message it reads: the client's number and a space before each \
            line, a JSON object, or not at all
            """),
        Option(
            "start",
            .keyword(noun: "start", SessionTarget.Start.allCases.map { ValueType.Keyword($0.rawValue) }),
            default: "client",
            "of `shared`, whether the program starts with the first client or with the configuration"),
        Option("linger", .duration, default: "10s", "of `shared`, how long it runs without clients"),
        Option(
            "request",
            .keyword(noun: "way", [ValueType.Keyword("off"), ValueType.Keyword("line")]), default: "off",
            "whether the first line that the program reads is a JSON object of the request"),
    ]

    private static let resourceOptions: [Option] = [
        Option(
            "memory", .size,
            """
            the most memory of a program with all that it starts, which is killed past it; where there is no cgroup for \
            it, the most address space of each process
            """),
        Option(
            "processes", .count,
            "the most processes and threads of a program at once; only where there is a cgroup for it"),
        Option(
            "cpu", .word("percent"),
            """
            the most processor time of a program with all that it starts, `50%` of a core or `200%` for two; only where \
            there is a cgroup for it
            """),
        Option(
            "cpu-time", .duration,
            "the most processor time of each process in all, in whole seconds; SIGXCPU past it"),
        Option("files", .count, "the most descriptors that each process may have open"),
    ]
}
