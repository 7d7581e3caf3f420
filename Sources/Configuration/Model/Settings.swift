/// What may stand in the machine's file, a site, a settings block and a route's block, and merges downwards.
package struct Settings: Sendable, Equatable {
    /// On the answer, in the order in which they apply.
    package var headerOperations: [HeaderOperation] = []
    /// On the request to an upstream.
    package var requestHeaderOperations: [HeaderOperation] = []
    /// `strip /api`: taken off the path where the path begins with these segments. Begins with `/`, does not end in it.
    package var strip: String?
    /// The path (and the query, where it has a `?`) to go on with. Where it is set, `strip` has no effect.
    package var rewrite: Template?
    package var auth: AuthSetting?
    /// One group for each file that says `allow`, `deny` or `satisfy`: all groups must admit a client.
    package var access: [AccessGroup] = []
    /// Answered before any route.
    package var closed: ClosedRule?
    /// Bytes; 413 past it.
    package var limitBody: Int64?
    /// Bytes; 431 past it.
    package var limitHead: Int64?
    /// All of them count.
    package var requestLimits: [RequestLimit] = []
    /// All of them count.
    package var connectionLimits: [ConnectionLimit] = []
    /// Of each key the last counts.
    package var sessionLimits: [ConnectionLimit] = []
    /// Of each key the last counts.
    package var sessionRates: [RequestLimit] = []
    package var timeouts = Timeouts()
    /// The first that names a status counts.
    package var errorPages: [ErrorPage] = []
    package var logAccess: Bool?
    /// The host that all others of the site are redirected to.
    package var canonical: String?

    package init() {}

    /// These settings with more specific ones over them: single values are replaced, lists add up, and `auth off` and
    /// `allow all` lift what the same owner set above.
    package func merging(_ specific: Settings) -> Settings {
        var merged = self
        merged.headerOperations += specific.headerOperations
        merged.requestHeaderOperations += specific.requestHeaderOperations
        if specific.strip != nil || specific.rewrite != nil {
            (merged.strip, merged.rewrite) = (specific.strip, specific.rewrite)
        }
        merged.auth = AuthSetting.merge(auth, specific.auth)
        for group in specific.access { AccessGroup.merge(group, into: &merged.access) }
        merged.closed = specific.closed ?? closed
        merged.limitBody = specific.limitBody ?? limitBody
        merged.limitHead = specific.limitHead ?? limitHead
        merged.requestLimits += specific.requestLimits
        merged.connectionLimits += specific.connectionLimits
        merged.sessionLimits += specific.sessionLimits
        merged.sessionRates += specific.sessionRates
        merged.timeouts = timeouts.merging(specific.timeouts)
        merged.errorPages = specific.errorPages + errorPages
        merged.logAccess = specific.logAccess ?? logAccess
        merged.canonical = specific.canonical ?? canonical
        return merged
    }

    /// The page for a status of our own making; nil: the built-in one.
    package func errorPage(for status: Int) -> ErrorPage? {
        errorPages.first { $0.statuses.contains(status) }
    }
}

/// One `header` or `request-header` line.
package struct HeaderOperation: Sendable, Hashable {
    package enum Kind: String, Sendable { case set, add, remove, setIfMissing }

    package var kind: Kind
    /// As it was written; field names are compared without regard to case.
    package var name: String
    /// Empty for `remove`. No line end is in its literals.
    package var value: Template
    package var position: SourcePosition

    package init(kind: Kind, name: String, value: Template = Template(), position: SourcePosition) {
        self.kind = kind
        self.name = name
        self.value = value
        self.position = position
    }
}

/// `error 502 503 FILE`.
package struct ErrorPage: Sendable, Hashable {
    package var statuses: [Int]
    package var file: ReferencedFile

    package init(statuses: [Int], file: ReferencedFile) {
        self.statuses = statuses
        self.file = file
    }
}

/// `closed 503 FILE`: every request that its place covers gets this status and page. The condition is that of the
/// settings block in which it stands.
package struct ClosedRule: Sendable, Hashable {
    package var status: Int
    /// Nil: the built-in page.
    package var page: ReferencedFile?
    package var position: SourcePosition

    package init(status: Int, page: ReferencedFile?, position: SourcePosition) {
        self.status = status
        self.page = page
        self.position = position
    }
}

/// A bound on time.
package enum TimeLimit: Sendable, Hashable {
    /// `none`
    case unlimited
    case milliseconds(Int64)
}

/// `timeout …`: nil where nothing is said, so that the default or a less specific value counts.
package struct Timeouts: Sendable, Hashable {
    /// For a whole request head. The machine's only.
    package var head: TimeLimit?
    /// Between two reads of a request body.
    package var body: TimeLimit?
    /// For an idle connection. The machine's only.
    package var idle: TimeLimit?
    /// Without progress in sending.
    package var send: TimeLimit?
    /// For a whole response.
    package var response: TimeLimit?
    /// To connect to an upstream.
    package var connect: TimeLimit?
    /// Until the head of an upstream's answer.
    package var answer: TimeLimit?
    /// Between two reads of an upstream's answer.
    package var read: TimeLimit?
    /// Without a byte either way in a tunnel or an event stream.
    package var quiet: TimeLimit?

    package init() {}

    /// The defaults of the language for each.
    package static let defaults: Timeouts = {
        var timeouts = Timeouts()
        timeouts.head = .milliseconds(10_000)
        timeouts.body = .milliseconds(30_000)
        timeouts.idle = .milliseconds(60_000)
        timeouts.send = .milliseconds(30_000)
        timeouts.response = .unlimited
        timeouts.connect = .milliseconds(3_000)
        timeouts.answer = .milliseconds(60_000)
        timeouts.read = .milliseconds(60_000)
        timeouts.quiet = .milliseconds(3_600_000)
        return timeouts
    }()

    package func merging(_ specific: Timeouts) -> Timeouts {
        var merged = self
        merged.head = specific.head ?? head
        merged.body = specific.body ?? body
        merged.idle = specific.idle ?? idle
        merged.send = specific.send ?? send
        merged.response = specific.response ?? response
        merged.connect = specific.connect ?? connect
        merged.answer = specific.answer ?? answer
        merged.read = specific.read ?? read
        merged.quiet = specific.quiet ?? quiet
        return merged
    }
}

extension Settings {
    /// The defaults of the language for `limit body` and `limit head`, in bytes.
    package static let limitBodyDefault: Int64 = 10_000_000_000
    package static let limitHeadDefault: Int64 = 32 << 10
}
