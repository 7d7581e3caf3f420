package import ChimeraBytes

/// What the machine's file and every tenant file together say: typed, checked and immutable.
package struct MachineConfiguration: Sendable, Equatable {
    package var listeners: [Listener] = []
    package var workers: WorkerCount = .automatic
    /// The absolute path that `data` names.
    package var dataDirectory: String?
    /// Nil: text on a terminal and JSON elsewhere, to standard output.
    package var accessLog: AccessLog?
    /// Where that stands.
    package var accessLogPosition: SourcePosition?
    /// The absolute path of the administration's socket; nil for the usual place.
    package var adminSocket: String?
    /// Who serves, where the gateway is started as root; nil for the usual one.
    package var user: UserName?
    /// How long a drain gives to what is under way, in milliseconds.
    package var drainMilliseconds: Int64 = 30_000
    /// The peers whose `X-Forwarded-For` is believed.
    package var trust: [CIDR] = []
    /// The machine's own settings; every site's settings already have them.
    package var settings = Settings()
    /// In the order of the files, the machine's first.
    package var sites: [SharedSite] = []
    /// Every path that was read: configuration files, `file:` values, error pages, password files. A change of any of
    /// them can change this configuration.
    package var files: [String] = []
    /// The absolute patterns of `import` lines whose directories are watched for changes.
    package var watchedPatterns: [String] = []
    /// Files that change are read again without being asked to: also without an `import`, but not where each of them says
    /// `watch=off`.
    package var isWatched = false
    package var warnings: [Diagnostic] = []

    package init() {}

    /// The directives that say something else than `other`, and count from a data plane's start alone.
    package func lateChanges(since other: MachineConfiguration) -> [String] {
        [
            ("workers", workers == other.workers), ("log access", accessLog == other.accessLog),
            ("data", dataDirectory == other.dataDirectory), ("user", user == other.user),
        ].compactMap { $1 ? nil : $0 }
    }
}

/// A user of the machine, by names or numbers that are looked up when they are needed.
package struct UserName: Sendable, Equatable {
    package var name: String
    /// Nil: the user's own groups.
    package var group: String?

    /// `NAME` or `NAME:GROUP`; nil where one of them is empty.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else { return nil }
        name = parts[0]
        group = parts.count == 2 ? parts[1] : nil
    }

    /// By its name, or by its number.
    package var isRoot: Bool { name == "root" || UInt32(name) == 0 }
}

package enum WorkerCount: Sendable, Equatable {
    /// One for each core, or the cgroup's quota if that is less.
    case automatic
    case count(Int)
}

package struct AccessLog: Sendable, Equatable {
    package enum Format: String, Sendable { case text, json, off }
    package enum Target: Sendable, Equatable {
        case standardOutput
        /// An absolute path.
        case file(String)
    }

    package var format: Format
    package var target: Target

    package init(format: Format, target: Target = .standardOutput) {
        self.format = format
        self.target = target
    }
}

/// One `listen` line.
package struct Listener: Sendable, Equatable {
    package enum Address: Sendable, Hashable {
        /// Every IPv6 and IPv4 address, or every IPv4 address where the machine has no IPv6. Port 0 takes a free one.
        case anyAddress(port: UInt16)
        case ip(IPAddress, port: UInt16)
        /// An absolute path of at most 107 bytes.
        case unix(path: String)
    }

    package var address: Address
    /// Connections speak TLS.
    package var tls: Bool
    /// `name=internal`: only sites with `on internal` answer here. Nil: sites without `on` answer.
    package var name: String?
    /// Trusted peers begin with a PROXY header.
    package var hasProxyHeaders = false
    /// The port to name in redirects where it is not the listener's own.
    package var publicPort: UInt16?
    /// The session that connections get; nil where they speak HTTP.
    package var session: SessionAddress?
    package var position: SourcePosition

    package init(address: Address, tls: Bool = false, name: String? = nil, position: SourcePosition) {
        self.address = address
        self.tls = tls
        self.name = name
        self.position = position
    }
}
