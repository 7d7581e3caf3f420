package import ChimeraBytes

/// What a route's verb leads to.
package enum Destination: Sendable, Equatable {
    case files(FilesTarget)
    case proxy(ProxyTarget)
    /// The status is 301, 302, 303, 307 or 308. The query is kept unless `to` has a `?` of its own.
    case redirect(to: Template, status: Int)
    case respond(status: Int, body: RespondBody)
    /// The sample page.
    case welcome
    case session(SessionTarget)
    /// The handler of the program that embeds the gateway; no verb leads there.
    case handler
    /// What the gateway tells of itself; no verb leads there.
    case telemetry(TelemetryPage)
}

/// `files DIR`.
package struct FilesTarget: Sendable, Equatable {
    /// Absolute. A variable in it stands for one segment, never `.`, `..` or hidden.
    package var directory: Template
    /// File names that are tried in a directory, in this order.
    package var index: [String]
    /// Served with 200 where nothing is found, as a path below the directory that begins with `/`.
    package var fallback: String?
    /// Whether segments that begin with a dot are served.
    package var hidden: Bool
    /// How many leading segments of the path are taken off: the pattern's leading literals, one less where an exact
    /// pattern keeps its last.
    package var strippedSegments: Int
    /// The directory, absolute and without links, out of which no link leads whatever becomes of the files; nil: the
    /// directory itself confines what is served.
    package var confinement: String?

    package init(
        directory: Template, index: [String] = ["index.html"], fallback: String? = nil, hidden: Bool = false,
        strippedSegments: Int = 0
    ) {
        self.directory = directory
        self.index = index
        self.fallback = fallback
        self.hidden = hidden
        self.strippedSegments = strippedSegments
    }
}

/// `proxy TARGET…`.
package struct ProxyTarget: Sendable, Equatable {
    /// At least one, taken in turn. Those of a named pool stand here as well.
    package var targets: [UpstreamTarget]
    /// What is put before the path: `prefix /v2`. It never ends in `/`.
    package var prefix: Template?
    /// The pools that the targets come from, as `tenant/name` or `/name` for the machine's.
    package var pools: [String]

    package init(targets: [UpstreamTarget], prefix: Template? = nil, pools: [String] = []) {
        self.targets = targets
        self.prefix = prefix
        self.pools = pools
    }
}

package struct UpstreamTarget: Sendable, Hashable {
    package var address: UpstreamAddress
    /// Always 1 in this version, which refuses `weight=`.
    package var weight: Int
    /// Always false in this version, which refuses `backup`.
    package var isBackup: Bool
    /// Where connections may lead, checked on the resolved address at each connect; nil: anywhere.
    package var reach: [CIDR]?
    package var position: SourcePosition

    package init(address: UpstreamAddress, position: SourcePosition) {
        self.address = address
        weight = 1
        isBackup = false
        self.position = position
    }
}

/// Where an upstream listens; plain HTTP in this version.
package enum UpstreamAddress: Sendable, Hashable {
    /// A name to resolve, lowercase.
    case host(String, port: UInt16)
    case ip(IPAddress, port: UInt16)
    /// An absolute path of at most 107 bytes.
    case unix(path: String)
    /// A name with variables in it (`{app}.internal`): only `{host.N}` and captures, each a part of a name.
    case template(Template, port: UInt16)
}

extension UpstreamAddress: CustomStringConvertible {
    package var description: String {
        switch self {
        case .host(let name, let port): "\(name):\(port)"
        case .ip(let address, let port): address.isV4 ? "\(address):\(port)" : "[\(address)]:\(port)"
        case .unix(let path): "unix:\(path)"
        case .template(let name, let port): "\(name):\(port)"
        }
    }
}

package enum RespondBody: Sendable, Equatable {
    case none
    case text(Template)
    /// The content of a file as it was when the configuration was loaded, never expanded.
    case file(ReferencedFile)
}

/// A file that the configuration names and whose content belongs to it.
package struct ReferencedFile: Sendable, Hashable {
    /// Absolute.
    package var path: String
    package var content: [UInt8]

    package init(path: String, content: [UInt8]) {
        self.path = path
        self.content = content
    }
}
