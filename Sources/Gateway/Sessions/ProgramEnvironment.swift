internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore
internal import ChimeraTLS
internal import Glibc

/// The environment of a program: what RFC 3875 names, and what the gateway knows beyond that.
struct ProgramEnvironment {
    private(set) var variables: [String] = []
    /// Those of them that are the request's.
    private(set) var request: [String] = []
    private var octets = 0

    /// Past it the request is too large for a program.
    static let octetsMax = 48 * 1024
    /// What a program gets of the gateway's own environment.
    private static let inherited = ["LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"]

    /// What every program gets of the gateway's surroundings. Who runs it is who serves, as the system knows that one, and
    /// not whoever has started the gateway.
    private static let surroundings: [(String, String)] = {
        func own(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
        var known: [(String, String?)] = [
            ("PATH", own("PATH") ?? "/usr/local/bin:/usr/bin:/bin"), ("HOME", own("HOME") ?? "/"),
            ("USER", own("USER")), ("LOGNAME", own("LOGNAME")), ("SHELL", own("SHELL")),
        ]
        if let entry = getpwuid(geteuid())?.pointee {
            let name = String(cString: entry.pw_name)
            known[1...] = [
                ("HOME", String(cString: entry.pw_dir)), ("USER", name), ("LOGNAME", name),
                ("SHELL", String(cString: entry.pw_shell)),
            ]
        }
        known += inherited.map { ($0, own($0)) }
        return known.compactMap { name, value in value.map { (name, $0) } }
    }()

    init(
        _ request: RequestHead, _ context: RequestContext, _ destination: SessionDestination,
        serverSoftware: String
    ) {
        for (name, value) in Self.surroundings { add(name, value) }
        if destination.target.hasTerminal { add("TERM", "xterm-256color") }
        let general = variables.count
        addServer(request, context, serverSoftware)
        addPath(context, destination)
        addClient(request, context)
        addFields(of: request)
        self.request = Array(variables[general...])
        for variable in destination.target.environment { add(variable) }
    }

    /// That of a program which is started before there is a request.
    init(of key: RouteKey, serverSoftware: String) {
        for (name, value) in Self.surroundings { add(name, value) }
        if key.target.hasTerminal { add("TERM", "xterm-256color") }
        add("GATEWAY_INTERFACE", "CGI/1.1")
        add("SERVER_SOFTWARE", serverSoftware)
        add("CHIMERA_TENANT", key.tenant)
        add("CHIMERA_SITE", key.site)
        add("CHIMERA_ROUTE", key.route)
        for variable in key.target.environment { add(variable) }
    }

    /// Nothing was left out for want of room.
    var isWhole: Bool { octets <= Self.octetsMax }

    private mutating func addServer(
        _ request: RequestHead, _ context: RequestContext, _ serverSoftware: String
    ) {
        add("GATEWAY_INTERFACE", "CGI/1.1")
        add("SERVER_SOFTWARE", serverSoftware)
        add("SERVER_PROTOCOL", context.isPlain ? "stream" : Self.name(ofVersion: request.majorVersion))
        add("SERVER_NAME", context.canonicalHost)
        add("SERVER_PORT", context.port == 0 ? (context.isSecure ? "443" : "80") : "\(context.port)")
        if !context.isPlain { add("REQUEST_METHOD", request[request.methodBytes]) }
        if case .known(let count) = request.body { add("CONTENT_LENGTH", "\(count)") }
        if let type = request[.contentType] { add("CONTENT_TYPE", type) }
        if context.hasQuery { add("QUERY_STRING", request[context.query]) } else { add("QUERY_STRING", "") }
        add("REQUEST_URI", request[request.pathAndQuery])
        if context.isSecure { add("HTTPS", "on") }
        if let tls = context.tls {
            add("TLS_VERSION", "\(tls.version)")
            let subject = tls.clientSubject
            if !subject.isEmpty { add("TLS_CLIENT", subject.span) }
        }
    }

    private static func name(ofVersion major: UInt8) -> String { major == 1 ? "HTTP/1.1" : "HTTP/\(major)" }

    /// RFC 3875 §4.1.5, §4.1.13: what the route's pattern names, and what its `*` stands for.
    private mutating func addPath(_ context: RequestContext, _ destination: SessionDestination) {
        let path = context.matchedPath
        var end = path.count
        if let segment = destination.restSegment {
            let rest = context.rest(from: segment)
            end = path.count - rest.count
            if end > 0 && path[end - 1] == UInt8(ascii: "/") { end -= 1 }
        }
        add("SCRIPT_NAME", path.extracting(0..<end))
        add("PATH_INFO", path.extracting(end..<path.count))
        for capture in destination.captures { add(capture.variable, context.capture(capture.segment)) }
        if let tenant = context.site?.tenant { add("CHIMERA_TENANT", tenant.span) }
        if let site = context.site?.name { add("CHIMERA_SITE", site.span) }
        if let route = context.route?.text { add("CHIMERA_ROUTE", route.span) }
    }

    private mutating func addClient(_ request: RequestHead, _ context: RequestContext) {
        let text = ByteBuffer(capacity: 48)
        if let client = context.client { text.append(client) } else { text.append("unix") }
        add("REMOTE_ADDR", text.readable)
        if context.client == context.peer { add("REMOTE_PORT", "\(context.peerPort)") }
        if !context.user.isEmpty {
            add("AUTH_TYPE", "Basic")
            add("REMOTE_USER", context[context.user])
        }
        text.clear()
        context.id.append(to: text)
        add("REQUEST_ID", text.readable)
    }

    /// RFC 3875 §4.1.18. Left out are what a program has no use for or must not know, a name with `_`, which another
    /// field's could become as well, and Proxy, whose name many programs take for a setting of their own.
    private mutating func addFields(of request: RequestHead) {
        var seen: Set<String> = []
        for index in 0..<request.lineCount {
            let line = request.line(at: index)
            guard line.isPresent, let name = Self.variable(request.name(of: line)), seen.insert(name).inserted
            else { continue }
            var value = Array(copying: request[line.value])
            for later in (index + 1)..<max(index + 1, request.lineCount) {
                let other = request.line(at: later)
                guard other.isPresent, Self.variable(request.name(of: other)) == name else { continue }
                value +=
                    Array((line.name == .cookie ? "; " : ", ").utf8) + Array(copying: request[other.value])
            }
            add(name, value.span)
        }
    }

    private static let hidden: Set<String> = [
        "HTTP_AUTHORIZATION", "HTTP_PROXY_AUTHORIZATION", "HTTP_PROXY", "HTTP_CONNECTION", "HTTP_UPGRADE",
        "HTTP_SEC_WEBSOCKET_KEY", "HTTP_CHIMERA_RESUME",
    ]

    private static func variable(_ name: Span<UInt8>) -> String? {
        var variable = Array("HTTP_".utf8)
        for index in 0..<name.count {
            switch name[index] {
            case UInt8(ascii: "-"): variable.append(UInt8(ascii: "_"))
            case UInt8(ascii: "a")...UInt8(ascii: "z"): variable.append(name[index] - 32)
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                variable.append(name[index])
            default: return nil
            }
        }
        let text = String(decoding: variable, as: UTF8.self)
        return hidden.contains(text) ? nil : text
    }

    // MARK: Adding

    private mutating func add(_ name: String, _ value: Span<UInt8>) {
        // A decoded path may have any octet but the one that would end the variable.
        add(name, String(decoding: Array(copying: value).filter { $0 != 0 }, as: UTF8.self))
    }

    private mutating func add(_ name: String, _ value: String) { add("\(name)=\(value)") }

    private mutating func add(_ variable: String) {
        octets += variable.utf8.count + 1
        if isWhole { variables.append(variable) }
    }
}
