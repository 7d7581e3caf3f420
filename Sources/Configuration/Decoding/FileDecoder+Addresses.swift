internal import ChimeraBytes

/// Addresses to listen on, and upstreams.
extension FileDecoder {
    /// The kernel's bound on the path of a Unix socket, without the zero that ends it.
    private static let socketPathBytesMax = 107

    func listenAddress(_ token: Token) -> Value? {
        guard let text = resolved(token) else { return nil }
        if text.hasPrefix("unix:") {
            return socketPath(String(text.dropFirst(5)), token).map { .listenAddress(.unix(path: $0)) }
        }
        if let port = port(text) { return .listenAddress(.anyAddress(port: port)) }
        if let (host, port) = split(text), let number = self.port(port) {
            if let address = address(host) { return .listenAddress(.ip(address, port: number)) }
            if host.isEmpty || host == "*" {
                reportMismatch(token, ValueType.listenAddress.description, [port])
                return nil
            }
            if host == "localhost" {
                reportMismatch(
                    token, ValueType.listenAddress.description, ["127.0.0.1:\(port)", "[::1]:\(port)"])
                return nil
            }
            if let bare = IPAddress(host) {
                reportMismatch(token, ValueType.listenAddress.description, ["[\(bare)]:\(port)"])
                return nil
            }
        }
        let isAddress = IPAddress(text).map { $0.isV4 ? ["\($0):80"] : ["[\($0)]:80"] }
        reportMismatch(token, ValueType.listenAddress.description, isAddress ?? [])
        return nil
    }

    /// Splits at the last colon.
    private func split(_ text: String) -> (host: String, port: String)? {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        return (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }

    /// Digits alone; Swift's own reader would take a sign as well.
    func port(_ text: String) -> UInt16? {
        guard text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return UInt16(text)
    }

    /// An IPv4 address, or an IPv6 address in brackets.
    private func address(_ host: String) -> IPAddress? {
        if host.hasPrefix("["), host.hasSuffix("]") {
            guard let address = IPAddress(String(host.dropFirst().dropLast())), host.contains(":") else {
                return nil
            }
            return address
        }
        guard let address = IPAddress(host), !host.contains(":") else { return nil }
        return address
    }

    private func socketPath(_ path: String, _ token: Token) -> String? {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            reportMismatch(token, "a socket: its path is missing")
            return nil
        }
        let absolute = resolve(path)
        guard absolute.utf8.count <= Self.socketPathBytesMax else {
            report(
                token,
                "a socket's path has at most \(Self.socketPathBytesMax) bytes; this one has \(absolute.utf8.count)"
            )
            return nil
        }
        return absolute
    }

    // MARK: - Upstreams

    /// One address as a target, or a pool with all of its own; nil after a message.
    func upstream(_ token: Token) -> UpstreamDraft? {
        guard let text = resolved(token) else { return nil }
        if text.hasPrefix("unix:") {
            guard !text.contains("{") else {
                report(token, "a socket's path has no variables")
                return nil
            }
            guard let path = socketPath(String(text.dropFirst(5)), token), isPermitted(socket: path, token)
            else {
                return nil
            }
            return draft(.unix(path: path), token)
        }
        for scheme in ["https://", "h2c://", "srv:"] where text.hasPrefix(scheme) {
            report(token, "this version does not have `\(scheme)` targets yet")
            return nil
        }
        if text.hasPrefix("http://") { return httpTarget(String(text.dropFirst(7)), token) }
        if let scheme = text.range(ofScheme: "://") {
            report(token, "unknown scheme \"\(scheme)\"", ["http://" + text.dropFirst(scheme.count + 3)])
            return nil
        }
        if let (host, port) = splitTarget(text) { return hostTarget(host, port, token) }
        return poolTarget(text, token)
    }

    private func draft(_ address: UpstreamAddress, _ token: Token) -> UpstreamDraft {
        var target = UpstreamTarget(address: address, position: current.position(token))
        target.reach = reach
        return UpstreamDraft(targets: [target])
    }

    private func httpTarget(_ rest: String, _ token: Token) -> UpstreamDraft? {
        var authority = rest
        if let slash = rest.firstIndex(of: "/") {
            authority = String(rest[..<slash])
            let path = String(rest[slash...])
            guard path == "/" else {
                report(
                    token, "a target has no path: `prefix \(path)` in the block puts one before the request's"
                )
                return nil
            }
        }
        let (host, port) = splitTarget(authority) ?? (authority, "80")
        return hostTarget(host, port, token)
    }

    /// Splits at the colon before the port. Nil where there is none: a bare word, or a bare IPv6 address.
    private func splitTarget(_ text: String) -> (host: String, port: String)? {
        guard let (host, port) = split(text), !host.isEmpty, !port.contains("]"), !port.contains("}"),
            IPAddress(text) == nil
        else { return nil }
        return (host, port)
    }

    private func hostTarget(_ host: String, _ portText: String, _ token: Token) -> UpstreamDraft? {
        guard let port = port(portText), port > 0 else {
            reportMismatch(
                token, "a target: \"\(secretSource(token) == nil ? portText : "…")\" is not a port")
            return nil
        }
        if let address = address(host) {
            return isPermitted(address, token) ? draft(.ip(address, port: port), token) : nil
        }
        if host.contains("{"), secretSource(token) == nil, token.quoting != .raw {
            guard let template = templateText(host, token, .target) else { return nil }
            return draft(.template(template, port: port), token)
        }
        if IPAddress(host) != nil {
            reportMismatch(token, ValueType.upstream.description, ["[\(host)]:\(port)"])
            return nil
        }
        guard case .success(let name) = HostName.normalized(host) else {
            reportMismatch(token, ValueType.upstream.description)
            return nil
        }
        return draft(.host(name, port: port), token)
    }

    private func poolTarget(_ text: String, _ token: Token) -> UpstreamDraft? {
        if let pool = pool(text) { return pool }
        guard secretSource(token) == nil else {
            reportMismatch(token, ValueType.upstream.description)
            return nil
        }
        if let number = port(text) {
            report(token, "no pool \"\(text)\" is in this file or the machine's", ["127.0.0.1:\(number)"])
            return nil
        }
        let near = NearMiss.suggestions(for: text, among: poolNames)
        let isHost = if case .success = HostName.normalized(text) { true } else { false }
        let withPort = IPAddress(text).map { $0.isV4 ? "\($0):80" : "[\($0)]:80" } ?? "\(text):80"
        report(
            token, "no pool \"\(text)\" is in this file or the machine's",
            near.isEmpty ? (isHost || IPAddress(text) != nil ? [withPort] : []) : near)
        return nil
    }
}

extension String {
    /// What stands before `mark`, where that is a word of letters.
    fileprivate func range(ofScheme mark: String) -> String? {
        let scheme = prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "+") }
        return !scheme.isEmpty && dropFirst(scheme.count).hasPrefix(mark) ? String(scheme) : nil
    }
}
