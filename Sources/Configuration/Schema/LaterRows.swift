extension Schema {
    /// Directives of later versions: known by name, so that an error can say so.
    static let laterDirectives: [Directive] = [
        later("store", .machine, .machine, "The cache's size for the whole machine."),
        later("limit store", .machine, [.machine, .tenants], "A tenant's part of the cache."),
        later("fastcgi", .verb, .site, "Passes the request to a FastCGI program."),
        later("uwsgi", .verb, .site, "Passes the request to a uwsgi program."),
        later("scgi", .verb, .site, "Passes the request to an SCGI program."),
        later("php", .verb, .site, "The whole usual job for a PHP site."),
        later("app", .verb, .site, "Managed application workers."),
        later("channel", .verb, .site, "Publish and subscribe."),
        later("param", .upstream, .program, "One parameter for a FastCGI, uwsgi or SCGI program."),
        later("check", .upstream, .upstream, "Health checks."),
        later("retry", .upstream, .upstream, "How often to try another target."),
        later("mirror", .upstream, .proxy, "A copy of a part of the requests to another pool."),
        later("split", .upstream, .proxy, "A part of the requests to another pool."),
        later("auth forward", .setting, .settings, "Asks another service whether to admit a request."),
        later("limit processes", .setting, [.machine, .site, .route, .tenants], "Programs at once."),
        later("cache", .setting, [.machine, .site, .route, .proxy], "Keeps answers."),
        later("compress", .setting, .settings, "Compresses answers."),
        later("cors", .setting, .settings, "Answers for other origins."),
    ]

    private static func later(
        _ name: String, _ family: Directive.Family, _ places: Places, _ meaning: String
    ) -> Directive {
        Directive(name: name, family: family, places: places, meaning: meaning, since: .later)
    }
}
