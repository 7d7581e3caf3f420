/// One row of the schema: all that there is to know about a directive.
package struct Directive: Sendable {
    package enum Family: String, Sendable, CaseIterable {
        case machine, structure, verb, setting, upstream
    }

    /// One word, or two: `limit body`.
    package var name: String
    var family: Family
    /// Where it may stand.
    var places: Places
    var arguments: [Argument] = []
    var options: [Option] = []
    /// What its block holds; nil: it has none.
    var block: Places?
    var blockIsRequired = false
    /// Whether it may stand several times in one block.
    var isRepeatable = false
    /// What counts where it is not given, in words.
    var defaultText: String?
    /// One sentence or two, for the reference page.
    package var meaning: String
    var since: Release = .first
    var effect: Effect = .structure
    /// Behind its options stand `--` and the words of a command, which are taken as they are.
    var takesCommand = false

    /// `redirect URL [STATUS]`
    var usage: String { usage(shortened: false) }

    /// The same for a message, where many options are none to be read.
    var shortUsage: String {
        let usage = usage
        return usage.utf8.count > 200 ? self.usage(shortened: true) : usage
    }

    private func usage(shortened: Bool) -> String {
        var usage = name
        for argument in arguments {
            switch argument.count {
            case .one: usage += " \(argument.name)"
            case .optional: usage += " [\(argument.name)]"
            case .oneOrMore: usage += " \(argument.name)…"
            case .any: usage += " [\(argument.name)…]"
            }
        }
        if shortened { usage += " [OPTION=VALUE…]" }
        for option in options where option.since == .first && !shortened {
            usage += option.type.isFlag ? " [\(option.key)]" : " [\(option.key)=\(option.type.placeholder)]"
        }
        if takesCommand { usage += " -- COMMAND…" }
        return usage
    }
}

/// Where a directive may stand. A set, since most may stand in several places.
struct Places: OptionSet, Sendable, Hashable {
    var rawValue: Int

    /// The machine's file, outside of any block.
    static let machine = Places(rawValue: 1 << 0)
    /// A tenant's file, outside of any block.
    static let tenantFile = Places(rawValue: 1 << 1)
    static let site = Places(rawValue: 1 << 2)
    /// The block of a route or of a pattern without a verb.
    static let route = Places(rawValue: 1 << 3)
    /// The block of `proxy`.
    static let proxy = Places(rawValue: 1 << 4)
    static let pool = Places(rawValue: 1 << 5)
    static let tls = Places(rawValue: 1 << 6)
    static let tenants = Places(rawValue: 1 << 7)
    static let program = Places(rawValue: 1 << 8)
    /// The block of `tenant`, beyond what `tenants` has as well.
    static let tenant = Places(rawValue: 1 << 9)

    static let file: Places = [.machine, .tenantFile]
    /// Where settings stand.
    static let settings: Places = [.machine, .site, .route]
    static let upstream: Places = [.proxy, .pool]

    private static let names: [(Places, String)] = [
        (.machine, "the machine's file"), (.tenantFile, "a tenant's file outside of its sites"),
        (.site, "a site"),
        (.route, "a route's block"), (.proxy, "the block of `proxy`"), (.pool, "a `pool`"),
        (.tls, "the block of `tls`"),
        (.tenants, "`tenants` or `tenant`"), (.tenant, "`tenant`"),
        (.program, "the block of a program's verb"),
    ]

    /// `a site or a route's block`
    var description: String {
        let names = Self.names.filter { contains($0.0) }.map(\.1)
        guard let last = names.last, names.count > 1 else { return names.first ?? "no place" }
        return names.dropLast().joined(separator: ", ") + " or " + last
    }
}

/// The version since which something exists.
package enum Release: Sendable, Equatable {
    case first
    /// Known by name and refused.
    case later
}

struct Argument: Sendable {
    enum Count: Sendable { case one, optional, oneOrMore, any }

    var name: String
    var type: ValueType
    var count: Count

    init(_ name: String, _ type: ValueType, _ count: Count = .one) {
        self.name = name
        self.type = type
        self.count = count
    }
}

struct Option: Sendable {
    var key: String
    var type: ValueType
    var since: Release
    var defaultText: String?
    /// Whether it may be given several times in one statement.
    var isRepeatable: Bool
    var meaning: String

    init(
        _ key: String, _ type: ValueType, since: Release = .first, default defaultText: String? = nil,
        isRepeatable: Bool = false, _ meaning: String
    ) {
        self.isRepeatable = isRepeatable
        self.key = key
        self.type = type
        self.since = since
        self.defaultText = defaultText
        self.meaning = meaning
    }
}

/// What a decoded row does.
enum Effect: Sendable {
    /// The decoder itself knows it: `site`, `define`, `use`, `pool`, `import`; or it is of a later version.
    case structure
    case machine(@Sendable (Arguments, FileDecoder, inout MachineConfiguration) -> Void)
    /// A line of a `tenants` or `tenant` block.
    case permits(@Sendable (Arguments, FileDecoder, inout Permits) -> Void)
    case site(@Sendable (Arguments, FileDecoder, inout Site) -> Void)
    case tls(@Sendable (Arguments, FileDecoder, inout SiteTLS) -> Void)
    case setting(@Sendable (Arguments, FileDecoder, inout Settings) -> Void)
    case upstream(@Sendable (Arguments, FileDecoder, inout UpstreamDraft) -> Void)
    /// The draft is what the verb's block says about upstreams.
    case verb(@Sendable (Arguments, FileDecoder, UpstreamDraft) -> Destination?)
}

/// What `proxy` and `pool` gather from their words and blocks.
struct UpstreamDraft {
    var targets: [UpstreamTarget] = []
    var pools: [String] = []
    var prefix: Template?

    mutating func append(_ other: UpstreamDraft) {
        targets += other.targets
        pools += other.pools
    }
}
