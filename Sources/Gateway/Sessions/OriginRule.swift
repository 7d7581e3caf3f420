internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraHTTPCore

/// Which pages may reach a program: those of the site itself, and those that `origin=` names.
struct OriginRule {
    let allowed: [HostPattern]

    /// RFC 6455 §10.2: a page may connect to where it came from, and where it is named; what is no page has no origin.
    func allowsWebSocket(_ request: RequestHead, _ context: RequestContext) -> Bool {
        guard let origin = request[.origin] else { return true }
        return allows(origin, request, context)
    }

    /// A form, an image and a script of a foreign page can send a request as well, without asking. A browser says where it
    /// comes from, by `Origin` or by `Sec-Fetch-Site`; a tool that is none says neither.
    func allowsRequest(_ request: RequestHead, _ context: RequestContext) -> Bool {
        if let origin = request[.origin] { return allows(origin, request, context) }
        guard let index = request.index(ofName: Self.fetchSite.span) else { return true }
        if allowed.contains(.any) { return true }
        let site = request[request.line(at: index).value]
        return site.equals("same-origin") || site.equals("none")
    }

    /// The origin has to be told that it may read the answer.
    func isForeign(_ request: RequestHead, _ context: RequestContext) -> Bool {
        guard let origin = request[.origin], let parts = OriginParts(origin) else { return false }
        return !parts.isOwn(origin, request, context)
    }

    private static let fetchSite = Array("sec-fetch-site".utf8)

    private func allows(
        _ origin: Span<UInt8>, _ request: RequestHead, _ context: RequestContext
    ) -> Bool {
        if allowed.contains(.any) { return true }
        guard request.occurrences(of: .origin) == 1, let parts = OriginParts(origin) else { return false }
        if parts.isOwn(origin, request, context) { return true }
        let name = String(decoding: Array(copying: origin.extracting(parts.host)), as: UTF8.self).lowercased()
        return allowed.contains { $0.matches(name) }
    }
}

/// What an Origin field names.
private struct OriginParts {
    let host: Range<Int>
    let port: UInt16
    let isSecure: Bool

    /// Nil for `null`, and for what is no origin of the web.
    init?(_ origin: Span<UInt8>) {
        isSecure = origin.startsIgnoringCase(with: "https://")
        guard isSecure || origin.startsIgnoringCase(with: "http://") else { return nil }
        let start = isSecure ? 8 : 7
        guard let authority = try? Authority(origin.extracting(droppingFirst: start)) else { return nil }
        host = (authority.host.lowerBound + start)..<(authority.host.upperBound + start)
        port = authority.port ?? (isSecure ? 443 : 80)
    }

    func isOwn(_ origin: Span<UInt8>, _ request: RequestHead, _ context: RequestContext) -> Bool {
        let authority = request[request.authority]
        guard isSecure == context.isSecure, let ours = try? Authority(authority) else { return false }
        return authority.extracting(ours.host).equalsIgnoringCase(origin.extracting(host))
            && (ours.port ?? (context.isSecure ? 443 : 80)) == port
    }
}
