internal import ChimeraBytes

/// The types of arguments and options.
enum ValueType: Sendable {
    /// A word that stands for itself.
    case word(String)
    /// A name of letters, digits, `-` and `_`.
    case name(String)
    /// One of a few words.
    case keyword(noun: String, [Keyword])
    case template(TemplatePlace)
    case text
    /// A duration.
    case duration
    /// A duration or `none`.
    case timeLimit
    case size
    /// `auto` or a number.
    case workers
    case onOff
    /// One of these, for example those of a redirect.
    case status(ClosedRange<Int>, only: [Int] = [])
    case cidr
    /// `80`, `127.0.0.1:80`, `[::1]:80`, `unix:/path`
    case listenAddress
    case upstream
    case host
    case exactHost
    /// A path of the web, literal, that begins with `/`.
    case path
    /// A file whose content is read.
    case file
    /// A place in the file system that need not exist.
    case place
    /// Comma separated names.
    case names
    /// `all`, `@matcher` or a block of addresses.
    case subject
    case headerField
    /// `10.0.0.0/8` or `unix:/path`: where connections may lead.
    case outgoing
    /// `100/s`
    case rate
    /// A number from 1.
    case count
    /// The number of a TCP port.
    case port
    /// `client`, `site` or `header:NAME`
    case limitKey
    /// The same, or `user`
    case sessionKey
    /// An option without a value.
    case flag

    struct Keyword: Sendable {
        var name: String
        var since: Release

        init(_ name: String, _ since: Release = .first) {
            self.name = name
            self.since = since
        }
    }

    var isFlag: Bool { if case .flag = self { true } else { false } }

    /// What an option that was named without a value may have been meant to be.
    var example: String { if case .onOff = self { "on" } else { placeholder } }

    /// How the type is written in a usage line.
    var placeholder: String {
        switch self {
        case .word(let noun): noun.uppercased()
        case .name: "NAME"
        case .keyword(_, let words): words.filter { $0.since == .first }.map(\.name).joined(separator: "|")
        case .template, .text: "TEXT"
        case .duration: "DURATION"
        case .timeLimit: "DURATION|none"
        case .size: "SIZE"
        case .workers: "auto|N"
        case .onOff: "on|off"
        case .status: "STATUS"
        case .cidr: "CIDR"
        case .listenAddress, .upstream: "ADDRESS"
        case .host, .exactHost: "HOST"
        case .path: "/PATH"
        case .file, .place: "PATH"
        case .names: "NAME,NAME"
        case .subject: "CIDR|@m|all"
        case .headerField: "FIELD"
        case .outgoing: "CIDR"
        case .rate: "RATE"
        case .count, .port: "N"
        case .limitKey: "client|site|header:NAME"
        case .sessionKey: "client|user|site|header:NAME"
        case .flag: ""
        }
    }

    /// For the reference page and for "is not …".
    var description: String {
        switch self {
        case .word(let noun): noun
        case .name(let noun): "a \(noun)"
        case .keyword(_, let words): words.map { "`\($0.name)`" }.joined(separator: ", ")
        case .template: "a text with variables"
        case .text: "a text"
        case .duration: "a duration such as 30s or 5m"
        case .timeLimit: "a duration such as 30s or 5m, or none"
        case .size: "a size such as 50MB or 8KiB"
        case .workers: "auto or a number from 1 to 1024"
        case .onOff: "on or off"
        case .status(let range, let only):
            only.isEmpty
                ? "a status from \(range.lowerBound) to \(range.upperBound)"
                : "one of the statuses \(only.map(String.init).joined(separator: ", "))"
        case .cidr: "an address or a block of addresses such as 10.0.0.0/8"
        case .listenAddress: "a port, an address with a port, or unix:/path"
        case .upstream: "host:port, http://host, unix:/path or the name of a pool"
        case .host: "a host, *.x, **.x or *"
        case .exactHost: "a host"
        case .path: "a path that begins with /"
        case .file: "a file"
        case .place: "a path"
        case .names: "names with commas between them"
        case .subject: "all, @matcher or a block of addresses such as 10.0.0.0/8"
        case .headerField: "a field's name, with +, - or ? before it"
        case .outgoing: "a block of addresses such as 10.0.0.0/8, or unix:/path"
        case .rate: "a rate such as 100/s or 5/m"
        case .count: "a number from 1 to 1000000000"
        case .port: "a port from 1 to 65535"
        case .limitKey: "client, site or header:NAME"
        case .sessionKey: "client, user, site or header:NAME"
        case .flag: "without a value"
        }
    }
}

/// Where a template stands: which variables it may have and what it may look like.
enum TemplatePlace: Sendable {
    case header, body, redirect, rewrite, directory, prefix, target
}

/// A decoded argument or option.
enum Value: Sendable {
    case text(String)
    case template(Template)
    case timeLimit(TimeLimit)
    case bytes(Int64)
    case number(Int)
    case workers(WorkerCount)
    case isOn(Bool)
    case cidr(CIDR)
    case listenAddress(Listener.Address)
    case upstream(UpstreamDraft)
    case host(HostPattern)
    case file(ReferencedFile)
    case names([String])
    case subject(AccessRule.Subject)
    case header(HeaderOperation.Kind, name: String)
    case outgoing(OutgoingTarget)
    case rate(Rate)
    case limitKey(LimitKey)
}

/// One `to=` of a `permit`.
enum OutgoingTarget: Sendable {
    case addresses(CIDR)
    /// An absolute path.
    case socket(path: String)
}
