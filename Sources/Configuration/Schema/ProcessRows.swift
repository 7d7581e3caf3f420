extension Schema {
    /// What the machine's file says of the processes.
    static let processDirectives: [Directive] = [
        Directive(
            name: "admin", family: .machine, places: .machine,
            arguments: [Argument("ADDRESS", .listenAddress)],
            defaultText: "a socket in `/run/chimera`, or in the user's own runtime directory",
            meaning: """
                The socket for `chimera status`, `reload`, `upgrade`, `stop` and `connections`: `unix:PATH`. Only the \
                owner of the process may use it.
                """,
            effect: .machine { arguments, decoder, configuration in
                guard let item = arguments.first("ADDRESS"), case .listenAddress(let address) = item.value
                else {
                    return
                }
                guard case .unix(let path) = address else {
                    decoder.report(item.token, "the administration has a Unix socket: `unix:PATH`")
                    return
                }
                configuration.adminSocket = path
            }),
        Directive(
            name: "user", family: .machine, places: .machine,
            arguments: [Argument("NAME", .word("a user, or USER:GROUP"))],
            defaultText: "the owner of the machine's file, or else `chimera`, or else `nobody`",
            meaning: """
                Who serves where the gateway is started as root: `NAME` or `NAME:GROUP`. What the configuration names \
                must be readable for that user. `root` keeps the user and gives every privilege up.
                """,
            effect: .machine { arguments, decoder, configuration in
                guard let item = arguments.first("NAME"), case .text(let text) = item.value else { return }
                guard let user = UserName(text) else {
                    decoder.report(item.token, "\"\(text)\" is not NAME or NAME:GROUP")
                    return
                }
                configuration.user = user
            }),
        Directive(
            name: "drain", family: .machine, places: .machine, arguments: [Argument("TIME", .duration)],
            defaultText: "30s",
            meaning:
                "How long what is under way may take to finish, at the end and where a new binary takes over.",
            effect: .machine { arguments, _, configuration in
                guard case .milliseconds(let time)? = arguments.timeLimit("TIME") else { return }
                configuration.drainMilliseconds = time
            }),
    ]
}
