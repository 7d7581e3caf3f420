/// What the listener of `metrics ADDRESS` answers with.
package enum TelemetryPage: String, Sendable, CaseIterable {
    case metrics, ready, status
}

extension Site {
    /// The name of the listener of `metrics`, which no `listen` line can have.
    package static let telemetryListener = "(metrics)"

    /// The site behind `metrics ADDRESS`, which nobody wrote.
    static func telemetry(position: SourcePosition) -> Site {
        var site = Site(
            tenant: "", name: telemetryListener, hosts: [.any], on: [telemetryListener], position: position)
        site.settings.logAccess = false
        site.routes = TelemetryPage.allCases.enumerated().map { index, page in
            Route(
                methods: ["GET", "HEAD"],
                pattern: PathPattern(
                    segments: [.literal(Array(page.rawValue.utf8))], text: "/" + page.rawValue),
                destination: .telemetry(page), statement: index, position: position)
        }
        return site
    }

    /// Whether it is the site behind `metrics ADDRESS`.
    package var isTelemetry: Bool { on == [Site.telemetryListener] }
}
