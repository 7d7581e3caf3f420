internal import ChimeraBytes
internal import ChimeraConfiguration
internal import ChimeraEventLoop
internal import ChimeraHTTPCore
internal import ChimeraUpstream

/// What `proxy TARGET…` leads to on one worker: one set of endpoints, or one for each value of the variables
/// in their names.
final class UpstreamTargets {
    /// Connections to endpoints, and what speaks over them.
    typealias Made = (pools: [EndpointPool], proxy: Proxy)

    private let target: ProxyTarget
    private let make: ([EndpointName]) -> Made
    /// Nil where a name has variables.
    private let fixedNames: [EndpointName]?
    @exclusivity(unchecked) private var fixed: Proxy?
    @exclusivity(unchecked) private var byNames: [[EndpointName]: Proxy] = [:]
    @exclusivity(unchecked) private var pools: [EndpointPool] = []

    /// Sets of endpoints with variables that are kept.
    private static let namesMax = 256

    /// - Parameter make: is called when a request first needs the endpoints of these names.
    init(_ target: ProxyTarget, make: @escaping ([EndpointName]) -> Made) {
        self.target = target
        self.make = make
        let names = target.targets.compactMap { EndpointName($0.address) }
        fixedNames = names.count == target.targets.count ? names : nil
    }

    deinit { for pool in pools { pool.close() } }

    /// The endpoints that a request goes to; nil where a variable's value cannot be part of a name.
    func proxy(_ route: CompiledRoute, _ context: RequestContext, _ request: RequestHead) -> Proxy? {
        if let fixed { return fixed }
        if let fixedNames {
            let made = make(fixedNames)
            pools = made.pools
            fixed = made.proxy
            return made.proxy
        }
        guard let names = names(route, context, request) else { return nil }
        if let known = byNames[names] { return known }
        if byNames.count >= UpstreamTargets.namesMax {
            for pool in pools { pool.close() }
            pools = []
            byNames.removeAll()
        }
        let made = make(names)
        pools += made.pools
        byNames[names] = made.proxy
        return made.proxy
    }

    private func names(
        _ route: CompiledRoute, _ context: RequestContext, _ request: RequestHead
    ) -> [EndpointName]? {
        var names: [EndpointName] = []
        for (index, target) in target.targets.enumerated() {
            if let name = EndpointName(target.address) {
                names.append(name)
                continue
            }
            let scratch = ByteBuffer(capacity: 256)
            guard case .template(_, let port) = target.address, let template = route.upstreamNames[index],
                template.expand(context, request, into: scratch), !scratch.isEmpty
            else { return nil }
            names.append(.host(String(decoding: scratch.pending, as: UTF8.self), port: port))
        }
        return names
    }
}

extension EndpointName {
    /// Nil for an address with variables.
    init?(_ address: UpstreamAddress) {
        switch address {
        case .host(let name, let port): self = .host(name, port: port)
        case .ip(let ip, let port): self = .address(.ip(ip, port: port))
        case .unix(let path): self = .address(.unix(path: path))
        case .template: return nil
        }
    }
}
